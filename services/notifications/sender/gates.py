"""The two gates that mails pass, one for what anybody may have caused, and what is said of those that wait."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import structlog

from services.chassis.state import State
from services.notifications.contacts import Absence, Contact
from services.notifications.sender.judging import Verdicts, late, of_use_until
from services.notifications.sender.limits import HOUR, Gate, Limits, Passenger
from services.notifications.sender.strangers import Strangers
from services.notifications.store import Due, Outcome, Tried

_log = structlog.get_logger("notifications.sender")


class Gates:
    """
    Neither gate knows of the other: what strangers cause cannot make anybody else's mail wait.

    Args:
        paced: whether mails go to a server that wants them slowly.
    """

    def __init__(self, limits: Limits, *, paced: bool) -> None:
        self._gate = Gate(limits, paced=paced)
        self._strangers = Strangers(limits, paced=paced)
        self._said: set[str] = set()
        self._flood_said: datetime | None = None

    def remember(self, tried: Iterable[Tried]) -> None:
        """What went out before this process began: the oldest first."""
        for each in tried:
            gate = self._strangers if each.by_stranger else self._gate
            gate.remember(each.at, each.programme, each.recipient)

    def let_through(
        self,
        state: State,
        batch: Sequence[Due],
        contacts: Mapping[str, Contact],
        *,
        now: datetime,
        verdicts: Verdicts,
    ) -> list[Due]:
        """What may go out now; what has to wait goes to the verdicts with the moment of its turn."""
        through = []
        flood = False
        for due in batch:
            mail, contact = due.mail, contacts[due.mail.person]
            if isinstance(contact, Absence):
                through.append(due)
                continue
            before = of_use_until(state, due) if due.by_stranger else None
            again = due.first_at is not None
            passenger = Passenger(due.ordinal, mail.person, mail.programme, contact.email, again, before)
            wait = (self._strangers if due.by_stranger else self._gate).passes(passenger, now)
            flood = flood or (wait is not None and due.by_stranger)
            if wait is None:
                through.append(due)
            elif before is not None and wait.until >= before:
                verdicts.add(late(due, wait.reason))
            else:
                verdicts.add(Outcome(due.ordinal, "planned", wait.reason, due_at=wait.until))
        self._gate.tidy(now)
        self._strangers.tidy(now)
        self._say(now, flood=flood)
        return through

    def capped(self, now: datetime, longer_than: timedelta = timedelta()) -> list[str]:
        """Whose cap holds mails back that are no strangers' (:meth:`Gate.capped`)."""
        return self._gate.capped(now, longer_than)

    def _say(self, now: datetime, *, flood: bool) -> None:
        capped = set(self._gate.capped(now))
        for key in sorted(capped - self._said):
            _log.warning("more mails than the cap allows within an hour: the rest waits", cap=key)
        self._said = capped
        if flood and (self._flood_said is None or now - self._flood_said >= HOUR):
            self._flood_said = now
            _log.warning("strangers cause more mails than their share: the rest waits, or is dropped when it is late")
