"""Every address that stands in a mail, so that erasing a person finds what speaks of them."""

from __future__ import annotations

import re
from email.message import Message

_LOCAL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+/=?^_`{|}~.-"
_LONGEST_LOCAL = 64
_DOMAIN = re.compile(rb"@[A-Za-z0-9.-]{1,255}")
_MOST_PARTS = 200
_MOST_ADDRESSES = 2000
_MOST_LOOKED_AT = 100_000


def mentioned(raw: bytes, message: Message | None) -> frozenset[str]:
    """Every address that stands in a mail, as it is or in its encoded parts, and in the mails that those return."""
    found: set[str] = set()
    _look(raw, found)
    if message is not None:
        for number, part in enumerate(message.walk()):
            if number >= _MOST_PARTS:
                break
            payload = None if part.is_multipart() else part.get_payload(decode=True)
            if isinstance(payload, bytes):
                _look(payload, found)
    return frozenset(found)


def _look(content: bytes, found: set[str]) -> None:
    """One pass from @ to @, and from each no further back than a local part is long (RFC 5321 §4.5.3.1.1)."""
    for number, at in enumerate(_DOMAIN.finditer(content)):
        if len(found) >= _MOST_ADDRESSES or number >= _MOST_LOOKED_AT:
            return
        before = content[max(0, at.start() - _LONGEST_LOCAL) : at.start()]
        local = before[len(before.rstrip(_LOCAL)) :]
        if local:
            found.add((local + at[0]).decode("ascii").strip(".").lower())
