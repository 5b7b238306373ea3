"""The append-only list of a service's facts, behind one small interface."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from services.chassis import metrics
from services.chassis.database import insert_rows

FACTS_APPENDED = metrics.counter("deelname_facts_appended", "Facts that were appended to the log, by type.", ["fact"])
"""Counted by whoever appends: once a transaction, not once a fact."""

SCHEMA = """
CREATE TABLE {table} (
    position  INTEGER PRIMARY KEY,
    programme TEXT    NOT NULL,
    version   INTEGER NOT NULL,
    subject   TEXT    NOT NULL,
    id        TEXT    NOT NULL,
    body      BLOB    NOT NULL,
    UNIQUE (programme, version)
);
"""
"""The table that a service's first migration creates for ``SqliteLog(table)``; ``{table}`` is the table's name."""


class VersionConflict(Exception):  # noqa: N818
    """Somebody else appended to the log, or to this programme, since the caller looked; nothing was appended."""


class Entry(NamedTuple):
    """
    One fact in the log; its fields are the table's columns, in their order.

    Attributes:
        position: its number in the log: 1, 2, 3 … without gaps. The stream gives it the same number.
        programme: the id of the programme it belongs to, ``_`` where there is none.
        version: its number within the programme: 1, 2, 3 … without gaps.
        subject: the NATS subject it is published on.
        body: the CloudEvents envelope, as it is published.
        id: the CloudEvents id, published as ``Nats-Msg-Id`` too.
    """

    position: int
    programme: str
    version: int
    subject: str
    body: bytes
    id: str


class Log(Protocol):
    """What a relay reads from and a writer appends to; every method runs inside the caller's transaction."""

    def read(self, connection: sqlite3.Connection, after: int, limit: int) -> list[Entry]:
        """The first ``limit`` entries behind position ``after``, in order."""

    def append(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """
        Append entries whose positions and versions go on from those in the log.

        Raises:
            VersionConflict: they do not; the caller rolls its transaction back.
        """

    def head(self, connection: sqlite3.Connection) -> int:
        """The last position, 0 in an empty log."""

    def programme(self, connection: sqlite3.Connection, id: str) -> list[Entry]:
        """All entries of one programme, in order."""

    def version(self, connection: sqlite3.Connection, id: str) -> int:
        """The last version of a programme, 0 when it has no entries."""


class SqliteLog:
    """A ``Log`` in a table made from ``SCHEMA``."""

    def __init__(self, table: str = "log") -> None:
        if not table.isidentifier():
            raise ValueError(f"{table!r} is no name for a table")
        columns = "position, programme, version, subject, body, id"
        # Only the table's name, checked above, is put into the text.
        self._read = f"SELECT {columns} FROM {table} WHERE position > ? ORDER BY position LIMIT ?"  # noqa: S608
        self._append = f"INSERT INTO {table} ({columns}) VALUES"
        self._head = f"SELECT coalesce(max(position), 0) FROM {table}"  # noqa: S608
        self._programme = f"SELECT {columns} FROM {table} WHERE programme = ? ORDER BY version"  # noqa: S608
        self._version = f"SELECT coalesce(max(version), 0) FROM {table} WHERE programme = ?"  # noqa: S608

    def read(self, connection: sqlite3.Connection, after: int, limit: int) -> list[Entry]:
        """See ``Log.read``."""
        return [Entry(*row) for row in connection.execute(self._read, (after, limit))]

    def append(self, connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
        """See ``Log.append``."""
        position = self.head(connection)
        versions: dict[str, int] = {}
        for entry in entries:
            position += 1
            before = versions.get(entry.programme)
            if before is None:
                before = self.version(connection, entry.programme)
            if entry.position != position or entry.version != before + 1:
                raise VersionConflict(
                    f"expected position {position} and version {before + 1} of {entry.programme},"
                    f" got {entry.position} and {entry.version}"
                )
            versions[entry.programme] = entry.version
        try:
            insert_rows(connection, self._append, entries)
        except sqlite3.IntegrityError as error:
            raise VersionConflict(str(error)) from error

    def head(self, connection: sqlite3.Connection) -> int:
        """See ``Log.head``."""
        (position,) = connection.execute(self._head).fetchone()
        return int(position)

    def programme(self, connection: sqlite3.Connection, id: str) -> list[Entry]:
        """See ``Log.programme``."""
        return [Entry(*row) for row in connection.execute(self._programme, (id,))]

    def version(self, connection: sqlite3.Connection, id: str) -> int:
        """See ``Log.version``."""
        (version,) = connection.execute(self._version, (id,)).fetchone()
        return int(version)
