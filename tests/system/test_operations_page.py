"""
The runbook's commands, run in its order on a system of their own.

A section is added by writing it: its blocks ``sh run`` are run where they stand, in the directory that holds the
system's ``./data``, by bash, which stops at the first command that fails. ``sh run exit=N`` is meant to end with N. A
block ``text output`` behind one names lines that its output must hold.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import pytest

from cli.doctor.findings import Section
from tests.ports import free_ports
from tests.system.world import enrolment, person, programme, session

pytestmark = pytest.mark.timeout(900)

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "operations.md"
_FENCE = re.compile(r"^```(?P<info>.*)\n(?P<body>(?:.*\n)*?)```$", re.MULTILINE)
_RUN = re.compile(r"sh run(?: exit=(?P<code>\d+))?")


@dataclass(frozen=True)
class Block:
    """Commands of the page, and what is expected of them."""

    section: str
    line: int
    script: str
    code: int
    output: tuple[str, ...]


def headings(text: str) -> list[tuple[int, str]]:
    """Where each heading stands, and how links name it."""
    return [
        (match.start(), re.sub(r"[^a-z0-9 -]", "", match[1].lower()).replace(" ", "-"))
        for match in re.finditer(r"^#+ (.+)$", _FENCE.sub(lambda fence: " " * len(fence[0]), text), re.MULTILINE)
    ]


def blocks(text: str) -> list[Block]:
    """Every block that is to be run, in order."""
    found: list[Block] = []
    for fence in _FENCE.finditer(text):
        info = fence["info"].strip()
        if run := _RUN.fullmatch(info):
            section = [name for start, name in headings(text) if start < fence.start()][-1]
            line = text.count("\n", 0, fence.start()) + 1
            found.append(Block(section, line, fence["body"], int(run["code"] or 0), ()))
        elif info == "text output":
            last = found.pop()
            found.append(Block(last.section, last.line, last.script, last.code, tuple(fence["body"].splitlines())))
        else:
            assert info in ("", "text"), f"the block '{info}' would not be run"
    return found


TEXT = PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with the files that the page takes for granted; whatever still runs there is ended."""
    place = tmp_path_factory.mktemp("page")
    shutil.copyfile(ROOT / "deploy" / "demo" / "organisations.csv", place / "organisations.csv")
    definition = programme("runbook", sessions=[session("only", 6)])
    (place / "programme.yaml").write_text(json.dumps(definition))
    request = {
        "specversion": "1.0",
        "id": "r-1",
        "source": "demo",
        "type": "enrolment.request.v1",
        "time": "2023-03-02T09:14:00Z",
        "data": enrolment("runbook", person("Noor de Wit", "noor@zeist.example")),
    }
    (place / "requests.jsonl").write_text(json.dumps(request) + "\n")
    try:
        yield place
    finally:
        for endpoints in place.glob("*/endpoints.json"):
            run("deelname down", place, PATH=_path(), ENDPOINTS=str(endpoints))


def _path() -> str:
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def run(script: str, place: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run commands as somebody types them, without settings of ours in the environment."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("DEELNAME_", "OTEL_"))}
    if "ENDPOINTS" in more:
        more["DEELNAME_ENDPOINTS"] = more.pop("ENDPOINTS")
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=place,
        env=environment | {"PATH": _path(), "LANG": "C.UTF-8"} | more,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )


def test_the_commands_of_the_runbook_do_what_it_says(place: Path) -> None:
    base = str(free_ports(5))
    sections = []
    for block in blocks(TEXT):
        ended = run(block.script, place, PORT_BASE=base)
        said = f"{PAGE.name}:{block.line} ({block.section})\n{block.script}\n{ended.stdout}\n{ended.stderr}"
        assert ended.returncode == block.code, said
        for line in block.output:
            assert line in ended.stdout, said
        sections.append(block.section)
    assert len(set(sections)) >= 12


def test_the_page_has_a_section_for_each_finding_of_the_doctor() -> None:
    names = [name for _, name in headings(TEXT)]
    assert len(names) == len(set(names))
    assert set(get_args(Section)) - set(names) == set()


def test_the_page_covers_what_an_operator_may_meet() -> None:
    assert {name for _, name in headings(TEXT)} >= {
        "broker-disk-lost",
        "database-lost",
        "mail-relay-down",
        "poisoned-intake",
        "a-persons-data-to-be-erased",
        "a-new-partner",
        "a-bigger-machine",
        "three-machines",
        "backup-and-restore",
    }


def test_a_block_that_fails_and_one_that_says_something_else_are_noticed(tmp_path: Path) -> None:
    page = "# A\n\n```sh run exit=3\necho so\nexit 3\n```\n\n```text output\nso\n```\n\n## B\n\n```sh run\nfalse\n```\n"
    first, second = blocks(page)
    assert (first.section, first.code, first.output) == ("a", 3, ("so",))
    assert run(first.script, tmp_path).returncode == 3
    assert (second.section, run(second.script, tmp_path).returncode) == ("b", 1)
