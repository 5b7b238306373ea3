"""One SQLite database, and one hop to its thread for a whole piece of work."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from time import monotonic, sleep
from types import MappingProxyType
from typing import Any, TypeVar

import aiosqlite
import structlog

from services.chassis import private
from services.chassis.migrating import migrate, scripts_in
from services.chassis.storage import in_words, primary_code
from services.chassis.transactions import in_transaction

_log = structlog.get_logger("chassis.database")

Result = TypeVar("Result")

_CHECKPOINT_BYTES = 64 * 1024 * 1024
_MOST_ROWS_A_STATEMENT = 256
_PATIENCE = 5000
"""How many milliseconds the database's thread waits for another process to finish its transaction."""
_BETWEEN_TRIES = 0.01


class Database:
    """
    A SQLite database that belongs to one service.

    All work runs on one thread, in the order in which it was asked for. What ``transact`` returned from is on disk
    (write-ahead log with ``synchronous=FULL``).
    """

    def __init__(self, connection: aiosqlite.Connection, path: Path) -> None:
        self._connection = connection
        self.path = path
        # A crash may have come between a deletion and what empties the log after it.
        self._unforgotten = True

    @classmethod
    async def open(
        cls, path: Path, migrations: Path, functions: Mapping[str, Callable[[Any], Any]] = MappingProxyType({})
    ) -> Database:
        """
        Open the database at ``path``, made if it is missing, and bring it up to the newest of ``migrations``.

        Before the first migration of a database that has something in it, it is copied into the folder ``backups``
        beside it, and the copy is verified; the newest three copies stay.

        Args:
            path: the file; its directory is made if it is missing.
            migrations: a directory of ``0001_what_it_does.sql``, ``0002_….sql`` …; each runs once, in a transaction.
            functions: of one value each, which the migrations call by these names.

        Raises:
            DatabaseTooNew: it holds migrations that this code does not have.
            BrokenMigrations: a number is missing or doubled, or a migration failed.
            services.chassis.copying.DamagedDatabase: the copy before a migration could not be verified.
        """
        scripts = scripts_in(migrations)
        private.folder(path.parent)
        private.database(path)
        connection = await aiosqlite.connect(path, isolation_level=None, cached_statements=512)
        database = cls(connection, path)
        try:
            await database.run(_configure)
            for name, function in functions.items():
                await database.run(partial(_define, name, function))
            await database.run(lambda raw: migrate(raw, path, scripts))
        except BaseException:
            await connection.close()
            raise
        return database

    async def run(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        """Execute ``function`` on the database's thread; each statement in it is a transaction of its own."""
        # aiosqlite's public methods hop to the thread once a statement, which costs ten times as much as a whole batch
        # in one hop (docs/performance.md); its own hop is the only door to the thread.
        raw: sqlite3.Connection = self._connection._conn
        result: Result = await self._connection._execute(function, raw)  # type: ignore[no-untyped-call]
        return result

    async def transact(self, function: Callable[[sqlite3.Connection], Result]) -> Result:
        """
        Execute ``function`` in one transaction on the database's thread; an error in it undoes all that it did.

        Whoever is cancelled while waiting does not know whether the transaction was committed.
        """
        return await self.run(lambda raw: in_transaction(raw, function))

    async def check_writable(self) -> None:
        """
        Write one page and wait until it is on disk.

        Raises:
            sqlite3.Error: it cannot be written, for instance because the disk is full.
        """

        def write(raw: sqlite3.Connection) -> None:
            (version,) = raw.execute("PRAGMA user_version").fetchone()
            raw.execute(f"PRAGMA user_version = {version:d}")

        await self.transact(write)

    def forget_soon(self) -> None:
        """Something was deleted that must not stay in the file: :meth:`forget` has work to do."""
        self._unforgotten = True

    async def forget(self) -> None:
        """
        Empty the write-ahead log, in which older versions of pages still stand, if something was deleted.

        While another program reads the file, or the disk is full, that can't be done; call it again and again.
        """
        if not self._unforgotten:
            return
        # Before the checkpoint: what is deleted while it is under way is the next one's.
        self._unforgotten = False
        try:
            busy, _, _ = await self.run(lambda raw: raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
        except sqlite3.Error as error:
            # What was deleted is deleted: who asked for it must have the answer.
            _log.warning("what was deleted is not yet forgotten", database=self.path.name, reason=in_words(error))
            busy = True
        self._unforgotten = self._unforgotten or bool(busy)

    async def close(self) -> None:
        """Finish what was asked for, then close the file."""
        await self._connection.close()


def insert_rows(connection: sqlite3.Connection, into: str, rows: Sequence[Sequence[Any]]) -> None:
    """
    Insert many rows with few statements; see :func:`with_rows`.

    Args:
        into: ``INSERT INTO table (column, …) VALUES``.
        rows: each with a value for every column.
    """
    with_rows(connection, f"{into} {{rows}}", rows)


def with_rows(
    connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[Any]], *before: Any
) -> list[tuple[Any, ...]]:
    """
    Work on many rows with few statements, and return what they return.

    ``executemany`` lets go of the interpreter's lock once a row, and each time the event loop's thread may keep it for
    milliseconds: under load that was most of a commit's time (docs/performance.md). Powers of two keep the statements
    few enough to stay prepared.

    Args:
        statement: with ``VALUES {rows}`` where the rows belong; the table has columns ``column1``, ``column2`` …
        rows: all of one length.
        before: values of the question marks that stand before the rows.
    """
    found: list[tuple[Any, ...]] = []
    start = 0
    while start < len(rows):
        count = min(1 << (len(rows) - start).bit_length() - 1, _MOST_ROWS_A_STATEMENT)
        part = rows[start : start + count]
        marks = ", ".join([f"({', '.join('?' * len(part[0]))})"] * count)
        values = (*before, *chain.from_iterable(part))
        found += connection.execute(statement.replace("{rows}", marks), values).fetchall()
        start += count
    return found


def _use_log(connection: sqlite3.Connection) -> None:
    """Write ahead. While another process opens a new file too, SQLite does not wait, whatever the patience: we do."""
    until = monotonic() + _PATIENCE / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or monotonic() > until:
                raise
            sleep(_BETWEEN_TRIES)
        else:
            return


def _define(name: str, function: Callable[[Any], Any], connection: sqlite3.Connection) -> None:
    connection.create_function(name, 1, function, deterministic=True)


def _configure(connection: sqlite3.Connection) -> None:
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE:d}")
    _use_log(connection)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    # What is deleted is overwritten: it would stay in the file until the page is used again.
    connection.execute("PRAGMA secure_delete = ON")
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_BYTES // page_size:d}")
