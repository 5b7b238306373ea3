from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.chassis.broker import connect
from services.chassis.database import Database
from services.chassis.log import SqliteLog
from services.chassis.reader import GapError, Message, Reader, load_position, save_position
from services.chassis.relay import Relay, publish_batch
from tests.chassis.conftest import STREAM, append, entries, make_stream, running, until, until_stored
from tests.chassis.proxy import Proxy
from tests.conftest import Broker


class Fold:
    """Writes each message's position into ``effects``, in the transaction that stores the position."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.batches: list[int] = []
        self.fail_at: set[int] = set()

    async def position(self) -> int:
        return await self.database.run(lambda raw: load_position(raw, STREAM))

    async def apply(self, messages: Sequence[Message]) -> None:
        def write(raw: sqlite3.Connection) -> None:
            for message in messages:
                assert message.body == entries(message.position, message.position)[0].body
                raw.execute("INSERT INTO effects (position) VALUES (?)", (message.position,))
                if message.position in self.fail_at:
                    self.fail_at.remove(message.position)
                    raise RuntimeError(f"half way, at {message.position}")
            save_position(raw, STREAM, messages[-1].position)

        await self.database.transact(write)
        self.batches.append(len(messages))

    async def effects(self) -> list[int]:
        return await self.database.run(
            lambda raw: [row[0] for row in raw.execute("SELECT position FROM effects ORDER BY number")]
        )

    def reader(self, connection: Client, batch: int = 500) -> Reader:
        return Reader(connection, STREAM, position=self.position, apply=self.apply, batch=batch)

    async def reached(self, last: int) -> None:
        async def there() -> bool:
            return await self.position() >= last

        await until(there)


@pytest.fixture
def fold(database: Database) -> Fold:
    return Fold(database)


async def publish(connection: Client, first: int, last: int) -> None:
    """Straight into the stream, 500 a batch."""
    for start in range(first, last + 1, 500):
        batch = entries(start, min(start + 499, last))
        await publish_batch(connection, [(each.subject, each.body, {"Nats-Msg-Id": each.id}) for each in batch])


async def test_every_message_has_its_effect_once_and_in_order(connection: Client, stream: str, fold: Fold) -> None:
    await publish(connection, 1, 3000)
    reader = fold.reader(connection)
    async with running(reader.run()):
        await fold.reached(3000)
        await publish(connection, 3001, 3003)
        await fold.reached(3003)
        await until(lambda: reader.following and reader.lag == 0)
    assert await fold.effects() == list(range(1, 3004))
    assert max(fold.batches) <= 500


async def test_a_new_message_arrives_within_moments(connection: Client, stream: str, fold: Fold) -> None:
    reader = fold.reader(connection)
    async with running(reader.run()):
        await until(lambda: reader.following)
        begun = asyncio.get_running_loop().time()
        await publish(connection, 1, 1)
        await fold.reached(1)
        assert asyncio.get_running_loop().time() - begun < 0.2


async def test_a_reader_goes_on_behind_its_stored_position(connection: Client, stream: str, fold: Fold) -> None:
    await publish(connection, 1, 10)
    async with running(fold.reader(connection).run()):
        await fold.reached(10)
    await publish(connection, 11, 20)
    async with running(fold.reader(connection).run()):
        await fold.reached(20)
    assert await fold.effects() == list(range(1, 21))


async def test_a_batch_that_fails_half_way_leaves_nothing_and_comes_again(
    connection: Client, stream: str, fold: Fold
) -> None:
    await publish(connection, 1, 1000)
    fold.fail_at = {1, 250, 777, 1000}
    async with running(fold.reader(connection, batch=100).run()):
        await fold.reached(1000)
    assert fold.fail_at == set()
    assert await fold.effects() == list(range(1, 1001))


async def test_a_broker_killed_again_and_again_costs_and_doubles_nothing(
    broker: Broker, connection: Client, database: Database, stream: str, fold: Fold
) -> None:
    relay = Relay(connection, database, SqliteLog(), stream)
    async with running(relay.run(), fold.reader(connection, batch=20).run()):
        for first in range(1, 600, 10):
            await append(database, first, first + 9)
            relay.wake()
            if first in {201, 401}:
                await fold.reached(first - 100)
                await asyncio.to_thread(broker.restart)
        await fold.reached(600)
    assert await fold.effects() == list(range(1, 601))


async def test_a_reader_notices_within_seconds_that_its_broker_came_back(
    broker: Broker, connection: Client, stream: str, fold: Fold
) -> None:
    await publish(connection, 1, 5)
    async with running(fold.reader(connection).run()):
        await fold.reached(5)
        await asyncio.to_thread(broker.restart)
        await until(lambda: connection.is_connected)
        begun = asyncio.get_running_loop().time()
        await publish(connection, 6, 10)
        await fold.reached(10)
        assert asyncio.get_running_loop().time() - begun < 3
    assert await fold.effects() == list(range(1, 11))


async def test_a_stream_made_anew_and_filled_again_has_no_effect_twice(
    broker: Broker, connection: Client, database: Database, stream: str, fold: Fold
) -> None:
    await append(database, 1, 400)
    relay = Relay(connection, database, SqliteLog(), stream)
    reader = fold.reader(connection)
    async with running(relay.run(), reader.run()):
        await fold.reached(400)
        await asyncio.to_thread(broker.wipe)
        await until(lambda: not reader.following)
        await until(lambda: connection.is_connected)
        await make_stream(connection)
        await until_stored(connection, 400)
        await append(database, 401, 450)
        relay.wake()
        await fold.reached(450)
    assert await fold.effects() == list(range(1, 451))


async def test_what_took_long_to_apply_confirms_the_moment_at_which_it_was_seen_while_more_was_waiting(
    broker: Broker, connection: Client, stream: str, fold: Fold
) -> None:
    await publish(connection, 1, 5)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def apply(messages: Sequence[Message]) -> None:
        if messages[-1].position == 5:
            begun.set()
            await go_on.wait()
        await fold.apply(messages)

    now = asyncio.get_running_loop().time
    async with Proxy(broker.port).open() as proxy:
        ours = await connect(proxy.url, "ours")
        reader = Reader(ours, stream, position=fold.position, apply=apply, batch=3)
        assert reader.unconfirmed == inf
        async with running(reader.run()):
            await begun.wait()
            assert reader.unconfirmed == inf
            # From here on nobody can see again how far the stream is.
            proxy.hold()
            moment = now()
            await until(lambda: now() - moment > 0.5)
            go_on.set()
            await until(lambda: reader.position == 5)
            assert 0.5 < reader.unconfirmed < inf
        proxy.release()
        await ours.close()


async def test_cut_off_from_its_broker_a_reader_knows_for_how_long(
    broker: Broker, connection: Client, stream: str, fold: Fold
) -> None:
    await publish(connection, 1, 5)
    async with Proxy(broker.port).open() as proxy:
        ours = await connect(proxy.url, "ours")
        reader = fold.reader(ours)
        async with running(reader.run()):
            await until(lambda: reader.unconfirmed < 1)
            begun = asyncio.get_running_loop().time()
            proxy.hold()
            await publish(connection, 6, 6)
            await until(lambda: reader.unconfirmed > 3)
            assert asyncio.get_running_loop().time() - begun > 2
            proxy.release()
            await until(lambda: reader.unconfirmed < 1)
            assert reader.position == 6, "what came meanwhile is applied by then"
        await ours.close()


async def test_of_a_stream_that_lost_its_disk_nothing_is_known_until_it_is_filled_again(
    connection: Client, stream: str, fold: Fold
) -> None:
    await publish(connection, 1, 50)
    reader = fold.reader(connection)
    async with running(reader.run()):
        await until(lambda: reader.position == 50 and reader.unconfirmed < 1)
        await connection.jetstream().delete_stream(stream)
        await make_stream(connection)
        await publish(connection, 1, 49)
        await until(lambda: reader.unconfirmed == inf)
        await publish(connection, 50, 51)
        await until(lambda: reader.unconfirmed < 1)
    assert await fold.effects() == list(range(1, 52))


async def test_a_reader_waits_for_a_stream_that_moved_backwards(connection: Client, stream: str, fold: Fold) -> None:
    await publish(connection, 1, 50)
    reader = fold.reader(connection)
    async with running(reader.run()):
        await fold.reached(50)
        await connection.jetstream().delete_stream(stream)
        await until(lambda: not reader.following)
        await make_stream(connection)
        for first in range(1, 51, 10):
            await publish(connection, first, first + 9)
        await until(lambda: reader.following)
        await publish(connection, 51, 60)
        await fold.reached(60)
    assert await fold.effects() == list(range(1, 61))


async def test_behind_a_gap_nothing_is_applied_until_it_is_closed(connection: Client, stream: str, fold: Fold) -> None:
    await publish(connection, 1, 10)
    await connection.jetstream().delete_msg(stream, 6)
    reader = fold.reader(connection, batch=3)
    async with running(reader.run()):
        await until(lambda: reader.lag > 0)
        await until(lambda: not reader.following)
        assert await fold.position() <= 5
        await connection.jetstream().delete_stream(stream)
        await make_stream(connection)
        await publish(connection, 1, 10)
        await fold.reached(10)
    assert await fold.effects() == list(range(1, 11))


async def test_a_consumer_that_vanished_is_replaced(connection: Client, stream: str, fold: Fold) -> None:
    reader = fold.reader(connection)
    async with running(reader.run()):
        await publish(connection, 1, 5)
        await fold.reached(5)
        for consumer in await connection.jetstream().consumers_info(stream):
            await connection.jetstream().delete_consumer(stream, consumer.name)
        await publish(connection, 6, 10)
        await fold.reached(10)
    assert await fold.effects() == list(range(1, 11))


@pytest.mark.parametrize("what", ["$JS.API.CONSUMER.CREATE.", "$JS.API.STREAM.INFO."])
async def test_what_is_asked_during_an_election_is_asked_again_soon(
    broker: Broker, connection: Client, stream: str, fold: Fold, what: str
) -> None:
    """While the servers of a cluster elect a leader nobody answers for a stream: what is asked then goes nowhere."""
    async with Proxy(broker.port).open() as proxy:
        unheard = await connect(proxy.url, "unheard")
        reader = fold.reader(unheard)
        if "CREATE" in what:
            # The first thing that goes over this line, but for what nats-py asks with.
            await unheard.jetstream().stream_info(stream)
            proxy.lose_one(what.encode())
        async with running(reader.run()):
            if "INFO" in what:
                await until(lambda: reader.following)
                proxy.lose_one(what.encode())
            await until(lambda: proxy.lost == 1)
            await publish(connection, 1, 5)
            async with asyncio.timeout(4):
                await fold.reached(5)
            await until(lambda: reader.following and reader.lag == 0)
        await unheard.close()
    assert await fold.effects() == list(range(1, 6))


async def test_a_slow_fold_holds_the_broker_back_and_loses_nothing(
    broker: Broker, connection: Client, stream: str
) -> None:
    stalled = asyncio.Event()

    async def overhear(message: Msg) -> None:
        # Its window is full, and all that it sends any more is heartbeats that say so.
        if "Nats-Consumer-Stalled" in (message.headers or {}):
            stalled.set()

    listener = await connect(broker.url, "listener")
    await listener.subscribe("_INBOX_test.>", cb=overhear)
    await listener.flush()
    large = b"x" * 20_000
    for start in range(0, 4000, 40):
        await publish_batch(connection, [("log.test.p.a.b", large, {}) for _ in range(start, start + 40)])
    seen: list[int] = []
    hold = asyncio.Event()

    async def position() -> int:
        return seen[-1] if seen else 0

    async def apply(messages: Sequence[Message]) -> None:
        await hold.wait()
        seen.extend(message.position for message in messages)

    reader = Reader(connection, STREAM, position=position, apply=apply, batch=10)
    async with running(reader.run()):
        async with asyncio.timeout(20):
            await stalled.wait()
        assert connection.stats["in_msgs"] < 4000
        hold.set()
        await until(lambda: len(seen) == 4000)
    await listener.close()
    assert seen == list(range(1, 4001))


async def test_a_reader_stops_at_once_when_it_is_told_to(connection: Client, stream: str, fold: Fold) -> None:
    task = asyncio.create_task(fold.reader(connection).run())
    await until(lambda: connection.stats["in_msgs"] > 0)
    task.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await task


def test_what_is_known_already_is_left_out_of_a_mixed_delivery() -> None:
    applied: list[int] = []

    async def apply(messages: Sequence[Message]) -> None:
        applied.extend(message.position for message in messages)

    async def position() -> int:
        return 4

    async def play() -> None:
        reader = Reader(Client(), STREAM, position=position, apply=apply)
        reader._position = await position()
        await reader._hand_over([Message(each, "log.test.p.a.b", b"") for each in (3, 4, 5, 6)])

    asyncio.run(play())
    assert applied == [5, 6]


@settings(max_examples=200, deadline=None)
@given(
    stored=st.integers(0, 5),
    deliveries=st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=6), max_size=8),
)
def test_whatever_order_messages_come_in_the_effects_are_the_next_ones(
    stored: int, deliveries: list[list[int]]
) -> None:
    """Doubled, left out, reordered, forgotten: a delivery moves on from the stored position by ones, or not at all."""
    effects: list[int] = []

    async def apply(messages: Sequence[Message]) -> None:
        effects.extend(message.position for message in messages)

    async def position() -> int:
        return stored + len(effects)

    async def play() -> None:
        reader = Reader(Client(), STREAM, position=position, apply=apply)
        reader._position = await position()
        for delivery in deliveries:
            before = len(effects)
            news = [each for each in delivery if each > stored + before]
            next_ones = list(range(stored + before + 1, stored + before + 1 + len(news)))
            try:
                await reader._hand_over([Message(each, "log.test.p.a.b", b"") for each in delivery])
            except GapError:
                assert len(effects) == before
                reader._position = await position()
            else:
                assert effects[before:] in ([], next_ones)
            assert effects == list(range(stored + 1, stored + 1 + len(effects)))

    asyncio.run(play())
