"""Foreign text made safe for a header, a calendar and a page.

Everything that names a person, a title or a link was typed by somebody. These functions are the only gate between that
and a mail: they never fail on text, so that one odd name stops nobody's mail; they are strict on addresses and links.
"""

import re
from functools import lru_cache
from urllib.parse import quote, urlsplit, urlunsplit

import idna

from contracts.addresses import address
from contracts.characters import Unfit

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_URL_CHARACTERS = "!#$%&'()*+,/:;=?@[]~-._"


class UnusableAddress(ValueError):  # noqa: N818  (reads as what is the matter)
    """No mail can be sent to this address. The message does not repeat it: it is personal data."""


def line(text: str) -> str:
    """`text` on one line: every kind of white space becomes one space, control and format characters go (Unicode C)."""
    text = " ".join(text.split())
    if text.isprintable():
        return text
    return " ".join("".join(filter(str.isprintable, text)).split())


def paragraphs(text: str) -> list[str]:
    """The paragraphs of `text`: parts between blank lines, each on one line, empty ones left out."""
    parts = re.split(r"\n[^\S\n]*\n", text.replace("\r\n", "\n").replace("\r", "\n"))
    return [cleaned for part in parts if (cleaned := line(part))]


def shortened(text: str, most: int) -> str:
    """`text` of at most `most` characters, cut after a word and marked with an ellipsis."""
    if len(text) <= most:
        return text
    cut = text[: most - 1]
    return cut.rsplit(" ", 1)[0].rstrip(" ,;:–-") + "…"


@lru_cache(maxsize=4096)
def link(text: str | None) -> str | None:
    """An http or https address in ASCII (RFC 3986), else None: no other scheme is ever made clickable."""
    if not text:
        return None
    text = text.strip()
    if not text.isprintable() or " " in text:
        return None
    try:
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            return None
        host = parts.hostname if ":" in parts.hostname else ascii_domain(parts.hostname)
        authority = (f"[{host}]" if ":" in host else host) + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return None
    rest = (quote(part, safe=_URL_CHARACTERS) for part in (parts.path, parts.query, parts.fragment))
    return urlunsplit((parts.scheme, authority, *rest))


@lru_cache(maxsize=4096)
def ascii_domain(text: str) -> str:
    """A domain in lower case, an international one as punycode (RFC 5891). Raises UnusableAddress."""
    if not text.isascii():
        try:
            text = idna.encode(text, uts46=True).decode("ascii")
        except idna.IDNAError:
            raise UnusableAddress("the domain of the address is not valid") from None
    if not _DOMAIN.fullmatch(text):
        raise UnusableAddress("the domain of the address is not valid")
    return text.lower()


def mailbox(text: str) -> str:
    """The address as it goes over the wire, the host in ASCII (see ``contracts.addresses``). Raises UnusableAddress."""
    try:
        return address(text)
    except Unfit as error:
        raise UnusableAddress(error.english) from None
