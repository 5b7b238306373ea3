"""A database's migrations: numbered scripts, each of which runs once, in a transaction."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from services.chassis.copying import copy
from services.chassis.transactions import in_transaction

_log = structlog.get_logger("chassis.database")

COPIES_KEPT_FOR = timedelta(days=30)
"""How long a copy from before a migration stays: it knows people who were erased since."""

_COPIES_KEPT = 3
_MADE = "%Y%m%dT%H%M%S.%fZ"
_COPY = re.compile(r".+-v\d+-\d{8}T\d{6}\.\d{6}Z\.db", re.ASCII)
_MIGRATION = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


class DatabaseTooNew(RuntimeError):  # noqa: N818
    """The database was written by a newer version of the code than the one that opens it."""


class BrokenMigrations(RuntimeError):  # noqa: N818
    """The migrations are not numbered 0001, 0002, 0003 … or one of them failed; the database is as it was."""


def scripts_in(directory: Path) -> list[tuple[str, str]]:
    """
    The names and texts of a directory's migrations, in order.

    Raises:
        BrokenMigrations: a number is missing or doubled.
    """
    names = sorted(path.name for path in directory.glob("*.sql"))
    for expected, name in enumerate(names, 1):
        match = _MIGRATION.fullmatch(name)
        if match is None or int(match[1]) != expected:
            raise BrokenMigrations(f"{directory} should go on with a file {expected:04}_what_it_does.sql, not {name}")
    return [(name, (directory / name).read_text(encoding="utf-8")) for name in names]


def migrate(connection: sqlite3.Connection, path: Path, scripts: list[tuple[str, str]]) -> None:
    """
    Bring the database at ``path`` up to the newest script; what has something in it is copied before.

    Raises:
        DatabaseTooNew: it holds migrations that are not among the scripts.
        BrokenMigrations: one failed; the database is as it was.
        services.chassis.copying.DamagedDatabase: the copy could not be verified.
    """
    before = _version(connection, path, scripts)
    if 0 < before < len(scripts):
        _copy_before_migration(connection, path, before)
    for number, (name, script) in enumerate(scripts, 1):

        def take_one(raw: sqlite3.Connection, number: int = number, script: str = script) -> None:
            # Asked again inside the transaction: another process may be opening the same file.
            if _version(raw, path, scripts) >= number:
                return
            for statement in _statements(script):
                raw.execute(statement)
            raw.execute(f"PRAGMA user_version = {number:d}")

        try:
            in_transaction(connection, take_one)
        except sqlite3.Error as error:
            raise BrokenMigrations(f"{name} failed on {path}: {error}") from error


def _copy_before_migration(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """A way back: code of this schema can go on from it, without what came later."""
    target = _folder(path) / f"{path.stem}-v{version}-{datetime.now(UTC).strftime(_MADE)}.db"
    copy(connection, target)
    _log.info("database copied before it is migrated", copy=str(target), schema=version)
    for old in _copies(path)[:-_COPIES_KEPT]:
        old.unlink(missing_ok=True)


def discard_copies(path: Path, now: datetime) -> int:
    """
    Throw away the copies of the database at ``path`` that were made :data:`COPIES_KEPT_FOR` ago; how many they were.

    Their names say when they were made: a file that somebody copied elsewhere and back is no younger for it.
    """
    until = (now - COPIES_KEPT_FOR).strftime(_MADE)
    old = [copied for copied in _copies(path) if _made(copied) <= until]
    for copied in old:
        copied.unlink(missing_ok=True)
    return len(old)


def _copies(path: Path) -> list[Path]:
    """In the order of their making, whatever their schema; what has a name of somebody else's making is no copy."""
    found = (each for each in _folder(path).glob(f"{path.stem}-v*.db") if _COPY.fullmatch(each.name))
    return sorted(found, key=_made)


def _made(copied: Path) -> str:
    """A moment as names have it: earlier ones sort first."""
    return copied.stem.rpartition("-")[2]


def _folder(path: Path) -> Path:
    return path.parent / "backups"


def _version(connection: sqlite3.Connection, path: Path, scripts: list[tuple[str, str]]) -> int:
    version: int
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(scripts):
        raise DatabaseTooNew(
            f"{path} has schema {version}, this code knows {len(scripts)}: start the newer version of the service"
        )
    return version


def _statements(script: str) -> Iterator[str]:
    """One by one, because ``executescript`` commits before it begins."""
    *pieces, rest = script.split(";")
    statement = ""
    for piece in pieces:
        statement += piece + ";"
        # False inside a text, a comment or a trigger's body.
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    yield statement + rest
