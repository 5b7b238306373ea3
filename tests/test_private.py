"""What is made is its owner's alone, whatever the umask: the tool's and deployment's module, and the services' one."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest

from cli import private as of_the_tool
from services.chassis import private as of_services
from services.chassis.copying import copy
from services.chassis.database import Database
from services.notifications.transport.maildir import Maildir

both = pytest.mark.parametrize("private", [of_the_tool, of_services], ids=["tool", "services"])


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o177], ids="{:03o}".format, autouse=True)
def umask(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[int]:
    """Also one under which nobody could list a folder of their own that was made without a word about its mode."""
    assert tmp_path.is_dir()
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def wide(path: Path) -> Path:
    """A folder as an earlier release left it, with a link out of it and what an operator copied into it."""
    for folder in (path, path / "backups"):
        folder.mkdir()
        folder.chmod(0o777)
    for name in ("registration.db", "backups/registration-v1.db", "ca.pem"):
        (path / name).write_bytes(b"x")
        (path / name).chmod(0o664)
    outside = path.with_name("outside")
    outside.write_bytes(b"x")
    outside.chmod(0o644)
    (path / "link").symlink_to(outside)
    return path


@both
def test_folders_are_made_with_those_above_and_one_that_is_there_stays(private: ModuleType, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    there.chmod(0o755)
    private.folder(there / "a" / "b")
    private.folder(there / "a" / "b")
    assert [mode(there / name) for name in ("", "a", "a/b")] == [0o755, 0o700, 0o700]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        private.folder(tmp_path / "file")


def test_a_service_narrows_what_is_there_and_makes_nothing_wide(tmp_path: Path) -> None:
    data = wide(tmp_path / "data")
    of_services.begin(data)
    assert {mode(each) for each in data.rglob("*") if not each.is_symlink()} == {0o600, 0o700}
    assert mode(data) == 0o700
    assert mode(tmp_path / "outside") == 0o644, "where a link leads is not ours"
    (data / "new").write_text("by some library")
    assert mode(data / "new") == 0o600


def test_the_tool_narrows_all_but_what_everybody_may_read(tmp_path: Path) -> None:
    data = wide(tmp_path / "data")
    of_the_tool.narrow_all(data, tmp_path / "missing", leave={"ca.pem"})
    assert mode(data / "ca.pem") == 0o664
    assert {mode(each) for each in data.rglob("*.db")} == {0o600}
    assert (mode(data), mode(data / "backups"), mode(tmp_path / "outside")) == (0o700, 0o700, 0o644)


@both
def test_a_folder_that_is_everybodys_by_intention_is_left_alone(private: ModuleType, tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    private.narrow(tmp_path)
    assert mode(tmp_path) == 0o1777


async def test_a_database_and_what_sqlite_makes_beside_it_are_its_owners_alone(tmp_path: Path) -> None:
    of_services.folder(tmp_path / "migrations")
    of_the_tool.write(tmp_path / "migrations" / "0001_table.sql", "CREATE TABLE u (x);")
    for name in ("new", "old"):
        path = tmp_path / name / "registration.db"
        if name == "old":
            path.parent.mkdir()
            path.parent.chmod(0o700)
            for end in ("", "-wal", "-shm"):
                (each := path.with_name(f"{path.name}{end}")).touch()
                each.chmod(0o666)
        database = await Database.open(path, tmp_path / "migrations")
        await database.run(lambda connection: connection.execute("CREATE TABLE t (x)").close())
        found = {each.name: mode(each) for each in path.parent.iterdir()}
        assert found == dict.fromkeys(("registration.db", "registration.db-wal", "registration.db-shm"), 0o600)
        await database.close()
        with closing(sqlite3.connect(path)) as source:
            copy(source, path.parent / "backups" / "copy.db")
        assert (mode(path.parent / "backups"), mode(path.parent / "backups" / "copy.db")) == (0o700, 0o600)


async def test_mails_are_their_owners_alone_also_in_a_maildir_of_before(tmp_path: Path) -> None:
    for folder in (tmp_path / "mail", tmp_path / "mail" / "new"):
        folder.mkdir()
        folder.chmod(0o777)
    maildir = Maildir(tmp_path / "mail")
    await maildir.open()
    await maildir.deliver("a@x.example", "b@y.example", b"Message-ID: <1@x>\r\n\r\nHallo", "<1@x>")
    await maildir.close()
    found = {mode(each) for each in (tmp_path / "mail", *(tmp_path / "mail").rglob("*"))}
    assert found == {0o600, 0o700}
    assert len([each for each in (tmp_path / "mail").rglob("*") if each.is_file()]) == 1


def test_a_file_is_replaced_as_a_whole_and_narrower_than_it_was(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(0o666)
    of_the_tool.write(file, "nieuw, ÿ")
    assert (file.read_text(encoding="utf-8"), mode(file)) == ("nieuw, ÿ", 0o600)
    of_the_tool.write(file, b"for all", mode=0o644)
    assert (file.read_bytes(), mode(file)) == (b"for all", 0o644)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_what_stands_ready_where_a_file_is_written_is_neither_followed_nor_kept(tmp_path: Path) -> None:
    target = tmp_path / "of-somebody"
    target.write_text("theirs")
    (tmp_path / f".file.{os.getpid()}").symlink_to(target)
    of_the_tool.write(tmp_path / "file", "ours")
    assert (target.read_text(), (tmp_path / "file").read_text()) == ("theirs", "ours")
    with pytest.raises(FileExistsError):
        of_the_tool.new(tmp_path / "file")


def test_an_export_goes_where_it_is_asked_for_also_into_a_pipe(tmp_path: Path) -> None:
    file = tmp_path / "export.json"
    file.write_text("what was there before is longer")
    file.chmod(0o644)
    of_the_tool.export(file, b"personal")
    assert (file.read_bytes(), mode(file)) == (b"personal", 0o600)
    reads, writes = os.pipe()
    of_the_tool.export(Path(f"/dev/fd/{writes}"), b"personal")
    os.close(writes)
    with os.fdopen(reads, "rb") as pipe:
        assert pipe.read() == b"personal"


def test_a_log_is_appended_to_and_closed_to_others(tmp_path: Path) -> None:
    log = tmp_path / "service.log"
    log.write_text("one ")
    log.chmod(0o644)
    with of_the_tool.appended(log) as file:
        assert file.tell() == 4, "where it goes on is known before anything is written"
        file.write(b"two")
    assert (log.read_text(), mode(log)) == ("one two", 0o600)
