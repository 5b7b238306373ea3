"""The state that questions are answered from, and how facts get into it: one transaction a batch."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from contracts.facts import parse
from services.chassis.database import Database
from services.chassis.reader import Message
from services.chassis.state import State
from services.reporting import store
from services.reporting.domain import evolve


def fold(state: State, messages: Sequence[Message]) -> State:
    """The state after these facts. Pure: the old state stays as it was."""
    for message in messages:
        state = evolve(state, parse(message.body))
    return state


class Folded:
    """
    A state and the positions up to which it was folded.

    Attributes:
        state: what the facts up to ``positions`` add up to.
        positions: by stream.
    """

    def __init__(self, state: State, positions: Mapping[str, int]) -> None:
        self.state = state
        self.positions = dict(positions)
        self._moved = asyncio.Condition()

    async def move(self, state: State, stream: str, position: int) -> None:
        """Go on to a state behind ``position``, and tell who waits."""
        self.state = state
        self.positions[stream] = position
        async with self._moved:
            self._moved.notify_all()

    async def reach(self, positions: Mapping[str, int], patience: float) -> bool:
        """Wait for these positions; false when nothing moved for ``patience`` seconds before they were reached."""
        async with self._moved:
            while any(self.positions[stream] < position for stream, position in positions.items()):
                try:
                    async with asyncio.timeout(patience):
                        await self._moved.wait()
                except TimeoutError:
                    return False
        return True


class Projection(Folded):
    """
    What is being reported from, kept in a database.

    Attributes:
        database: another one after a rebuild.
        still: whoever holds it sees the state and the database stand still; facts wait in their streams.
    """

    def __init__(self, database: Database, state: State, positions: Mapping[str, int]) -> None:
        super().__init__(state, positions)
        self.database = database
        self.still = asyncio.Lock()

    @classmethod
    async def open(cls, path: Path) -> Projection:
        """
        Go on from what the database at ``path`` holds; made if it is missing.

        Raises:
            services.chassis.database.DatabaseTooNew: a newer version of the code wrote it.
        """
        database = await Database.open(path, store.MIGRATIONS)
        state, positions = await database.run(store.load)
        if not any(positions.values()):
            await database.run(lambda connection: store.say_counted_by(connection, store.CODE))
        return cls(database, state, positions)

    async def counted_by_other_code(self) -> bool:
        """Whether another version of the code, or nobody knows which, counted some of what stands here."""
        async with self.still:
            return await self.database.run(store.counted_by) != store.CODE

    async def position(self, stream: str) -> int:
        """Up to where a stream has been counted."""
        return self.positions[stream]

    async def apply(self, stream: str, messages: Sequence[Message]) -> None:
        """
        Count facts and store it, in one transaction; when it fails, none of them has been counted.

        Raises:
            pydantic.ValidationError: a body is not a fact.
            sqlite3.Error: it could not be stored.
        """
        async with self.still:
            # After a rebuild the state may be ahead of what the reader was about to hand over.
            fresh = [message for message in messages if message.position > self.positions[stream]]
            if not fresh:
                return
            position = fresh[-1].position
            state = fold(self.state, fresh)

            def save(connection: sqlite3.Connection) -> None:
                store.save(connection, state, {stream: position})

            await self.database.transact(save)
            await self.move(state.settled(), stream, position)

    @property
    def path(self) -> Path:
        """The file of the database in use."""
        return self.database.path

    async def check_writable(self) -> None:
        """As ``Database.check_writable``, of the database in use."""
        await self.database.check_writable()

    async def close(self) -> None:
        """Close the database, when what is being stored is stored."""
        async with self.still:
            await self.database.close()
