"""``deelname organisation``: load and list the registry."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from cli.desk import Desk, command, group
from cli.document import Mistake, Mistakes, Place, content
from contracts.base import OrganisationKind, Province
from contracts.commands import OrganisationsRegistered, RegisterOrganisations
from contracts.organisation import Organisation
from contracts.problem import complaint
from contracts.queries import Everything, OrganisationList

app = group("Organisations: the registry that every enrolment refers to.")

COLUMNS = ("id", "name", "kind", "province", "municipality")
_REQUIRED = ("id", "name", "kind")
_PIECE = 500
_CHOICES = {"kind": [str(kind) for kind in OrganisationKind], "province": [str(province) for province in Province]}


@command(app, "load", examples=["deelname organisation load organisations.csv"])
def load(
    desk: Desk,
    file: Annotated[
        Path, typer.Argument(metavar="CSV", help="Columns id, name, kind, province, municipality; comma or semicolon.")
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
    The organisations of a CSV file whose first line names the columns.

    Raises:
        Failure: the file can't be read.
        Mistakes: a column or a line is not what the registry takes; every one is named.
    """
    text = content(path)
    first = text.split("\n", 1)[0]
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if first.count(";") > first.count(",") else ",")
    mistakes = list(_wrong_columns(rows.fieldnames or ()))
    if mistakes:
        raise Mistakes(path, "registry", mistakes)
    organisations: list[Organisation] = []
    seen: dict[str, int] = {}
    for row in rows:
        line = Place(rows.line_num, 1)
        if None in row:
            mistakes.append(Mistake(line, "", "more values than columns; put a name with a comma between quotes"))
            continue
        values = {key: value.strip() for key, value in row.items() if value and value.strip()}
        try:
            organisation = Organisation.model_validate(values)
        except ValidationError as error:
            mistakes += [
                Mistake(line, str(item["loc"][0]), complaint(item) + _nearest(item["loc"][0], values))
                for item in error.errors(include_url=False)
            ]
            continue
        if organisation.id in seen:
            mistakes.append(Mistake(line, "id", f"'{organisation.id}' stands in line {seen[organisation.id]} already"))
        seen.setdefault(organisation.id, rows.line_num)
        organisations.append(organisation)
    if not organisations and not mistakes:
        mistakes.append(Mistake(Place(1, 1), "", "no organisation in it"))
    if mistakes:
        raise Mistakes(path, "registry", mistakes)
    return tuple(organisations)


def _wrong_columns(names: Sequence[str]) -> Iterator[Mistake]:
    for number, name in enumerate(names, 1):
        if name not in COLUMNS:
            close = difflib.get_close_matches(name, COLUMNS, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(COLUMNS)}"
            yield Mistake(Place(1, number), name, f"unknown column; {hint}")
    for name in _REQUIRED:
        if name not in names:
            yield Mistake(Place(1, 1), name, "this column is missing in the first line")


def _nearest(field: int | str, values: dict[str, str]) -> str:
    choices = _CHOICES.get(str(field), [])
    close = difflib.get_close_matches(values.get(str(field), "").lower(), choices, n=1)
    return f"; did you mean '{close[0]}'?" if close else ""
