"""Reports as CSV, for whoever goes on counting."""

from __future__ import annotations

from collections.abc import Iterator

from contracts.base import Language, Title
from contracts.queries import CountRow, Counts, ProgrammeReport

COUNTS = ("Confirmed", "Waiting", "Withdrawn", "Refused", "People")
"""Units by status, and the people who have a place."""
TO_CONFIRM = ("To be confirmed", "Not confirmed")
"""Units of requests that are yet to be confirmed, and of those that never were."""
COLUMNS = (
    *("Heading", "Key", "Name", *COUNTS),
    *("Refusals", "Requested", "Promoted", "Planned hours", "Mails", "Failed", "Came back"),
    *TO_CONFIRM,
    "Uncertain",
)
"""What ``rows`` has; a new column is added at the end."""


def rows(report: ProgrammeReport, language: Language) -> Iterator[list[object]]:
    """All tables of a programme's report under each other; ``Heading`` tells them apart."""
    for row in _all(report, language):
        yield [row.get(column) for column in COLUMNS]


def counts_of(counts: Counts) -> tuple[int, int, int, int, int]:
    """The numbers that ``COUNTS`` names."""
    return (
        counts.units_confirmed,
        counts.units_waiting,
        counts.units_withdrawn,
        counts.units_refused,
        counts.people_confirmed,
    )


def to_confirm(counts: Counts) -> tuple[int, int]:
    """The numbers that ``TO_CONFIRM`` names."""
    return counts.units_pending, counts.units_lapsed


def named(language: Language, row: CountRow) -> str:
    """What a row of a report is called."""
    return titled(language, row.title, row.name)


def titled(language: Language, title: Title | None, otherwise: str) -> str:
    """A title, or what stands for it where there is none."""
    return getattr(title, language) if title else otherwise


def _all(report: ProgrammeReport, language: Language) -> Iterator[dict[str, object]]:
    whole = getattr(report.title, language)
    yield {
        **_row("total", report.programme, whole, report.counts),
        **_mails(report.mails_sent, report.mails_failed, report.mails_bounced, report.mails_uncertain),
    }
    for heading, counted in (("organisation", report.organisations), ("province", report.provinces)):
        for row in counted:
            yield _row(heading, row.key, named(language, row), row.counts)
    for row in report.roles:
        yield {**_row("role", row.key, named(language, row)), "People": row.counts.people_confirmed}
    for answers in report.answers:
        for answer in ("invited", "accepted", "tentative", "declined", "unanswered"):
            yield {**_row("answer", answers.session, answer), "People": getattr(answers, answer)}
    for seat in report.seats:
        yield {
            **_row("seat", seat.seat, titled(language, seat.title, seat.seat)),
            "People": seat.people,
            "Planned hours": seat.hours,
        }
    for reason in report.refusals:
        yield {**_row("refusal", reason.rule, getattr(reason, language)), "Refusals": reason.refusals}
    for day in report.days:
        yield {
            **_row("day", day.day, ""),
            **{name: getattr(day, name.lower()) for name in ("Requested", "Confirmed", "Waiting", "Refused")},
            **{name: getattr(day, name.lower()) for name in ("Promoted", "Withdrawn")},
            **dict(zip(TO_CONFIRM, (day.pending, day.lapsed), strict=True)),
        }
    for mails in report.mails:
        yield {**_row("mail", mails.purpose, ""), **_mails(mails.sent, mails.failed, mails.bounced, mails.uncertain)}


def _row(heading: str, key: str, name: str, counts: Counts | None = None) -> dict[str, object]:
    names = (*COUNTS, *TO_CONFIRM)
    counted = dict(zip(names, (*counts_of(counts), *to_confirm(counts)), strict=True)) if counts else {}
    return {"Heading": heading, "Key": key, "Name": name, **counted}


def _mails(sent: int, failed: int, bounced: int, uncertain: int) -> dict[str, object]:
    return {"Mails": sent, "Failed": failed, "Came back": bounced, "Uncertain": uncertain}
