"""Deadlines pass by themselves, once everything is decided that was asked before them."""

from __future__ import annotations

from services.chassis.clock import Clock
from services.chassis.database import Database
from services.registration import store
from services.registration.handlers import programmes
from services.registration.listening import Listening
from services.registration.writer import Writer


class Deadlines:
    """Looks after the deadlines of all programmes; ``listening`` where there are partners."""

    def __init__(self, writer: Writer, database: Database, clock: Clock) -> None:
        self.listening: Listening | None = None
        self._writer = writer
        self._database = database
        self._clock = clock

    async def look(self) -> None:
        """Let pass what has come."""
        now = self._clock()
        late = await self._database.run(lambda raw: store.sources_with_passed_deadlines(raw, now))
        if late:
            heard = await self.listening.heard(late, now) if self.listening else None
            await self._writer.perform(programmes.let_deadlines_pass(now, heard))
