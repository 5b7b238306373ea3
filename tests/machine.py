"""
What the tests find on this machine: a Docker engine or none, root or not.

Where an engine answers, the brokers of the system tests are containers; elsewhere they are child processes.
``DEELNAME_TEST_BROKER=embedded`` has them be child processes everywhere, ``=container`` has the run fail where no
engine answers. ``DEELNAME_TESTS_REQUIRE=engine,root`` (`.ci/run` says so) makes failures of what would be left out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from deploy.broker import ServerKind
from deploy.embedded import EmbeddedBroker, server_binary
from tests.base_images import NATS
from tests.containers import ContainerBroker, NoEngine, engine, sweep

ENGINE = "DEELNAME_TESTS_FOUND_ENGINE"
NO_ENGINE = "DEELNAME_TESTS_FOUND_NO_ENGINE"
"""What the first process found, for the workers that it starts."""
MARKS = ("engine", "node", "promtool", "root")
NODE_MODULES = Path(sys.prefix) / "node" / "node_modules"
"""What ``requirements/node`` names, where make installs it."""


def pytest_configure(config: pytest.Config) -> None:
    """Look for an engine, once for all workers."""
    if ENGINE in os.environ or NO_ENGINE in os.environ or hasattr(config, "workerinput"):
        return
    try:
        os.environ[ENGINE] = engine()
        sweep()
    except NoEngine as reason:
        os.environ[NO_ENGINE] = str(reason)
        if os.environ.get("DEELNAME_TEST_BROKER") == "container":
            raise pytest.UsageError(f"DEELNAME_TEST_BROKER=container, but {reason}") from reason


def in_containers() -> bool:
    """Whether the brokers of the system tests are containers."""
    return ENGINE in os.environ and os.environ.get("DEELNAME_TEST_BROKER") != "embedded"


def missing(mark: str) -> str:
    """Why a test with this mark cannot run here; empty if it can."""
    if mark == "engine":
        return os.environ.get(NO_ENGINE, "")
    if mark == "promtool":
        return "" if shutil.which("promtool") else "promtool is not installed (apt-get install prometheus)"
    if mark == "node":
        return _no_node()
    if os.geteuid() != 0:
        return "these tests do not run as root"
    return "" if _may_mount() else "this root may not mount anything (CAP_SYS_ADMIN)"


def _no_node() -> str:
    if not shutil.which("node"):
        return "Node is not installed (apt-get install nodejs npm)"
    return "" if NODE_MODULES.is_dir() else "packages of Node are not installed (make install-development)"


def _may_mount() -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (capabilities,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(capabilities, 16) >> 21 & 1)  # CAP_SYS_ADMIN of <linux/capability.h>


def pytest_report_header() -> str:
    """Name the broker."""
    if in_containers():
        return f"broker of the system tests: a container of {NATS}, {os.environ[ENGINE]}"
    version = subprocess.run([server_binary(), "--version"], capture_output=True, text=True, check=True).stdout.strip()
    reason = missing("engine") or "DEELNAME_TEST_BROKER=embedded"
    return f"broker of the system tests: an embedded {version} ({reason})"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what this machine cannot run."""
    for mark in MARKS:
        if item.get_closest_marker(mark) and (reason := missing(mark)):
            leave_out(mark, reason)


def leave_out(mark: str, reason: str) -> NoReturn:
    """Skip the test at hand, or fail it where DEELNAME_TESTS_REQUIRE names what is missing."""
    if mark in os.environ.get("DEELNAME_TESTS_REQUIRE", "").split(","):
        pytest.fail(f"required, but {reason}", pytrace=False)
    pytest.skip(reason)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests have measured, and say loudly what was not tested."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "told" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {value}")
    skipped = terminalreporter.stats.get("skipped", [])
    for mark in MARKS:
        number = sum(mark in report.keywords for report in skipped)
        if number:
            which, left = ("test that needs", "was left") if number == 1 else ("tests that need", "were left")
            terminalreporter.write_line(
                f"NOT TESTED: {number} {which} {mark} {left} out, because {missing(mark)}.",
                yellow=True,
                bold=True,
            )


@pytest.fixture(scope="session")
def server() -> ServerKind:
    """What the brokers of the system tests are: containers where an engine answers, child processes elsewhere."""
    return ContainerBroker if in_containers() else EmbeddedBroker
