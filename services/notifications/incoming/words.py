"""What a mail says to a person: its own words, without the mail that it returns."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from email.message import Message

from services.notifications.incoming.decoding import usable

_LARGEST = 100_000
"""Octets of a part that are read: where words stand instead of a standard's form, they stand first."""
_MOST_PARTS = 20
"""Parts that are looked at for words, likewise."""
_LONGEST = 20_000
_LONGEST_ABOUT = 2_000
_MOST_LINES = 2_000
_MOST_OTHERS = 50

_TAG = re.compile(
    # Until the next of these elements begins: so nothing is looked at more than once.
    r"<(?:style|script)\b(?:[^<]|<(?!/?(?:style|script)\b))*+</(?:style|script)>|<[a-zA-Z/!?][^<>@]{0,2000}>",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(?:received|return-path|dkim-signature|x-[a-z][a-z0-9-]{0,60}|message-id):", re.IGNORECASE)
_SUBJECT = re.compile(r"\s*(?:subject|betreff|onderwerp|objet|asunto|oggetto)\s*:", re.IGNORECASE)
"""Words of ours that a report repeats."""
_RETURNED = re.compile(
    r"[\s>*=_#|-]{0,80}(?:below|this|enclosed|attachment|included|here|following|attached)? ?"
    r"(?:is |this line is |the next line is )?(?:a |the )?"
    r"(?:copy of (?:the |your |first part )|original (?:message|mail)\b|unsent message|returned (?:message|mail)\b"
    r"|message text follows|message headers?\b|headers? (?:of |and )|start of returned|forwarded message"
    r"|mensaje original|oorspronkelijk bericht|urspr.ngliche nachricht|message d'origine)",
    re.IGNORECASE,
)
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufeff]")
_BLANKS = re.compile(r"\s+")


def readable(text: str) -> str:
    """On one line, without what is not for reading."""
    return _BLANKS.sub(" ", _UNPRINTABLE.sub(" ", text)).strip()


def in_lines(text: str) -> str:
    """The same, with the lines that it has and without blank ones."""
    return "\n".join(each for line in text.split("\n") if (each := readable(line)))


def words_of(parts: Sequence[Message]) -> str:
    """The first of a mail's parts that has words, until the mail that it returns begins."""
    for wanted in ("text/plain", "text/html", ""):
        for part in parts[:_MOST_PARTS]:
            kind = part.get_content_type()
            if kind in ("message/rfc822", "message/partial") or kind.startswith("text/rfc822"):
                break
            # What says that it has parts, and has none that can be told apart, is read as it stands.
            apart = kind.startswith("multipart/") and not part.is_multipart()
            if kind == wanted or (not wanted and (apart or kind.startswith("text/"))):
                words = _own(_decoded(part, as_html=kind == "text/html"))
                if words.strip():
                    return words
    return ""


def _decoded(part: Message, *, as_html: bool) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    codec, *_ = (*usable(part.get_content_charset()), "utf-8")
    text = payload[:_LARGEST].decode(codec, "replace")
    if as_html:
        text = html.unescape(_TAG.sub(" ", text))
    return _UNPRINTABLE.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))[:_LONGEST]


def _own(text: str) -> str:
    lines: list[str] = []
    said = False
    for line in text.split("\n")[:_MOST_LINES]:
        if said and (_HEADER.match(line) or _RETURNED.match(line)):
            break
        if _SUBJECT.match(line):
            continue
        said = said or any(each.isalnum() for each in line)
        lines.append(line)
    return "\n".join(lines)


def about(words: str, addresses: Iterable[str], others: Sequence[str]) -> str:
    """
    What words say about one recipient: all of them, or where others failed too, the lines from his address to theirs.

    Args:
        addresses: the recipient's.
        others: those of the other recipients, about whom the same words speak.
    """
    if not others:
        return readable(words)[:_LONGEST_ABOUT]
    own = [each.lower() for each in addresses]
    foreign = [each.lower() for each in others[:_MOST_OTHERS] if each.lower() not in own]
    kept: list[str] = []
    mine = False
    for line in words.split("\n"):
        lowered = line.lower()
        if any(each in lowered for each in own):
            mine = True
        elif any(each in lowered for each in foreign):
            mine = False
        if mine:
            kept.append(line)
    return readable("\n".join(kept))[:_LONGEST_ABOUT]
