"""The two streams with facts in them, and reporting that follows them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.js.api import StreamConfig

from contracts.facts import Fact
from contracts.subjects import log_stream, log_subjects
from services.chassis.relay import publish_batch
from services.reporting.app import readers
from services.reporting.handlers import Reports
from services.reporting.projection import Projection
from services.reporting.rebuild import Rebuild
from tests.plausible import subject_and_body

SERVICES = ("registration", "notifications")


async def make_streams(connection: Client) -> None:
    """As deploy declares them."""
    for service in SERVICES:
        await connection.jetstream().add_stream(
            StreamConfig(name=log_stream(service), subjects=[log_subjects(service)], allow_atomic=True)
        )


async def publish(connection: Client, facts: Sequence[Fact]) -> None:
    """What a relay would do."""
    for start in range(0, len(facts), 500):
        await publish_batch(connection, [(*subject_and_body(fact), {}) for fact in facts[start : start + 500]])


@dataclass
class Reporting:
    """The service without its process."""

    connection: Client
    projection: Projection
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def reports(self) -> Reports:
        """What it is asked."""
        return Reports(self.projection)

    @property
    def rebuild(self) -> Rebuild:
        """What makes it anew."""
        return Rebuild(self.connection, self.projection, patience=5)

    def follow(self) -> None:
        """Read both streams from now on."""
        self.tasks = [
            asyncio.create_task(reader.run()) for reader in readers(self.connection, self.projection).values()
        ]

    async def publish(self, *facts: Fact, patience: float = 15) -> None:
        """Publish facts and wait until they are counted."""
        await publish(self.connection, facts)
        await self.catch_up(patience)

    async def catch_up(self, patience: float = 15) -> None:
        """Wait until everything in the streams is counted."""
        jetstream = self.connection.jetstream()
        heads = {stream: (await jetstream.stream_info(stream)).state.last_seq for stream in map(log_stream, SERVICES)}
        assert await self.projection.reach(heads, patience)

    async def stop(self) -> None:
        """Stop reading and close."""
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        with contextlib.suppress(ValueError):
            await self.projection.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where reporting's database goes."""
    return tmp_path / "reporting" / "reporting.db"


@pytest.fixture
async def reporting(connection: Client, path: Path) -> AsyncIterator[Reporting]:
    """Reporting that follows two empty streams."""
    await make_streams(connection)
    reporting = Reporting(connection, await Projection.open(path))
    reporting.follow()
    yield reporting
    await reporting.stop()
