"""What reaches the terminal: results on standard output, everything else on standard error."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from pydantic import BaseModel, TypeAdapter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from contracts.base import Language
from contracts.problem import Fault, Problem

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
_ANYTHING: TypeAdapter[Any] = TypeAdapter(Any)
_WIDE = 160

STATUS_STYLE = {
    "confirmed": "green",
    "waiting": "yellow",
    "withdrawn": "dim",
    "refused": "red",
    "sent": "green",
    "planned": "yellow",
    "sending": "yellow",
    "failed": "red",
    "uncertain": "magenta",
    "dropped": "dim",
}


class Output:
    """Where a command writes; with ``as_json`` standard output carries one JSON document and nothing else."""

    def __init__(self, *, as_json: bool, language: Language) -> None:
        self.as_json = as_json
        self.language: Language = language
        # Without a terminal nobody's window is too narrow, and a cut-off id is useless to the program that reads it.
        width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE
        self.screen = Console(width=width, highlight=False, emoji=False)
        self.notes = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

    def json(self, value: object) -> None:
        """Write one JSON document."""
        plain = (
            value.model_dump(mode="json") if isinstance(value, BaseModel) else _ANYTHING.dump_python(value, mode="json")
        )
        sys.stdout.write(json.dumps(plain, ensure_ascii=False, indent=2) + "\n")

    def say(self, text: str, style: str = "") -> None:
        """A sentence for people: part of the result, unless the result is JSON."""
        if not self.as_json:
            self.screen.print(escape(text), style=style or None, soft_wrap=True)

    def note(self, text: str, style: str = "dim") -> None:
        """A sentence beside the result."""
        self.notes.print(escape(text), style=style)

    def next(self, *commands: str) -> None:
        """Commands that are worth trying now."""
        if not self.as_json:
            for command in commands:
                self.notes.print(f"  [dim]try[/] {escape(command)}")

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str = "") -> None:
        """A table: numbers to the right, states in their colours."""
        cells = [[cell(value) for value in row] for row in rows]
        if not cells:
            self.say(empty or "Nothing yet.", "dim")
            return
        table = Table(
            title=escape(title) or None,
            title_justify="left",
            title_style="bold",
            header_style="bold",
            box=SIMPLE_HEAD,
            pad_edge=False,
        )
        for number, column in enumerate(columns):
            numeric = all(row[number].removesuffix(" h").isdigit() or row[number] in {"", "–"} for row in cells)
            # The first column is what one copies into the next command: it stays in one piece.
            table.add_column(
                column, justify="right" if numeric else "left", overflow="fold", no_wrap=number == 0 and not numeric
            )
        for row in cells:
            table.add_row(*(_coloured(text) for text in row))
        self.screen.print(table)

    def problem(self, problem: Problem) -> None:
        """Problem details, rule by rule, in the reader's language."""
        self.notes.print(f"[bold red]✗[/] {escape(_sentence(problem.title))}")
        if problem.detail and problem.detail != problem.title:
            self.notes.print(f"  {escape(problem.detail)}")
        for fault in problem.errors:
            self.notes.print(f"  • {escape(self.fault(fault))}")

    def fault(self, fault: Fault) -> str:
        """One thing that is wrong, as a sentence."""
        text = fault.detail_nl if self.language == "nl" and fault.detail_nl else fault.detail
        where = f" ({fault.rule})" if fault.rule else f" [{fault.field}]" if fault.field else ""
        return f"{text}{where}"

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


def cell(value: object) -> str:
    """A value as a table shows it."""
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case datetime():
            return moment(value)
        case float():
            return f"{value:g}"
        case tuple() | list():
            return ", ".join(cell(part) for part in value) or "–"
        case _:
            return str(value)


def moment(value: datetime | None) -> str:
    """A moment as people in the Netherlands read it; local times are taken as they are."""
    if value is None:
        return "–"
    local = value.astimezone(AMSTERDAM) if value.tzinfo else value
    return f"{local:%a} {local.day} {local:%b %Y %H:%M}"


def _coloured(text: str) -> str:
    style = STATUS_STYLE.get(text)
    return f"[{style}]{escape(text)}[/]" if style else escape(text)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?")) else text + "."
