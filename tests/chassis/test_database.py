from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from services.chassis.database import Database
from services.chassis.migrating import BrokenMigrations, DatabaseTooNew, discard_copies


def _tables(raw: sqlite3.Connection) -> set[str]:
    return {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _write(directory: Path, **scripts: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, script in scripts.items():
        (directory / f"{name.removeprefix('m')}.sql").write_text(script)
    return directory


async def _open_and_close(path: Path, migrations: Path) -> None:
    database = await Database.open(path, migrations)
    await database.close()


async def test_what_a_failed_transaction_did_is_undone(database: Database) -> None:
    def fail_half_way(raw: sqlite3.Connection) -> None:
        raw.execute("INSERT INTO effects (position) VALUES (1)")
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        await database.transact(fail_half_way)
    assert await database.run(lambda raw: raw.execute("SELECT count(*) FROM effects").fetchone()) == (0,)
    await database.transact(lambda raw: raw.execute("INSERT INTO effects (position) VALUES (2)"))
    assert await database.run(lambda raw: raw.execute("SELECT position FROM effects").fetchall()) == [(2,)]


async def test_what_was_committed_is_there_after_opening_again(database_path: Path, migrations: Path) -> None:
    database = await Database.open(database_path, migrations)
    await database.transact(lambda raw: raw.execute("INSERT INTO effects (position) VALUES (7)"))
    await database.close()
    database = await Database.open(database_path, migrations)
    assert await database.run(lambda raw: raw.execute("SELECT position FROM effects").fetchall()) == [(7,)]
    await database.close()


async def test_commits_are_durable_by_setting(database: Database) -> None:
    assert await database.run(lambda raw: raw.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
    assert await database.run(lambda raw: raw.execute("PRAGMA synchronous").fetchone()) == (2,)


async def test_each_migration_runs_once_and_a_new_one_finds_the_old_data(tmp_path: Path) -> None:
    migrations = _write(tmp_path / "m", m0001_one="CREATE TABLE one (a); INSERT INTO one VALUES (1);")
    await _open_and_close(tmp_path / "db", migrations)
    await _open_and_close(tmp_path / "db", migrations)
    _write(migrations, m0002_two="CREATE TABLE two AS SELECT a + 1 AS a FROM one;")
    database = await Database.open(tmp_path / "db", migrations)
    assert await database.run(lambda raw: raw.execute("SELECT a FROM two").fetchall()) == [(2,)]
    await database.close()


async def test_a_migration_that_fails_leaves_nothing_of_itself_behind(tmp_path: Path) -> None:
    migrations = _write(
        tmp_path / "m",
        m0001_one="CREATE TABLE one (a);",
        m0002_two="CREATE TABLE two (a);\nINSERT INTO nowhere VALUES (1);\n",
    )
    with pytest.raises(BrokenMigrations, match="0002_two"):
        await Database.open(tmp_path / "db", migrations)
    (migrations / "0002_two.sql").unlink()
    database = await Database.open(tmp_path / "db", migrations)
    assert await database.run(_tables) == {"one"}
    await database.close()


async def test_a_migration_may_hold_triggers_and_comments(tmp_path: Path) -> None:
    script = """
        -- keeps the sum; it is asked for often
        CREATE TABLE one (a);
        CREATE TABLE total (a);
        CREATE TRIGGER add_up AFTER INSERT ON one BEGIN
            DELETE FROM total;
            INSERT INTO total SELECT sum(a) FROM one;
        END;
        INSERT INTO one VALUES (1), (2);
        -- the end
    """
    database = await Database.open(tmp_path / "db", _write(tmp_path / "m", m0001_one=script))
    assert await database.run(lambda raw: raw.execute("SELECT a FROM total").fetchall()) == [(3,)]
    await database.close()


async def test_a_database_of_newer_code_is_refused_untouched(tmp_path: Path) -> None:
    newer = _write(tmp_path / "new", m0001_one="CREATE TABLE one (a);", m0002_two="CREATE TABLE two (a);")
    older = _write(tmp_path / "old", m0001_one="CREATE TABLE one (a);")
    await _open_and_close(tmp_path / "db", newer)
    with pytest.raises(DatabaseTooNew, match="schema 2, this code knows 1"):
        await Database.open(tmp_path / "db", older)
    await _open_and_close(tmp_path / "db", newer)


@pytest.mark.parametrize("name", ["m0003_three", "m0002-two", "m0001_again"])
async def test_migrations_that_are_not_numbered_one_by_one_are_refused(tmp_path: Path, name: str) -> None:
    migrations = _write(tmp_path / "m", **{"m0001_one": "CREATE TABLE one (a);", name: "CREATE TABLE two (a);"})
    with pytest.raises(BrokenMigrations):
        await Database.open(tmp_path / "db", migrations)


async def test_two_processes_that_open_at_once_migrate_once(tmp_path: Path) -> None:
    migrations = _write(tmp_path / "m", m0001_one="CREATE TABLE one (a); INSERT INTO one VALUES (1);")
    first, second = await asyncio.gather(*(Database.open(tmp_path / "db", migrations) for _ in range(2)))
    assert await second.run(lambda raw: raw.execute("SELECT count(*) FROM one").fetchone()) == (1,)
    await first.close()
    await second.close()


async def test_a_database_that_cannot_be_written_says_so(database: Database) -> None:
    await database.check_writable()
    await database.run(lambda raw: raw.execute("PRAGMA query_only = ON"))
    with pytest.raises(sqlite3.OperationalError):
        await database.check_writable()


async def test_what_was_deleted_is_forgotten_as_soon_as_nobody_reads(database: Database) -> None:
    """An operator's shell that reads the file must not make an erasure incomplete for ever."""
    await database.run(lambda raw: raw.execute("CREATE TABLE people (name TEXT)"))
    await database.run(lambda raw: raw.execute("INSERT INTO people VALUES ('Wilhelmina Zonnebloemstra')"))
    await database.run(lambda raw: raw.execute("PRAGMA busy_timeout = 50"))

    def traces() -> bool:
        files = [path for path in database.path.parent.iterdir() if path.name.startswith(database.path.name)]
        return any(b"Zonnebloemstra" in path.read_bytes() for path in files)

    assert traces()
    with contextlib.closing(sqlite3.connect(database.path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM people").fetchall()
        await database.run(lambda raw: raw.execute("DELETE FROM people"))
        database.forget_soon()
        await database.forget()
        assert traces()
    await database.forget()
    assert not traces()


async def test_what_is_deleted_while_the_log_is_being_emptied_is_forgotten_the_next_time(
    database: Database,
) -> None:
    """Whoever says so while a checkpoint is under way says it of what that may have missed."""
    log = database.path.with_name(database.path.name + "-wal")
    database.forget_soon()
    emptying = asyncio.create_task(database.forget())
    await asyncio.sleep(0)
    database.forget_soon()
    await emptying
    await database.run(lambda raw: raw.execute("CREATE TABLE later (a)"))
    assert log.stat().st_size
    await database.forget()
    assert not log.stat().st_size


async def test_a_database_is_copied_before_it_is_migrated_and_the_copy_is_a_way_back(tmp_path: Path) -> None:
    older = _write(tmp_path / "old", m0001_one="CREATE TABLE one (a); INSERT INTO one VALUES (1);")
    newer = _write(tmp_path / "new", m0001_one="CREATE TABLE one (a);", m0002_two="DROP TABLE one;")
    path = tmp_path / "home" / "db.db"
    await _open_and_close(path, older)
    await _open_and_close(path, older)
    assert not (path.parent / "backups").exists()
    await _open_and_close(path, newer)
    await _open_and_close(path, newer)
    (copied,) = (path.parent / "backups").iterdir()
    assert copied.name.startswith("db-v1-")
    assert copied.stat().st_mode & 0o777 == 0o600
    database = await Database.open(copied, older)
    assert await database.run(lambda raw: raw.execute("SELECT a FROM one").fetchall()) == [(1,)]
    await database.close()


async def test_a_copy_is_made_of_what_a_killed_service_left_in_its_write_ahead_log(tmp_path: Path) -> None:
    older = _write(tmp_path / "old", m0001_one="CREATE TABLE one (a);")
    newer = _write(tmp_path / "new", m0001_one="CREATE TABLE one (a);", m0002_two="CREATE TABLE two (a);")
    database = await Database.open(tmp_path / "first.db", older)
    await database.transact(lambda raw: raw.execute("INSERT INTO one VALUES (7)").close())
    for name in ("first.db", "first.db-wal"):
        (tmp_path / name.replace("first", "killed")).write_bytes((tmp_path / name).read_bytes())
    await database.close()
    await _open_and_close(tmp_path / "killed.db", newer)
    (copied,) = (tmp_path / "backups").iterdir()
    with contextlib.closing(sqlite3.connect(copied)) as connection:
        assert connection.execute("SELECT a FROM one").fetchall() == [(7,)]


async def test_the_newest_three_copies_stay(tmp_path: Path) -> None:
    migrations = _write(tmp_path / "m", m0001_one="CREATE TABLE t1 (a);")
    await _open_and_close(tmp_path / "db.db", migrations)
    for number in range(2, 13):
        _write(migrations, **{f"m{number:04}_more": f"CREATE TABLE t{number} (a);"})
        await _open_and_close(tmp_path / "db.db", migrations)
    names = sorted(path.name.split("-")[1] for path in (tmp_path / "backups").iterdir())
    assert names == ["v10", "v11", "v9"]


async def test_a_copy_from_before_a_migration_stays_for_thirty_days(tmp_path: Path) -> None:
    """It knows people who were erased since, and nobody else would throw it away."""
    migrations = _write(tmp_path / "m", m0001_one="CREATE TABLE one (a);")
    await _open_and_close(tmp_path / "db.db", migrations)
    _write(migrations, m0002_two="CREATE TABLE two (a);")
    await _open_and_close(tmp_path / "db.db", migrations)
    (copied,) = (tmp_path / "backups").iterdir()
    (tmp_path / "backups" / "db-vertaald-2019.db").write_text("somebody else's")
    made = datetime.strptime(copied.stem.rpartition("-")[2], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    assert discard_copies(tmp_path / "db.db", made + timedelta(days=29, hours=23)) == 0
    assert discard_copies(tmp_path / "db.db", made + timedelta(days=30)) == 1
    assert [path.name for path in (tmp_path / "backups").iterdir()] == ["db-vertaald-2019.db"]


async def test_without_a_copy_nothing_is_migrated(tmp_path: Path) -> None:
    older = _write(tmp_path / "old", m0001_one="CREATE TABLE one (a);")
    newer = _write(tmp_path / "new", m0001_one="CREATE TABLE one (a);", m0002_two="CREATE TABLE two (a);")
    await _open_and_close(tmp_path / "db.db", older)
    (tmp_path / "backups").write_text("no folder, as no room")
    with pytest.raises(OSError, match="exists"):
        await Database.open(tmp_path / "db.db", newer)
    await _open_and_close(tmp_path / "db.db", older)
