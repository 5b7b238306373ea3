"""Which characters text may be made of, and how those are shown that nobody would see."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

JOINERS: Final = "\u200c\u200d"
"""What parts or joins letters (Persian, Hindi, emoji) and is needed inside words: ZWNJ and ZWJ."""

_BLANK: Final = "\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0"
"""Letters, marks and symbols by their category that are drawn as nothing, or as a space."""
_INVISIBLE: Final = frozenset(
    _BLANK
    + JOINERS
    + "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    + "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\ufeff\ufff9\ufffa\ufffb"
)
_WHITE: Final = (
    " \t\n\r\v\f\x85\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000"
)
_EDGES: Final = _WHITE + "".join(sorted(_INVISIBLE))
_NEVER: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_UNSEEN_IN_SCHEMAS: Final = (
    r"\u0000-\u0009\u000b-\u001f\u007f-\u009f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160"
    r"\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ue000-\uf8ff\ufeff\uffa0\ufff0-\ufffb"
)
"""
What ``refuse_invisible`` refuses, but for the line break and for what stands beyond the Basic Multilingual Plane: as
ECMA-262 with the flag u, Python and Rust read it in a class. So it has no halves of surrogate pairs, which Rust knows
not, and no property as in ``\\p{Cf}``, which Python knows not.
"""
_EDGE: Final = r"[\s\u200c\u200d]"
LINE_NEVER: Final = rf"[{_UNSEEN_IN_SCHEMAS}\u000a]|^{_EDGE}|{_EDGE}$"
"""For schemas: what one line of text, as it is kept, never has in it."""
PROSE_NEVER: Final = rf"[{_UNSEEN_IN_SCHEMAS}]|^{_EDGE}|{_EDGE}$"
"""For schemas: what text that may have line breaks never has in it."""
_CONTROLS: Final = {
    "\x00": "NULL",
    "\t": "TAB",
    "\n": "LINE BREAK",
    "\r": "CARRIAGE RETURN",
    "\x1b": "ESCAPE",
    "\x7f": "DELETE",
    "\x85": "NEXT LINE",
    "\xa0": "NO-BREAK SPACE",
}
"""What Unicode has no name for."""


class Unfit(ValueError):  # noqa: N818 - it reads as what the text is
    """
    What cannot be taken; it says why, and what to do, in both languages, without repeating it.

    ``rule`` names for programs what it breaks.
    """

    def __init__(self, english: str, dutch: str, rule: str = "characters") -> None:
        super().__init__(english)
        self.english = english
        self.dutch = dutch
        self.rule = rule


def trimmed(text: str) -> str:
    """
    Without white space and invisible characters at the edges.

    Address books, web pages and spreadsheets put them there (byte order marks, zero-width spaces, marks of direction),
    and nobody who pastes them can see it.
    """
    return text.strip(_EDGES)


def refuse_invisible(text: str, besides: str = "") -> None:
    """
    See to it that a reader can see all that stands there, and nothing forges a header or turns the order of letters.

    Args:
        besides: control characters that are allowed.

    Raises:
        Unfit: it has control characters, line breaks, or characters that draw nothing or turn the direction.
    """
    if text.isprintable() and text.isascii():
        return
    for number, character in enumerate(text, 1):
        if character in JOINERS or character in besides:
            continue
        if character in _INVISIBLE or unicodedata.category(character) in _NEVER:
            raise unfit_character(character, number)


def unfit_character(character: str, number: int) -> Unfit:
    """That this character, the ``number``-th from 1, cannot stand there."""
    shown = (
        f"{character} ({named(character)})"
        if character.isprintable() and not character.isspace() and character not in _BLANK
        else named(character)
    )
    return Unfit(
        f"Character {number} cannot stand here: {shown}. Remove it.",
        f"Teken {number} kan hier niet staan: {shown}. Haal het weg.",
    )


def named(character: str) -> str:
    """A character by its name and number in Unicode."""
    name = _CONTROLS.get(character) or unicodedata.name(character, "a character without a name")
    return f"{name}, U+{ord(character):04X}"


_UNSEEN: Final = re.compile(
    "["
    "\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f"  # C0 but the line break, DEL, C1: what terminals obey (ECMA-48)
    "\\xad\\u061c\\u180e\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb"
    "\\u2028\\u2029\\ud800-\\udfff\\U0001bca0-\\U0001bca3\\U0001d173-\\U0001d17a\\U000e0000-\\U000e007f"
    "]"
)


def visible(text: str) -> str:
    """
    Text of whatever origin, for a terminal or a line of a log: what it could do there unseen is shown instead.

    Control characters but the line break, marks that turn the direction of reading, invisible ones and halves of
    surrogate pairs become ``\\x1b`` or ``\\u202e``. Done twice, it changes nothing more.
    """
    # Nearly all text is plain, and this is done for every cell of every table.
    return text if text.isprintable() else _UNSEEN.sub(_shown, text)


def visible_json(document: str) -> str:
    """A JSON document that means the same and is safe for a terminal, which ``json.dumps`` sees to for C0 alone."""
    return document if document.isascii() and "\x7f" not in document else _UNSEEN.sub(_escaped, document)


def _shown(found: re.Match[str]) -> str:
    number = ord(found.group())
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _escaped(found: re.Match[str]) -> str:
    units = found.group().encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
