from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from services.chassis.broker import connect
from services.chassis.database import Database
from services.chassis.log import Entry, SqliteLog
from services.chassis.relay import BatchRefused, Relay, publish_batch
from tests.chassis.conftest import STREAM, append, copies, make_stream, running, stored, until, until_stored
from tests.chassis.proxy import Proxy
from tests.conftest import Broker

LOG = SqliteLog()


async def test_every_fact_is_copied_under_its_own_number(connection: Client, database: Database, stream: str) -> None:
    await append(database, 1, 2500)
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        await until(lambda: relay.following and relay.lag == 0)
        await append(database, 2501, 2503)
        relay.wake()
        await until_stored(connection, 2503)
    messages = await stored(connection)
    assert messages == copies(2503)
    last = await connection.jetstream().get_msg(STREAM, seq=2503)
    assert last.headers is not None
    assert last.headers["Nats-Msg-Id"] == "fact-2503"
    assert last.subject == "log.test.p.enrolment.confirmed"


async def test_a_fact_is_copied_within_moments_of_its_commit(
    connection: Client, database: Database, stream: str
) -> None:
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        await until(lambda: relay.following)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await append(database, 1, 1)
        relay.wake()
        await until_stored(connection, 1)
        # Far less than the second after which the relay would look by itself.
        assert loop.time() - begun < 0.7


async def test_facts_are_copied_even_when_nobody_wakes_the_relay(
    connection: Client, database: Database, stream: str
) -> None:
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        await until(lambda: relay.following)
        await append(database, 1, 1)
        await until_stored(connection, 1)


async def test_what_is_offered_is_copied_without_being_read(
    connection: Client, database: Database, stream: str
) -> None:
    class ReadOnce(SqliteLog):
        reads = 0

        def read(self, connection: sqlite3.Connection, after: int, limit: int) -> list[Entry]:
            self.reads += 1
            return super().read(connection, after, limit)

    log = ReadOnce()
    relay = Relay(connection, database, log, stream)
    async with running(relay.run()):
        await until(lambda: relay.following)
        before = log.reads
        relay.offer(await append(database, 1, 40))
        await until_stored(connection, 40)
        assert log.reads == before
    assert await stored(connection) == copies(40)


async def test_what_was_offered_with_a_gap_is_read_from_the_log(
    connection: Client, database: Database, stream: str
) -> None:
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        await until(lambda: relay.following)
        await append(database, 1, 5)
        relay.offer(await append(database, 6, 9))
        await append(database, 10, 11)
        relay.offer(await append(database, 12, 13))
        await until_stored(connection, 13)
    assert await stored(connection) == copies(13)


async def test_more_than_may_wait_in_memory_is_copied_all_the_same(
    connection: Client, database: Database, stream: str
) -> None:
    relay = Relay(connection, database, LOG, stream)
    for first in range(1, 9000, 1000):
        relay.offer(await append(database, first, first + 999))
    async with running(relay.run()):
        await until_stored(connection, 9000)
        await until(lambda: relay.lag == 0)
    assert await stored(connection) == copies(9000)


async def test_two_relays_at_once_copy_every_fact_once(
    broker: Broker, connection: Client, database: Database, stream: str
) -> None:
    second_connection = await connect(broker.url, "second")
    relays = [Relay(connection, database, LOG, stream), Relay(second_connection, database, LOG, stream)]
    async with running(*(relay.run() for relay in relays)):
        for first in range(1, 1000, 20):
            await append(database, first, first + 19)
            for relay in relays:
                relay.wake()
        await until_stored(connection, 1000)
        await until(lambda: all(relay.following and relay.lag == 0 for relay in relays))
    await second_connection.close()
    assert await stored(connection) == copies(1000)


async def test_a_broker_killed_in_the_middle_costs_nothing(
    broker: Broker, connection: Client, database: Database, stream: str
) -> None:
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        for first in range(1, 900, 10):
            await append(database, first, first + 9)
            relay.wake()
            if first in {201, 501, 801}:
                await until_stored(connection, first - 100)
                await asyncio.to_thread(broker.restart)
        await until_stored(connection, 900)
    assert await stored(connection) == copies(900)


