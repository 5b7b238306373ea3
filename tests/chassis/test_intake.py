from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from faststream.nats import NatsBroker
from nats.aio.client import Client
from nats.errors import TimeoutError as NatsTimeout
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig

from services.chassis.broker import faststream_broker, inbox_prefix
from services.chassis.intake import Delivery, finish_taking_in, take_in
from tests.chassis.conftest import until
from tests.conftest import Broker
from tests.warm import popen

QUEUE = "INTAKE_TEST"
SUBJECT = "intake.test.enrolment.request"

Handler = Callable[[Delivery], Awaitable[None]]


@pytest.fixture
async def queue(connection: Client) -> str:
    await _make_queue(connection)
    return QUEUE


async def _make_queue(connection: Client, ack_wait: float = 30) -> None:
    jetstream = connection.jetstream()
    await jetstream.add_stream(
        StreamConfig(name=QUEUE, subjects=["intake.test.>"], retention=RetentionPolicy.WORK_QUEUE)
    )
    await jetstream.add_consumer(
        QUEUE,
        ConsumerConfig(
            durable_name="registration",
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait,
            max_deliver=-1,
            max_ack_pending=64,
            filter_subject="intake.test.>",
        ),
    )


def taking_in(broker: Broker, handler: Handler, **options: Any) -> NatsBroker:
    faststream = faststream_broker(broker.url, "registration")
    take_in(
        faststream,
        stream=QUEUE,
        durable="registration",
        subject="intake.test.>",
        handler=handler,
        inbox=inbox_prefix("registration"),
        **options,
    )
    return faststream


def intake(broker: Broker, handler: Handler, **options: Any) -> AbstractAsyncContextManager[Client]:
    @asynccontextmanager
    async def open() -> Any:
        faststream = taking_in(broker, handler, **options)
        await faststream.start()
        try:
            yield faststream.config.connection_state.connection
        finally:
            await faststream.stop()

    return open()


async def _left(connection: Client) -> int:
    return int((await connection.jetstream(timeout=1).stream_info(QUEUE)).state.messages)


async def _nothing_left(connection: Client) -> bool:
    return await _left(connection) == 0


async def test_every_message_is_handled_and_let_go(broker: Broker, connection: Client, queue: str) -> None:
    deliveries: list[Delivery] = []

    async def handler(delivery: Delivery) -> None:
        deliveries.append(delivery)

    for number in range(200):
        await connection.jetstream().publish(SUBJECT, b"%d" % number, headers={"trace": "t"})
    async with intake(broker, handler):
        await until(lambda: _nothing_left(connection))
    assert [delivery.body for delivery in deliveries] == [b"%d" % number for number in range(200)]
    first = deliveries[0]
    assert (first.subject, first.stream, first.sequence, first.attempt) == (SUBJECT, QUEUE, 1, 1)
    assert first.headers == {"trace": "t"}
    assert abs(datetime.now(UTC) - first.stored) < timedelta(minutes=1)


async def test_bodies_reach_the_handler_as_they_came(broker: Broker, connection: Client, queue: str) -> None:
    bodies = [b"2", b"", b"not json", b"\xff\x00", b'{"a": 1}', b"x" * 300_000]
    handled: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        handled.append(delivery.body)

    for body in bodies:
        await connection.jetstream().publish(SUBJECT, body)
    async with intake(broker, handler):
        await until(lambda: _nothing_left(connection))
    assert handled == bodies


async def test_a_message_comes_again_until_its_handler_could_do_its_work(
    broker: Broker, connection: Client, queue: str
) -> None:
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)
        # While the handler cannot do its work the message stays in the broker.
        assert await _left(connection) == 1
        if len(attempts) < 3:
            raise OSError("disk full")

    await connection.jetstream().publish(SUBJECT, b"{}")
    async with intake(broker, handler):
        await until(lambda: _nothing_left(connection))
    assert attempts == [1, 2, 3]


async def test_a_failing_message_holds_up_no_other_and_is_not_tried_hotly(
    broker: Broker, connection: Client, queue: str
) -> None:
    handled: list[bytes] = []
    failures = 0

    async def handler(delivery: Delivery) -> None:
        nonlocal failures
        if delivery.body == b"bad":
            failures += 1
            raise RuntimeError("database locked")
        handled.append(delivery.body)

    await connection.jetstream().publish(SUBJECT, b"bad")
    async with intake(broker, handler):
        for number in range(50):
            await connection.jetstream().publish(SUBJECT, b"%d" % number)
        await until(lambda: len(handled) == 50)
        await until(lambda: failures >= 2)
        assert failures < 5
    assert await _left(connection) == 1


