"""What a clock that was set has shown is remembered: a message is decided by it that was stored before a restart."""

from __future__ import annotations

from services.chassis.clock import SystemClock
from services.chassis.database import Database
from services.registration.store import moments


class KnownClock:
    """The clock's settings, in the database. Of the wall clock there are none."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock
        self._noted = 0

    @classmethod
    async def begun(cls, database: Database, clock: SystemClock) -> KnownClock:
        """Have the clock know how it was set before this process, and remember how it is now."""
        known = cls(database, clock)
        if clock.settings:
            clock.recall(await database.run(moments.settings))
            await known.note()
        return known

    async def note(self) -> None:
        """Remember how the clock was set since the last time."""
        # A file is looked at when the time is asked for.
        self._clock()
        settings = self._clock.settings
        if len(settings) != self._noted:
            await self._database.transact(lambda raw: moments.remember_settings(raw, settings))
            self._noted = len(settings)
