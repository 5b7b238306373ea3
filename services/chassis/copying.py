"""A copy of a SQLite database that is in use: of one moment, whole, and on disk when it has its name."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from pathlib import Path

from services.chassis import private


class DamagedDatabase(RuntimeError):  # noqa: N818
    """A database, or a copy of one, is not what SQLite wrote; nothing is made of it."""


def copy(source: sqlite3.Connection, target: Path) -> None:
    """
    Copy the database of ``source`` to the new file ``target`` by SQLite's online backup, and verify the copy.

    Others may write meanwhile; the copy is of the moment at which it began. It is readable by its owner alone.

    Raises:
        DamagedDatabase: the copy, and so what it was made of, is damaged; there is no file then.
        sqlite3.Error, OSError: it could not be written, for instance because the disk is full; there is no file then.
    """
    part = target.with_name(f"{target.name}.part")
    private.folder(target.parent)
    try:
        part.unlink(missing_ok=True)
        private.database(part)
        with contextlib.closing(sqlite3.connect(part, isolation_level=None)) as made:
            # In one step: between two, a busy service would have it begin anew again and again.
            source.backup(made, pages=-1)
            # One file that stands for itself, without a write-ahead log beside it.
            made.execute("PRAGMA journal_mode = DELETE").close()
            check(made, target)
        synchronise(part)
        part.replace(target)
        synchronise(target.parent)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def check(connection: sqlite3.Connection, path: Path) -> None:
    """
    Read the whole database.

    Raises:
        DamagedDatabase: something in it is not as SQLite writes it.
    """
    try:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found != ["ok"]:
        raise DamagedDatabase(f"{path} is damaged: {'; '.join(found)}")


def synchronise(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
