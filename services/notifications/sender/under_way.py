"""Mails that stay under way: nobody told us what became of them, though the service lives."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from services.chassis.database import Database
from services.notifications import store

TOO_LONG = 600.0
"""Seconds. A mail server has ten minutes for its last answer (RFC 5321 §4.5.3.2.6)."""


class UnderWay:
    """
    How long mails have been ``sending`` under our eyes.

    By the seconds that pass, and not by the clock of mails, which may be set. A mail that is tried once more begins
    anew.

    Args:
        seconds: a clock that nobody sets.
    """

    def __init__(self, database: Database, seconds: Callable[[], float] = monotonic) -> None:
        self._database = database
        self._seconds = seconds
        self._since: dict[tuple[int, int], float] = {}

    async def look(self) -> None:
        """See what is under way now; call it again and again."""
        present = await self._database.run(store.under_way)
        now = self._seconds()
        self._since = {each: self._since.get(each, now) for each in present}

    @property
    def longest(self) -> float:
        """For how many seconds at least the mail has been under way that has been so for longest; 0 for none."""
        now = self._seconds()
        return now - min(self._since.values(), default=now)

    @property
    def trouble(self) -> str:
        """How many mails stay under way; "" when none does for longer than it may."""
        now = self._seconds()
        stay = [since for since in self._since.values() if now - since > TOO_LONG]
        if not stay:
            return ""
        return f"mails that have been under way for {(now - min(stay)) / 60:.0f} minutes: {len(stay)}"
