"""
The envelope sender of each mail: an address of its own, so that what comes back says by itself which mail it is about
(VERP, variable envelope return path).

Nothing is stored for it. The address holds the mail's id and a code that only this installation's key makes (RFC 2104):
who does not have the key cannot make an address that we take for ours, even knowing the id.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256

from contracts.addresses import LONGEST_LOCAL_PART
from services.notifications.hygiene import UnusableAddress, mailbox

_MAIL = 32  # hexadecimal digits (services.notifications.domain.mails.mail_id)
_CODE = 16  # likewise: 64 bits, each of which costs a guess a mail
_TAG = re.compile(rf"([0-9a-f]{{{_MAIL}}})([0-9a-f]{{{_CODE}}})")


class ReturnPaths:
    """
    Makes and reads envelope senders ``<local>+<opaque id>@<domain>``.

    Args:
        address: the mailbox that takes what comes back, such as ``bounce@example.org``.
        key: this installation's.

    Raises:
        UnusableAddress: no mail can come from it, or the part before the @ leaves no room within 64 octets.
    """

    def __init__(self, address: str, key: bytes) -> None:
        local, _, self._domain = mailbox(address).rpartition("@")
        if not local.isascii():
            raise UnusableAddress("only letters without accents before the @: every mail server has to send to it")
        if len(local) + 1 + _MAIL + _CODE > LONGEST_LOCAL_PART:
            raise UnusableAddress(f"at most {LONGEST_LOCAL_PART - 1 - _MAIL - _CODE} characters before the @")
        self._local = local
        # To begin a code costs more than to go on from a copy of its beginning.
        self._begun = hmac.new(key, b"return-path:", sha256)

    def of(self, mail: str) -> str:
        """The envelope sender of a mail, the same on every attempt."""
        return f"{self._local}+{mail}{self._code(mail)}@{self._domain}"

    def mail(self, address: str) -> str | None:
        """The id of the mail whose envelope sender this is; None for every address that we did not make."""
        local, _, domain = address.strip().rpartition("@")
        # A relay on the way may have changed the case.
        name, plus, tag = local.lower().partition("+")
        found = _TAG.fullmatch(tag)
        if not plus or found is None or name != self._local.lower() or domain.lower() != self._domain:
            return None
        return found[1] if hmac.compare_digest(found[2], self._code(found[1])) else None

    def covers(self, address: str) -> bool:
        """Whether an address is the mailbox itself, or looks like one of ours."""
        local, _, domain = address.strip().rpartition("@")
        return local.lower().partition("+")[0] == self._local.lower() and domain.lower() == self._domain

    def _code(self, mail: str) -> str:
        code = self._begun.copy()
        code.update(mail.encode())
        return code.hexdigest()[:_CODE]
