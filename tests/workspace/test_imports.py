"""Who may import whom holds, and its rules notice when it does not."""

from __future__ import annotations

import ast
import functools
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
AREAS = ("contracts", "services", "deploy", "cli")
SUBJECT = re.compile(r"(log|do|ask|intake|outcome)\.(?!.*\.v\d+$)([a-z_*>{]|$)")
"""The start of a subject; what ends with a version is the type of a message."""
READS_A_CLOCK_OR_DRAWS_LOTS = {"now", "utcnow", "today", "time", "time_ns", "monotonic", "uuid1", "uuid4", "uuid7"}


@functools.cache
def sources(*areas: str) -> list[Path]:
    return sorted(
        path
        for area in areas
        for path in (ROOT / area).rglob("*.py")
        if not {"build", "__pycache__"} & set(path.parts) and ".egg-info" not in str(path)
    )


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def domains() -> list[Path]:
    return [path for path in sources("services") if "domain" in path.parts or path.name == "domain.py"]


class Source(NamedTuple):
    """What a file says, read once for all tests of it."""

    imported: frozenset[str]
    called: frozenset[str]
    strings: tuple[tuple[int, str], ...]
    waits: tuple[str, ...]


@functools.cache
def read(path: Path) -> Source:
    nodes = tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    called = [node.func for node in nodes if isinstance(node, ast.Call)]
    waits = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    return Source(
        frozenset(imported(nodes)),
        frozenset(node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "") for node in called),
        tuple(strings(nodes)),
        tuple(ast.dump(node) for node in nodes if isinstance(node, waits)),
    )


def imported(nodes: tuple[ast.AST, ...]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def strings(nodes: tuple[ast.AST, ...]) -> Iterator[tuple[int, str]]:
    """Every string of a file but docstrings and others that stand alone; a value in an f-string shows as ``{}``."""
    seen = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if isinstance(node, ast.JoinedStr):
            seen |= {id(part) for part in node.values}
            if id(node) not in seen:
                yield (
                    node.lineno,
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values),
                )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in seen:
            yield node.lineno, node.value


# The demo's partner is somebody else's program: it knows the wire contract and imports nothing of ours.
HOLD_SUBJECTS = {"contracts/subjects.py", "deploy/demo/partner.py"}


@pytest.mark.parametrize("path", [path for path in sources(*AREAS) if named(path) not in HOLD_SUBJECTS], ids=named)
def test_no_other_file_than_subjects_holds_a_subject(path: Path) -> None:
    assert [f"line {line}: {text}" for line, text in read(path).strings if SUBJECT.match(text)] == []


@pytest.mark.parametrize("path", domains(), ids=named)
def test_a_domain_asks_neither_the_clock_nor_chance(path: Path) -> None:
    """Time and ids arrive in the command or the fact."""
    assert read(path).called & READS_A_CLOCK_OR_DRAWS_LOTS == set()
    assert read(path).called & {"open", "print", "input", "new_id"} == set()


@pytest.mark.parametrize("path", domains(), ids=named)
def test_a_domain_waits_for_nothing(path: Path) -> None:
    assert read(path).waits == ()


@pytest.mark.parametrize("path", domains(), ids=named)
def test_a_domain_takes_the_state_and_nothing_else_from_the_chassis(path: Path) -> None:
    chassis = {module for module in read(path).imported if module.startswith("services.chassis")}
    assert chassis <= {"services.chassis.state"}


@pytest.mark.parametrize("path", sources(*AREAS), ids=named)
def test_only_the_wiring_and_the_chassis_know_faststream(path: Path) -> None:
    if path.name == "app.py" or "chassis" in path.parts:
        return
    assert not {module.split(".")[0] for module in read(path).imported} & {"faststream"}


@pytest.mark.parametrize("path", sources("contracts"), ids=named)
def test_contracts_import_libraries_that_judge_values_alone(path: Path) -> None:
    outside = {module.split(".")[0] for module in read(path).imported} - set(sys.stdlib_module_names)
    # What an address is, is one definition, and judging international hosts is a library's business.
    assert outside <= {"pydantic", "contracts"} | ({"email_validator"} if path.name == "addresses.py" else set())


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree, to be broken."""
    folder = tmp_path_factory.mktemp("tree")
    for area in AREAS:
        shutil.copytree(ROOT / area, folder / area, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__", "build"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    # The installed command and not the library: it puts the folder it stands in before what is installed.
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)


def test_the_rules_hold(copy: Path) -> None:
    done = lint(copy)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("package", "line", "rule"),
    [
        ("services/registration", "import services.reporting", "No service imports another"),
        ("services/notifications", "from services.registration import domain", "No service imports another"),
        ("services/reporting/domain", "import sqlite3", "Domains import no I/O"),
        ("services/registration/domain", "import time", "Domains import no I/O"),
        ("services/notifications/domain", "from services.chassis import database", "Domains import no I/O"),
        ("contracts", "import nats", "The contracts import no service"),
        ("contracts", "import services.chassis", "The contracts import no service"),
        ("services/chassis", "import services.registration", "The chassis imports no service"),
        ("services/registration", "import deploy", "Services import neither the deployment"),
        ("cli", "import services.reporting", "The command-line tool and the deployment"),
        ("deploy", "import services.chassis", "The command-line tool and the deployment"),
        ("services/registration/domain", "import faststream", "Only app.py and the chassis import FastStream"),
    ],
)
def test_a_rule_that_is_broken_is_named(copy: Path, package: str, line: str, rule: str) -> None:
    package_file = copy / package / "__init__.py"
    if not package_file.exists():
        package_file = copy / f"{package}.py"
    whole = package_file.read_text(encoding="utf-8")
    package_file.write_text(f"{whole}\n{line}\n", encoding="utf-8")
    try:
        done = lint(copy)
    finally:
        package_file.write_text(whole, encoding="utf-8")
    assert done.returncode != 0
    assert re.search(rf"^{re.escape(rule)}.* BROKEN", done.stdout, re.MULTILINE), done.stdout
