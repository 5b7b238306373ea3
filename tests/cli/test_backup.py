"""``backup`` and ``restore`` say what is in the way, and leave behind what they found."""

from __future__ import annotations

import fcntl
import hashlib
import json
from pathlib import Path

import pytest

from cli.failure import Failure
from tests.cli.conftest import Deelname
from tests.tool import invoke


@pytest.mark.parametrize("made_before", [True, False])
def test_a_backup_that_does_not_come_about_leaves_nothing_in_the_way_of_the_next(
    deelname: Deelname, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_before: bool
) -> None:
    target = tmp_path / "backup"
    if made_before:
        target.mkdir()

    def apart(_copies: object) -> None:
        assert {path.name for path in target.iterdir()} == {"registration.db", "notifications.db", "reporting.db"}
        raise Failure("They do not belong together.")

    with monkeypatch.context() as patched:
        patched.setattr("cli.backup._check_together", apart)
        assert deelname("backup", target).code == 1
    assert target.exists() == made_before
    assert not list(tmp_path.rglob("*.db"))
    assert deelname("backup", target).code == 0


def test_a_service_that_is_silent_is_named_before_a_database_is_copied(
    deelname: Deelname, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database may take minutes to be copied: that a service answers at all is seen within seconds."""
    monkeypatch.setattr("cli.backup._AWAKE_WITHIN", 0.0)
    told = deelname("backup", tmp_path / "backup")
    assert told.code == 3
    assert "No answer to do.reporting.database.discard within 0 seconds" in told.said
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        (None, "manifest.json cannot be read: No such file or directory."),
        ("{}", "manifest.json is not what 'deelname backup' writes."),
        ("not JSON", "manifest.json is not what 'deelname backup' writes."),
    ],
)
def test_what_is_no_backup_is_told_in_words(tmp_path: Path, manifest: str | None, said: str) -> None:
    if manifest is not None:
        (tmp_path / "manifest.json").write_text(manifest)
    told = invoke("restore", tmp_path, "--data", tmp_path / "data")
    assert told.code == 2
    assert f"is not a backup: {tmp_path}/{said}" in told.said


def test_what_cannot_be_moved_aside_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store of a broker may be a volume of its own, which has no other place to go to."""
    backup, home = tmp_path / "backup", tmp_path / "registration"
    for folder in (backup, home):
        folder.mkdir()
        (folder / "registration.db").write_bytes(b"")
    file = {"file": "registration.db", "sha256": hashlib.sha256(b"").hexdigest()}
    (backup / "manifest.json").write_text(json.dumps({"format": 1, "services": {"registration": file}}))

    def busy(_path: Path, _target: Path) -> Path:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "rename", busy)
    told = invoke("restore", backup, "--data", home, "--service", "registration", "--force")
    assert told.code == 1
    assert f"{home}/registration.db cannot be moved into {home}/replaced-" in told.said
    assert "Device or resource busy. Do it by hand" in told.said


def test_who_restores_under_a_running_system_is_told_how_to_end_it_and_not_where_it_was_killed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "endpoints.json").write_text("{}")
    (tmp_path / "manifest.json").write_text('{"format": 1, "services": {}}')
    with (data / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        told = invoke("restore", tmp_path, "--data", data)
    assert told.code == 1
    assert f"deelname down --endpoints {data}/endpoints.json" in told.said
    assert invoke("restore", tmp_path, "--data", data).code == 0
