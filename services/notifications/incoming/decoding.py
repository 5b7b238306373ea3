"""Octets made into text, by what is said of them as far as it can be believed."""

from __future__ import annotations

import codecs
import re
from collections.abc import Sequence

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # The one of UTF-16 begins like that of UTF-32.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_UNMARKED = ("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be")
_CHARSETS = re.compile(
    r"utf-?(7|8|16|32).*|ascii|iso8859-\d+|iso2022_\w+|cp\d+|koi8-[rtu]|mac-\w+|gb\w+|hz|big5\w*|euc_\w+|johab"
    r"|shift_jis\w*|tis-620"
)
"""What may be asked of a decoder: others, such as ``punycode``, take a time that grows with the square."""


def decoded(content: bytes, charset: str | None, holds: str) -> str:
    """
    Text by its byte order mark, by what is said of it as far as that is true, or by its look.

    Args:
        holds: what it holds if it was understood, in upper case.
    """
    for mark, codec in _MARKS:
        if content.startswith(mark):
            return _strictly(content, codec, "replace")
    for codec in (*usable(charset), *_UNMARKED):
        try:
            text = _strictly(content, codec)
        except UnicodeError:
            continue
        if holds in text.upper():
            return text
    # Every octet is a character of it, or none at all.
    return content.decode("windows-1252", "replace")


def _strictly(content: bytes, codec: str, errors: str = "strict") -> str:
    """Without a character at the end that is not whole."""
    return codecs.getincrementaldecoder(codec)(errors).decode(content)


def usable(charset: str | None) -> Sequence[str]:
    """The codec of a character set, as a mail names it; none for what is no character set, or unknown."""
    try:
        name = codecs.lookup((charset or "")[:40]).name
    except (LookupError, ValueError):
        return ()
    return (name,) if _CHARSETS.fullmatch(name) else ()
