"""``deelname organisation``: load and list the registry."""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.desk import Desk, command, group
from cli.document import MOST_MISTAKES, Mistake, Mistakes, Place
from cli.reading import text
from contracts.base import OrganisationKind, Province
from contracts.commands import OrganisationsRegistered, RegisterOrganisations
from contracts.organisation import Organisation
from contracts.problem import complaint
from contracts.queries import Everything, OrganisationList

app = group("Organisations: the registry that every enrolment refers to.")

LARGEST = 8 * 1024 * 1024
"""Octets of a registry: some eighty thousand organisations, and there are not three thousand."""
COLUMNS = ("id", "name", "kind", "province", "municipality")
_REQUIRED = ("id", "name", "kind")
_PIECE = 500
_DELIMITERS = (",", ";", "\t")
_SEPARATOR = re.compile(r'"?sep=([,;\t|])"?', re.IGNORECASE)
_LONGEST_SHOWN = 60
_CHOICES = {"kind": [str(kind) for kind in OrganisationKind], "province": [str(province) for province in Province]}


@command(app, "load", examples=["deelname organisation load organisations.csv"])
def load(
    desk: Desk,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="CSV", help="Columns id, name, kind, province and municipality; separated by , ; or tab."
        ),
    ],
) -> None:
    """Put organisations into the registry, or change those that are in it."""
    organisations = read_csv(file)
    registered = changed = unchanged = 0
    with desk.connect() as connection, desk.output.progress() as progress:
        task = progress.add_task("Loading", total=len(organisations))
        for start in range(0, len(organisations), _PIECE):
            piece = organisations[start : start + _PIECE]
            result = connection.do(
                "registration",
                "organisation",
                "register",
                RegisterOrganisations(organisations=piece),
                OrganisationsRegistered,
            )
            registered += result.registered
            changed += result.changed
            unchanged += result.unchanged
            progress.advance(task, len(piece))
    total = OrganisationsRegistered(registered=registered, changed=changed, unchanged=unchanged)
    if desk.output.as_json:
        desk.output.json(total)
    desk.output.say(f"✓ {file}: {registered} new, {changed} changed, {unchanged} as they were")


@command(app, "list", examples=["deelname organisation list --province overijssel --kind library"])
def list_(
    desk: Desk,
    kind: Annotated[OrganisationKind | None, typer.Option(help="Only this kind.")] = None,
    province: Annotated[Province | None, typer.Option(help="Only this province.")] = None,
) -> None:
    """The registry."""
    with desk.connect() as connection:
        answer = connection.ask("registration", "organisation", "list", Everything(), OrganisationList)
    chosen = tuple(
        organisation
        for organisation in answer.organisations
        if kind in {None, organisation.kind} and province in {None, organisation.province}
    )
    if desk.output.as_json:
        desk.output.json(OrganisationList(organisations=chosen))
        return
    desk.output.table(
        f"Organisations ({len(chosen)})",
        ["Organisation", "Name", "Kind", "Province", "Municipality"],
        [(o.id, o.name, o.kind, o.province, o.municipality) for o in chosen],
        empty="No organisation fits."
        if answer.organisations
        else "The registry is empty: deelname organisation load CSV",
        spare=("Kind", "Province"),
    )


def read_csv(path: Path) -> tuple[Organisation, ...]:
    """
    The organisations of a CSV file whose first line names the columns; rows and columns that are empty mean nothing.

    Raises:
        Failure: the file can't be read.
        Mistakes: a column or a line is not what the registry takes; every one is named, up to a hundred.
    """
    rows = _rows(path, text(path, LARGEST))
    line, header = next(rows, (1, []))
    names = [name.strip().lower() for name in header]
    mistakes = list(_wrong_columns(line, names))
    if mistakes:
        raise Mistakes(path, "registry", mistakes)
    organisations: list[Organisation] = []
    seen: dict[str, int] = {}
    for line, row in rows:
        if len(mistakes) >= MOST_MISTAKES:
            break
        organisation = _organisation(names, row, line, mistakes)
        if organisation is None:
            continue
        if organisation.id in seen:
            at = Place(line, 1)
            mistakes.append(Mistake(at, "id", f"'{organisation.id}' stands in line {seen[organisation.id]} already"))
        seen.setdefault(organisation.id, line)
        organisations.append(organisation)
    if not organisations and not mistakes:
        mistakes.append(Mistake(Place(1, 1), "", "no organisation in it"))
    if mistakes:
        raise Mistakes(path, "registry", mistakes)
    return tuple(organisations)


def _rows(path: Path, content: str) -> Iterator[tuple[int, list[str]]]:
    """
    Every row that holds anything, with the line on which it begins.

    Raises:
        Mistakes: where a quote is opened and not closed, everything after it would be one value.
    """
    lines = content.split("\n")
    skipped = 0
    if named := _SEPARATOR.fullmatch(lines[0].strip()):
        # What Excel writes, and reads, to say which separator it is.
        delimiter, skipped = named.group(1), 1
    else:
        delimiter = max(_DELIMITERS, key=lines[0].count)
    reader = csv.reader(io.StringIO("\n".join(lines[skipped:]), newline=""), delimiter=delimiter, strict=True)
    while True:
        begins = skipped + reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            over_lines = skipped + reader.line_num > begins or "unexpected end" in str(error)
            why = f"line {begins}: a quote is never closed" if over_lines else f"not CSV: {error}"
            raise Mistakes(path, "registry", [Mistake(Place(begins, 1), "", why)]) from None
        if any("\n" in value or "\r" in value for value in row):
            why = f"line {begins}: a quote is never closed"
            raise Mistakes(path, "registry", [Mistake(Place(begins, 1), "", why)])
        if any(map(str.strip, row)):
            yield begins, row


def _organisation(names: Sequence[str], row: Sequence[str], line: int, mistakes: list[Mistake]) -> Organisation | None:
    """What a row says; None, and why not among the ``mistakes``, where that is no organisation."""
    at = Place(line, 1)
    values = [value.strip() for value in row]
    if any(values[len(names) :]):
        mistakes.append(Mistake(at, "", "more values than columns; put a name with a comma between quotes"))
        return None
    if any(value and not name for name, value in zip(names, values, strict=False)):
        mistakes.append(Mistake(at, "", "a value in a column without a name"))
        return None
    # A cell that is empty clears what the registry has; a column that is not there changes nothing.
    said = {name: value or None for name, value in zip(names, values, strict=False) if name}
    said = {name: value for name, value in said.items() if value or name not in _REQUIRED}
    try:
        return Organisation.model_validate(said)
    except ValidationError as error:
        mistakes += [
            Mistake(at, str(item["loc"][0]), complaint(item) + _nearest(item["loc"][0], said))
            for item in error.errors(include_url=False)
        ]
        return None


def _wrong_columns(line: int, names: Sequence[str]) -> Iterator[Mistake]:
    for number, name in enumerate(names, 1):
        if name and name not in COLUMNS:
            close = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(COLUMNS)}"
            yield Mistake(Place(line, number), name[:_LONGEST_SHOWN], f"unknown column; {hint}")
        elif name and name in names[: number - 1]:
            yield Mistake(Place(line, number), name, f"column {name} stands twice")
    for name in _REQUIRED:
        if name not in names:
            yield Mistake(Place(line, 1), name, "this column is missing in the first line")


def _nearest(field: int | str, values: Mapping[str, str | None]) -> str:
    choices = _CHOICES.get(str(field), [])
    close = difflib.get_close_matches((values.get(str(field)) or "").lower(), choices, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
