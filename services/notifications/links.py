"""The personal links in mails, as addresses that the recipient can follow."""

from __future__ import annotations

import re

from services.chassis.links import Link, LinkKeys

PERSONAL_LINK = "[personal link]"
"""What stands for a link that is its recipient's alone, in whatever others may see."""

_SOFT_BREAK = rb"(?:=\r?\n)?"
"""In quoted-printable a line may end anywhere (RFC 2045 §6.7 rule 5)."""

_PATH = _SOFT_BREAK.join(bytes([octet]) for octet in b"/confirm/")
_IN_MAIL = re.compile(rb"(%b)(?:[A-Za-z0-9._-]|=\r?\n){50,700}" % _PATH)
_LOOKED_AT = 1_000_000
"""Octets of a mail that came back in which a quoted one of ours may stand."""


def blanked(raw: bytes) -> bytes:
    """A mail that came back, without the personal links of the one of ours that it quotes as text."""
    return _IN_MAIL.sub(rb"\1" + PERSONAL_LINK.encode(), raw[:_LOOKED_AT]) + raw[_LOOKED_AT:]


class NoAddress(ValueError):  # noqa: N818  (reads as what is the matter)
    """No link can be made. The message says what is to be set, and names nobody."""


class PersonalLinks:
    """
    Makes addresses of links.

    Args:
        keys: registration has the same.
        public_url: where the pages stand that open links.
    """

    def __init__(self, keys: LinkKeys, public_url: str) -> None:
        self._keys = keys
        self._public_url = public_url.rstrip("/")

    def address_of(self, link: Link) -> str:
        """
        Where a link leads.

        Raises:
            NoAddress: nobody has set where the pages stand.
        """
        if not self._public_url:
            raise NoAddress("waits: DEELNAME_PUBLIC_URL has to say where the pages stand that the link in it leads to")
        return f"{self._public_url}/{link.purpose}/{self._keys.made(link)}"
