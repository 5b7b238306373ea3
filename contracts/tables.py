"""
Reports as tables: one set of columns, whether they are read over HTTP or by the tool, in a spreadsheet or by a program.

The names of the columns are those of the contract's fields. A new column is added at the end.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from contracts.base import Language, Title
from contracts.characters import visible
from contracts.queries import (
    CountRow,
    Counts,
    GoalCell,
    Participation,
    ProgrammeReport,
    ProgrammeReportList,
    Reached,
    SeatRow,
    ThemeReport,
)
from contracts.table_words import TABLE_WORDS

Reader = Literal["office", "program"]
"""
Who reads a table: a spreadsheet that somebody opens, or a program.

Offices get semicolons, a byte order mark, decimals, days and headings as their language writes them, and no ids;
programs get commas, points, ISO 8601 and the names of fields (RFC 4180).
"""


@dataclass(frozen=True, slots=True)
class Word:
    """A word of ours, by its key in ``TABLE_WORDS``; a program reads ``code``."""

    key: str
    code: str


Cell = str | int | float | date | bool | Title | Word | None
Row = Mapping[str, Cell]

_FORMULA: Final = frozenset("=+-@＝＋－＠")
STATUSES: Final = tuple(name.removeprefix("units_") for name in Counts.model_fields if name.startswith("units_"))
"""What is counted of enrolments, in the order of the columns."""
SELDOM: Final = ("pending", "lapsed")
"""Those of them that are left out where there is no room or nothing to count: nobody had to confirm."""
_COUNTS: Final = tuple(f"{measure}_{status}" for measure in ("units", "people") for status in STATUSES)
_MAILS: Final = ("mails_sent", "mails_failed", "mails_bounced", "mails_uncertain")
_EVENTS: Final = ("requested", "confirmed", "waiting", "refused", "promoted", "withdrawn", "pending", "lapsed")
_ANSWERS: Final = ("invited", "accepted", "tentative", "declined", "unanswered")


@dataclass(frozen=True, slots=True)
class Table:
    """``columns`` by name; ``ids`` are those of them that only programs need. What a row does not have stays empty."""

    columns: Sequence[str]
    rows: Sequence[Row]
    ids: frozenset[str] = field(default=frozenset())

    def csv(self, reader: Reader, language: Language = "nl") -> str:
        """The table as CSV; lines end as RFC 4180 §2 says."""
        text = io.StringIO(newline="")
        words = TABLE_WORDS[language]
        columns = [name for name in self.columns if reader == "program" or name not in self.ids]
        writer = csv.writer(text, delimiter="," if reader == "program" else ";", lineterminator="\r\n")
        writer.writerow(columns if reader == "program" else [words[name] for name in columns])
        for row in self.rows:
            writer.writerow([_written(row.get(name), reader, language) for name in columns])
        return text.getvalue() if reader == "program" else "\ufeff" + text.getvalue()


def _written(cell: Cell, reader: Reader, language: Language) -> str | int | float | None:
    office = reader == "office"
    match cell:
        case bool():
            return TABLE_WORDS[language if office else "en"]["yes" if cell else "no"]
        case Word(key, code):
            return TABLE_WORDS[language][key] if office else code
        case Title():
            return neutral(getattr(cell, language))
        case date():
            return f"{cell:%d-%m-%Y}" if office and language == "nl" else f"{cell:%d/%m/%Y}" if office else f"{cell}"
        case float() if cell.is_integer():
            return int(cell)
        case float():
            return f"{cell}".replace(".", ",") if office and language == "nl" else cell
        case str():
            return neutral(cell)
        case _:
            return cell


def neutral(text: str) -> str:
    """
    Text with an apostrophe in front of what a spreadsheet would calculate.

    What is typed into a name elsewhere must not run on the desk of who opens the report (OWASP, "CSV injection").
    """
    begins = text.lstrip()[:1]
    # A terminal may be where it is printed, and shows what it is told to do.
    return visible("'" + text if begins in _FORMULA or text[:1] in {"\t", "\r", "\n"} else text)


def programme_list_table(report: ProgrammeReportList) -> Table:
    """One row a programme."""
    return Table(
        ("key", "programme", "kind", "state", "capacity", *_COUNTS, *_MAILS),
        [
            {
                "key": row.programme,
                "programme": row.title,
                "kind": Word(f"kind_{row.kind}", row.kind) if row.kind else None,
                "state": _state(withdrawn=row.withdrawn, closed=row.closed),
                "capacity": row.capacity,
                **row.counts.model_dump(),
                **{name: getattr(row, name) for name in _MAILS},
            }
            for row in report.programmes
        ],
        frozenset({"key"}),
    )


def programme_table(report: ProgrammeReport) -> Table:
    """All tables of the report under each other; ``section`` tells them apart."""
    events = tuple(f"enrolments_{each}" for each in _EVENTS)
    return Table(
        ("section", "key", "name", *_COUNTS, "hours", "refusals", *events, *_MAILS, *_ANSWERS),
        list(_programme_rows(report)),
        frozenset({"key"}),
    )


def _programme_rows(report: ProgrammeReport) -> Iterable[Row]:
    yield {
        **_begun("total", report.programme, report.title),
        **report.counts.model_dump(),
        **{name: getattr(report, name) for name in _MAILS},
    }
    for section, rows in (("organisation", report.organisations), ("province", report.provinces)):
        yield from (_counted(section, row, _COUNTS) for row in rows)
    # A role is a person's: places, which may be a team's, have none.
    of_people = tuple(name for name in _COUNTS if name.startswith("people_"))
    yield from (_counted("role", row, of_people) for row in report.roles)
    yield from (_seat(row, of_people) for row in report.seats)
    for refusal in report.refusals:
        yield {
            **_begun("refusal", refusal.rule, refusal.title or Title(nl=refusal.nl, en=refusal.en)),
            "refusals": refusal.refusals,
            "units_refused": refusal.units,
            "people_refused": refusal.people,
        }
    for day in report.days:
        events = {f"enrolments_{each}": getattr(day, each) for each in _EVENTS}
        yield {**_begun("day", day.day, date.fromisoformat(day.day)), **events}
    for mails in report.mails:
        purpose = f"purpose_{mails.purpose}"
        named = Word(purpose, mails.purpose) if purpose in TABLE_WORDS["nl"] else mails.purpose
        counted = {name: getattr(mails, name.removeprefix("mails_")) for name in _MAILS}
        yield {**_begun("mail", mails.purpose, named), **counted}
    for answers in report.answers:
        yield {
            **_begun("session", answers.session, answers.title),
            **{name: getattr(answers, name) for name in _ANSWERS},
        }


def _counted(section: str, row: CountRow, counts: Sequence[str]) -> dict[str, Cell]:
    return {**_begun(section, row.key, row.title or row.name), **{name: getattr(row.counts, name) for name in counts}}


def _seat(row: SeatRow, counts: Sequence[str]) -> dict[str, Cell]:
    return {
        **_begun("seat", row.seat, row.title or row.seat),
        **{name: getattr(row.counts, name) for name in counts},
        "hours": row.hours,
    }


def _begun(section: str, key: str, name: Cell) -> dict[str, Cell]:
    return {"section": Word(section, section), "key": key, "name": name}


def participation_table(report: Participation) -> Table:
    """One row for each organisation under each heading."""
    columns = ("key", report.by, "took_part", "organisation_key", "organisation", "municipality")
    return Table(
        # By municipality, the heading says it.
        tuple(dict.fromkeys(columns)),
        [
            {
                "municipality": each.municipality,
                "key": row.key,
                report.by: row.title or row.name,
                "took_part": took_part,
                "organisation_key": each.id,
                "organisation": each.title or each.name,
            }
            for row in report.rows
            for took_part, organisations in ((True, row.took_part), (False, row.never_took_part))
            for each in organisations
        ],
        frozenset({"key", "organisation_key"}),
    )


def theme_table(report: ThemeReport) -> Table:
    """One row for each municipality and goal; under "whole theme", everything counted once."""
    titles: dict[str, Cell] = {row.key: row.title or row.name for row in report.goals}

    def row(municipality: Cell, reached: Reached) -> Row:
        goal = reached.goal if isinstance(reached, GoalCell) else None
        return {
            "municipality": municipality,
            "goal_key": goal,
            "goal": titles[goal] if goal else Word("whole", ""),
            "programmes": reached.programmes,
            "organisations": reached.organisations,
            "people": reached.people,
        }

    rows = [row(each.municipality, reached) for each in report.municipalities for reached in (*each.goals, each.whole)]
    elsewhere = Word("elsewhere", "_elsewhere")
    rows += [row(elsewhere, reached) for reached in (*report.elsewhere, report.whole_elsewhere)]
    rows.append(row(Word("everywhere", "_everywhere"), report.whole))
    return Table(("municipality", "goal_key", "goal", *Reached.model_fields), rows, frozenset({"goal_key"}))


def _state(*, withdrawn: bool, closed: bool) -> Word:
    state = "withdrawn" if withdrawn else "closed" if closed else "open"
    return Word(f"state_{state}", state)
