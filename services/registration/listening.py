"""Registration's second foot, in the partners' account: it takes in requests, knows how far, and gives outcomes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from nats.aio.client import Client
from nats.errors import Error as NatsError

from contracts import subjects
from services.chassis.broker import faststream_broker, inbox_prefix
from services.chassis.clock import SystemClock
from services.chassis.database import Database
from services.chassis.intake import Queues, take_in
from services.chassis.relay import Relay
from services.chassis.settings import Login
from services.chassis.turns import Turns
from services.registration import store
from services.registration.handlers.intake import Intake
from services.registration.partners import Partners
from services.registration.store import moments
from services.registration.writer import Writer

MOST_TIMES = 3
"""Starts at which what was handed out before comes first, although each time none of it could be answered."""


class Listening:
    """What partners send, and how far it has been decided."""

    def __init__(
        self,
        login: Login,
        connection: Client,
        database: Database,
        writer: Writer,
        clock: SystemClock,
        *,
        smtputf8: bool = False,
    ) -> None:
        self.outcomes = Relay(connection, database, store.OUTCOMES, subjects.OUTCOMES_STREAM, forgets=True)
        self.broker = faststream_broker(**login)
        self._name = login["name"]
        self._database = database
        self._clock = clock
        self._turns = Turns()
        self._intake = Intake(writer, clock, clock.showed, self.outcomes.wake, smtputf8=smtputf8)
        self._queues = Queues(self.broker, Partners(connection).present, self._take)

    async def begin(self) -> None:
        """Take in from whoever is there already, from the start; who is not is found by the periodic look."""
        with contextlib.suppress(NatsError):
            await self.look()

    async def look(self) -> None:
        """
        Whether partners have come or gone.

        Raises:
            nats.errors.Error: the broker could not be asked.
        """
        await self._queues.look()

    async def heard(self, sources: Iterable[str], now: datetime) -> Mapping[str, datetime]:
        """Up to which moment everything is decided that some sources have sent; whoever cannot be asked is left out."""
        heard = {}
        for source in sources:
            if source in self._queues.names:
                with contextlib.suppress(NatsError, OSError):
                    until = await self._turns.handled_until(subjects.intake_stream(source))
                    heard[source] = self._clock.showed(until)
            elif self._queues.looked:
                # Whoever is no partner any more sends nothing.
                heard[source] = now
        return heard

    def _take(self, source: str) -> Any:
        async def may_come_again(floor: int) -> bool:
            times = await self._database.transact(lambda raw: moments.handed_out(raw, source, floor))
            return times <= MOST_TIMES

        return take_in(
            self.broker,
            stream=subjects.intake_stream(source),
            durable=subjects.INTAKE_READER,
            subject=subjects.intake_of(source),
            handler=self._intake.handle,
            inbox=inbox_prefix(self._name),
            passing=True,
            turns=self._turns,
            may_come_again=may_come_again,
        )