async def test_a_message_whose_process_was_killed_is_delivered_again(
    broker: Broker, connection: Client, tmp_path: Path
) -> None:
    await _make_queue(connection, ack_wait=1)
    await connection.jetstream().publish(SUBJECT, b"{}")
    program = f"""
import asyncio, os, signal
from services.chassis.broker import faststream_broker, inbox_prefix
from services.chassis.intake import take_in

async def handler(delivery):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    faststream = faststream_broker({broker.url!r}, "registration")
    take_in(faststream, stream={QUEUE!r}, durable="registration", subject="intake.test.>", handler=handler,
            inbox=inbox_prefix("registration"))
    await faststream.start()
    await asyncio.Event().wait()

asyncio.run(main())
"""
    (tmp_path / "program.py").write_text(program)
    process = popen([sys.executable, "-m", "program"], cwd=tmp_path)
    assert await asyncio.to_thread(process.wait, 20) == -signal.SIGKILL
    attempts: list[int] = []

    async def handler(delivery: Delivery) -> None:
        attempts.append(delivery.attempt)

    async with intake(broker, handler, ack_wait=1):
        await until(lambda: _nothing_left(connection))
    assert attempts == [1]


async def _handed_to_nobody(connection: Client, number: int) -> None:
    """Publish so many messages, and have them handed to somebody who will never answer for them."""
    for each in range(number):
        await connection.jetstream().publish(SUBJECT, b"%d" % each)
    dead = await connection.jetstream().pull_subscribe_bind("registration", QUEUE)
    assert len(await dead.fetch(number, timeout=10)) == number
    await dead.unsubscribe()


@pytest.mark.parametrize("times", [1, 3])
async def test_what_nobody_answered_for_comes_before_anything_newer_at_every_start(
    broker: Broker, connection: Client, queue: str, times: int
) -> None:
    handled: list[int] = []

    async def handler(delivery: Delivery) -> None:
        handled.append(delivery.sequence)

    await _handed_to_nobody(connection, 10)
    for _ in range(times - 1):
        async with intake(broker, hanging, batch_size=4):
            await until(lambda: _under_way(connection, 4))
    for number in range(10):
        await connection.jetstream().publish(SUBJECT, b"newer %d" % number)
    async with intake(broker, handler):
        await until(lambda: len(handled) == 20)
    assert handled == list(range(1, 21))


async def hanging(_delivery: Delivery) -> None:
    await asyncio.Future()


async def _under_way(connection: Client, number: int) -> bool:
    return int((await connection.jetstream().consumer_info(QUEUE, "registration")).num_ack_pending) == number


