"""
A service's database handed out while it is in use, and taken up again where there is none.

``do.<service>.database.copy`` makes a verified copy beside the database, ``ask.<service>.database.read`` hands it out
piece by piece, ``do.<service>.database.discard`` throws it away. Whoever fetches it needs no way to the service's disk.

The way back is a folder ``restore`` beside where the database belongs, with the copy and the backup's
``manifest.json``: the service takes it up when it starts.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from contracts import subjects
from contracts.commands import CopyDatabase, CopyDiscarded, DatabaseCopy, DiscardCopy
from contracts.problem import Problem, ProblemError, problem_type
from contracts.queries import LARGEST_PIECE, CopyPiece, CopyQuestion
from services.chassis import private
from services.chassis.commands import Call, Route
from services.chassis.copying import DamagedDatabase, check, copy, synchronise
from services.chassis.identity import new_id
from services.chassis.log import Log
from services.chassis.migrating import discard_copies

_log = structlog.get_logger("chassis.copies")

SECONDS_BETWEEN_TIDYING = 3600.0
_FETCHED_WITHIN = timedelta(days=1)

Positions = Callable[[sqlite3.Connection], Mapping[str, int]]
"""Reads from a database, by stream, up to where its service had written or read."""


class Copies:
    """
    The copies of a service's database, at most one at a time.

    Args:
        path: the database, whoever else has it open.
        positions: what is said of a copy.
    """

    def __init__(self, path: Path, positions: Positions) -> None:
        self._path = path
        self._folder = path.parent / "copies"
        self._positions = positions
        self._one_at_a_time = asyncio.Lock()

    def discard_leftovers(self) -> None:
        """Throw away what an earlier process left: nobody will ask for it."""
        shutil.rmtree(self._folder, ignore_errors=True)

    async def tidy(self) -> None:
        """Throw away what nobody came for within a day, and what the database was before updates of long ago."""
        await asyncio.to_thread(self._tidy)

    def _tidy(self) -> None:
        now = datetime.now(UTC)
        for made in self._folder.glob("*.db*"):
            with contextlib.suppress(FileNotFoundError):
                if now.timestamp() - made.stat().st_mtime > _FETCHED_WITHIN.total_seconds():
                    made.unlink()
        if discarded := discard_copies(self._path, now):
            _log.info("copies from before an update were thrown away", copies=discarded)

    async def make(self, call: Call) -> DatabaseCopy:
        """``do.<service>.database.copy``."""
        call.parse(CopyDatabase)
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._make)

    def _make(self) -> DatabaseCopy:
        self.discard_leftovers()
        id_ = new_id()
        target = self._file(id_)
        try:
            with _reading(self._path) as connection:
                copy(connection, target)
            with _reading(target) as connection:
                positions = dict(self._positions(connection))
                (schema,) = connection.execute("PRAGMA user_version").fetchone()
        except (sqlite3.Error, OSError, DamagedDatabase) as error:
            _log.error("the database could not be copied", reason=str(error))  # the reason says it all
            raise ProblemError(
                Problem(
                    type=problem_type("not-copied"),
                    title="The database could not be copied",
                    status=503,
                    detail=f"{type(error).__name__}: {error}",
                )
            ) from error
        return DatabaseCopy(
            copy_id=id_, size=target.stat().st_size, sha256=sha256(target), schema_number=schema, positions=positions
        )

    async def read(self, call: Call) -> CopyPiece:
        """``ask.<service>.database.read``."""
        asked = call.parse(CopyQuestion)

        def piece() -> bytes:
            with self._file(asked.copy_id).open("rb") as file:
                file.seek(asked.offset)
                return file.read(LARGEST_PIECE)

        try:
            return CopyPiece(data=base64.b64encode(await asyncio.to_thread(piece)).decode())
        except FileNotFoundError:
            raise ProblemError(
                Problem(
                    type=problem_type("not-found"),
                    title="There is no such copy",
                    status=404,
                    detail="Another was made since, or the service was started again. Make a new one.",
                )
            ) from None

    async def discard(self, call: Call) -> CopyDiscarded:
        """``do.<service>.database.discard``."""
        file = self._file(call.parse(DiscardCopy).copy_id)
        try:
            await asyncio.to_thread(file.unlink)
        except FileNotFoundError:
            return CopyDiscarded(discarded=False)
        return CopyDiscarded(discarded=True)

    def _file(self, id_: str) -> Path:
        # An id has no slash in it and does not begin with a dot: it is a name in this folder.
        return self._folder / f"{id_}.db"


def routes(service: str, copies: Copies) -> tuple[Route, ...]:
    """The lines of a service's wiring table that are about copies."""
    return (
        Route(
            subject=subjects.command(service, "database", "copy"),
            request=CopyDatabase,
            reply=DatabaseCopy,
            handler=copies.make,
            description="Make a verified copy of the database, to be fetched for a backup.",
        ),
        Route(
            subject=subjects.query(service, "database", "read"),
            request=CopyQuestion,
            reply=CopyPiece,
            handler=copies.read,
            description="A piece of a copy of the database.",
        ),
        Route(
            subject=subjects.command(service, "database", "discard"),
            request=DiscardCopy,
            reply=CopyDiscarded,
            handler=copies.discard,
            description="Throw a copy of the database away.",
        ),
    )


def positions_of(logs: Mapping[str, Log]) -> Positions:
    """What to say of a copy: how long the service's own logs are, by stream, and how far it has read others."""

    def positions(connection: sqlite3.Connection) -> Mapping[str, int]:
        read: dict[str, int] = dict(connection.execute("SELECT stream, position FROM positions"))
        return read | {stream: log.head(connection) for stream, log in logs.items()}

    return positions


def sha256(path: Path) -> str:
    """The digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=30)) as connection:
        yield connection


class RestoreRefused(RuntimeError):  # noqa: N818
    """What lies in the folder ``restore`` cannot be taken up; the message says why. Nothing has changed."""


@dataclass(frozen=True, slots=True)
class Restored:
    """
    A database that has just been taken up from a backup.

    ``positions`` are, by service and stream, those of all copies of the backup: what each knew when it was copied.
    ``finish`` is called when the service has drawn its conclusions; until then they are drawn again at each start.
    """

    positions: Mapping[str, Mapping[str, int]]
    folder: Path

    def finish(self) -> None:
        """The database is the service's own from now on."""
        shutil.rmtree(self.folder)


def take_up(path: Path, service: str) -> Restored | None:
    """
    Make what lies in the folder ``restore`` beside ``path`` the database there, if anything does.

    Raises:
        RestoreRefused: there is a database already, or the copy is not the one that the manifest describes.
    """
    folder = path.parent / "restore"
    manifest, found = folder / "manifest.json", folder / f"{service}.db"
    if not folder.exists():
        return None
    try:
        services = json.loads(manifest.read_text(encoding="utf-8"))["services"]
        positions = {name: dict(each["positions"]) for name, each in services.items()}
        digest = services[service]["sha256"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RestoreRefused(f"{manifest} is not the manifest of a backup of {service}: {error!r}") from error
    if found.exists():
        if path.exists():
            raise RestoreRefused(f"{path} exists already: move it away, or remove {folder}")
        if sha256(found) != digest:
            raise RestoreRefused(f"{found} is not the copy that {manifest} describes: fetch it from the backup again")
        with _reading(found) as connection:
            check(connection, found)
        for of_another in (f"{path.name}-wal", f"{path.name}-shm"):
            # SQLite would apply the write-ahead log of a database that was moved away.
            path.with_name(of_another).unlink(missing_ok=True)
        private.narrow(found)
        found.replace(path)
        synchronise(path.parent)
    elif not path.exists():
        raise RestoreRefused(f"{folder} lacks {service}.db: copy it there from the backup, or remove the folder")
    _log.info("the database was taken up from a backup", positions=positions.get(service))
    return Restored(positions, folder)
