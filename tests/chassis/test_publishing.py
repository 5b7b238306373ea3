from __future__ import annotations

import pytest
import structlog
from nats.aio.client import Client
from nats.errors import (
    BadHeaderError,
    BadSubjectError,
    ConnectionClosedError,
    MaxPayloadError,
    OutboundBufferLimitError,
)
from nats.errors import Error as NatsError

from services.chassis.broker import connect
from services.chassis.publishing import publish_all
from tests.chassis.conftest import until
from tests.conftest import Broker


async def test_many_messages_published_at_once_arrive_as_if_published_one_by_one(broker: Broker) -> None:
    connection = await connect(broker.url, "client")
    subscription = await connection.subscribe("many.>")
    messages: list[tuple[str, bytes, dict[str, str]]] = [
        ("many.plain", b"plain", {}),
        ("many.empty", b"", {}),
        ("many.marked", b"two\r\nlines", {"Nats-Msg-Id": "1", "X": "\u00e9"}),
    ]
    await publish_all(connection, messages)
    for subject, body, headers in messages:
        message = await subscription.next_msg(timeout=2)
        assert (message.subject, message.data, message.headers or {}) == (subject, body, headers)
    await connection.close()


@pytest.mark.parametrize(
    ("subject", "body", "headers", "refusal"),
    [
        ("many.a b", b"", {}, BadSubjectError),
        ("", b"", {}, BadSubjectError),
        ("many.a\r\nPUB many.b 0\r\n", b"", {}, BadSubjectError),
        ("many.a", b"", {"X": "1\r\nY: 2"}, BadHeaderError),
        ("many.a", b"", {"X\r\nY": "1"}, BadHeaderError),
        ("many.a", b"x" * (1024 * 1024 + 1), {}, MaxPayloadError),
    ],
)
async def test_of_many_messages_none_is_published_if_one_is_malformed(
    broker: Broker, subject: str, body: bytes, headers: dict[str, str], refusal: type[NatsError]
) -> None:
    connection = await connect(broker.url, "client")
    subscription = await connection.subscribe("many.>")
    with pytest.raises(refusal):
        await publish_all(connection, [("many.good", b"", {}), (subject, body, headers)])
    await publish_all(connection, [("many.last", b"", {})])
    assert (await subscription.next_msg(timeout=2)).subject == "many.last"
    await connection.close()
    with pytest.raises(ConnectionClosedError):
        await publish_all(connection, [("many.late", b"", {})])


async def test_what_is_put_into_the_outbox_in_one_turn_goes_out_in_one_piece(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = await connect(broker.url, "client")
    subscription = await connection.subscribe("answers.>")
    await connection.flush()
    pieces: list[bytes] = []
    send = connection._send_command

    async def recorded(piece: bytes, priority: bool = False) -> None:
        pieces.append(piece)
        await send(piece, priority)

    monkeypatch.setattr(connection, "_send_command", recorded)
    connection.outbox.put("answers.plain", b"plain")
    with pytest.raises(BadSubjectError):
        connection.outbox.put("answers.a b", b"")
    with pytest.raises(MaxPayloadError):
        connection.outbox.put("answers.large", b"x" * (connection.max_payload + 1))
    connection.outbox.put("answers.marked", b"two\r\nlines", {"X": "1"})
    first, second = await subscription.next_msg(timeout=2), await subscription.next_msg(timeout=2)
    assert (first.subject, first.data, first.headers) == ("answers.plain", b"plain", None)
    assert (second.subject, second.data, second.headers) == ("answers.marked", b"two\r\nlines", {"X": "1"})
    assert len([piece for piece in pieces if b"PUB" in piece]) == 1
    # And the next turn's are not forgotten.
    connection.outbox.put("answers.later", b"")
    assert (await subscription.next_msg(timeout=2)).subject == "answers.later"
    await connection.close()
    with pytest.raises(ConnectionClosedError):
        connection.outbox.put("answers.late", b"")


async def test_the_outbox_keeps_nothing_for_a_connection_that_broke(broker: Broker) -> None:
    connection = await connect(broker.url, "client")
    with structlog.testing.capture_logs() as logs:
        for body in (b"1", b"2"):
            connection.outbox.put("answers.plain", body)
        # Before the turn's end, which is when they would go out.
        connection._status = Client.RECONNECTING
        await until(lambda: bool(logs))
    assert [(log["log_level"], log["messages"]) for log in logs] == [("warning", 2)]
    with pytest.raises(OutboundBufferLimitError):
        connection.outbox.put("answers.plain", b"3")
    connection._status = Client.CONNECTED
    assert connection.stats["out_msgs"] == 0
    await connection.close()
