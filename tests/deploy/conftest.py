"""A broker as in production, and clients that remember what it refused them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from deploy.broker import RunningBroker, start_broker

PARTNERS = ("demo", "school-x")
_MARK = "nobody.may"


@dataclass
class Visitor:
    """A connection as one identity, and the broker's complaints about it."""

    connection: Client
    complaints: asyncio.Queue[str] = field(default_factory=asyncio.Queue)

    async def is_refused(self, subject: str, body: bytes = b"{}", reply: str = "") -> bool:
        """Publish; True when the broker names this subject in a permission violation, False when it takes it."""
        await self.connection.publish(subject, body, reply=reply)
        return await self._complained("publish", subject)

    async def is_deaf_to(self, subject: str) -> bool:
        """Subscribe; True when the broker names this subject in a permission violation."""
        await self.connection.subscribe(subject)
        return await self._complained("subscription", subject)

    async def _complained(self, verb: str, subject: str) -> bool:
        # Nobody may publish this, and complaints come in order: whoever waits for it has heard all before it.
        await self.connection.publish(_MARK)
        found = False
        while True:
            complaint = (await asyncio.wait_for(self.complaints.get(), 5)).lower()
            assert "permissions violation" in complaint
            if f'"{_MARK}"' in complaint:
                return found
            found = found or (verb in complaint and f'"{subject.lower()}"' in complaint)


@contextlib.asynccontextmanager
async def visit(broker: RunningBroker, name: str) -> AsyncIterator[Visitor]:
    """Connect as an identity."""
    complaints: asyncio.Queue[str] = asyncio.Queue()

    async def remember(error: Exception) -> None:
        complaints.put_nowait(str(error))

    connection = await nats.connect(
        broker.url(name),
        inbox_prefix=broker.inbox_prefix(name).encode(),
        error_cb=remember,
        allow_reconnect=False,
    )
    try:
        yield Visitor(connection, complaints)
    finally:
        await connection.close()


@pytest.fixture(scope="module")
def closed_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBroker]:
    """A broker with two partners and every stream, shared by the tests of a module."""
    with start_broker(tmp_path_factory.mktemp("broker"), PARTNERS) as broker:
        yield broker


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """A broker of the test's own, to be changed and killed."""
    with start_broker(tmp_path / "broker", PARTNERS) as broker:
        yield broker


@pytest.fixture
def state_of(closed_broker: RunningBroker) -> Callable[[str], Any]:
    """Asks, as the identities that declare streams, how far a stream is."""

    async def ask(stream: str) -> Any:
        owner = "topology_partners" if stream.startswith(("INTAKE_", "OUTCOMES")) else "topology"
        async with visit(closed_broker, owner) as visitor:
            return (await visitor.connection.jsm().stream_info(stream)).state

    return ask
