"""
Personal links: derived from a key that services share, and stored nowhere.

A link says what it is for, whom it is about, in which programme, when it was issued and when it ends, and carries an
HMAC (RFC 2104) under a key that whoever writes mails and whoever answers links both have. Nobody else can make one, and
nobody can change one. What the person may do is decided anew each time that a link is followed.
"""

from __future__ import annotations

import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Literal, NamedTuple

Purpose = Literal["confirm"]

LONGEST: Final = 400
"""Characters of what a link carries; whatever is longer is none of ours and is not looked at."""

SHORTEST_KEY: Final = 32
"""Octets of a key: as many as the digest has (RFC 2104 §3)."""

_PURPOSES: Final[Mapping[str, Purpose]] = {"c": "confirm"}
_LETTERS: Final = {purpose: letter for letter, purpose in _PURPOSES.items()}
_FORM: Final = re.compile(r"([a-z0-9]{1,16})\.([A-Za-z0-9_-]{1,300})\.([A-Za-z0-9_-]{43})")
_KEY_LINE: Final = re.compile(r"([a-z0-9]{1,16}) ([A-Za-z0-9_-]{43,200})")


class NoLink(ValueError):  # noqa: N818 - it reads as what happened
    """What was followed is no link that was made with one of our keys."""


class UnusableKeys(ValueError):  # noqa: N818 - likewise
    """A file of keys can't be used; the message says why and what to do, and repeats nothing of it."""


class Link(NamedTuple):
    """What a link says. The moments have whole seconds; from ``expires`` on it is worth nothing."""

    purpose: Purpose
    person: str
    programme: str
    issued: datetime
    expires: datetime


@dataclass(frozen=True, slots=True)
class LinkKeys:
    """The keys by their names: the first makes links, all of them are believed."""

    keys: Mapping[str, bytes]

    @classmethod
    def read(cls, path: Path) -> LinkKeys:
        """
        The keys of a file: one a line, its name, a space and the secret in base64url; the first is the newest.

        Raises:
            UnusableKeys: there are none, or a line is no key.
        """
        try:
            lines = path.read_text("ascii").splitlines()
        except (OSError, ValueError) as error:
            raise UnusableKeys(f"{path} cannot be read: {type(error).__name__}") from None
        keys: dict[str, bytes] = {}
        for number, line in enumerate(lines, start=1):
            if not line.strip() or line.startswith("#"):
                continue
            found = _KEY_LINE.fullmatch(line.strip())
            secret = _decoded(found[2]) if found else b""
            if found is None or len(secret) < SHORTEST_KEY or found[1] in keys:
                raise UnusableKeys(
                    f"{path}, line {number} is no key: write a name of its own and 32 octets in base64url"
                )
            keys[found[1]] = secret
        if not keys:
            raise UnusableKeys(f"{path} holds no key")
        return cls(keys)

    def made(self, link: Link) -> str:
        """What stands for a link in an address: letters, digits and ``-``, ``_``, ``.`` alone (RFC 3986 §2.3)."""
        name, key = next(iter(self.keys.items()))
        moments = f"{int(link.issued.timestamp())}|{int(link.expires.timestamp())}"
        said = f"{_LETTERS[link.purpose]}|{link.person}|{link.programme}|{moments}"
        payload = _encoded(said.encode())
        return f"{name}.{payload}.{_encoded(_seal(key, name, payload))}"

    def opened(self, text: str) -> Link:
        """
        What a link says; whether it still holds, ``expires`` tells.

        Raises:
            NoLink: it was not made with one of these keys.
        """
        found = _FORM.fullmatch(text) if len(text) <= LONGEST else None
        key = self.keys.get(found[1]) if found else None
        if found is None or key is None:
            raise NoLink
        name, payload, seal = found.groups()
        if not hmac.compare_digest(_encoded(_seal(key, name, payload)), seal):
            raise NoLink
        letter, person, programme, issued, expires = _decoded(payload).decode().split("|")
        return Link(_PURPOSES[letter], person, programme, _moment(issued), _moment(expires))

    def digest(self, purpose: str, text: str) -> str:
        """A digest that nobody without the key can compute, to recognise what must not be stored as it is."""
        key = next(iter(self.keys.values()))
        return hmac.new(key, f"{purpose}\n{text}".encode(), sha256).hexdigest()


def _seal(key: bytes, name: str, payload: str) -> bytes:
    return hmac.new(key, f"link\n{name}.{payload}".encode(), sha256).digest()


def _moment(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
