"""
Reports as tables for a spreadsheet.

CSV as in RFC 4180, in UTF-8 with the byte order mark without which Excel takes it for something else. The columns have
the names of the contract's fields and stay as they are; a new one is added at the end.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

from contracts.base import Title
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

Cell = str | int | float | None
Row = Mapping[str, Cell]

_FORMULA: Final = frozenset("=+-@＝＋－＠")
_ADDED_COUNTS: Final = ("units_pending", "units_lapsed", "people_pending", "people_lapsed")
_COUNTS: Final = tuple(name for name in Counts.model_fields if name not in _ADDED_COUNTS)


def csv_document(columns: Iterable[str], rows: Iterable[Row]) -> bytes:
    """The table as a CSV file; a column that a row does not have stays empty."""
    text = io.StringIO(newline="")
    columns = tuple(columns)
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([neutral(row.get(column)) for column in columns] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def neutral(cell: Cell) -> Cell:
    """
    The cell with an apostrophe in front of text that a spreadsheet would calculate.

    What is typed into a name elsewhere must not run on the desk of who opens the report (OWASP, "CSV injection").
    """
    if not isinstance(cell, str):
        return cell
    begins = cell.lstrip()[:1]
    return "'" + cell if begins in _FORMULA or cell[:1] in {"\t", "\r", "\n"} else cell


def programme_list_csv(report: ProgrammeReportList) -> bytes:
    """One row a programme."""
    columns = ("programme", "title_nl", "title_en", "kind", "withdrawn", "capacity", *_COUNTS)
    return csv_document(
        (*columns, "mails_sent", "mails_failed", "mails_bounced", *_ADDED_COUNTS, "mails_uncertain"),
        (
            {
                "programme": row.programme,
                "title_nl": row.title.nl,
                "title_en": row.title.en,
                "kind": row.kind,
                "withdrawn": _yes(row.withdrawn),
                "capacity": row.capacity,
                **row.counts.model_dump(),
                "mails_sent": row.mails_sent,
                "mails_failed": row.mails_failed,
                "mails_bounced": row.mails_bounced,
                "mails_uncertain": row.mails_uncertain,
            }
            for row in report.programmes
        ),
    )


def programme_csv(report: ProgrammeReport) -> bytes:
    """All tables of the report under each other; ``section`` tells them apart."""
    columns = ("section", "key", "name_nl", "name_en", *_COUNTS, "refusals", "units", "people", "hours")
    days, added_days = (tuple(f"enrolments_{each}" for each in names) for names in (_DAY_COLUMNS, _ADDED_DAY_COLUMNS))
    mails = ("mails_sent", "mails_failed", "mails_bounced")
    return csv_document(
        (*columns, *days, *mails, *_ANSWERS, *_ADDED_COUNTS, *added_days, "mails_uncertain"), _programme_rows(report)
    )


_ANSWERS: Final = ("invited", "accepted", "tentative", "declined", "unanswered")
_DAY_COLUMNS: Final = ("requested", "confirmed", "waiting", "refused", "promoted", "withdrawn")
_ADDED_DAY_COLUMNS: Final = ("pending", "lapsed")


def _programme_rows(report: ProgrammeReport) -> Iterable[Row]:
    yield {
        "section": "total",
        "key": report.programme,
        **_names(report.title.nl, report.title),
        **report.counts.model_dump(),
        "mails_sent": report.mails_sent,
        "mails_failed": report.mails_failed,
        "mails_bounced": report.mails_bounced,
        "mails_uncertain": report.mails_uncertain,
    }
    for section, rows in (
        ("organisation", report.organisations),
        ("province", report.provinces),
        ("role", report.roles),
    ):
        yield from (_counted(section, row) for row in rows)
    yield from (_seat(row) for row in report.seats)
    for refusal in report.refusals:
        yield {
            "section": "refusal",
            "key": refusal.rule,
            "name_nl": refusal.nl,
            "name_en": refusal.en,
            "refusals": refusal.refusals,
            "units": refusal.units,
            "people": refusal.people,
        }
    for day in report.days:
        yield {
            "section": "day",
            "key": day.day,
            **{f"enrolments_{each}": getattr(day, each) for each in (*_DAY_COLUMNS, *_ADDED_DAY_COLUMNS)},
        }
    for mails in report.mails:
        yield {
            "section": "mail",
            "key": mails.purpose,
            "mails_sent": mails.sent,
            "mails_failed": mails.failed,
            "mails_bounced": mails.bounced,
            "mails_uncertain": mails.uncertain,
        }
    for answers in report.answers:
        yield {
            "section": "session",
            "key": answers.session,
            **_names(answers.session, answers.title),
            **{name: getattr(answers, name) for name in _ANSWERS},
        }


def _counted(section: str, row: CountRow) -> dict[str, Cell]:
    return {"section": section, "key": row.key, **_names(row.name, row.title), **row.counts.model_dump()}


def _seat(row: SeatRow) -> dict[str, Cell]:
    return {
        "section": "seat",
        "key": row.seat,
        **_names(row.seat, row.title),
        **row.counts.model_dump(),
        "people": row.people,
        "hours": row.hours,
    }


def participation_csv(report: Participation) -> bytes:
    """One row for each organisation under each heading."""
    columns = (report.by, "name_nl", "name_en", "took_part", "organisation", "organisation_name", "municipality")
    return csv_document(
        # By municipality, the heading says it.
        dict.fromkeys(columns),
        (
            {
                "municipality": each.municipality,
                report.by: row.key,
                **_names(row.name, row.title),
                "took_part": _yes(took_part),
                "organisation": each.id,
                "organisation_name": each.name,
            }
            for row in report.rows
            for took_part, organisations in ((True, row.took_part), (False, row.never_took_part))
            for each in organisations
        ),
    )


def theme_csv(report: ThemeReport) -> bytes:
    """One row for each municipality and goal; without a goal, the theme as a whole; without both, everything."""
    titles = {row.key: row.title or Title(nl=row.name, en=row.name) for row in report.goals}
    columns = ("municipality", "goal", "goal_nl", "goal_en", *Reached.model_fields)
    return csv_document(columns, _theme_rows(report, titles))


def _theme_rows(report: ThemeReport, titles: Mapping[str, Title]) -> Iterable[Row]:
    def cell(municipality: str, reached: Reached) -> dict[str, Cell]:
        goal = reached.goal if isinstance(reached, GoalCell) else None
        return {
            "municipality": municipality,
            "goal": goal,
            "goal_nl": titles[goal].nl if goal else None,
            "goal_en": titles[goal].en if goal else None,
            "programmes": reached.programmes,
            "organisations": reached.organisations,
            "people": reached.people,
        }

    for row in report.municipalities:
        yield from (cell(row.municipality, reached) for reached in (*row.goals, row.whole))
    yield from (cell("_elsewhere", reached) for reached in (*report.elsewhere, report.whole_elsewhere))
    yield cell("_everywhere", report.whole)


def _names(name: str, title: Title | None) -> dict[str, Any]:
    return {"name_nl": title.nl if title else name, "name_en": title.en if title else name}


def _yes(value: bool) -> str:
    return "yes" if value else "no"
