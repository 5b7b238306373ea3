"""Every SQL statement of reporting. All of it runs on the database's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final

from contracts.subjects import log_stream
from services.chassis.entities import EntityTable
from services.chassis.reader import load_position, save_position
from services.chassis.state import State
from services.reporting import domain
from services.reporting.domain import CODECS

MIGRATIONS: Final = Path(__file__).with_name("migrations")
STREAMS: Final = (log_stream("registration"), log_stream("notifications"))
"""The streams that reporting reads."""

CODE: Final = sha256(
    b"".join(file.read_bytes() for file in sorted(Path(domain.__file__).parent.glob("*.py")))
).hexdigest()
"""
The very code that counts. What another counted may differ: it may have passed over facts that this one has a word for.

The whole text rather than a number that somebody has to raise: to count once too often costs seconds.
"""

_ENTITIES = EntityTable("entities", CODECS)


def load(connection: sqlite3.Connection) -> tuple[State, dict[str, int]]:
    """What has been counted, and up to which position of each stream."""
    return _ENTITIES.load(connection), {stream: load_position(connection, stream) for stream in STREAMS}


def counted_by(connection: sqlite3.Connection) -> str:
    """The code that counted what stands here; "" where nothing says so."""
    row = connection.execute("SELECT code FROM folded_by").fetchone()
    return str(row[0]) if row else ""


def say_counted_by(connection: sqlite3.Connection, code: str) -> None:
    """Note the code that counted everything that stands here."""
    connection.execute("INSERT OR REPLACE INTO folded_by (one, code) VALUES (1, ?)", (code,))


def save(connection: sqlite3.Connection, state: State, positions: Mapping[str, int]) -> None:
    """Write what was touched in ``state`` and how far it has been counted, inside the caller's transaction."""
    _ENTITIES.save(connection, state)
    for stream, position in positions.items():
        save_position(connection, stream, position)


def fill(connection: sqlite3.Connection, state: State, positions: Mapping[str, int]) -> None:
    """
    Write a whole state into a new database that nobody relies on yet.

    Nothing is safe before the file is closed and synchronised: a crash in between leaves a file to throw away.
    """
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN EXCLUSIVE")
    save(connection, state, positions)
    say_counted_by(connection, CODE)
    connection.execute("COMMIT")
