"""The tool as people use it, against a whole system that ``deelname up`` started."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.__main__ import app
from tests.ports import free_ports

ROOT = Path(__file__).parents[2]
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


Deelname = Callable[..., Outcome]


def invoke(*words: object, env: dict[str, str] | None = None) -> Outcome:
    """Run the tool in this process, as if nothing of Deelname were set in the environment."""
    nothing: dict[str, str | None] = dict.fromkeys(_SETTINGS)
    result = CliRunner().invoke(app, [str(word) for word in words], env=nothing | {"COLUMNS": "320"} | (env or {}))
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Outcome(result.exit_code, result.stdout, result.stderr)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The endpoints file of a system that ``deelname up`` started, with the samples' registry and themes in it."""
    data = tmp_path_factory.mktemp("system") / "data"
    words = ["up", "--data", str(data), "--port-base", str(free_ports(5)), "--now", START, "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    try:
        endpoints = data / "endpoints.json"
        deadline = time.monotonic() + 50
        while not endpoints.exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise AssertionError(process.communicate()[1].decode())
            time.sleep(0.05)
        assert invoke("organisation", "load", SAMPLES / "organisations.csv", "--endpoints", endpoints).code == 0
        themes = sorted(SAMPLES.glob("*/theme.yaml"))
        assert invoke("theme", "publish", *themes, "--endpoints", endpoints).code == 0
        yield endpoints
    finally:
        process.terminate()
        out, err = process.communicate(timeout=40)
    assert process.returncode == 0, err.decode()
    assert json.loads(out)["nats"].keys() >= {"staff", "demo"}


@pytest.fixture
def deelname(running: Path) -> Deelname:
    """The tool, speaking to the running system."""

    def call(*words: object, **env: str) -> Outcome:
        return invoke(*words, "--endpoints", running, env=env)

    return call


@pytest.fixture
def programme(deelname: Deelname, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A published programme of this test's own: two places, a waiting list, libraries in Utrecht."""
    id_ = f"test-{abs(hash(request.node.name)) % 10**9}"
    path = tmp_path / "programme.yaml"
    path.write_text(definition(id_))
    published = deelname("programme", "publish", path)
    assert published.code == 0, published.said
    return id_


def definition(id_: str, *, capacity: int = 2, start: str = "2023-06-20T10:00", title: str = "Gesprek") -> str:
    """The YAML of a small programme."""
    return f"""\
id: {id_}
kind: meeting
title: {{ nl: {title}, en: Talk }}
description: {{ nl: Een gesprek., en: A talk. }}
organisers: [bisc]
content_contact: {{ name: Team, email: team@bisc.example }}
enrolment_contact: {{ name: Team, email: team@bisc.example }}
sessions:
  - id: gesprek
    title: {{ nl: Gesprek, en: Talk }}
    start: {start}
    end: {start[:10]}T13:00
    venue: {{ name: Huis, address: "Mariaplaats 3, Utrecht" }}
enrolment:
  closes: 2023-06-19T00:00
  capacity: {capacity}
  waiting_list: {{ policy: in-order }}
  eligible: {{ kinds: [library], provinces: [utrecht] }}
"""


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)
