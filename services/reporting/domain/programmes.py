"""Per programme: what came of it."""

from __future__ import annotations

from collections import Counter

from contracts.base import Title
from contracts.organisation import Organisation
from contracts.programme import readable
from contracts.queries import (
    AnswerRow,
    CountRow,
    DayRow,
    MailRow,
    ProgrammeReport,
    ProgrammeReportList,
    ProgrammeReportRow,
    ReasonRow,
    SeatRow,
)
from contracts.rules import rule_title
from contracts.session import in_order_of_time
from services.chassis.state import State
from services.reporting.domain.counting import (
    TITLES,
    WITHOUT_ORGANISATION,
    WITHOUT_ROLE,
    WITHOUT_SEAT,
    ProgrammeCount,
    Tally,
    count,
    count_all,
    order,
    place_name,
    province_key,
)
from services.reporting.domain.state import organisation


def programme_list(state: State) -> ProgrammeReportList:
    """All programmes in short, by id."""
    return programmes_listed(count_all(state).programmes)


def programme_report(state: State, id_: str) -> ProgrammeReport | None:
    """Everything about one programme; None when there is none of this id."""
    counted = count(state, id_)
    if counted is None:
        return None
    known = {id_: organisation(state, id_) for id_ in counted.organisations if id_ is not None}
    return programme_reported(counted, {id_: entry for id_, entry in known.items() if entry is not None})


def programmes_listed(counted: tuple[ProgrammeCount, ...]) -> ProgrammeReportList:
    """The list made of what has been counted."""
    return ProgrammeReportList(programmes=tuple(_in_short(each) for each in counted))


def _in_short(counted: ProgrammeCount) -> ProgrammeReportRow:
    return ProgrammeReportRow(
        programme=counted.id,
        title=counted.entry.title,
        kind=counted.entry.kind,
        withdrawn=counted.entry.withdrawn,
        closed=counted.entry.closed,
        capacity=counted.entry.capacity,
        counts=counted.total.counts(),
        mails_sent=sum(mails.sent for mails in counted.mails.values()),
        mails_failed=sum(mails.failed for mails in counted.mails.values()),
        mails_bounced=sum(mails.bounced for mails in counted.mails.values()),
        mails_uncertain=sum(mails.uncertain for mails in counted.mails.values()),
    )


def programme_reported(counted: ProgrammeCount, registry: dict[str, Organisation]) -> ProgrammeReport:
    """The report made of what has been counted and of the organisations as they are called now."""
    short = _in_short(counted)
    return ProgrammeReport(
        programme=counted.id,
        title=short.title,
        kind=counted.entry.kind,
        withdrawn=short.withdrawn,
        closed=short.closed,
        per=counted.entry.rules.per,
        capacity=short.capacity,
        counts=short.counts,
        refusals=tuple(
            ReasonRow(
                rule=rule,
                nl=each.nl,
                en=each.en,
                refusals=each.refusals,
                units=each.units,
                people=each.people,
                title=rule_title(rule),
            )
            for rule, each in sorted(counted.refusals.items())
        ),
        organisations=_organisations(counted, registry),
        provinces=_provinces(counted, registry),
        roles=_roles(counted),
        seats=_seats(counted),
        days=tuple(
            DayRow(
                day=date,
                requested=day.requested,
                confirmed=day.confirmed,
                waiting=day.waiting,
                refused=day.refused,
                promoted=day.promoted,
                withdrawn=day.withdrawn,
                pending=day.pending,
                lapsed=day.lapsed,
            )
            for date, day in sorted(counted.days.items())
        ),
        mails=tuple(
            MailRow(
                purpose=purpose,
                sent=mails.sent,
                failed=mails.failed,
                bounced=mails.bounced,
                uncertain=mails.uncertain,
            )
            for purpose, mails in sorted(counted.mails.items())
        ),
        mails_sent=short.mails_sent,
        mails_failed=short.mails_failed,
        mails_bounced=short.mails_bounced,
        mails_uncertain=short.mails_uncertain,
        answers=_answers(counted),
    )


