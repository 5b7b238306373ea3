"""
A clock that goes back: what was planned by the time that it showed before must not wait until that comes again.

The wall clock of a machine that was an hour ahead is set right, or a clock in a file is set to another day. Nothing can
have happened later than now, so what stands in the database as later is brought to now, and what was to wait until
then is looked at again at once: whether it still has to wait is decided anew, by the clock as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from services.chassis.clock import Clock, written
from services.chassis.database import Database

_log = structlog.get_logger("chassis.going_back")

SECONDS_BETWEEN_LOOKS = 1.0
TOLERANCE = timedelta(seconds=2)
"""Less is what time servers do to a clock every day, and waiting for so long harms nobody."""
_NOTED_EVERY = timedelta(minutes=1)

SCHEMA = """
CREATE TABLE latest (
    only   INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    moment TEXT    NOT NULL
) WITHOUT ROWID;
"""
"""The table that a migration of each service makes: the latest moment that its clock has shown."""


class Moments(NamedTuple):
    """
    A column of moments, as texts that sort as they do, none of which may be later than now once the clock went back.

    Attributes:
        ahead: or than so much later.
        where: which rows are meant, in SQL; all without it.
        planned: for when something was planned, which may well be later. Of other columns a later moment shows that the
            clock went back.
    """

    table: str
    column: str
    ahead: timedelta = timedelta(0)
    where: str = "1"
    planned: bool = False


class GoingBack:
    """
    Notices that the clock went back, while the service runs and while it did not.

    Args:
        moments: what is brought to now then.
        as_text: a moment as these columns have it.
        then: told when that is done.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        moments: Sequence[Moments],
        as_text: Callable[[datetime], str] = written,
        then: Callable[[], object] = lambda: None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._moments = moments
        self._as_text = as_text
        self._then = then
        self._latest: datetime | None = None
        self._noted: datetime | None = None

    async def begun(self) -> GoingBack:
        """This, after a first look: before anything is planned."""
        await self.look()
        return self

    async def look(self) -> None:
        """Look at the clock; call it again and again."""
        if self._latest is None:
            self._noted, self._latest = await self._database.run(self._before)
        now = self._clock()
        before = self._latest
        if before is not None and now < before - TOLERANCE:
            await self._database.transact(lambda raw: self._bring_to(raw, now))
            self._latest = self._noted = now
            self._then()
            _log.warning(
                "the clock went back: what waited for the time that it showed before does not wait any longer",
                seconds=round((before - now).total_seconds()),
            )
            return
        self._latest = now if before is None else max(before, now)
        if self._noted is None or self._latest - self._noted >= _NOTED_EVERY:
            latest = self._latest
            await self._database.transact(lambda raw: _note(raw, latest))
            self._noted = latest

    def _before(self, connection: sqlite3.Connection) -> tuple[datetime | None, datetime | None]:
        """The latest moment that was noted, and that is known: a process may be killed before it notes what it saw."""
        noted = _latest(connection)
        known = [noted] if noted else []
        for table, column, ahead, where, planned in self._moments:
            if not planned:
                query = f"SELECT max({column}) FROM {table} WHERE {where}"  # noqa: S608  (our own words)
                (latest,) = connection.execute(query).fetchone()
                known += [datetime.fromisoformat(latest) - ahead] if latest else []
        return noted, max(known, default=None)

    def _bring_to(self, connection: sqlite3.Connection, now: datetime) -> None:
        for table, column, ahead, where, _ in self._moments:
            latest = self._as_text(now + ahead)
            connection.execute(
                f"UPDATE {table} SET {column} = ?1 WHERE {column} > ?1 AND {where}",  # noqa: S608  (our own words)
                (latest,),
            )
        _note(connection, now)


def _latest(connection: sqlite3.Connection) -> datetime | None:
    row = connection.execute("SELECT moment FROM latest").fetchone()
    return datetime.fromisoformat(row[0]) if row else None


def _note(connection: sqlite3.Connection, moment: datetime) -> None:
    connection.execute("INSERT OR REPLACE INTO latest (only, moment) VALUES (1, ?)", (written(moment),))
