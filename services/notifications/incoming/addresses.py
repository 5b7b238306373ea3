"""Every address that stands in a mail, so that erasing a person finds what speaks of them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message

_ASCII_LOCAL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+/=?^_`{|}~.-"
_LONGEST_LOCAL = 64
_LONGEST_DECOMPOSED = 2 * _LONGEST_LOCAL
"""Octets of a local part whose accents stand behind their letters."""
_AT_HOST = re.compile(rb"@([A-Za-z0-9.-]{0,255})([A-Za-z0-9.\x80-\xff-]{0,255})")
_OUTSIDE = re.compile(r"[^\w!#$%&'*+/=?^`{|}~.-]")
"""What stands in no address, of letters beyond ASCII too (RFC 6531 §3.3, RFC 5890)."""
_MOST_PARTS = 200
_MOST_ADDRESSES = 2000
_MOST_LOOKED_AT = 100_000


def mentioned(raw: bytes, message: Message | None) -> frozenset[str]:
    """
    Every address that stands in a mail, as it is, in its encoded headers and parts, and in the mails that those return.

    Where letters beyond ASCII touch an address, they may belong to it or not: then it is found with and without them.
    """
    found: set[str] = set()
    _look(raw, found)
    if message is not None:
        for number, part in enumerate(message.walk()):
            if number >= _MOST_PARTS:
                break
            for content in _encoded(part):
                _look(content, found)
    return frozenset(found)


def _encoded(part: Message) -> Iterator[bytes]:
    """What a part says that cannot be read as it stands."""
    for value in part.values():
        text = str(value)
        if "=?" in text:
            try:
                words = decode_header(text)
            except (HeaderParseError, ValueError):
                continue
            yield b" ".join(each if isinstance(each, bytes) else each.encode("utf-8", "replace") for each, _ in words)
    payload = None if part.is_multipart() else part.get_payload(decode=True)
    if isinstance(payload, bytes):
        # Of letters of two or four octets, those of ASCII are left.
        yield payload.replace(b"\0", b"")


def _look(content: bytes, found: set[str]) -> None:
    """One pass from @ to @, and from each no further back than a local part is long (RFC 5321 §4.5.3.1.1)."""
    for number, at in enumerate(_AT_HOST.finditer(content)):
        if len(found) >= _MOST_ADDRESSES or number >= _MOST_LOOKED_AT:
            return
        before = content[max(0, at.start() - _LONGEST_DECOMPOSED) : at.start()]
        rest = before.rstrip(_ASCII_LOCAL)
        local, host = before[len(rest) :][-_LONGEST_LOCAL:].decode("ascii"), at[1].decode("ascii")
        locals_, hosts = {local}, {host}
        if not rest[-1:].isascii():
            locals_ |= {_OUTSIDE.split(each)[-1] for each in _decoded(before)}
        if at[2]:
            hosts |= {_OUTSIDE.split(each)[0] for each in _decoded(at[1] + at[2])}
        found.update(
            f"{local}@{host}".strip(".").lower() for local in locals_ if local for host in hosts if host.strip(".-")
        )


def _decoded(octets: bytes) -> Iterator[str]:
    """What octets may say, composed as addresses are kept."""
    text = octets.decode("utf-8", "replace")
    yield unicodedata.normalize("NFC", text)
    if "\ufffd" in text:
        yield octets.decode("windows-1252", "replace")
