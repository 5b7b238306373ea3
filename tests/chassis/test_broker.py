from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import cast

import pytest
import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import OutboundBufferLimitError
from nats.errors import TimeoutError as NatsTimeout
from nats.js import JetStreamContext

from deploy.embedded import free_port
from services.chassis.broker import (
    EXIT_CONNECTION_CLOSED,
    ConnectionLost,
    GuardedPull,
    connect,
    while_connected,
)
from tests.chassis.conftest import until
from tests.conftest import Broker
from tests.warm import popen


@pytest.fixture
def guarded_broker(tmp_path: Path) -> Broker:
    broker = Broker(tmp_path / "guarded")
    with broker.configuration.open("a") as configuration:
        configuration.write('authorization { users: [ { user: "anna", password: "right" } ] }\n')
    broker.start()
    return broker


async def test_every_client_has_inboxes_of_its_own(broker: Broker) -> None:
    connection = await connect(broker.url, "some-client")
    assert connection.new_inbox().startswith("_INBOX_some_client.")
    await connection.close()


async def test_a_wrong_password_is_told_at_once(guarded_broker: Broker) -> None:
    try:
        async with asyncio.timeout(5):
            with pytest.raises(NatsError, match="does not know 'client' by its password"):
                await connect(guarded_broker.url, "client", "anna", "wrong")
            connection = await connect(guarded_broker.url, "client", "anna", "right")
        await connection.close()
    finally:
        guarded_broker.kill()


async def test_a_broker_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "late")
    connecting = asyncio.create_task(connect(broker.url, "client"))
    done, _ = await asyncio.wait({connecting}, timeout=0.5)
    assert not done
    broker.start()
    connection = await asyncio.wait_for(connecting, 10)
    await connection.close()
    broker.kill()


async def test_nothing_published_while_disconnected_is_stored_later(broker: Broker) -> None:
    connection = await connect(broker.url, "client")
    broker.kill()
    await until(lambda: not connection.is_connected)
    with pytest.raises(OutboundBufferLimitError):
        await connection.publish("log.test.p.a.b", b"late")
    await connection.close()


async def test_a_request_is_given_up_when_the_connection_breaks(broker: Broker) -> None:
    connection = await connect(broker.url, "client")
    await connection.subscribe("silence")
    request = asyncio.create_task(while_connected(connection, connection.request("silence", timeout=30), 30))
    await connection.flush()
    broker.kill()
    async with asyncio.timeout(5):
        with pytest.raises(ConnectionLost):
            await request
    await connection.close()


async def test_a_process_whose_connection_was_closed_for_good_ends(tmp_path: Path) -> None:
    """A server that speaks nonsense after a while makes nats-py close the client for ever."""
    port = free_port()
    info = b'INFO {"server_id":"x","version":"2.15.1","max_payload":1048576,"headers":true,"proto":1}\r\n'

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(info)
        while line := await reader.readline():
            if line == b"PING\r\n":
                writer.write(b"PONG\r\n-ERR 'Maximum Connections Exceeded'\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port)
    program = f"""
import asyncio
from services.chassis.broker import connect

async def main():
    await connect("nats://127.0.0.1:{port}", "client")
    await asyncio.Event().wait()

asyncio.run(main())
"""
    (tmp_path / "program.py").write_text(program)
    with (tmp_path / "output").open("wb") as output:
        process = popen([sys.executable, "-m", "program"], cwd=tmp_path, stdout=output)
    assert await asyncio.to_thread(process.wait, 20) == EXIT_CONNECTION_CLOSED
    assert b"closed for good" in (tmp_path / "output").read_bytes()
    server.close()


class _Silent:
    """nats-py's fetch in the rare moment in which asyncio's own time limit is the first to run out."""

    async def fetch(self, **_: object) -> list[Msg]:
        raise TimeoutError


async def test_asyncios_own_timeout_means_that_nothing_came() -> None:
    guarded = GuardedPull(cast("JetStreamContext.PullSubscription", _Silent()))
    with structlog.testing.capture_logs() as logs, pytest.raises(NatsTimeout):
        await guarded.fetch(timeout=0.01)
    assert logs == []
