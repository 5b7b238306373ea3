from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.chassis.database import Database
from services.chassis.going_back import SCHEMA, TOLERANCE, GoingBack, Moments

NOON = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
DONE = (
    Moments("waits", "done"),
    Moments("waits", "until", ahead=HOUR),
    Moments("waits", "next", where="open", planned=True),
)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    table = "CREATE TABLE waits (done TEXT, until TEXT, next TEXT, open INTEGER);\n"
    (migrations / "0001_first.sql").write_text(SCHEMA + table)
    database = await Database.open(tmp_path / "db", migrations)
    yield database
    await database.close()


class Clock:
    def __init__(self) -> None:
        self.now = NOON
        self.told = 0

    def __call__(self) -> datetime:
        return self.now

    def went_back(self) -> None:
        self.told += 1


def text(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


async def plan(database: Database, done: datetime, until: datetime, next_: datetime, *, open_: bool = True) -> None:
    row = (text(done), text(until), text(next_), open_)
    await database.transact(lambda raw: raw.execute("INSERT INTO waits VALUES (?, ?, ?, ?)", row))


async def planned(database: Database) -> list[tuple[datetime, ...]]:
    rows = await database.run(lambda raw: raw.execute("SELECT done, until, next FROM waits ORDER BY rowid").fetchall())
    return [tuple(map(datetime.fromisoformat, row)) for row in rows]


def watching(database: Database, clock: Clock) -> GoingBack:
    return GoingBack(database, clock, DONE, text, clock.went_back)


@pytest.mark.parametrize("restarted", [False, True])
async def test_after_it_went_back_nothing_is_later_than_now(database: Database, restarted: bool) -> None:
    clock = Clock()
    watch = await watching(database, clock).begun()
    clock.now = NOON + 5 * HOUR
    await watch.look()
    await plan(database, clock.now, clock.now + HOUR, clock.now + HOUR)
    await plan(database, NOON - HOUR, NOON, clock.now + HOUR, open_=False)
    clock.now = NOON + HOUR
    watch = await watching(database, clock).begun() if restarted else watch
    await watch.look()
    assert clock.told == 1
    assert await planned(database) == [
        (clock.now, clock.now + HOUR, clock.now),
        (NOON - HOUR, NOON, NOON + 6 * HOUR),
    ]
    await watch.look()
    assert clock.told == 1


@pytest.mark.parametrize("ever_noted", [False, True], ids=["new", "known"])
async def test_what_a_killed_process_wrote_shows_that_the_clock_was_ahead_though_nobody_looked(
    database: Database, ever_noted: bool
) -> None:
    clock = Clock()
    if ever_noted:
        await watching(database, clock).begun()
    ahead = NOON + 5 * HOUR
    await plan(database, ahead, ahead + HOUR, ahead + 2 * HOUR)
    await watching(database, clock).begun()
    assert clock.told == 1
    assert await planned(database) == [(NOON, NOON + HOUR, NOON)]


async def test_what_is_planned_for_later_does_not_show_that_the_clock_was_ahead(database: Database) -> None:
    clock = Clock()
    await plan(database, NOON, NOON + HOUR, NOON + 5 * HOUR)
    await watching(database, clock).begun()
    assert clock.told == 0
    assert await planned(database) == [(NOON, NOON + HOUR, NOON + 5 * HOUR)]


async def test_a_clock_that_runs_on_or_is_set_a_little_right_leaves_what_is_planned(database: Database) -> None:
    clock = Clock()
    watch = await watching(database, clock).begun()
    await plan(database, NOON, NOON + HOUR, NOON + HOUR)
    for step in (HOUR / 2, -TOLERANCE, TOLERANCE, 5 * HOUR):
        clock.now += step
        await watch.look()
    assert clock.told == 0
    assert await planned(database) == [(NOON, NOON + HOUR, NOON + HOUR)]


async def test_steps_back_that_are_little_each_are_noticed_together(database: Database) -> None:
    clock = Clock()
    watch = await watching(database, clock).begun()
    for _ in range(5):
        clock.now -= TOLERANCE / 2
        await watch.look()
    assert clock.told == 1
