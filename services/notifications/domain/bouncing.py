"""What a report of a failed delivery means for the address (RFC 3463, RFC 3464 §2.3.3). Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

Weight = Literal["gone", "failing"]

FAILURES = 3
WINDOW = timedelta(days=14)
"""An address that fails this often within this time gets nothing more."""

_SENDERS = frozenset({"5.1.7", "5.1.8", "5.1.20", "5.1.90"})
"""Codes that speak of the sender although they stand among those of addresses (RFC 3463 §3.2, RFC 7372, Exchange)."""


def weigh(status: str | None) -> Weight:
    """
    What one failed delivery says: the address does not exist, or it only did not work this time.

    A full mailbox, a refusal for reasons of policy and a host that did not answer for days may pass; so may whatever a
    report without a code is about.
    """
    return "gone" if status is not None and status.startswith("5.1.") and status not in _SENDERS else "failing"


def worn_out(failures: int) -> bool:
    """Whether an address that failed so often within ``WINDOW`` gets nothing more."""
    return failures >= FAILURES
