"""The runbook's commands, run in its order: see ``runbook/page.py`` for how the page says what is to be run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from cli.doctor.findings import Section
from tests.ports import free_ports
from tests.system.moody import moody_server
from tests.system.runbook.page import PAGE, ROOT, Block, Trouble, UnknownBlock, read
from tests.system.runbook.terminal import Terminal
from tests.system.runbook.troubles import EVENING, PROGRAMME, TROUBLES, Surroundings
from tests.system.world import enrolment, person, programme, session

pytestmark = pytest.mark.timeout(900)

TEXT = PAGE.read_text(encoding="utf-8")
THE_PAGE = read(TEXT)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the files that the page takes for granted."""
    shutil.copyfile(ROOT / "deploy" / "demo" / "organisations.csv", tmp_path / "organisations.csv")
    definition = programme(PROGRAMME, sessions=[session("only", 6)])
    (tmp_path / "programme.yaml").write_text(json.dumps(definition))
    popular = programme(
        EVENING,
        sessions=[session("only", 6)],
        capacity=20,
        confirmation={"needed": "always", "held_percent": 5, "within_hours": 6},
    )
    (tmp_path / f"{EVENING}.yaml").write_text(json.dumps(popular))
    request = {
        "specversion": "1.0",
        "id": "r-1",
        "source": "demo",
        "type": "enrolment.request.v1",
        "time": "2023-03-02T09:14:00Z",
        "data": enrolment(PROGRAMME, person("Noor de Wit", "noor@zeist.example")),
    }
    (tmp_path / "requests.jsonl").write_text(json.dumps(request) + "\n")
    (tmp_path / "poison.jsonl").write_text(json.dumps(request | {"type": "enrolment.celebrate.v1"}) + "\n")
    return tmp_path


@pytest.fixture
def around(place: Path) -> Iterator[Surroundings]:
    """Those around the system, with a mail server that has moods."""
    with moody_server() as (moody, transport):
        yield Surroundings(place, moody, transport)


@pytest.fixture
def terminal(around: Surroundings) -> Iterator[Terminal]:
    """Where the commands are typed; the ports are this run's, and what stays of it is ended."""
    nodes = free_ports(6)
    terminal = Terminal(
        around.place,
        DEELNAME_TRANSPORT=around.transport,
        PORT_BASE=str(free_ports(5)),
        NATS_LISTEN="127.0.0.1",
        NATS_PORT=str(free_ports(1)),
        # What three machines have three times can be had once here.
        MONITORING="off",
        HTTP_BASE=str(free_ports(3)),
        **{f"NODE_{name}": f"localhost:{nodes + 2 * at}:{nodes + 2 * at + 1}" for at, name in enumerate("ABC")},
    )
    try:
        yield terminal
    finally:
        terminal.close()


def test_the_commands_of_the_runbook_do_what_it_says(around: Surroundings, terminal: Terminal) -> None:
    for step in THE_PAGE.steps:
        if isinstance(step, Trouble):
            TROUBLES[step.name](around)
            continue
        ended = terminal.run(step.script)
        said = f"{PAGE.name}:{step.line} ({step.section})\n{step.script}\n{ended.stdout}\n{ended.stderr}"
        assert ended.returncode == step.code, said
        for line in step.output:
            assert line in ended.stdout, f"{line}\n{said}"


def test_every_block_and_every_command_that_a_sentence_names_is_run() -> None:
    assert THE_PAGE.named - THE_PAGE.run == set()
    assert {step.name for step in THE_PAGE.steps if isinstance(step, Trouble)} == set(TROUBLES)
    for block in THE_PAGE.elsewhere:
        path, _, name = block.test.partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(), f"line {block.line}: there is no {block.test}"


def test_the_page_has_a_section_for_each_finding_of_the_doctor() -> None:
    assert len(THE_PAGE.headings) == len(set(THE_PAGE.headings))
    assert set(get_args(Section)) - set(THE_PAGE.headings) == set()


def test_nothing_that_we_write_stops_a_broker_by_killing_it() -> None:
    """``--signal stop`` of nats-server is SIGKILL."""
    written = [
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("*.y*ml"),
        *ROOT.glob("deploy/**/*.md"),
        *ROOT.glob("deploy/**/*.py"),
    ]
    assert PAGE in written
    assert [path.name for path in written if "--signal stop=" in path.read_text(encoding="utf-8")] == []


def test_the_page_covers_what_an_operator_may_meet() -> None:
    run = {step.section for step in THE_PAGE.steps if isinstance(step, Block)}
    assert run >= {
        "broker-disk-lost",
        "database-lost",
        "mail-relay-down",
        "poisoned-intake",
        "a-persons-data-to-be-erased",
        "a-deployment",
        "a-new-partner",
        "a-bigger-machine",
        "three-machines",
        "backup-and-restore",
    }


def test_a_block_that_fails_and_one_that_says_something_else_are_noticed(tmp_path: Path) -> None:
    page = read(
        "# A\n\n```sh run exit=3\necho so\nexit 3\n```\n\n```text output\nso\n```\n\n"
        "## B\n\n```sh run\nfalse\ndeelname --version\n```\n\nThen `deelname mail list` and `deelname down`.\n"
    )
    first, second = page.steps
    assert isinstance(first, Block)
    assert isinstance(second, Block)
    assert (first.section, first.code, first.output) == ("a", 3, ("so",))
    assert page.named == {"deelname mail list", "deelname down"}
    terminal = Terminal(tmp_path)
    try:
        assert terminal.run(first.script).returncode == 3
        ended = terminal.run(second.script)
        assert (second.section, ended.returncode, ended.stdout) == ("b", 1, "")
        assert terminal.run("deelname --version | grep deelname; deelname nonsense").returncode == 2
    finally:
        terminal.close()


@pytest.mark.parametrize("info", ["", "sh", "bash", "sh run exit"])
def test_a_block_that_nobody_runs_is_noticed(info: str) -> None:
    with pytest.raises(UnknownBlock, match="line 3"):
        read(f"# A\n\n```{info}\ndeelname down\n```\n")
