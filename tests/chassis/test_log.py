from __future__ import annotations

import pytest

from services.chassis.database import Database
from services.chassis.log import Entry, SqliteLog, VersionConflict
from tests.chassis.conftest import append, entries

LOG = SqliteLog()


async def test_what_is_appended_is_read_in_order(database: Database) -> None:
    await append(database, 1, 5)
    assert await database.run(lambda raw: LOG.read(raw, 2, 2)) == entries(3, 4)
    assert await database.run(lambda raw: LOG.read(raw, 5, 10)) == []
    assert await database.run(LOG.head) == 5


async def test_a_programme_is_read_alone(database: Database) -> None:
    other = Entry(position=3, programme="q", version=1, subject="log.test.q.a.b", body=b"{}", id="q-1")
    await append(database, 1, 2)
    await database.transact(lambda raw: LOG.append(raw, [other]))
    assert await database.run(lambda raw: LOG.programme(raw, "q")) == [other]
    assert await database.run(lambda raw: (LOG.version(raw, "p"), LOG.version(raw, "q"), LOG.version(raw, "r"))) == (
        2,
        1,
        0,
    )


async def test_an_empty_log_is_at_zero(database: Database) -> None:
    assert await database.run(LOG.head) == 0


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"position": 4}, id="a position is left out"),
        pytest.param({"position": 2}, id="a position is taken"),
        pytest.param({"version": 4}, id="a version is left out"),
        pytest.param({"version": 2}, id="a version is taken"),
        pytest.param({"programme": "q"}, id="a new programme begins with 1"),
    ],
)
async def test_facts_that_do_not_follow_are_refused_whole(database: Database, wrong: dict[str, int]) -> None:
    await append(database, 1, 2)
    batch = [entries(3, 3)[0]._replace(**wrong), *entries(4, 5)]  # type: ignore[arg-type]
    with pytest.raises(VersionConflict):
        await database.transact(lambda raw: LOG.append(raw, batch))
    assert await database.run(LOG.head) == 2


def test_a_table_is_a_name_and_no_sql() -> None:
    with pytest.raises(ValueError, match="no name for a table"):
        SqliteLog("log; DROP TABLE log")
