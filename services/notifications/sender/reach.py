"""Whether the mail server takes mails at all, as its last answers tell."""

from __future__ import annotations

from datetime import datetime

import structlog

from services.chassis.clock import Clock
from services.chassis.database import Database
from services.notifications import store
from services.notifications.transport import Failed, Fault, Outcome, Retry, Sent

_log = structlog.get_logger("notifications.sender")

_BEFORE = "as the last attempts before this process began have found"


class Reach:
    """
    What the attempts of this process found; what earlier ones found is in the database.

    A server that cannot be reached makes each mail wait for itself, a while that grows. What they wait for is said
    here, and when one comes through the others need not wait any longer.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._reason: str | None = None

    async def load(self) -> None:
        """Begin where the last process ended."""
        if self._reason is None:
            waiting = (await self._database.run(store.unreached)).waiting
            self._reason = _BEFORE if waiting else ""

    async def note(self, answers: list[Outcome]) -> None:
        """What became of a batch, when that is stored; in the order of the answers."""
        before = self._reason
        for answer in answers:
            match answer:
                case Retry() if answer.unreached:
                    self._reason = answer.unreached
                case Sent() | Failed() | Retry() | Fault():
                    self._reason = ""
        if self._reason and not before:
            _log.error("the mail server cannot be reached, mails wait", reason=self._reason)
        elif before and not self._reason:
            now = self._clock()
            released = await self._database.transact(lambda raw: store.release(raw, now))
            _log.info("the mail server is reached again", mails=released)

    async def trouble(self) -> str:
        """Why no mail gets to the server; "" when one did, or when none is there to go. Quotes no person."""
        if not self._reason:
            return ""
        held = await self._database.run(store.unreached)
        if not held.waiting and not held.under_way:
            return ""
        since = f", the first for {_minutes(held.since, self._clock())}" if held.since else ""
        return f"the mail server cannot be reached: {self._reason}. Mails that wait: {held.waiting}{since}"


def _minutes(since: datetime, now: datetime) -> str:
    return f"{max(0.0, (now - since).total_seconds()) / 60:.0f} minutes"
