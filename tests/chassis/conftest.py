"""A log in a database, a stream that copies it, and waiting without sleeping blindly."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig

from services.chassis.database import Database
from services.chassis.log import SCHEMA, Entry, SqliteLog
from services.chassis.reader import POSITIONS_SCHEMA

STREAM = "LOG_TEST"

_EFFECTS = "CREATE TABLE effects (number INTEGER PRIMARY KEY AUTOINCREMENT, position INTEGER NOT NULL);\n"


@pytest.fixture
def own_journal() -> Iterator[None]:
    """A test that configures the log of its process leaves the others theirs."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


@pytest.fixture
def migrations(tmp_path: Path) -> Path:
    """One migration with the tables that chassis knows, and a table that shows each effect, doubled ones too."""
    directory = tmp_path / "migrations"
    directory.mkdir()
    (directory / "0001_first.sql").write_text(SCHEMA.format(table="log") + POSITIONS_SCHEMA + _EFFECTS)
    return directory


@pytest.fixture
async def database(database_path: Path, migrations: Path) -> AsyncIterator[Database]:
    """An open database with a log, positions and effects."""
    database = await Database.open(database_path, migrations)
    yield database
    await database.close()


@pytest.fixture
async def stream(connection: Client) -> str:
    """The empty stream of the log."""
    await make_stream(connection)
    return STREAM


async def make_stream(connection: Client) -> None:
    """As deploy declares it."""
    await connection.jetstream().add_stream(StreamConfig(name=STREAM, subjects=["log.test.>"], allow_atomic=True))


def entries(first: int, last: int, programme: str = "p") -> list[Entry]:
    """Facts of one programme whose versions are their positions."""
    return [
        Entry(
            position=position,
            programme=programme,
            version=position,
            subject=f"log.test.{programme}.enrolment.confirmed",
            body=b'{"position":%d}' % position,
            id=f"fact-{position}",
        )
        for position in range(first, last + 1)
    ]


async def append(database: Database, first: int, last: int) -> list[Entry]:
    """Commit the facts ``first`` to ``last``."""
    log = SqliteLog()
    made = entries(first, last)
    await database.transact(lambda raw: log.append(raw, made))
    return made


async def stored(connection: Client) -> list[tuple[int, bytes]]:
    """Sequence and body of every message in the stream, of which none is missing."""
    jetstream = connection.jetstream()
    last = (await jetstream.stream_info(STREAM)).state.last_seq
    messages: list[tuple[int, bytes]] = []

    async def receive(message: Msg) -> None:
        messages.append((message.metadata.sequence.stream, message.data))

    # Asked for one by one, nine thousand take ten seconds.
    told = await jetstream.subscribe(
        "",
        stream=STREAM,
        cb=receive,
        config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL, ack_policy=AckPolicy.NONE),
    )
    await until(lambda: not last or (bool(messages) and messages[-1][0] >= last))
    await told.unsubscribe()
    assert [sequence for sequence, _ in messages] == list(range(1, last + 1))
    return messages


def copies(last: int) -> list[tuple[int, bytes]]:
    """What a whole stream holds."""
    return [(entry.position, entry.body) for entry in entries(1, last)]


async def until(condition: Callable[[], Awaitable[bool] | bool], within: float = 15.0) -> None:
    """Wait for a condition; a test that waits in vain fails with the condition's name."""
    async with asyncio.timeout(within):
        while True:
            holds = condition()
            if isinstance(holds, bool):
                if holds:
                    return
            else:
                with contextlib.suppress(Exception):
                    if await holds:
                        return
            await asyncio.sleep(0.01)


async def until_stored(connection: Client, last: int) -> None:
    """Wait until the stream is at ``last``, through whatever befalls the broker."""

    async def reached() -> bool:
        return int((await connection.jetstream(timeout=1).stream_info(STREAM)).state.last_seq) >= last

    await until(reached)


@contextlib.asynccontextmanager
async def running(*tasks: Coroutine[Any, Any, None]) -> AsyncIterator[Sequence[asyncio.Task[None]]]:
    """Endless tasks for the length of a block; one that failed fails the test."""
    started = [asyncio.create_task(task) for task in tasks]
    try:
        yield started
    finally:
        for task in started:
            task.cancel()
        for outcome in await asyncio.gather(*started, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome
