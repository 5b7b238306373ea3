"""``deelname backup`` and ``deelname restore``: databases out of a running system, and into an empty one."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import private
from cli.connection import Connection
from cli.desk import Desk, command
from cli.endpoints import held
from cli.failure import REFUSED, USAGE, Failure
from cli.reading import SMALL, parsed, text
from contracts.commands import CopyDatabase, CopyDiscarded, DatabaseCopy, DiscardCopy
from contracts.queries import CopyPiece, CopyQuestion
from contracts.subjects import log_stream

FORMAT = 1
MANIFEST = "manifest.json"
IN_THIS_ORDER = ("reporting", "notifications", "registration")
"""A reader before whom it reads: no copy then knows of a fact that another has not."""

_PATIENCE = 600.0
_AWAKE_WITHIN = 10.0
_Directory = Annotated[Path, typer.Argument(metavar="DIR", help="The backup.")]


def register(app: typer.Typer, panel: str) -> None:
    """Add ``backup`` and ``restore``."""
    command(app, "backup", panel=panel, examples=["deelname backup /srv/backups/2026-11-22"])(backup)
    command(
        app,
        "restore",
        panel=panel,
        examples=[
            "deelname restore /srv/backups/2026-11-22 --data /srv/deelname",
            "deelname restore /srv/backups/2026-11-22 --data /srv/registration --service registration",
        ],
    )(restore)


def backup(
    desk: Desk,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where the backup goes; empty or not there yet.")],
) -> None:
    """
    Copy the databases of the three services while they run.

    What the broker holds is not in it: the services fill its streams from their databases. DIR holds personal data.
    """
    with _prepared(directory):
        copies: dict[str, DatabaseCopy] = {}
        with desk.connect() as connection:
            for service in IN_THIS_ORDER:
                _wake(connection, service)
            for service in IN_THIS_ORDER:
                with desk.output.notes.status(f"Copying the database of {service}…"):
                    copies[service] = _fetch(connection, service, directory / f"{service}.db")
        _check_together(copies)
        manifest = _manifest(copies)
        private.write(directory / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    if desk.output.as_json:
        desk.output.json(manifest)
        return
    desk.output.table(
        f"Backup in {directory}",
        ["Service", "Size", "Facts of registration", "Facts of notifications"],
        [
            (
                service,
                f"{made.size / 1024:.0f} KiB",
                made.positions.get(log_stream("registration"), ""),
                made.positions.get(log_stream("notifications"), ""),
            )
            for service, made in sorted(copies.items())
        ],
    )
    desk.output.next(f"deelname restore {directory} --data NEW-DIR")


def restore(
    desk: Desk,
    directory: _Directory,
    *,
    data: Annotated[
        Path, typer.Option(metavar="DIR", help="The directory of all state, as 'deelname up --data' has it.")
    ],
    service: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only this service; DIR is then its own data directory, such as a volume."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Move databases aside that are there.")] = False,
    forget_newer: Annotated[
        bool,
        typer.Option(
            "--forget-newer",
            help="Go back to the backup: move the broker's store aside too, and lose what was decided since.",
        ),
    ] = False,
) -> None:
    """
    Lay a backup ready in the data directory of a system that does not run; it is taken up at the next start.

    What the broker still knows beyond the backup is read back from it when the services start: facts, people, answers
    to partners, what became of mails. A broker elsewhere that is to forget it needs an empty store.

    Nobody is mailed again. Whoever may have been mailed after the backup was made is listed as uncertain.
    """
    manifest = _read(directory)
    services = manifest["services"]
    if service is not None and service not in services:
        raise Failure(f"The backup has no '{service}'.", f"It has: {', '.join(sorted(services))}.", code=USAGE)
    homes = {service: data} if service else {name: data / name for name in services}
    _refuse_running(data)
    present = [home / f"{name}.db" for name, home in homes.items()] + [home / "restore" for home in homes.values()]
    if forget_newer and service is not None:
        raise Failure(
            "The broker's store is not in the directory of one service.",
            "Give the broker an empty store, then restore without --forget-newer.",
            code=USAGE,
        )
    store = data / "broker" / "store"
    keeps_newer = service is None and store.exists() and not forget_newer
    present += [store] if forget_newer else []
    there = [each for each in present if each.exists()]
    if there and not force:
        raise Failure(
            f"{', '.join(map(str, there))} exists already: what is there would be lost.",
            "Restore into an empty directory, or move what is there aside with --force.",
        )
    aside = datetime.now(UTC).strftime("replaced-%Y%m%dT%H%M%SZ")
    for each in there:
        _move_aside(each, aside)
    for name, home in homes.items():
        _lay_ready(directory, name, home / "restore")
    if desk.output.as_json:
        desk.output.json(
            {
                "data": str(data),
                "restored": sorted(homes),
                "replaced": [str(each) for each in there],
                "reads_back": keeps_newer,
            }
        )
        return
    desk.output.say(f"Laid ready for the next start: {', '.join(sorted(homes))}.", "bold green")
    if there:
        desk.output.say(f"What was there is in folders named {aside}.", "dim")
    if keeps_newer:
        desk.output.say("What the broker's store knows beyond the backup is read back at the next start.")
    desk.output.next(f"deelname up --data {data}", "deelname mail list --status uncertain")


def _manifest(copies: Mapping[str, DatabaseCopy]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "services": {
            service: {
                "file": f"{service}.db",
                "size": made.size,
                "sha256": made.sha256,
                "schema": made.schema_number,
                "positions": made.positions,
            }
            for service, made in sorted(copies.items())
        },
    }


@contextlib.contextmanager
def _prepared(directory: Path) -> Iterator[None]:
    """An empty directory, which is as empty again when no backup comes about: the same command can be repeated."""
    was_there = directory.is_dir()
    try:
        private.folder(directory)
        occupied = next(directory.iterdir(), None)
    except OSError as error:
        raise Failure(f"{directory} cannot be used: {error.strerror}.", "Choose another.", code=USAGE) from None
    if occupied is not None:
        raise Failure(f"{directory} is not empty.", "A backup has a directory of its own.", code=USAGE)
    private.narrow(directory)
    try:
        yield
    except BaseException:
        for file in (MANIFEST, *(f"{name}.{end}" for name in IN_THIS_ORDER for end in ("db", "part"))):
            (directory / file).unlink(missing_ok=True)
        if not was_there:
            with contextlib.suppress(OSError):
                directory.rmdir()
        raise


def _wake(connection: Connection, service: str) -> None:
    """See that a service answers at all, by what costs it nothing: a large database may take long to be copied."""
    nothing = DiscardCopy(copy_id=str(uuid.uuid4()))
    connection.do(service, "database", "discard", nothing, CopyDiscarded, patience=_AWAKE_WITHIN)


def _fetch(connection: Connection, service: str, target: Path) -> DatabaseCopy:
    """Have a service copy its database, fetch the copy, and throw it away there."""
    made = connection.do(service, "database", "copy", CopyDatabase(), DatabaseCopy, patience=_PATIENCE)
    try:
        _pieces(connection, service, made, target)
    finally:
        connection.do(service, "database", "discard", DiscardCopy(copy_id=made.copy_id), CopyDiscarded)
    return made


def _pieces(connection: Connection, service: str, made: DatabaseCopy, target: Path) -> None:
    digest, part, fetched = hashlib.sha256(), target.with_suffix(".part"), 0
    try:
        with private.new(part) as file:
            while fetched < made.size:
                question = CopyQuestion(copy_id=made.copy_id, offset=fetched)
                piece = base64.b64decode(connection.ask(service, "database", "read", question, CopyPiece).data)
                if not piece:
                    break
                file.write(piece)
                digest.update(piece)
                fetched += len(piece)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise Failure(f"{part} cannot be written: {error.strerror}.", "Make room, or choose another place.") from None
    if digest.hexdigest() != made.sha256:
        raise Failure(f"The copy of {service} did not arrive as it was made.", "Make the backup again.", code=REFUSED)
    part.rename(target)


def _check_together(copies: Mapping[str, DatabaseCopy]) -> None:
    """No copy may know of facts that the copy of whose they are has not."""
    for owner in ("registration", "notifications"):
        stream = log_stream(owner)
        for service, made in copies.items():
            if made.positions.get(stream, 0) > copies[owner].positions[stream]:
                raise Failure(
                    f"The copy of {service} is ahead of the copy of {owner}.",
                    "Was a database replaced meanwhile? Make the backup again.",
                )


def _read(directory: Path) -> dict[str, Any]:
    """The manifest, and the promise that every file is as it says."""
    file = directory / MANIFEST
    try:
        content = text(file, SMALL)
    except Failure as failure:
        raise Failure(
            f"{directory} is not a backup: {failure.what}",
            "Name a directory that 'deelname backup' has finished.",
            code=USAGE,
        ) from None
    try:
        manifest: dict[str, Any] = parsed(content)
        if manifest["format"] != FORMAT:
            raise Failure(
                f"{directory} is a backup of format {manifest['format']}; this version reads {FORMAT}.",
                "Use the version of deelname that made it.",
                code=USAGE,
            )
        # By the names that we give: a manifest from elsewhere must not have us read, or write, another file.
        services = [name for name in IN_THIS_ORDER if name in manifest["services"]]
        if len(services) != len(manifest["services"]):
            raise ValueError("a service that there is not")
        files = {directory / f"{name}.db": manifest["services"][name]["sha256"] for name in services}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Failure(
            f"{directory} is not a backup: {file} is not what 'deelname backup' writes.",
            "Name a directory that 'deelname backup' has finished.",
            code=USAGE,
        ) from None
    for each, wanted in files.items():
        try:
            if not each.is_file():
                raise Failure(f"{each} is not there.", "Use another backup.", code=USAGE)
            with each.open("rb") as opened:
                found = hashlib.file_digest(opened, "sha256").hexdigest()
        except OSError as error:
            raise Failure(f"{each} cannot be read: {error.strerror}.", "Use another backup.", code=USAGE) from None
        if found != wanted:
            raise Failure(f"{each} is not what was backed up: it has changed since.", "Use another backup.")
    return manifest


def _refuse_running(data: Path) -> None:
    lock = data / "lock"
    if held(lock) or ((data / "endpoints.json").exists() and not lock.exists()):
        raise Failure(
            f"Deelname runs on {data}.",
            f"Stop it: deelname down --endpoints {data / 'endpoints.json'}",
        )


def _move_aside(path: Path, folder: str) -> None:
    """A database with what is beside it, or a directory."""
    for beside in sorted(path.parent.glob(f"{path.name}*")):
        target = path.parent / folder / beside.name
        try:
            private.folder(target.parent)
            beside.rename(target)
            private.narrow(target)
        except OSError as error:
            raise Failure(
                f"{beside} cannot be moved into {target.parent}: {error.strerror}.",
                "Do it by hand, or empty it if it is a volume of its own; then repeat the command.",
            ) from None


def _lay_ready(directory: Path, service: str, folder: Path) -> None:
    try:
        private.folder(folder)
        for name in (f"{service}.db", MANIFEST):
            _copy(directory / name, folder / name)
    except OSError as error:
        raise Failure(f"{folder} cannot be written: {error.strerror}.", "Make room, or choose another place.") from None


def _copy(source: Path, target: Path) -> None:
    with source.open("rb") as opened, private.new(target) as file:
        shutil.copyfileobj(opened, file, 1024 * 1024)
        file.flush()
        os.fsync(file.fileno())
