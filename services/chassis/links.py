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
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

Purpose = Literal["confirm"]

LONGEST: Final = 400
"""Characters of what stands for a link; whatever is longer is none of ours and is not looked at."""

SHORTEST_KEY: Final = 32
"""Octets of a key: as many as the digest has (RFC 2104 §3)."""

LARGEST_FILE: Final = 16 * 1024
"""Octets of a file of keys."""

_PURPOSES: Final[Mapping[str, Purpose]] = {"c": "confirm"}
_LETTERS: Final = {purpose: letter for letter, purpose in _PURPOSES.items()}
_BETWEEN: Final = "|"
_FORM: Final = re.compile(r"([a-z0-9]{1,16})\.([A-Za-z0-9_-]{1,300})\.([A-Za-z0-9_-]{43})")
_KEY_LINE: Final = re.compile(r"([a-z0-9]{1,16}) ([A-Za-z0-9_-]{43,200})={0,2}")
_REMEDY: Final = (
    "'deelname broker configure DIR' makes such a file for registration and notifications, which need the same keys"
)


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

    keys: Mapping[str, bytes] = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> LinkKeys:
        """
        The keys of a file: one a line, its name, a space and the secret in base64url; the first is the newest.

        Raises:
            UnusableKeys: there are none, or a line is no key.
        """
        keys: dict[str, bytes] = {}
        for number, line in enumerate(_lines(path), start=1):
            if not line or line.startswith("#"):
                continue
            found = _KEY_LINE.fullmatch(line)
            secret = _secret(found[2]) if found else b""
            if found is None or len(secret) < SHORTEST_KEY:
                raise UnusableKeys(
                    f"line {number} of {path} is no key, which is a name, a space and at least {SHORTEST_KEY} octets in"
                    f" base64url: {_REMEDY}"
                )
            if found[1] in keys:
                raise UnusableKeys(f"line {number} of {path} has the name of a key before it: give each its own")
            keys[found[1]] = secret
        if not keys:
            raise UnusableKeys(f"{path} holds no key: {_REMEDY}")
        return cls(keys)

    @property
    def description(self) -> Mapping[str, Any]:
        """The newest key's name, and what tells keys apart and gives none away, by name: for comparing two services."""
        marks = {name: _digest(key, "fingerprint", name).hex()[:8] for name, key in self.keys.items()}
        return {"newest": next(iter(self.keys)), "fingerprints": marks}

    def made(self, link: Link) -> str:
        """
        What stands for a link in an address: letters, digits and ``-``, ``_``, ``.`` alone (RFC 3986 §2.3).

        Raises:
            ValueError: the ids are none that the contracts allow, and nothing that is made of them could be opened.
        """
        name, key = next(iter(self.keys.items()))
        moments = (str(int(moment.timestamp())) for moment in (link.issued, link.expires))
        said = (_LETTERS[link.purpose], link.person, link.programme, *moments)
        payload = _encoded(_BETWEEN.join(said).encode())
        text = f"{name}.{payload}.{_seal(key, name, payload)}"
        if any(_BETWEEN in part for part in said) or not _FORM.fullmatch(text):
            raise ValueError("no link can be made of ids that are longer than 64 characters or hold '|'")
        return text

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
        # The texts are compared and not the octets: of the texts that decode to one seal a single one is ours.
        if not hmac.compare_digest(_seal(key, name, payload), seal):
            raise NoLink
        try:
            letter, person, programme, issued, expires = _decoded(payload).decode().split(_BETWEEN)
            return Link(_PURPOSES[letter], person, programme, _moment(issued), _moment(expires))
        except (ValueError, LookupError, ArithmeticError, OSError):
            # A release with other purposes or another form has the key as well.
            raise NoLink from None

    def digest(self, purpose: str, text: str) -> str:
        """A digest that nobody without the key can compute, to recognise what must not be stored as it is."""
        key = next(iter(self.keys.values()))
        return _digest(key, "digest", f"{purpose}\n{text}").hex()


def _lines(path: Path) -> list[str]:
    try:
        with path.open("rb") as file:
            octets = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise UnusableKeys(f"{path} cannot be read ({error.strerror}): {_REMEDY}") from None
    if len(octets) > LARGEST_FILE:
        raise UnusableKeys(f"{path} is too large to be a file of keys: {_REMEDY}")
    try:
        return [line.strip() for line in octets.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError:
        raise UnusableKeys(f"{path} is no text: {_REMEDY}") from None


def _secret(text: str) -> bytes:
    try:
        return _decoded(text)
    except ValueError:
        return b""


def _digest(key: bytes, use: str, text: str) -> bytes:
    """What is digested for one use is never taken for what was digested for another."""
    return hmac.new(key, f"{use}\0{text}".encode(), sha256).digest()


def _seal(key: bytes, name: str, payload: str) -> str:
    return _encoded(_digest(key, "link", f"{name}.{payload}"))


def _moment(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


def _encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