def organisation_name(id_: str | None, registry: dict[str, Organisation]) -> tuple[str, Title | None]:
    """What an organisation is called; of one that the registry does not have, the name says so."""
    if id_ is None:
        title = TITLES[WITHOUT_ORGANISATION]
    elif id_ in registry:
        return registry[id_].name, None
    else:
        title = Title(nl=f"{id_} (niet in het register)", en=f"{id_} (not in the registry)")
    return title.nl, title


def _organisations(counted: ProgrammeCount, registry: dict[str, Organisation]) -> tuple[CountRow, ...]:
    rows = []
    for id_, tally in counted.organisations.items():
        name, title = organisation_name(id_, registry)
        rows.append(CountRow(key=id_ or WITHOUT_ORGANISATION, name=name, title=title, counts=tally.counts()))
    return tuple(sorted(rows, key=lambda row: order(row.key)))


def _provinces(counted: ProgrammeCount, registry: dict[str, Organisation]) -> tuple[CountRow, ...]:
    tallies: dict[str, Tally] = {}
    for id_, tally in counted.organisations.items():
        key = province_key(id_, registry.get(id_) if id_ is not None else None)
        tallies.setdefault(key, Tally()).add(tally)
    return tuple(
        CountRow(key=key, name=place_name(key), title=TITLES.get(key), counts=tallies[key].counts())
        for key in sorted(tallies, key=order)
    )


def _roles(counted: ProgrammeCount) -> tuple[CountRow, ...]:
    tallies = {role or WITHOUT_ROLE: tally for role, tally in counted.roles.items()}
    rules = counted.entry.rules
    titles = {key: TITLES.get(key) or rules.role(key).title for key in tallies}
    return tuple(
        CountRow(key=key, name=titles[key].nl, title=titles[key], counts=tallies[key].counts())
        for key in sorted(tallies, key=order)
    )


def _seats(counted: ProgrammeCount) -> tuple[SeatRow, ...]:
    """The seats of the team rule in its order, taken or not; then those that the rule no longer has."""
    tallies = {seat or WITHOUT_SEAT: tally for seat, tally in counted.seats.items()}
    # What a refused request alone calls a seat is none.
    if not counted.entry.seats and not any(each.sat for seat, each in tallies.items() if seat != WITHOUT_SEAT):
        return ()
    rule = {seat.id: seat for seat in counted.entry.seats}
    rows = []
    for key in [*rule, *sorted(tallies.keys() - rule.keys(), key=order)]:
        tally = tallies.get(key, Tally())
        hours = rule[key].hours if key in rule else None
        rows.append(
            SeatRow(
                seat=key,
                title=rule[key].title if key in rule else TITLES.get(key) or readable(key),
                people=tally.people_confirmed,
                hours=None if hours is None else hours * tally.people_confirmed,
                counts=tally.counts(),
            )
        )
    return tuple(rows)


def _answers(counted: ProgrammeCount) -> tuple[AnswerRow, ...]:
    """Each session that has a date, in the order of time, with the answers of those who are invited to it now."""
    only = {seat.id: seat.sessions for seat in counted.entry.seats}
    rows = []
    for session in in_order_of_time(counted.entry.sessions):
        if session.begins is None:
            continue
        invited: set[str] = set()
        for seat, people in counted.seated.items():
            attended = only.get(seat) if seat is not None else None
            if attended is None or session.id in attended:
                invited |= people
        tally = Counter(
            answer.answer for person in invited if (answer := counted.answers.get((session.id, person))) is not None
        )
        rows.append(
            AnswerRow(
                session=session.id,
                title=session.title,
                invited=len(invited),
                accepted=tally["accepted"],
                tentative=tally["tentative"],
                declined=tally["declined"],
                unanswered=len(invited) - tally.total(),
            )
        )
    return tuple(rows)
