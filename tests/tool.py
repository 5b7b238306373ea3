"""The tool as people use it, and a whole system that ``deelname up`` started."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from tests.ports import free_ports
from tests.warm import popen

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "deploy" / "demo"
START = "2023-02-06T09:00:00+01:00"
_SETTINGS = ("DEELNAME_ENDPOINTS", "DEELNAME_NATS_URL", "DEELNAME_NATS_NAME", "LC_ALL", "LC_MESSAGES", "LANG")


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def said(self) -> str:
        """All that a person sees, without the folds that a narrow terminal makes."""
        return " ".join((self.out + " " + self.err).split())


def invoke(*words: object, env: dict[str, str] | None = None) -> Outcome:
    """Run the tool in this process, as if nothing of Deelname were set in the environment."""
    nothing: dict[str, str | None] = dict.fromkeys(_SETTINGS)
    with CliRunner().isolation(env=nothing | {"COLUMNS": "320"} | (env or {})) as (out, err, _):
        try:
            code = _tool().main([str(word) for word in words], prog_name="deelname")
        except SystemExit as ended:
            code = ended.code
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
        return Outcome(int(code or 0), out.getvalue().decode(), err.getvalue().decode())


@functools.cache
def _tool() -> Any:
    """The tool with all its commands, made once: ``CliRunner.invoke`` makes it for each call, longer than most run."""
    from cli.__main__ import app

    return get_command(app)


@contextmanager
def started(folder: Path, *options: str) -> Iterator[Path]:
    """A system that ``deelname up`` starts; its endpoints file. It must end well."""
    data, said, complained = folder / "data", folder / "said", folder / "complained"
    words = ["up", "--data", str(data), "--port-base", str(free_ports(5)), "--json", *options]
    with said.open("w") as stdout, complained.open("w") as stderr:
        process = popen([sys.executable, "-m", "tests.warm_up", *words], stdout=stdout, stderr=stderr, cwd=ROOT)
    try:
        endpoints = data / "endpoints.json"
        deadline = time.monotonic() + 50
        while not endpoints.exists():
            assert process.poll() is None, complained.read_text()
            assert time.monotonic() < deadline, complained.read_text()
            time.sleep(0.05)
        yield endpoints
    finally:
        process.terminate()
        process.wait(timeout=40)
    assert process.returncode == 0, complained.read_text()
    assert json.loads(said.read_text())["nats"].keys() >= {"staff"}


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The endpoints file of a system that ``deelname up`` started, with the samples' registry and themes in it."""
    with started(tmp_path_factory.mktemp("system"), "--now", START) as endpoints:
        assert invoke("organisation", "load", SAMPLES / "organisations.csv", "--endpoints", endpoints).code == 0
        themes = sorted(SAMPLES.glob("*/theme.yaml"))
        assert invoke("theme", "publish", *themes, "--endpoints", endpoints).code == 0
        yield endpoints
