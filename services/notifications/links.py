"""The personal links in mails, as addresses that the recipient can follow."""

from __future__ import annotations

from services.chassis.links import Link, LinkKeys


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
