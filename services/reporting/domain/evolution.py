"""
What each fact changes in what reporting remembers: a bounded number of small entities, whatever was before.

Facts of the two logs touch different entities, so that the order in which the logs interleave changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any, TypeVar

from contracts import facts
from contracts.base import Message
from contracts.enrolment import Enrolled, EnrolmentStatus, Participant
from contracts.facts import NO_PROGRAMME, Fact
from contracts.moments import AMSTERDAM
from contracts.session import Session
from services.chassis.state import State
from services.reporting.domain.state import (
    BOUNCED,
    ENROLMENT,
    FAILED,
    MAILS,
    ORGANISATION,
    PROGRAMME,
    REFUSALS,
    THEME,
    TOKENS,
    AnswerEntry,
    BouncedMailEntry,
    EnrolmentEntry,
    FailedMailEntry,
    MailsEntry,
    ProgrammeEntry,
    RefusalsEntry,
    SessionEntry,
    TokenEntry,
    answer_key,
)

Rule = Callable[[State, str, Any, datetime], State]
AnyRule = TypeVar("AnyRule", bound=Rule)

_RULES: dict[type[Message], Rule] = {}


def evolve(state: State, fact: Fact) -> State:
    """The state after a fact. A fact that no report speaks of, or of an unknown type, changes nothing."""
    rule = _RULES.get(type(fact.data))
    return state if rule is None else rule(state, fact.subject or NO_PROGRAMME, fact.data, fact.time)


def _on(*types: type[Message]) -> Callable[[AnyRule], AnyRule]:
    def register(rule: AnyRule) -> AnyRule:
        _RULES.update(dict.fromkeys(types, rule))
        return rule

    return register


def day(time: datetime) -> str:
    """The day on which it is ``time`` in Amsterdam, as an ISO 8601 date."""
    if _is_utc(time.tzinfo):
        return _day_of_hour(time.year, time.month, time.day, time.hour)
    return time.astimezone(AMSTERDAM).date().isoformat()


@lru_cache(maxsize=16)
def _is_utc(zone: tzinfo | None) -> bool:
    return zone is not None and zone.utcoffset(None) == timedelta(0)


@lru_cache(maxsize=1024)
def _day_of_hour(year: int, month: int, day: int, hour: int) -> str:
    """Amsterdam has been whole hours ahead of UTC since 1940: within an hour of UTC its day does not change."""
    return datetime(year, month, day, hour, tzinfo=UTC).astimezone(AMSTERDAM).date().isoformat()


COUNTED = _RULES.keys()
"""The facts that change anything here."""


# Programmes ----------------------------------------------------------------------------------------------------------


@_on(facts.ProgrammePublished)
def _published(state: State, programme: str, data: facts.ProgrammePublished, _: datetime) -> State:
    definition = data.programme
    return state.put(
        programme,
        PROGRAMME,
        ProgrammeEntry(
            title=definition.title,
            kind=definition.kind,
            organisers=definition.organisers,
            themes=definition.themes,
            rules=definition.enrolment,
            capacity=definition.enrolment.capacity,
            seats=definition.team.seats if definition.team else (),
            sessions=tuple(_session(each) for each in definition.sessions),
        ),
    )


def _change_programme(state: State, programme: str, **changes: Any) -> State:
    before = state.get(programme, PROGRAMME)
    return state if before is None else state.put(programme, PROGRAMME, replace(before, **changes))


@_on(facts.ProgrammeDescribed)
def _described(state: State, programme: str, data: facts.ProgrammeDescribed, _: datetime) -> State:
    return _change_programme(state, programme, title=data.title, kind=data.kind)


@_on(facts.ProgrammeOrganised)
def _organised(state: State, programme: str, data: facts.ProgrammeOrganised, _: datetime) -> State:
    return _change_programme(state, programme, organisers=data.organisers)


@_on(facts.ProgrammeClassified)
def _classified(state: State, programme: str, data: facts.ProgrammeClassified, _: datetime) -> State:
    return _change_programme(state, programme, themes=data.themes)


@_on(facts.ProgrammeRulesChanged)
def _rules_changed(state: State, programme: str, data: facts.ProgrammeRulesChanged, _: datetime) -> State:
    # The capacity has facts of its own.
    return _change_programme(state, programme, rules=data.rules)


@_on(facts.ProgrammeCapacityRaised, facts.ProgrammeCapacityLowered)
def _capacity_changed(
    state: State, programme: str, data: facts.ProgrammeCapacityRaised | facts.ProgrammeCapacityLowered, _: datetime
) -> State:
    return _change_programme(state, programme, capacity=data.after)


@_on(facts.ProgrammeTeamRuleChanged)
def _team_rule_changed(state: State, programme: str, data: facts.ProgrammeTeamRuleChanged, _: datetime) -> State:
    return _change_programme(state, programme, seats=data.team.seats)


@_on(facts.ProgrammeClosed)
def _programme_closed(state: State, programme: str, _: facts.ProgrammeClosed, __: datetime) -> State:
    return _change_programme(state, programme, closed=True)


@_on(facts.ProgrammeWithdrawn)
def _programme_withdrawn(state: State, programme: str, _: facts.ProgrammeWithdrawn, __: datetime) -> State:
    return _change_programme(state, programme, withdrawn=True)


def _session(session: Session) -> SessionEntry:
    return SessionEntry(session.id, session.title, session.begins)


def _change_sessions(
    state: State, programme: str, change: Callable[[tuple[SessionEntry, ...]], tuple[SessionEntry, ...]]
) -> State:
    before = state.get(programme, PROGRAMME)
    return (
        state if before is None else state.put(programme, PROGRAMME, replace(before, sessions=change(before.sessions)))
    )


@_on(facts.SessionAdded)
def _session_added(state: State, programme: str, data: facts.SessionAdded, _: datetime) -> State:
    return _change_sessions(state, programme, lambda before: (*before, _session(data.session)))


@_on(facts.SessionMoved)
def _session_moved(state: State, programme: str, data: facts.SessionMoved, _: datetime) -> State:
    begins = data.after.begins
    return _change_sessions(
        state,
        programme,
        lambda before: tuple(replace(each, begins=begins) if each.id == data.session else each for each in before),
    )


@_on(facts.SessionDescribed)
def _session_described(state: State, programme: str, data: facts.SessionDescribed, _: datetime) -> State:
    return _change_sessions(
        state,
        programme,
        lambda before: tuple(replace(each, title=data.title) if each.id == data.session else each for each in before),
    )


@_on(facts.SessionCancelled)
def _session_cancelled(state: State, programme: str, data: facts.SessionCancelled, _: datetime) -> State:
    return _change_sessions(state, programme, lambda before: tuple(each for each in before if each.id != data.session))


# Enrolments ----------------------------------------------------------------------------------------------------------


def _enrol(state: State, programme: str, data: Enrolled, status: EnrolmentStatus, time: datetime) -> State:
    key = ENROLMENT + data.enrolment
    entry = EnrolmentEntry(data.organisation, status, status, data.units, data.participants, day(time))
    before = state.get(programme, key)
    if before is not None:
        # It had to be confirmed: it is the same request still.
        entry = _still_awaited(entry._replace(requested=before.requested, lapsed=before.lapsed), before.awaited)
        entry = _given_up(entry) if status == "refused" else entry
    return state.put(programme, key, entry)


def _still_awaited(entry: EnrolmentEntry, awaited: tuple[Participant, ...]) -> EnrolmentEntry:
    """The enrolment, for which those of the awaited who are not in it have yet to confirm."""
    inside = {participant.person for participant in entry.participants}
    return entry._replace(awaited=tuple(each for each in awaited if each.person not in inside))


def _given_up(entry: EnrolmentEntry) -> EnrolmentEntry:
    """The enrolment, for which nobody is awaited any more."""
    return entry._replace(awaited=(), lapsed=entry.lapsed + entry.awaited)


@_on(facts.EnrolmentPending)
def _pending(state: State, programme: str, data: facts.EnrolmentPending, time: datetime) -> State:
    entry = EnrolmentEntry(data.organisation, "pending", "pending", data.units, (), day(time))
    return state.put(programme, ENROLMENT + data.enrolment, entry._replace(awaited=data.participants))


@_on(facts.EnrolmentLapsed)
def _lapsed(state: State, programme: str, data: facts.EnrolmentLapsed, _: datetime) -> State:
    def change(before: EnrolmentEntry) -> EnrolmentEntry:
        after = _given_up(before)
        # A team that stands goes on without them.
        return after._replace(status="lapsed", first="lapsed") if before.status == "pending" else after

    return _change_enrolment(state, programme, data.enrolment, change)


@_on(facts.EnrolmentConfirmed)
def _confirmed(state: State, programme: str, data: facts.EnrolmentConfirmed, time: datetime) -> State:
    return _enrol(state, programme, data, "confirmed", time)


@_on(facts.EnrolmentWaitlisted)
def _waitlisted(state: State, programme: str, data: facts.EnrolmentWaitlisted, time: datetime) -> State:
    return _enrol(state, programme, data, "waiting", time)


@_on(facts.EnrolmentRefused)
def _refused(state: State, programme: str, data: facts.EnrolmentRefused, time: datetime) -> State:
    named = {reason.rule: reason for reason in reversed(data.reasons)}
    for rule, reason in named.items():
        before = state.get(programme, REFUSALS + rule) or RefusalsEntry(reason.nl, reason.en, 0, 0, 0)
        after = RefusalsEntry(
            before.nl,
            before.en,
            before.refusals + 1,
            before.units + data.units,
            before.people + len(data.participants),
        )
        state = state.put(programme, REFUSALS + rule, after)
    return _enrol(state, programme, data, "refused", time)


def _change_enrolment(
    state: State, programme: str, enrolment: str, change: Callable[[EnrolmentEntry], EnrolmentEntry]
) -> State:
    before = state.get(programme, ENROLMENT + enrolment)
    return state if before is None else state.put(programme, ENROLMENT + enrolment, change(before))


@_on(facts.EnrolmentPromoted)
def _promoted(state: State, programme: str, data: facts.EnrolmentPromoted, time: datetime) -> State:
    return _change_enrolment(
        state, programme, data.enrolment, lambda before: before._replace(status="confirmed", promoted=day(time))
    )


@_on(facts.EnrolmentWithdrawn)
def _withdrawn(state: State, programme: str, data: facts.EnrolmentWithdrawn, time: datetime) -> State:
    return _change_enrolment(
        state,
        programme,
        data.enrolment,
        lambda before: _given_up(before)._replace(status="withdrawn", withdrawn=day(time)),
    )


@_on(facts.ParticipantAdded)
def _participant_added(state: State, programme: str, data: facts.ParticipantAdded, _: datetime) -> State:
    def change(before: EnrolmentEntry) -> EnrolmentEntry:
        after = before._replace(participants=(*before.participants, data.participant), units=data.units)
        return _still_awaited(after, before.awaited)

    return _change_enrolment(state, programme, data.enrolment, change)


@_on(facts.ParticipantChanged)
def _participant_changed(state: State, programme: str, data: facts.ParticipantChanged, _: datetime) -> State:
    return _replace_participant(state, programme, data.enrolment, data.participant.person, data)


@_on(facts.ParticipantReplaced)
def _participant_replaced(state: State, programme: str, data: facts.ParticipantReplaced, _: datetime) -> State:
    # The place goes from hand to hand: nobody is counted as withdrawn.
    return _replace_participant(state, programme, data.enrolment, data.person, data)


def _replace_participant(
    state: State,
    programme: str,
    enrolment: str,
    person: str,
    data: facts.ParticipantChanged | facts.ParticipantReplaced,
) -> State:
    def change(before: EnrolmentEntry) -> EnrolmentEntry:
        after = before._replace(
            participants=tuple(
                data.participant if participant.person == person else participant for participant in before.participants
            ),
        )
        return _still_awaited(after, before.awaited)

    return _change_enrolment(state, programme, enrolment, change)


@_on(facts.ParticipantWithdrawn)
def _participant_withdrawn(state: State, programme: str, data: facts.ParticipantWithdrawn, _: datetime) -> State:
    def change(before: EnrolmentEntry) -> EnrolmentEntry:
        return before._replace(
            units=data.units,
            units_left=before.units_left + max(0, before.units - data.units),
            participants=tuple(each for each in before.participants if each.person != data.person),
            left=before.left + tuple(each for each in before.participants if each.person == data.person),
        )

    return _change_enrolment(state, programme, data.enrolment, change)


# What belongs to no programme ----------------------------------------------------------------------------------------


@_on(facts.OrganisationRegistered, facts.OrganisationChanged)
def _organisation(
    state: State, _: str, data: facts.OrganisationRegistered | facts.OrganisationChanged, __: datetime
) -> State:
    return state.put(NO_PROGRAMME, ORGANISATION + data.organisation.id, data.organisation)


@_on(facts.ThemePublished)
def _theme(state: State, _: str, data: facts.ThemePublished, __: datetime) -> State:
    return state.put(NO_PROGRAMME, THEME + data.theme.id, data.theme)


# Staff ---------------------------------------------------------------------------------------------------------------


@_on(facts.TokenCreated)
def _token_created(state: State, _: str, data: facts.TokenCreated, __: datetime) -> State:
    expires = data.expires.isoformat() if data.expires else None
    entry = TokenEntry(data.digest, data.role, data.organisations, expires)
    return state.put(NO_PROGRAMME, TOKENS + data.account, entry)


@_on(facts.TokenRevoked)
def _token_revoked(state: State, _: str, data: facts.TokenRevoked, __: datetime) -> State:
    return state.remove(NO_PROGRAMME, TOKENS + data.account)


# Mails ---------------------------------------------------------------------------------------------------------------


@_on(facts.MailSent)
def _mail_sent(state: State, programme: str, data: facts.MailSent, _: datetime) -> State:
    state, mails, _failed = _without_failure(state, programme, data.purpose, data.mail)
    bounced = state.get(programme, BOUNCED + data.mail) is not None
    if bounced:
        state = state.remove(programme, BOUNCED + data.mail)
    after = replace(mails, sent=mails.sent + (not bounced), bounced=mails.bounced - bounced)
    return state.put(programme, MAILS + data.purpose, after)


@_on(facts.MailFailed)
def _mail_failed(state: State, programme: str, data: facts.MailFailed, _: datetime) -> State:
    state, mails, _before = _without_failure(state, programme, data.purpose, data.mail)
    uncertain = data.cause == "uncertain"
    after = replace(mails, failed=mails.failed + (not uncertain), uncertain=mails.uncertain + uncertain)
    state = state.put(programme, FAILED + data.mail, FailedMailEntry(data.purpose, uncertain))
    return state.put(programme, MAILS + data.purpose, after)


@_on(facts.MailBounced)
def _mail_bounced(state: State, programme: str, data: facts.MailBounced, _: datetime) -> State:
    # What comes back was sent, also where nobody could know that until now; and it may come back more than once.
    again = state.get(programme, BOUNCED + data.mail) is not None
    state, mails, failed = _without_failure(state, programme, data.purpose, data.mail)
    if again and not failed:
        return state
    if not again:
        state = state.put(programme, BOUNCED + data.mail, BouncedMailEntry(data.purpose))
    after = replace(mails, sent=mails.sent + (failed and not again), bounced=mails.bounced + (not again))
    return state.put(programme, MAILS + data.purpose, after)


def _without_failure(state: State, programme: str, purpose: str, mail: str) -> tuple[State, MailsEntry, bool]:
    """As if the mail had not failed, with the mails of its purpose, and whether it had."""
    mails = state.get(programme, MAILS + purpose) or MailsEntry()
    entry = state.get(programme, FAILED + mail)
    if not isinstance(entry, FailedMailEntry):
        return state, mails, False
    without = replace(mails, failed=mails.failed - (not entry.uncertain), uncertain=mails.uncertain - entry.uncertain)
    return state.remove(programme, FAILED + mail), without, True


@_on(facts.InvitationAnswered)
def _answered(state: State, programme: str, data: facts.InvitationAnswered, _: datetime) -> State:
    return state.put(programme, answer_key(data.session, data.person), AnswerEntry(data.answer))
