"""
What reaches the terminal: results on standard output, everything else on standard error.

Text comes from anybody: names that people typed, answers of mail servers, names of files. All of it goes through
``visible``, so that nothing of it is obeyed by a terminal, and none of it is read as rich's markup.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from textwrap import wrap
from typing import Any, NamedTuple, Self

from pydantic import BaseModel, TypeAdapter
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from contracts import dates
from contracts.base import Language
from contracts.characters import visible, visible_json
from contracts.parameters import for_staff
from contracts.problem import Fault, Problem

_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)
_WIDE = 1000
_READABLE = 24
"""Characters in a line below which a sentence is hard to read; a few words need less."""
_A_FEW_WORDS, _THEIR_LINE = 48, 16
_NOTHING = frozenset({"", "–"})

STATUS_STYLE = {
    "confirmed": "green",
    "waiting": "yellow",
    "withdrawn": "dim",
    "refused": "red",
    "pending": "yellow",
    "lapsed": "dim",
    "sent": "green",
    "planned": "yellow",
    "sending": "yellow",
    "failed": "red",
    "uncertain": "magenta",
    "dropped": "dim",
}


class Screen(Console):
    """A console that writes no control character but its own, whatever text it is given."""

    def __init__(self, *, stderr: bool = False, width: int | None = None, soft_wrap: bool = False) -> None:
        super().__init__(stderr=stderr, width=width, soft_wrap=soft_wrap, highlight=False, emoji=False, markup=False)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Everything that is printed is made of these segments; those with ``control`` are rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


class Output:
    """Where a command writes; with ``as_json`` standard output carries one JSON document and nothing else."""

    def __init__(self, *, as_json: bool, language: Language) -> None:
        self.as_json = as_json
        self.language: Language = language
        # Without a terminal nobody's window is too narrow, and a cut-off id is useless to the program that reads it.
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
        self.screen = Screen(width=width)
        self.notes = Screen(stderr=True, soft_wrap=True)

    def json(self, value: object) -> None:
        """Write one JSON document."""
        self._json(value, indent=2)

    def json_line(self, value: object) -> None:
        """Write one JSON document of many, each on a line of its own."""
        self._json(value, indent=None)
        sys.stdout.flush()

    def _json(self, value: object, indent: int | None) -> None:
        plain = (
            value.model_dump(mode="json") if isinstance(value, BaseModel) else _ANYTHING.dump_python(value, mode="json")
        )
        sys.stdout.write(visible_json(json.dumps(plain, ensure_ascii=False, indent=indent)) + "\n")

    def csv(self, document: str) -> None:
        """Write CSV as ``contracts.tables`` makes it, its line ends included."""
        sys.stdout.write(document)

    def say(self, text: str, style: str = "") -> None:
        """A sentence for people: part of the result, unless the result is JSON."""
        if not self.as_json:
            self.screen.print(text, style=style or None, soft_wrap=True)

    def note(self, text: str, style: str = "dim") -> None:
        """A sentence beside the result."""
        self.notes.print(text, style=style)

    def next(self, *commands: str) -> None:
        """Commands that are worth trying now, as they can be typed here."""
        if not self.as_json:
            for command in commands:
                self.notes.print(Text.assemble("  ", ("try", "dim"), f" {_typed(command)}"))

    def table(
        self,
        title: str,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        empty: str = "",
        spare: Sequence[str] = (),
    ) -> None:
        """
        A table: numbers to the right, states in their colours.

        Where the terminal is too narrow for it, the ``spare`` columns are left out one after another; where that does
        not help, each row becomes a few lines with all its columns.
        """
        cells = [[cell(value, self.language) for value in row] for row in rows]
        if not cells:
            self.say(empty or "Nothing yet.", "dim")
            return
        shown = list(range(len(columns)))
        for name in (None, *spare):
            shown = [number for number in shown if columns[number] != name]
            fitted = [_Column.of(columns[number], [row[number] for row in cells]) for number in shown]
            for gap in (3, 2):
                if _width((column.needs for column in fitted), gap) <= self.screen.width:
                    self._table(title, fitted, gap)
                    return
        self._lines(title, columns, cells)

    def _table(self, title: str, columns: Sequence[_Column], gap: int) -> None:
        table = Table(
            title=Text(title) if title else None,
            title_justify="left",
            title_style="bold",
            header_style="bold",
            box=SIMPLE_HEAD,
            pad_edge=False,
            # The box has one column of its own between two of ours.
            padding=(0, 1, 0, gap - 2),
        )
        for column, width in zip(columns, _widths(columns, self.screen.width, gap), strict=True):
            table.add_column(
                Text(column.heading), justify="right" if column.numeric else "left", overflow="fold", width=width
            )
        for row in zip(*(column.cells for column in columns), strict=True):
            table.add_row(*(_coloured(text) for text in row))
        self.screen.print(table)

    def _lines(self, title: str, columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
        if title:
            self.screen.print(f"{title}\n", style="bold", soft_wrap=True)
        margin = max(map(cell_len, columns[1:]), default=0) + 4
        room = max(self.screen.width - margin, _READABLE)
        for first, *others in cells:
            # A number says nothing without what it counts.
            name = f"{columns[0]} {first}" if first.isdigit() else first
            self.screen.print(name, style="bold", soft_wrap=True)
            for heading, text in zip(columns[1:], others, strict=True):
                if text in _NOTHING:
                    continue
                # One word, such as an id or a token, is copied: the terminal may break it, we do not.
                for number, line in enumerate(wrap(text, room, break_long_words=False, break_on_hyphens=False)):
                    label = f"  {heading:{margin - 2}}" if number == 0 else " " * margin
                    self.screen.print(Text.assemble((label, "dim"), _coloured(line)), soft_wrap=True)
            self.screen.print()

    def problem(self, problem: Problem) -> None:
        """Problem details, rule by rule, in the reader's language."""
        self.notes.print(Text.assemble(("✗", "bold red"), f" {_sentence(problem.title)}"))
        # What sums up what follows, in one language, would be said twice.
        if problem.detail and problem.detail != problem.title and not problem.errors:
            self.notes.print(f"  {problem.detail}")
        for fault in problem.errors:
            self.notes.print(f"  • {self.fault(fault)}")

    def fault(self, fault: Fault) -> str:
        """One thing that is wrong, as a sentence."""
        words = fault.detail_nl if self.language == "nl" and fault.detail_nl else fault.detail
        text = for_staff(words, fault.parameters)
        where = f"{fault.field}: " if fault.field else ""
        rule = f" ({fault.rule})" if fault.rule else ""
        return f"{where}{text}{rule}"

    def progress(self) -> Progress:
        """A progress bar on standard error; silent where nobody watches."""
        return Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=self.notes,
            transient=True,
            disable=not self.notes.is_terminal,
        )


