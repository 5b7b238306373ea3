"""Commands while the broker elects a leader, is started again or is gone: they wait where it helps, and say so."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Iterator

import nats.errors
import nats.js.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DiscardPolicy, StreamConfig

from cli import intake_broker
from cli.connection import Connection
from cli.endpoints import Access
from cli.failure import UNREACHABLE, Failure
from cli.intake_broker import Reader
from cli.passing import in_words, passes
from contracts import subjects
from contracts.queries import Everything
from tests.conftest import Broker

Errors = [
    each
    for module in (nats.errors, nats.js.errors)
    for each in vars(module).values()
    if inspect.isclass(each) and issubclass(each, Exception) and each.__module__ == module.__name__
]


@pytest.fixture
def connection(broker: Broker) -> Iterator[Connection]:
    with Connection(Access("demo", broker.url, "_INBOX_demo")) as connection:
        yield connection


async def publish(client: Client) -> int:
    return (await client.jetstream(timeout=1).publish("intake.demo", b"x")).seq


def declare(broker: Broker) -> None:
    async def make() -> None:
        client = Client()
        await client.connect(broker.url)
        await client.jetstream().add_stream(StreamConfig(name="INTAKE", subjects=["intake.demo"]))
        await client.close()

    asyncio.run(make())


@pytest.mark.parametrize("kind", Errors, ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_every_error_of_the_broker_has_words(kind: type[Exception]) -> None:
    error = kind.__new__(kind)
    error.__dict__.update(code=None, err_code=None, description="why")
    said = in_words(error)
    assert said
    assert "Error" not in said or not passes(error)


def test_a_stream_that_is_full_says_so_at_once(broker: Broker, connection: Connection) -> None:
    """It answers with the status of an election, and no patience helps."""

    async def fill() -> str:
        client = await connection.client()
        full = StreamConfig(name="INTAKE", subjects=["intake.demo"], max_msgs=1, discard=DiscardPolicy.NEW)
        await client.jetstream().add_stream(full)
        await publish(client)
        with pytest.raises(Failure) as failed:
            await intake_broker.publish(connection, "intake.demo", b"x", "demo", said.append)
        return failed.value.what + failed.value.remedy

    said: list[str] = []
    told = connection.run(fill())
    assert "did not take it: maximum messages exceeded" in told
    assert "too much waits there already" in told
    assert said == []


def test_what_no_server_answers_for_is_sent_again_until_one_does(broker: Broker, connection: Connection) -> None:
    said: list[str] = []

    async def send() -> int:
        return await connection.persist(publish, "Sending", patience=30, say=tell)

    def tell(words: str) -> None:
        said.append(words)
        threading.Thread(target=declare, args=(broker,)).start()

    assert connection.run(send()) == 1
    assert said == [
        "Sending: no server of the broker answers for it at the moment: they elect a leader, or it is not declared."
        " It is tried again for up to 30 seconds."
    ]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_a_broker_that_is_started_again_is_connected_to_again(broker: Broker, connection: Connection, end: str) -> None:
    declare(broker)
    assert connection.run(connection.persist(publish, "Sending", patience=30)) == 1
    getattr(broker, end)()
    said: list[str] = []

    def tell(words: str) -> None:
        said.append(words)
        threading.Thread(target=broker.start).start()

    assert connection.run(connection.persist(publish, "Sending", patience=30, say=tell)) == 2
    assert len(said) == 1
    assert "its server stops, or is gone" in said[0]


def test_patience_ends_with_what_is_wrong_and_what_to_do(broker: Broker, connection: Connection) -> None:
    connection.run(connection.client())
    broker.kill()
    with pytest.raises(Failure) as failed:
        connection.run(connection.persist(publish, "Sending", patience=0.5))
    assert failed.value.code == UNREACHABLE
    assert "came to nothing within 0.5 seconds: No broker answers at 127.0.0.1" in failed.value.what
    assert "never done twice" in failed.value.remedy


@pytest.mark.parametrize(
    ("verb", "times", "said"),
    [("do", 1, "Whether it was carried out is not known"), ("ask", 2, "No answer to ask.test.thing.list within 3")],
)
def test_a_question_is_asked_again_and_a_command_is_not(
    broker: Broker, connection: Connection, verb: str, times: int, said: str
) -> None:
    """Of a command that was under way when its server went nobody knows whether it was carried out."""
    heard: list[str] = []

    async def quiet(_: Exception) -> None:
        """The server that it is connected to is killed here."""

    async def ask() -> str:
        silent = Client()
        wait: int = 0.1  # type: ignore[assignment]  # nats-py takes any number
        await silent.connect(broker.url, max_reconnect_attempts=-1, reconnect_time_wait=wait, error_cb=quiet)

        async def note(message: Msg) -> None:
            heard.append(message.subject)
            if len(heard) == 1:
                broker.restart()

        await silent.subscribe("*.test.>", cb=note)
        await silent.flush()
        try:
            with pytest.raises(Failure) as failed:
                await connection.request(f"{verb}.test.thing.list", Everything(), Everything, patience=3)
        finally:
            await silent.close()
        return failed.value.what + failed.value.remedy

    assert said in connection.run(ask())
    assert heard == [f"{verb}.test.thing.list"] * times


def test_trouble_that_nobody_deals_with_ends_a_command_in_words(connection: Connection) -> None:
    async def fail() -> None:
        raise nats.errors.ConnectionDrainingError

    with pytest.raises(Failure, match="It came to nothing: the connection to the broker broke"):
        connection.run(fail())


def test_outcomes_are_read_on_after_the_broker_was_started_again(broker: Broker, connection: Connection) -> None:
    async def declared() -> None:
        client = Client()
        await client.connect(broker.url)
        stream = client.jetstream()
        await stream.add_stream(StreamConfig(name=subjects.OUTCOMES_STREAM, subjects=["outcome.>"]))
        await stream.add_consumer(
            subjects.OUTCOMES_STREAM, ConsumerConfig(durable_name="demo", ack_policy=AckPolicy.EXPLICIT)
        )
        await client.close()

    async def read() -> list[bytes]:
        reader = Reader(connection, "demo", lambda _: None)
        assert await reader.fetch(0.2) == []
        broker.restart()
        await connection.persist(
            lambda client: client.jetstream(timeout=1).publish("outcome.demo", b"{}"), "Publishing", patience=30
        )
        found = await reader.fetch(5)
        for each in found:
            await reader.acknowledge(each)
        return [each.data for each in found]

    asyncio.run(declared())
    assert connection.run(read()) == [b"{}"]