async def test_a_broker_that_lost_its_disk_gets_the_same_numbers_again(
    broker: Broker, connection: Client, database: Database, stream: str
) -> None:
    await append(database, 1, 1200)
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        await until_stored(connection, 1200)
        before = await stored(connection)
        await asyncio.to_thread(broker.wipe)
        await until(lambda: not relay.following)
        await until(lambda: connection.is_connected)
        await make_stream(connection)
        await until_stored(connection, 1200)
        await until(lambda: relay.following)
    assert await stored(connection) == before == copies(1200)


async def test_a_stream_made_anew_behind_the_relays_back_is_filled_though_nothing_is_appended(
    connection: Client, database: Database, stream: str
) -> None:
    await append(database, 1, 30)
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        await until_stored(connection, 30)
        await connection.jetstream().delete_stream(stream)
        await make_stream(connection)
        await until_stored(connection, 30)
    assert await stored(connection) == copies(30)


@pytest.mark.parametrize("size", [1, 400])
async def test_an_answer_that_was_lost_heals_by_asking_again(
    broker: Broker, connection: Client, database: Database, stream: str, size: int
) -> None:
    async with Proxy(broker.port).open() as proxy:
        cut_off = await connect(proxy.url, "cut-off")
        relay = Relay(cut_off, database, LOG, stream)
        async with running(relay.run()):
            await until(lambda: relay.following)
            for number in range(3):
                # The batch arrives whole and is stored; the broker's answer never comes.
                mark = b"Nats-Batch-Commit" if size > 1 else b"HPUB log.test."
                cuts = proxy.cuts
                proxy.cut_once_behind(mark)
                await append(database, number * size + 1, (number + 1) * size)
                relay.wake()
                await until_stored(connection, (number + 1) * size)
                await until(lambda: relay.following and relay.lag == 0)
                assert proxy.cuts == cuts + 1
        await cut_off.close()
    assert await stored(connection) == copies(3 * size)


@pytest.mark.parametrize("what", ["HPUB log.test.", "$JS.API.STREAM.INFO."])
async def test_what_is_asked_during_an_election_is_asked_again_soon(
    broker: Broker, connection: Client, database: Database, stream: str, what: str
) -> None:
    """While the servers of a cluster elect a leader nobody answers for a stream: what is asked then goes nowhere."""
    async with Proxy(broker.port).open() as proxy:
        unheard = await connect(proxy.url, "unheard")
        relay = Relay(unheard, database, LOG, stream)
        async with running(relay.run()):
            await until(lambda: relay.following)
            proxy.lose_one(what.encode())
            await until(lambda: proxy.lost == 1 or what.startswith("HPUB"))
            await append(database, 1, 1)
            relay.wake()
            # An election takes four seconds at least; whoever waited five for the lost answer would come second.
            async with asyncio.timeout(4):
                await until_stored(connection, 1)
            await until(lambda: relay.following and relay.lag == 0)
            assert proxy.lost == 1
        await unheard.close()
    assert await stored(connection) == copies(1)


async def test_a_log_behind_the_stream_is_never_copied_over_it(
    connection: Client, database: Database, stream: str, tmp_path: Path, migrations: Path
) -> None:
    await append(database, 1, 50)
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        await until_stored(connection, 50)
    restored = await Database.open(tmp_path / "backup.db", migrations)
    await append(restored, 1, 20)
    relay = Relay(connection, restored, LOG, stream)
    with structlog.testing.capture_logs() as journal:
        async with running(relay.run()):
            await append(restored, 21, 40)
            relay.wake()
            await _asked(connection)
            assert not relay.following
    [line] = [line for line in journal if line["log_level"] == "error"]
    assert "is it an old backup?" in line["reason"]
    await restored.close()
    assert await stored(connection) == copies(50)


async def test_a_strangers_message_stops_the_relay_even_when_the_numbers_fit(
    connection: Client, database: Database, stream: str
) -> None:
    await append(database, 1, 3)
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        await until_stored(connection, 3)
        await connection.jetstream().publish("log.test.p.enrolment.confirmed", b"forged")
        await append(database, 4, 5)
        relay.wake()
        await until(lambda: not relay.following)
        await _asked(connection)
        assert not relay.following
    assert (await stored(connection))[3:] == [(4, b"forged")]


@pytest.mark.parametrize("loss", ["everything", "one in the middle"])
async def test_a_stream_that_lost_messages_stops_the_relay(
    connection: Client, database: Database, stream: str, loss: str
) -> None:
    await append(database, 1, 5)
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        await until_stored(connection, 5)
        await until(lambda: relay.following)
        if loss == "everything":
            await connection.jetstream().purge_stream(stream)
        else:
            await connection.jetstream().delete_msg(stream, 3)
        await until(lambda: not relay.following)


