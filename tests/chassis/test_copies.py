"""Copies of a database that is in use, and the way back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.chassis.copies import Copies, Restored, RestoreRefused, sha256, take_up
from services.chassis.copying import DamagedDatabase, check, copy
from services.chassis.database import Database


@pytest.fixture
async def busy(database: Database) -> AsyncIterator[Database]:
    """A database into which rows are written all the time, each pair in one transaction."""
    stop = asyncio.Event()

    def write(raw: sqlite3.Connection) -> None:
        (last,) = raw.execute("SELECT coalesce(max(position), 0) FROM effects").fetchone()
        raw.execute("INSERT INTO effects (position) VALUES (?), (?)", (last + 1, last + 2))

    async def go_on() -> None:
        while not stop.is_set():
            await database.transact(write)

    writing = asyncio.create_task(go_on())
    yield database
    stop.set()
    await writing


def rows(path: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT position FROM effects ORDER BY 1")]


def copied(source: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(source)) as connection:
        copy(connection, target)


async def test_a_copy_of_a_busy_database_is_of_one_moment(busy: Database, tmp_path: Path) -> None:
    for number in range(5):
        (last,) = await busy.run(lambda raw: raw.execute("SELECT count(*) FROM effects").fetchone())
        target = tmp_path / f"{number}.db"
        await asyncio.to_thread(copied, busy.path, target)
        found = rows(target)
        assert found == list(range(1, len(found) + 1))
        assert len(found) % 2 == 0
        assert len(found) >= last
        assert target.stat().st_mode & 0o777 == 0o600
    assert len(found) > 0
    assert sorted(path.name for path in target.parent.glob("?.db*")) == [f"{number}.db" for number in range(5)]


def test_a_copy_of_a_damaged_database_does_not_come_about(tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    with contextlib.closing(sqlite3.connect(source)) as connection:
        connection.execute("CREATE TABLE effects (position INTEGER)")
        connection.execute("CREATE INDEX by_position ON effects (position)")
        connection.executemany("INSERT INTO effects VALUES (?)", ((number,) for number in range(5000)))
        connection.commit()
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'by_position'").fetchone()
    content = bytearray(source.read_bytes())
    content[page * 4096 - 60 : page * 4096] = b"\x5a" * 60
    source.write_bytes(content)
    with pytest.raises(DamagedDatabase):
        copied(source, tmp_path / "copy.db")
    assert [path.name for path in tmp_path.iterdir()] == ["source.db"]


class Backup:
    """A folder ``restore`` beside where a database belongs."""

    def __init__(self, home: Path) -> None:
        self.database = home / "service.db"
        self.folder = home / "restore"
        self.folder.mkdir(parents=True)
        with contextlib.closing(sqlite3.connect(self.folder / "service.db")) as connection:
            connection.execute("CREATE TABLE effects (position INTEGER)")
            connection.execute("INSERT INTO effects VALUES (7)")
            connection.commit()
        services = {"service": {"sha256": sha256(self.folder / "service.db"), "positions": {"LOG_X": 7}}}
        (self.folder / "manifest.json").write_text(json.dumps({"services": services}))


@pytest.fixture
def laid_ready(tmp_path: Path) -> Backup:
    return Backup(tmp_path / "home")


def taken_up(backup: Backup) -> Restored:
    restored = take_up(backup.database, "service")
    assert restored is not None
    return restored


def test_what_was_laid_ready_becomes_the_database_and_the_folder_goes_when_all_is_done(laid_ready: Backup) -> None:
    restored = taken_up(laid_ready)
    assert rows(laid_ready.database) == [7]
    assert restored.positions == {"service": {"LOG_X": 7}}
    # A crash in between: the conclusions are drawn again, whatever has come into the database.
    restored = taken_up(laid_ready)
    restored.finish()
    assert take_up(laid_ready.database, "service") is None
    assert rows(laid_ready.database) == [7]


def test_a_write_ahead_log_of_the_database_before_does_not_get_into_the_restored_one(laid_ready: Backup) -> None:
    with contextlib.closing(sqlite3.connect(laid_ready.database)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE effects (position INTEGER)")
        connection.execute("INSERT INTO effects VALUES (1)")
        connection.commit()
        left = laid_ready.database.with_name("service.db-wal").read_bytes()
    laid_ready.database.unlink()
    laid_ready.database.with_name("service.db-wal").write_bytes(left)
    taken_up(laid_ready)
    assert rows(laid_ready.database) == [7]


def test_a_database_is_never_replaced(laid_ready: Backup) -> None:
    laid_ready.database.write_bytes(b"something")
    with pytest.raises(RestoreRefused, match="exists already"):
        take_up(laid_ready.database, "service")
    assert laid_ready.database.read_bytes() == b"something"


def test_what_is_not_the_copy_of_the_manifest_is_refused(laid_ready: Backup) -> None:
    with (laid_ready.folder / "service.db").open("ab") as file:
        file.write(b"more")
    with pytest.raises(RestoreRefused, match="not the copy"):
        take_up(laid_ready.database, "service")
    (laid_ready.folder / "service.db").unlink()
    with pytest.raises(RestoreRefused, match="lacks"):
        take_up(laid_ready.database, "service")
    (laid_ready.folder / "manifest.json").write_text("{}")
    with pytest.raises(RestoreRefused, match="not the manifest"):
        take_up(laid_ready.database, "service")
    assert not laid_ready.database.exists()


def test_a_sound_database_is_sound(laid_ready: Backup) -> None:
    taken_up(laid_ready)
    with contextlib.closing(sqlite3.connect(laid_ready.database)) as connection:
        check(connection, laid_ready.database)


async def test_a_copy_that_nobody_came_for_goes_after_a_day(tmp_path: Path) -> None:
    copies = Copies(tmp_path / "service.db", lambda _: {})
    fresh, left = tmp_path / "copies" / "b.db", tmp_path / "copies" / "a.db"
    fresh.parent.mkdir()
    for file in (fresh, left):
        file.write_bytes(b"people")
    a_day_ago = left.stat().st_mtime - 86_500
    os.utime(left, (a_day_ago, a_day_ago))
    await copies.tidy()
    assert [file.name for file in fresh.parent.iterdir()] == [fresh.name]
