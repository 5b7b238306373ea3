"""The packages of the workspace, as their pyproject.toml files describe them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Member:
    """One package: its folder below the root, its name, and what it declares to need."""

    folder: str
    name: str
    dependencies: tuple[Requirement, ...]
    optional: tuple[Requirement, ...] = ()
    """What its extras need; whoever asks for an extra has it."""

    @property
    def module(self) -> str:
        """The name by which it is imported."""
        return self.folder.replace("/", ".")


def read(folder: str) -> Member:
    """Read one package's description."""
    project = tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {}).values()
    return Member(
        folder,
        project["name"],
        tuple(map(Requirement, project["dependencies"])),
        tuple(Requirement(line) for extra in extras for line in extra),
    )


WORKSPACE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
MEMBERS = {member.name: member for member in map(read, WORKSPACE["tool"]["uv"]["workspace"]["members"])}
DEVELOPMENT = tuple(map(Requirement, WORKSPACE["dependency-groups"]["development"]))


def closure(*names: str) -> list[Member]:
    """These members and all members that they need."""
    found: dict[str, Member] = {}
    waiting = list(names)
    while waiting:
        member = MEMBERS[waiting.pop()]
        if member.name not in found:
            found[member.name] = member
            waiting += [dependency.name for dependency in member.dependencies if dependency.name in MEMBERS]
    return list(found.values())


LOCKS = {
    "registration": closure("deelname-registration"),
    "notifications": closure("deelname-notifications"),
    "reporting": closure("deelname-reporting"),
    "deelname": closure("deelname"),
    "tracing": closure("deelname-chassis"),
    "catcher": closure("deelname-catcher"),
    "demo": closure("deelname", "deelname-deploy"),
    "development": closure("deelname", "deelname-deploy"),
}
"""Which members each file of ``requirements/`` must satisfy."""