async def test_what_ends_the_service_again_and_again_lets_newer_pass(
    broker: Broker, connection: Client, queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    handled: list[int] = []
    asked: list[int] = []

    async def handler(delivery: Delivery) -> None:
        handled.append(delivery.sequence)

    async def may_come_again(floor: int) -> bool:
        asked.append(floor)
        return False

    first = await connection.jetstream().publish(SUBJECT, b"answered")
    await connection.jetstream().delete_msg(QUEUE, first.seq)
    await _handed_to_nobody(connection, 3)
    await connection.jetstream().publish(SUBJECT, b"newer")
    async with intake(broker, handler, may_come_again=may_come_again):
        await until(lambda: handled == [5])
    assert len(asked) == 1
    assert "ended this service again and again" in capsys.readouterr().out


async def test_a_server_that_lets_nothing_come_again_is_lived_with(
    broker: Broker, connection: Client, queue: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One of an earlier release, or one whose configuration was not written anew."""
    handled: list[int] = []

    async def handler(delivery: Delivery) -> None:
        handled.append(delivery.sequence)

    async def refused(*_: object, **__: object) -> None:
        raise NatsTimeout

    monkeypatch.setattr("nats.js.JetStreamContext.reset_consumer", refused)
    await _handed_to_nobody(connection, 3)
    await connection.jetstream().publish(SUBJECT, b"newer")
    async with intake(broker, handler):
        await until(lambda: handled == [4])
    assert "does not come again at once" in capsys.readouterr().out


async def test_a_long_job_keeps_its_message_and_a_hanging_one_loses_it(broker: Broker, connection: Client) -> None:
    await _make_queue(connection, ack_wait=1)
    attempts: dict[bytes, int] = {}
    proceed = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        attempts[delivery.body] = delivery.attempt
        if delivery.attempt == 1:
            await proceed.wait()

    await connection.jetstream().publish(SUBJECT, b"job")
    other = await connection.jetstream().pull_subscribe_bind("registration", QUEUE)
    async with intake(broker, handler, ack_wait=1, patience=2, batch_size=1):
        await until(lambda: attempts == {b"job": 1})
        begun = asyncio.get_running_loop().time()
        # Whoever else asks gets the message only when the first has lost patience with its own handler.
        (again,) = await other.fetch(1, timeout=10)
        assert again.metadata.num_delivered == 2
        assert asyncio.get_running_loop().time() - begun > 2
        await again.ack_sync()
        proceed.set()


async def test_intake_goes_on_after_the_broker_was_killed(broker: Broker, connection: Client, queue: str) -> None:
    handled: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        handled.append(delivery.body)

    async with intake(broker, handler):
        await connection.jetstream().publish(SUBJECT, b"1")
        await until(lambda: handled == [b"1"])
        await asyncio.to_thread(broker.restart)
        await until(lambda: connection.is_connected)
        await connection.jetstream().publish(SUBJECT, b"2")
        await until(lambda: _nothing_left(connection))
    assert handled == [b"1", b"2"]


async def test_what_was_handled_while_the_broker_was_away_is_acknowledged_when_it_is_back(
    broker: Broker, connection: Client, queue: str
) -> None:
    """Otherwise it would fill the consumer's room, and nothing new would come before the broker gives up on it."""
    handled: set[int] = set()
    go_on = asyncio.Event()

    async def handle(delivery: Delivery) -> None:
        await go_on.wait()
        handled.add(delivery.sequence)

    for _ in range(64):
        await connection.jetstream().publish(SUBJECT, b"{}")
    async with intake(broker, handle):
        consumer = connection.jetstream(timeout=1).consumer_info
        await until(lambda: _all_under_way(consumer))
        broker.kill()
        go_on.set()
        await until(lambda: len(handled) == 64)
        broker.start()

        # The broker would deliver them again after 30 seconds only.
        await until(lambda: _none_left(connection), within=15)
    assert handled == set(range(1, 65))


async def _all_under_way(consumer: Any) -> bool:
    return int((await consumer(QUEUE, "registration")).num_ack_pending) == 64


async def _none_left(connection: Client) -> bool:
    return await _left(connection) == 0


async def test_a_vanished_queue_is_waited_for_without_haste(broker: Broker, connection: Client, queue: str) -> None:
    handled: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        handled.append(delivery.body)

    async with intake(broker, handler) as client:
        await connection.jetstream().delete_stream(QUEUE)
        asked = client.stats["out_msgs"]
        await until(lambda: client.stats["out_msgs"] >= asked + 2)
        begun, asked = asyncio.get_running_loop().time(), client.stats["out_msgs"]
        await until(lambda: client.stats["out_msgs"] >= asked + 3)
        # FastStream alone asks two thousand times a second.
        assert asyncio.get_running_loop().time() - begun > 0.1
        await _make_queue(connection)
        await connection.jetstream().publish(SUBJECT, b"1")
        await until(lambda: handled == [b"1"])


async def test_a_header_that_asks_for_a_reply_elsewhere_is_not_obeyed(
    broker: Broker, connection: Client, queue: str
) -> None:
    async def handler(delivery: Delivery) -> None:
        return None

    forged = await connection.subscribe("log.>")
    await connection.jetstream().publish(SUBJECT, b"{}", headers={"reply_to": "log.registration.p.a.b"})
    async with intake(broker, handler):
        await until(lambda: _nothing_left(connection))
    await connection.flush()
    assert forged.pending_msgs == 0


async def test_a_stop_waits_for_what_was_taken_in_and_takes_nothing_more(
    broker: Broker, connection: Client, queue: str
) -> None:
    """Otherwise it would wait half a minute at the broker, as given out to somebody who is no more."""
    begun, may_end = asyncio.Event(), asyncio.Event()
    handled: list[bytes] = []

    async def handler(delivery: Delivery) -> None:
        begun.set()
        await may_end.wait()
        handled.append(delivery.body)

    faststream = faststream_broker(broker.url, "registration")
    take_in(
        faststream,
        stream=QUEUE,
        durable="registration",
        subject="intake.test.>",
        handler=handler,
        inbox=inbox_prefix("registration"),
    )
    for number in range(20):
        await connection.jetstream().publish(SUBJECT, b"%d" % number)
    await faststream.start()
    try:
        await begun.wait()
        stopping = asyncio.create_task(finish_taking_in(faststream))
        await asyncio.sleep(0)
        late = await connection.jetstream().publish(SUBJECT, b"late")
        may_end.set()
        await stopping
    finally:
        await faststream.stop()

    # What was taken is acknowledged, and what was not is free for the next one to take at once.
    state = await connection.jetstream().consumer_info(QUEUE, "registration")
    assert (state.num_ack_pending, state.num_pending) == (0, 21 - len(handled))
    assert late.seq == 21
    assert len(handled) >= 1


async def test_a_stop_does_not_wait_for_ever_for_a_handler_that_hangs(
    broker: Broker, connection: Client, queue: str, capsys: pytest.CaptureFixture[str]
) -> None:
    begun = asyncio.Event()

    async def handler(delivery: Delivery) -> None:
        begun.set()
        await asyncio.Future()

    await connection.jetstream().publish(SUBJECT, b"1")
    faststream = taking_in(broker, handler)
    await faststream.start()
    try:
        await begun.wait()
        await asyncio.wait_for(finish_taking_in(faststream, 0.2), 5)
    finally:
        await faststream.stop()
    assert "messages were still under way" in capsys.readouterr().out