class _Column(NamedTuple):
    """What a column of a table needs to be read."""

    heading: str
    cells: Sequence[str]
    numeric: bool
    needs: int
    """Its longest word, and of sentences as much as does not make towers of them."""
    wants: int

    @classmethod
    def of(cls, heading: str, cells: Sequence[str]) -> Self:
        word = max((cell_len(word) for text in (heading, *cells) for word in text.split()), default=0)
        wants = max(map(cell_len, (heading, *cells)))
        numeric = all(text.removesuffix(" h").isdigit() or text in _NOTHING for text in cells)
        readable = _THEIR_LINE if wants <= _A_FEW_WORDS else _READABLE
        return cls(heading, cells, numeric, word if numeric else max(word, min(wants, readable)), wants)


def _width(columns: Iterable[int], gap: int) -> int:
    """What columns take together: a space at both edges and a gap between them."""
    widths = list(columns)
    return sum(widths) + gap * (len(widths) - 1) + 2


def _widths(columns: Sequence[_Column], width: int, gap: int) -> list[int]:
    """What each needs, and of what is left as much as it wants; it is given out evenly."""
    widths = [column.needs for column in columns]
    while (left := width - _width(widths, gap)) > 0:
        wanting = [number for number, column in enumerate(columns) if column.wants > widths[number]]
        if not wanting:
            break
        for number in wanting[:left]:
            widths[number] += 1
    return widths


def _typed(command: str) -> str:
    """With the path to the tool where it was called by that, and the shell would not find it otherwise."""
    called = sys.argv[0]
    found = command.startswith("deelname ") and Path(called).name == "deelname" and not shutil.which("deelname")
    return called + command.removeprefix("deelname") if found else command


def cell(value: object, language: Language = "en") -> str:
    """A value as a table shows it."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return moment(value, language)
        case float():
            return f"{value:g}"
        case tuple() | list():
            return ", ".join(cell(part, language) for part in value) or "–"
        case _:
            # Made visible before it is measured. One cell is no two rows.
            return visible(str(value).replace("\n", " "))


def counted(count: int, one: str, more: str = "") -> str:
    """A number with its word: "1 person", "no people", "3 sessions"."""
    return f"{count or 'no'} {one if count == 1 else more or f'{one}s'}"


def moment(value: datetime | None, language: Language = "en") -> str:
    """A moment at which something happened, as a clock in the Netherlands showed it."""
    return "–" if value is None else dates.short(value, language)


def _coloured(text: str) -> Text:
    return Text(text, STATUS_STYLE.get(text, ""))


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."
