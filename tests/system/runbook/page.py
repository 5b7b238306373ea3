"""
What the page says: its blocks of commands, what is broken before them, and which commands its sentences name.

* ```` ```sh run ```` is run where it stands; ``sh run exit=N`` is meant to end with N.
* ```` ```text output ```` behind one names lines that its output must hold.
* ```` ```sh by=tests/….py::test_… ```` is what cannot be run beside the others; that test runs it.
* ``<!-- given: … -->`` says what has gone wrong by now; ``troubles.py`` has it go wrong for real.

Any other block, ``text`` aside, is a mistake: nobody would know whether it works.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "operations.md"

_FENCE = re.compile(r"^```(?P<info>.*)\n(?P<body>(?:.*\n)*?)```$", re.MULTILINE)
_RUN = re.compile(r"sh run(?: exit=(?P<code>\d+))?")
_BY = re.compile(r"sh by=(?P<test>\S+)")
_GIVEN = re.compile(r"^<!-- given: (?P<trouble>.+?) -->$", re.MULTILINE)
_INLINE = re.compile(r"`(?P<code>[^`\n]+)`")
_ALONE = ("up", "down", "demo", "doctor", "backup", "restore")
"""Commands of the tool that have no subcommands."""
_OURS = re.compile(r"(?:^|[\s(;|&])(?P<command>deelname(?: [a-z][a-z-]*){1,2}|python -m [a-z_.]+|nats-server)(?=\s|$)")


class UnknownBlock(ValueError):  # noqa: N818 - it reads as what is wrong
    """A block of the page that nobody runs."""


@dataclass(frozen=True)
class Block:
    """Commands of the page, and what is expected of them."""

    section: str
    line: int
    script: str
    code: int = 0
    output: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trouble:
    """Something that has gone wrong when the reader comes to this line."""

    line: int
    name: str


@dataclass(frozen=True)
class Elsewhere:
    """Commands that another test runs: ``path::name``."""

    line: int
    script: str
    test: str


@dataclass
class Page:
    """The page in the order in which it is read."""

    steps: list[Block | Trouble] = field(default_factory=list)
    elsewhere: list[Elsewhere] = field(default_factory=list)
    headings: list[str] = field(default_factory=list)
    sentences: str = ""

    @property
    def run(self) -> set[str]:
        """Each command with its subcommand that some block runs, here or in another test."""
        scripts = [step.script for step in self.steps if isinstance(step, Block)]
        scripts += [block.script for block in self.elsewhere]
        return {command for script in scripts for command in commands(script)}

    @property
    def named(self) -> set[str]:
        """Each command with its subcommand that a sentence names."""
        return {command for inline in _INLINE.finditer(self.sentences) for command in commands(inline["code"])}


def commands(text: str) -> Iterator[str]:
    """The commands of ours in a script or a sentence: ``deelname mail list``, ``python -m services.reporting``."""
    for match in _OURS.finditer(text.replace("\n", " ; ")):
        command = match["command"]
        words = command.split()
        yield " ".join(words[:2]) if words[0] == "deelname" and words[1] in _ALONE else command


def read(text: str) -> Page:
    """
    Take a page apart.

    Raises:
        UnknownBlock: a block is neither run, nor said to be run by another test, nor plain text.
    """
    page = Page()
    found: list[tuple[int, Block | Trouble]] = []
    headings = list(_headings(text))
    page.headings = [name for _, name in headings]
    page.sentences = _FENCE.sub("", text)
    for fence in _FENCE.finditer(text):
        info, line = fence["info"].strip(), text.count("\n", 0, fence.start()) + 1
        if run := _RUN.fullmatch(info):
            section = [name for start, name in headings if start < fence.start()][-1]
            found.append((fence.start(), Block(section, line, fence["body"], int(run["code"] or 0))))
        elif by := _BY.fullmatch(info):
            page.elsewhere.append(Elsewhere(line, fence["body"], by["test"]))
        elif info == "text output":
            start, before = found.pop()
            assert isinstance(before, Block), f"line {line}: whose output?"
            expected = tuple(fence["body"].splitlines())
            found.append((start, Block(before.section, before.line, before.script, before.code, expected)))
        elif info != "text":
            raise UnknownBlock(f"line {line}: nobody runs the block '{info}'")
    for given in _GIVEN.finditer(text):
        found.append((given.start(), Trouble(text.count("\n", 0, given.start()) + 1, given["trouble"])))
    page.steps = [step for _, step in sorted(found, key=lambda each: each[0])]
    return page


def _headings(text: str) -> Iterator[tuple[int, str]]:
    """Where each heading stands, and how links name it."""
    for match in re.finditer(r"^#+ (.+)$", _FENCE.sub(lambda fence: " " * len(fence[0]), text), re.MULTILINE):
        yield match.start(), re.sub(r"[^a-z0-9 -]", "", match[1].lower()).replace(" ", "-")
