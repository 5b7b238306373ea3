"""
What the words of mail servers say, by the phrases that they have in common. Pure.

No server is known here by its name. What is said about us comes before what is said about the recipient, and what may
pass before what does not: who is taken for gone gets no mail any more, who is not is mailed once more.
"""

from __future__ import annotations

import re
import unicodedata
from enum import Enum
from functools import lru_cache
from typing import Final, Literal

from services.notifications.domain import phrases

Kind = Literal["gone", "failing", "unreachable", "ours"]

_LONGEST = 4000
"""Characters of which anything is read."""

_CODE = re.compile(r"(?<![\w.])[45]\.\d{1,3}\.\d{1,3}(?!\d|\.\d)")
_TEMPORARY = re.compile(r"(?<![\w.])4\d\d(?![\w.])")
_LINK = re.compile(r"\b(?:https?://|www\.)[^\s<>]{1,500}")
_ADDRESS = re.compile(r"<[^<>\s]{0,320}>|(?<![^\s\"'(\[:,;])[^\s<>@\"'(\[:,;]{1,64}@[\w.-]{1,255}")
_CODES = re.compile(r"(?<![\w.])[245]\d\d(?:[ -]|(?=[^\w.]))|" + _CODE.pattern)
_GLOSS = re.compile(r"\b(?:unknown address error|other mail system problem|other address status)\b")
"""What some put beside a code of theirs before they quote the answer that they got."""
_LISTS = re.compile(r"\b(?:spamhaus|spamcop|sorbs|dnsbl|uribl|surbl|barracudacentral|senderscore|mailspike|abuseat)\b")
_REFUSES_ALL = re.compile(r"(?<![\w.])(?:521|556)[ -]")
"""A host, or a domain, that takes no mail at all (RFC 7504)."""
_NO_SUCH = re.compile(r"\b(?:host|domain|domein)\b(?: [^\s:]+){0,5} (?:exist|bestaat)")
_ASKED = re.compile(r"\bnxdomain|\bdns\b|\bname ?serv|\blookup|\bmx (?:record|for)|\brecord")
_BLANKS = re.compile(r"\s+")


class Stage(Enum):
    """At what a server refused: at who sends, before it knew for whom, or at the message, after it took the address."""

    SENDER = "sender"
    MESSAGE = "message"


_STAGES: Final = (
    (
        Stage.SENDER,
        re.compile(
            r"(?:after|reply to|response to) (?:pipelined )?(?:the )?(?:mail from|helo|ehlo|initial connection)"
            r"|\bsender was rejected|\bmy name was rejected|\brefused to talk to me|\[mail_from\]"
            r"|>>> ?(?:mail from|helo|ehlo)[^>]{0,400}>? ?(?:\S+ ){0,3}<<< ?5\d\d"
        ),
    ),
    (
        Stage.MESSAGE,
        re.compile(
            r"(?:after|reply to|response to) (?:the )?(?:end of )?(?:data|message body)\b"
            r"|after i sent the message|did not like our (?:final )?data|transmission failure has occurred"
            r"|>>> ?data <<< ?5\d\d(?!.{0,400}(?:no valid recipient|need rcpt))"
        ),
    ),
)


_KINDS: Final[tuple[tuple[Kind, re.Pattern[str]], ...]] = (
    ("failing", phrases.FULL),
    ("unreachable", phrases.UNREACHABLE),
    ("ours", phrases.OURS),
    ("failing", phrases.DISABLED),
    ("gone", phrases.DOMAIN),
    ("gone", phrases.NOBODY),
    ("failing", phrases.PASSES),
)


def kind_of(text: str) -> Kind | None:
    """What words say, None where no phrase is known. Takes time that grows with the first 4000 characters alone."""
    plain = _plain(text)
    kind = next((kind for kind, words in _KINDS if words.search(plain)), None) if plain else None
    # Of a list that they have found us on, some give nothing but a link.
    return "ours" if kind in (None, "gone") and _LISTS.search(text[:_LONGEST].lower()) else kind


def probably_gone(text: str) -> bool:
    """Whether words, or a reply's code, mostly stand for what does not exist, where nothing says anything else."""
    return phrases.PROBABLY.search(_plain(text)) is not None or _REFUSES_ALL.search(text[:_LONGEST]) is not None


def is_certain(text: str) -> bool:
    """Whether who says that there is no such address has looked for the account."""
    return phrases.ACCOUNT.search(_plain(text)) is not None


def is_hearsay(text: str) -> bool:
    """
    Whether words say that a host or a domain does not exist, with neither a code nor a word of the name server.

    Who gives the one or the other has asked. Of who does not, a typing error of our relay's looks the same.
    """
    plain = _plain(text)
    return bool(_NO_SUCH.search(plain)) and not _CODES.search(text[:_LONGEST]) and not _ASKED.search(plain)


def is_temporary(code: str | None, text: str) -> bool:
    """Whether a code, or the first reply that is quoted, says that it may pass."""
    return (code or "").startswith("4.") or _TEMPORARY.search(text[:_LONGEST]) is not None


def stage_of(text: str) -> Stage | None:
    """At what a server refused, where words say so."""
    lowered = _BLANKS.sub(" ", text[:_LONGEST].lower())
    return next((stage for stage, words in _STAGES if words.search(lowered)), None)


def code_within(text: str) -> str | None:
    """The last code that says something: who hands an answer on puts his own before it."""
    found = [code for code in _CODE.findall(text[:_LONGEST]) if code[1:] != ".0.0"]
    return found[-1] if found else None


@lru_cache(maxsize=64)
def _plain(text: str) -> str:
    """Words in lower case without accents, links, addresses and codes, which hold words that say nothing."""
    lowered = _LINK.sub(" ", unicodedata.normalize("NFKD", text[:_LONGEST]).lower().replace("’", "'"))
    bare = "".join(each for each in lowered if not unicodedata.combining(each))
    return _BLANKS.sub(" ", _GLOSS.sub(" ", _CODES.sub(" ", _ADDRESS.sub(" ", bare)))).strip()
