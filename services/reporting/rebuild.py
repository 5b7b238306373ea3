"""
Fold everything again, from the first fact of both streams, into a fresh database, and swap it in.

The old state answers questions until the swap, and goes on counting. The fresh file is thrown away by whoever starts
next if anything ends this half way. The swap is one rename, made while the old database is closed: SQLite applies a
write-ahead log to whatever file has its name, so that the old one's must be gone before.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from contracts.commands import RebuiltReport
from contracts.problem import Problem, ProblemError, problem_type
from services.chassis.copying import synchronise
from services.chassis.database import Database
from services.chassis.reader import Message, Reader
from services.chassis.state import State
from services.reporting import store
from services.reporting.domain import digest
from services.reporting.projection import Folded, Projection, fold

_log = structlog.get_logger("reporting.rebuild")

PATIENCE = 30.0
"""Seconds without any new fact after which a rebuild gives up on the stream."""

_LIVE_PATIENCE = 5.0  # seconds: what does not follow is what a rebuild is there to replace
_BATCH = 1000


def discard_leftovers(path: Path) -> None:
    """Remove what a rebuild of the database at ``path`` left when it was ended half way."""
    for leftover in path.parent.glob(f"{_beside(path).name}*"):
        leftover.unlink()


class Rebuild:
    """
    Makes the projection anew, one caller at a time.

    Args:
        connection: whose user may read both streams.
        projection: what is replaced.
        patience: seconds without any new fact after which it gives up.
    """

    def __init__(self, connection: Client, projection: Projection, patience: float = PATIENCE) -> None:
        self._connection = connection
        self._projection = projection
        self._patience = patience
        self._running = asyncio.Lock()

    async def __call__(self) -> RebuiltReport:
        """
        Rebuild, and say whether the reports are the same, byte for byte, as those at the same positions before.

        Raises:
            ProblemError: another rebuild is running, a stream ends before it should, or the file is in use.
        """
        if self._running.locked():
            raise ProblemError(
                Problem(
                    type=problem_type("rebuild-running"),
                    title="The reports are being rebuilt already",
                    status=409,
                    detail="Wait until that has ended; its result will be as good.",
                )
            )
        async with self._running:
            return await self._rebuild()

    async def _rebuild(self) -> RebuiltReport:
        started = perf_counter()
        projection = self._projection
        path = projection.database.path
        discard_leftovers(path)
        fresh = _Fresh(await self._heads())
        database = await Database.open(_beside(path), store.MIGRATIONS)
        try:
            async with _readers(self._connection, fresh):
                with _few_collections():
                    await self._reach(fresh, fresh.limits)
                    await _fill(database, fresh)
                await projection.reach(fresh.positions, _LIVE_PATIENCE)
                async with projection.still:
                    # What came meanwhile is little, so that the live reader stands still for a moment only.
                    await fresh.allow(projection.positions)
                    await self._reach(fresh, fresh.limits)
                    before = projection.state if projection.positions == fresh.positions else None
                    await _fill(database, fresh)
                    await database.close()
                    await asyncio.to_thread(synchronise, _beside(path))
                    await _swap(projection, fresh)
        finally:
            await database.close()
        seconds = perf_counter() - started
        after = await asyncio.to_thread(digest, fresh.state)
        # Reports follow from the state alone: those of two equal states need not be made to be compared.
        identical = before is not None and (
            await asyncio.to_thread(before.same, fresh.state) or await asyncio.to_thread(digest, before) == after
        )
        facts = sum(fresh.positions.values())
        _log.info("reports rebuilt", facts=facts, seconds=round(seconds, 3), identical=identical)
        return RebuiltReport(facts=facts, seconds=round(seconds, 3), identical=identical, digest=after)

    async def _heads(self) -> dict[str, int]:
        jetstream = self._connection.jetstream(timeout=5)
        try:
            return {stream: int((await jetstream.stream_info(stream)).state.last_seq) for stream in store.STREAMS}
        except NatsError as error:
            raise ProblemError(
                Problem(
                    type=problem_type("broker-unwell"),
                    title="The broker does not say how long the logs are",
                    status=503,
                    detail=f"It answered: {str(error) or type(error).__name__}. The old reports stay; try again later.",
                )
            ) from None

    async def _reach(self, fresh: _Fresh, positions: Mapping[str, int]) -> None:
        if not await fresh.reach(positions, self._patience):
            raise ProblemError(
                Problem(
                    type=problem_type("stream-too-short"),
                    title="The log could not be read to its end",
                    status=503,
                    detail=f"Nothing came for {self._patience:.0f} seconds at {fresh.positions},"
                    f" wanted {dict(positions)}. The old reports stay; try again when the broker is well.",
                )
            )


class _Fresh(Folded):
    """The new state in memory; it stops at ``limits``, so that old and new can be compared at the same positions."""

    def __init__(self, limits: Mapping[str, int]) -> None:
        super().__init__(State(), dict.fromkeys(limits, 0))
        self.limits = dict(limits)
        self._allowed = asyncio.Condition()

    async def allow(self, positions: Mapping[str, int]) -> None:
        """Go on up to ``positions``, where they are ahead."""
        async with self._allowed:
            self.limits = {stream: max(limit, positions[stream]) for stream, limit in self.limits.items()}
            self._allowed.notify_all()

    async def apply(self, stream: str, messages: Sequence[Message]) -> None:
        """Fold facts as far as it is allowed, and wait with the rest."""
        while messages:
            async with self._allowed:
                while (room := self.limits[stream] - self.positions[stream]) <= 0:
                    await self._allowed.wait()
            allowed, messages = messages[:room], messages[room:]
            await self.move(fold(self.state, allowed), stream, allowed[-1].position)
            # Between two batches others get their turn: questions are answered during a rebuild.
            await asyncio.sleep(0)


class _readers:  # noqa: N801  # reads as a word in "async with"
    """Reads both streams from their beginning while it is entered."""

    def __init__(self, connection: Client, fresh: _Fresh) -> None:
        self._readers = [_reader(connection, fresh, stream) for stream in store.STREAMS]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        self._tasks = [asyncio.create_task(reader.run()) for reader in self._readers]

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _reader(connection: Client, fresh: _Fresh, stream: str) -> Reader:
    async def position() -> int:
        return fresh.positions[stream]

    async def apply(messages: Sequence[Message]) -> None:
        await fresh.apply(stream, messages)

    return Reader(connection, stream, position=position, apply=apply, batch=_BATCH)


@contextmanager
def _few_collections() -> Iterator[None]:
    """
    Let the garbage collector rest: everything that a fold makes stays, and looking through it again and again is dear.

    Reference counting goes on; only cycles wait until afterwards.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _beside(path: Path) -> Path:
    return path.with_name(path.name + ".rebuild")


async def _fill(database: Database, fresh: _Fresh) -> None:
    state, positions = fresh.state, dict(fresh.positions)
    await database.run(lambda connection: store.fill(connection, state, positions))
    fresh.state = state.settled()


async def _swap(projection: Projection, fresh: _Fresh) -> None:
    path = projection.database.path
    await projection.database.close()
    try:
        if path.with_name(path.name + "-wal").exists():
            raise ProblemError(
                Problem(
                    type=problem_type("database-in-use"),
                    title="Another program has the reports' database open",
                    status=409,
                    detail="Close it and try again. The old reports stay.",
                )
            )
        await asyncio.to_thread(_rename, _beside(path), path)
        projection.state, projection.positions = fresh.state, dict(fresh.positions)
    finally:
        projection.database = await Database.open(path, store.MIGRATIONS)


def _rename(source: Path, target: Path) -> None:
    source.replace(target)
    synchronise(target.parent)
