"""What is forked from the process that has imported everything behaves like what is started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.warm import Nursery, popen

Start = Callable[..., Any]


@pytest.fixture(params=[subprocess.Popen, popen], ids=["started", "forked"])
def start(request: pytest.FixtureRequest) -> Start:
    return request.param  # type: ignore[no-any-return]


def tool(start: Start, folder: Path, given: str, *words: str) -> tuple[int, str]:
    """Have a module of the standard library read a file: its exit code and what it said."""
    (folder / "given").write_text(given)
    with (folder / "given").open() as stdin, (folder / "said").open("w") as said:
        process = start(
            [sys.executable, "-m", "json.tool", *words], stdin=stdin, stdout=said, stderr=subprocess.STDOUT, cwd=folder
        )
        return process.wait(20), (folder / "said").read_text()


def test_words_streams_and_directory_are_its_own(start: Start, tmp_path: Path) -> None:
    assert tool(start, tmp_path, '{"b": 1, "a": 2}', "--sort-keys", "--indent=1") == (0, '{\n "a": 2,\n "b": 1\n}\n')
    assert tool(start, tmp_path, "{}", "-", "written") == (0, "")
    assert (tmp_path / "written").read_text() == "{}\n"


def test_a_failure_is_in_its_exit_code_and_its_output(start: Start, tmp_path: Path) -> None:
    code, said = tool(start, tmp_path, "nonsense")
    assert code == 1
    assert "Expecting value" in said


def test_the_environment_is_the_one_that_was_given(start: Start, tmp_path: Path) -> None:
    (tmp_path / "telling.py").write_text("import os, sys; print(sorted(k for k in os.environ if k[:2] == 'X_'))\n")
    with (tmp_path / "said").open("w") as said:
        process = start([sys.executable, "-m", "telling"], env={"X_ONE": "1"}, stdout=said, cwd=tmp_path)
        assert process.wait(20) == 0
    assert (tmp_path / "said").read_text() == "['X_ONE']\n"


def test_it_runs_until_it_is_killed(start: Start) -> None:
    never, held_open = os.pipe()
    process = start([sys.executable, "-m", "json.tool"], stdin=never)
    os.close(never)
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    process.kill()
    assert (process.wait(20), process.returncode, process.poll()) == (-9, -9, -9)
    process.terminate()
    os.close(held_open)


def test_only_modules_can_be_forked() -> None:
    with pytest.raises(ValueError, match="only python -m"):
        popen([sys.executable, "-c", "pass"])


def test_what_was_borne_for_somebody_ends_with_them_and_nobody_elses_does(tmp_path: Path) -> None:
    ours, theirs = Nursery(), Nursery()
    never, held_open = os.pipe()
    words = "json.tool"
    child, survivor = (
        each.bear(words, environment={}, directory=str(tmp_path), session=False, streams=(never, 1, 2))
        for each in (ours, theirs)
    )
    ours.close()
    assert child._has_ended(20)
    assert survivor.poll() is None
    os.close(held_open)
    assert survivor.wait(20) == 1
    os.close(never)
    theirs.close()
