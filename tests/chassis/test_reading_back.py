"""An older copy of a database before the stream that its log was copied to."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from nats.aio.client import Client

from services.chassis.database import Database
from services.chassis.log import Entry, SqliteLog
from services.chassis.reading_back import NotAContinuation, Told, as_facts, beyond
from services.chassis.relay import publish_batch
from tests.chassis.conftest import STREAM

LOG = SqliteLog()


def entry(position: int, id_: str | None = None) -> Entry:
    body = json.dumps(
        {
            "specversion": "1.0",
            "id": id_ or f"fact-{position}",
            "source": "registration",
            "type": "programme.withdrawn.v1",
            "subject": "p",
            "time": "2023-03-02T09:14:00Z",
            "position": position,
            "version": position,
            "data": {},
        }
    )
    return Entry(position, "p", position, f"log.test.p.{position}", body.encode(), id_ or f"fact-{position}")


async def tell(connection: Client, entries: Sequence[Entry]) -> None:
    await publish_batch(connection, [(each.subject, each.body, {"Nats-Msg-Id": each.id}) for each in entries])


async def keep(database: Database, entries: Sequence[Entry]) -> None:
    await database.transact(lambda raw: LOG.append(raw, entries))


async def test_what_is_behind_the_end_of_the_log_is_read_back_as_it_was(
    connection: Client, database: Database, stream: str
) -> None:
    entries = [entry(number) for number in range(1, 201)]
    await tell(connection, entries)
    await keep(database, entries[:3])
    assert as_facts(await beyond(connection, database, LOG, STREAM, restored=True)) == entries[3:]


async def test_an_empty_log_gets_everything_back(connection: Client, database: Database, stream: str) -> None:
    await tell(connection, [entry(1)])
    assert as_facts(await beyond(connection, database, LOG, STREAM, restored=True)) == [entry(1)]


async def test_an_empty_database_that_nobody_restored_is_refused(
    connection: Client, database: Database, stream: str
) -> None:
    """A volume that is not mounted looks like this."""
    await tell(connection, [entry(1)])
    with pytest.raises(NotAContinuation, match="is its volume there"):
        await beyond(connection, database, LOG, STREAM, restored=False)
    assert await beyond(connection, database, LOG, STREAM, restored=False, may_be_empty=True)


async def test_a_stream_that_is_behind_or_missing_has_nothing_to_tell(
    connection: Client, database: Database, stream: str
) -> None:
    await keep(database, [entry(1), entry(2)])
    await tell(connection, [entry(1)])
    assert await beyond(connection, database, LOG, STREAM, restored=True) == []
    assert await beyond(connection, database, LOG, "LOG_OF_NOBODY", restored=True) == []


async def test_a_stream_that_goes_on_from_another_fact_is_refused(
    connection: Client, database: Database, stream: str
) -> None:
    """Something was decided on the old database before anybody noticed."""
    await tell(connection, [entry(1), entry(2), entry(3)])
    await keep(database, [entry(1), entry(2, "another")])
    with pytest.raises(NotAContinuation, match=r"number 2 is not the same in both.*newest copy"):
        await beyond(connection, database, LOG, STREAM, restored=True)


async def test_a_stream_that_has_lost_what_is_wanted_is_refused(
    connection: Client, database: Database, stream: str
) -> None:
    await tell(connection, [entry(number) for number in range(1, 6)])
    await connection.jetstream().purge_stream(STREAM, seq=4)
    await keep(database, [])
    with pytest.raises(NotAContinuation, match="lacks messages between 1 and 5"):
        await beyond(connection, database, LOG, STREAM, restored=True)


@pytest.mark.parametrize("body", [b"no JSON", entry(2).body, entry(1, "other").body])
async def test_what_is_no_fact_with_its_number_is_not_taken_for_one(body: bytes) -> None:
    with pytest.raises(NotAContinuation):
        as_facts([Told(1, "log.test.p.1", "fact-1", body)])