async def test_what_must_be_elsewhere_first_is_there_before_the_fact(
    connection: Client, database: Database, stream: str
) -> None:
    seen: list[int] = []
    in_stream: list[int] = []
    failures = iter([RuntimeError("not yet"), None])

    async def before(batch: Sequence[Entry]) -> None:
        if failure := next(failures, None):
            raise failure
        seen.extend(entry.position for entry in batch)
        in_stream.append((await connection.jetstream().stream_info(stream)).state.last_seq)

    await append(database, 1, 3)
    relay = Relay(connection, database, LOG, stream, before=before)
    async with running(relay.run()):
        await until_stored(connection, 3)
    assert seen == [1, 2, 3]
    assert in_stream == [0]


async def test_large_facts_go_in_batches_that_the_broker_can_take(
    connection: Client, database: Database, stream: str
) -> None:
    large = [
        Entry(position, "p", position, "log.test.p.a.b", b"%07d" % position * 30_000, f"large-{position}")
        for position in range(1, 13)
    ]
    await database.transact(lambda raw: LOG.append(raw, large))
    relay = Relay(connection, database, LOG, stream)
    async with running(relay.run()):
        await until_stored(connection, 12)
    assert [body for _, body in await stored(connection)] == [entry.body for entry in large]
    for position in range(1, 13):
        headers = (await connection.jetstream().get_msg(stream, seq=position)).headers or {}
        # Two of these are 420,000 bytes, three would be more than a batch may have.
        assert int(headers.get("Nats-Batch-Sequence", 1)) <= 2


async def test_a_batch_is_stored_whole_or_not_at_all(connection: Client, stream: str) -> None:
    messages = [("log.test.p.a.b", b"%d" % number, {"Nats-Msg-Id": str(number)}) for number in range(10)]
    assert await publish_batch(connection, messages) == 10
    with pytest.raises(BatchRefused):
        # One id of it is known.
        await publish_batch(connection, [("log.test.p.a.b", b"x", {"Nats-Msg-Id": "new"}), *messages[:1]])
    with pytest.raises(BatchRefused) as refusal:
        await publish_batch(connection, [("log.test.p.a.b", b"x", {"Nats-Expected-Last-Sequence": "3"})])
    assert refusal.value.code == 10071
    with pytest.raises(ValueError, match="1 to 1000"):
        await publish_batch(connection, [])
    with pytest.raises(NatsError):
        await publish_batch(connection, [("nobody.stores.this", b"", {})], timeout=1)
    assert len(await stored(connection)) == 10


async def _asked(connection: Client) -> None:
    """Long enough for a relay to ask the stream twice more: it pauses two seconds after a divergence."""
    requests = await connection.subscribe(f"$JS.API.STREAM.INFO.{STREAM}")
    for _ in range(2):
        await requests.next_msg(timeout=5)
    await requests.unsubscribe()


async def test_a_stream_that_forgets_by_age_is_followed_on_from_its_last_number(
    connection: Client, database: Database, stream: str
) -> None:
    """Answers to partners are kept for thirty days: what has gone by itself is not missing."""
    await append(database, 1, 5)
    async with running(Relay(connection, database, LOG, stream, forgets=True).run()):
        await until_stored(connection, 5)
    await connection.jetstream().purge_stream(stream)

    relay = Relay(connection, database, LOG, stream, forgets=True)
    await append(database, 6, 7)
    async with running(relay.run()):
        await until(lambda: relay.following and relay.lag == 0)
    for position, body in copies(7)[5:]:
        assert (await connection.jetstream().get_msg(stream, seq=position)).data == body


async def test_a_log_that_was_purged_is_not_followed(connection: Client, database: Database, stream: str) -> None:
    await append(database, 1, 5)
    async with running(Relay(connection, database, LOG, stream).run()):
        await until_stored(connection, 5)
    await connection.jetstream().purge_stream(stream)

    relay = Relay(connection, database, LOG, stream)
    with structlog.testing.capture_logs() as logs:
        async with running(relay.run()):
            await until(lambda: any("purged" in str(line.get("reason")) for line in logs))
    assert not relay.following
