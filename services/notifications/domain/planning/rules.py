"""The rules: one function for each fact that matters to anybody's mail."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from contracts import facts
from contracts.base import Message
from contracts.enrolment import MissingSeat, Participant
from contracts.facts import NO_PROGRAMME
from contracts.session import Session
from services.notifications.domain import entities
from services.notifications.domain.entities import Course, Enrolment, Institution
from services.notifications.domain.mails import Detail
from services.notifications.domain.planning import confirming, correcting
from services.notifications.domain.planning.work import Work


def _published(work: Work, data: facts.ProgrammePublished) -> None:
    course = work.course
    work.put_course(Course(data.programme, former=course.former if course else ()))
    _reconcile_all(work)


def _reconcile_all(work: Work) -> None:
    for person in work.people():
        work.reconcile(person)


def _described(work: Work, data: facts.ProgrammeDescribed) -> None:
    work.define(title=data.title, description=data.description, kind=data.kind, page=data.page)


def _organised(work: Work, data: facts.ProgrammeOrganised) -> None:
    work.define(
        organisers=data.organisers, content_contact=data.content_contact, enrolment_contact=data.enrolment_contact
    )


def _classified(work: Work, data: facts.ProgrammeClassified) -> None:
    work.define(themes=data.themes)


def _rules_changed(work: Work, data: facts.ProgrammeRulesChanged) -> None:
    work.define(enrolment=data.rules)


def _capacity_changed(work: Work, data: facts.ProgrammeCapacityRaised | facts.ProgrammeCapacityLowered) -> None:
    if (course := work.course) is not None:
        work.define(enrolment=course.definition.enrolment.model_copy(update={"capacity": data.after}))


def _team_rule_changed(work: Work, data: facts.ProgrammeTeamRuleChanged) -> None:
    work.define(team=data.team)
    _reconcile_all(work)


def _programme_withdrawn(work: Work, data: facts.ProgrammeWithdrawn) -> None:
    course = work.course
    if course is None or course.withdrawn:
        return
    silent = work.silent
    work.put_course(dataclasses.replace(course, withdrawn=True, reason=data.reason))
    for enrolment in work.enrolments():
        if enrolment.status not in ("confirmed", "waiting"):
            continue
        for participant in enrolment.participants:
            if not silent:
                taken = work.taken(participant.person)
                work.mail("programme-cancelled", participant.person, enrolment=enrolment.id, detail=Detail(taken=taken))
            work.reconcile(participant.person)


def _programme_closed(work: Work, _: facts.ProgrammeClosed) -> None:
    if (course := work.course) is not None:
        work.put_course(dataclasses.replace(course, closed=True))


def _session_added(work: Work, data: facts.SessionAdded) -> None:
    if (course := work.course) is None:
        return
    former = tuple(each for each in course.former if each.id != data.session.id)
    others = tuple(each for each in course.definition.sessions if each.id != data.session.id)
    definition = course.definition.model_copy(update={"sessions": (*others, data.session)})
    work.put_course(dataclasses.replace(course, definition=definition, former=former))
    _reconcile_all(work)


def _session_moved(work: Work, data: facts.SessionMoved) -> None:
    _change_session(work, data.session, dict(data.after))
    _reconcile_all(work)


def _session_described(work: Work, data: facts.SessionDescribed) -> None:
    _change_session(work, data.session, {"title": data.title, "description": data.description, "lunch": data.lunch})


def _change_session(work: Work, id_: str, changes: dict[str, object]) -> None:
    if (course := work.course) is not None:
        work.define(
            sessions=tuple(
                each.model_copy(update=changes) if each.id == id_ else each for each in course.definition.sessions
            )
        )


def _session_cancelled(work: Work, data: facts.SessionCancelled) -> None:
    course = work.course
    gone = course.definition.session(data.session) if course else None
    if course is None or gone is None:
        return
    expected = _who_expects(work, gone) if gone.start is None else {}
    definition = course.definition.without(gone.id)
    work.put_course(dataclasses.replace(course, definition=definition, former=(*course.former, gone)))
    # Without a date it stands in no agenda, but the confirmation names it.
    for person, enrolment in expected.items():
        work.mail("session-cancelled", person, enrolment=enrolment, session=gone.id)
        work.called_off(person, gone.id)
    _reconcile_all(work)


def _who_expects(work: Work, session: Session) -> dict[str, str]:
    """The people who attend a session, each with the enrolment that it comes from."""
    attending = {person: work.attending(person).get(session.id) for person in work.people()}
    return {person: found[1] for person, found in attending.items() if found}


def _confirmed(work: Work, data: facts.EnrolmentConfirmed) -> None:
    enrolment = confirming.enrolled(work, data, "confirmed", price=data.price)
    work.put_enrolment(enrolment)
    work.welcome(enrolment, enrolment.participants, "confirmation")
    confirming.told_to_be_present(work, data.present, data.channel)


def _waitlisted(work: Work, data: facts.EnrolmentWaitlisted) -> None:
    enrolment = confirming.enrolled(work, data, "waiting", price=data.price)
    work.put_enrolment(enrolment)
    _wait(work, enrolment, enrolment.participants, data.place)
    confirming.told_to_be_present(work, data.present, data.channel)


def _wait(work: Work, enrolment: Enrolment, participants: Iterable[Participant], place: int | None) -> None:
    for participant in participants:
        work.join(participant.person, enrolment.id)
        if not work.silent:
            work.mail("waiting", participant.person, enrolment=enrolment.id, detail=Detail(place=place))


def _promoted(work: Work, data: facts.EnrolmentPromoted) -> None:
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None or enrolment.status != "waiting":
        return
    enrolment = dataclasses.replace(enrolment, status="confirmed")
    work.put_enrolment(enrolment)
    work.welcome(enrolment, enrolment.participants, "promotion")


def _withdrawn(work: Work, data: facts.EnrolmentWithdrawn) -> None:
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None or enrolment.status not in ("confirmed", "waiting"):
        return
    work.put_enrolment(dataclasses.replace(enrolment, status="withdrawn", awaited=()))
    work.part(enrolment, (each.person for each in enrolment.participants), data.reason)


def _completed(work: Work, data: facts.EnrolmentCompleted) -> None:
    if (enrolment := work.enrolment(data.enrolment)) is not None:
        work.put_enrolment(dataclasses.replace(enrolment, missing=(), complete_by=None))


def _incomplete(work: Work, data: facts.EnrolmentIncomplete) -> None:
    before = work.enrolment(data.enrolment)
    if before is None:
        return
    after = dataclasses.replace(before, missing=data.missing, complete_by=data.complete_by)
    work.put_enrolment(after)
    came = before.newest is not None and before.newest[1] == work.time
    if (after != before or came) and after.status == "confirmed":
        work.lacking(after)


def _participant_added(work: Work, data: facts.ParticipantAdded) -> None:
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None or enrolment.participant(data.participant.person):
        return
    enrolment = dataclasses.replace(
        enrolment,
        participants=(*enrolment.participants, data.participant),
        awaited=tuple(each for each in enrolment.awaited if each.participant.person != data.participant.person),
        price=_price(enrolment, data),
        missing=_without_seat(enrolment.missing, data.participant.seat),
        newest=(data.participant.person, work.time),
    )
    work.put_enrolment(enrolment)
    _newcomer(work, enrolment, data.participant)


def _without_seat(missing: Iterable[MissingSeat], seat: str | None) -> tuple[MissingSeat, ...]:
    """What is still missing once somebody has this seat: the fact that says so follows, and the mail may not wait."""
    left = (each.model_copy(update={"count": each.count - 1}) if each.seat == seat else each for each in missing)
    return tuple(each for each in left if each.count)


def _price(enrolment: Enrolment, data: facts.ParticipantAdded | facts.ParticipantWithdrawn) -> Decimal | None:
    return enrolment.price if data.price is None else data.price


def _newcomer(work: Work, enrolment: Enrolment, participant: Participant) -> None:
    if enrolment.status == "confirmed":
        work.welcome(enrolment, (participant,), "confirmation")
    elif enrolment.status == "waiting":
        _wait(work, enrolment, (participant,), None)


def _participant_changed(work: Work, data: facts.ParticipantChanged) -> None:
    if (enrolment := work.enrolment(data.enrolment)) is not None:
        work.put_enrolment(
            dataclasses.replace(
                enrolment,
                participants=tuple(
                    data.participant if each.person == data.participant.person else each
                    for each in enrolment.participants
                ),
            )
        )
        work.reconcile(data.participant.person)


def _participant_replaced(work: Work, data: facts.ParticipantReplaced) -> None:
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None or not enrolment.participant(data.person):
        return
    enrolment = dataclasses.replace(
        enrolment,
        participants=tuple(data.participant if each.person == data.person else each for each in enrolment.participants),
        newest=(data.participant.person, work.time),
    )
    work.put_enrolment(enrolment)
    work.part(enrolment, (data.person,), replaced=True)
    _newcomer(work, enrolment, data.participant)


def _participant_withdrawn(work: Work, data: facts.ParticipantWithdrawn) -> None:
    enrolment = work.enrolment(data.enrolment)
    if enrolment is None or not enrolment.participant(data.person):
        return
    rest = tuple(each for each in enrolment.participants if each.person != data.person)
    enrolment = dataclasses.replace(enrolment, participants=rest, price=_price(enrolment, data))
    work.put_enrolment(enrolment)
    work.part(enrolment, (data.person,))


def _institution(work: Work, data: facts.OrganisationRegistered | facts.OrganisationChanged) -> None:
    key = entities.institution_key(data.organisation.id)
    work.state = work.state.put(NO_PROGRAMME, key, Institution(data.organisation))


RULES: dict[type[Message], Callable[[Work, Any], None]] = {
    facts.ProgrammePublished: _published,
    facts.ProgrammeDescribed: _described,
    facts.ProgrammeOrganised: _organised,
    facts.ProgrammeClassified: _classified,
    facts.ProgrammeRulesChanged: _rules_changed,
    facts.ProgrammeCapacityRaised: _capacity_changed,
    facts.ProgrammeCapacityLowered: _capacity_changed,
    facts.ProgrammeTeamRuleChanged: _team_rule_changed,
    facts.ProgrammeWithdrawn: _programme_withdrawn,
    facts.ProgrammeClosed: _programme_closed,
    facts.SessionAdded: _session_added,
    facts.SessionMoved: _session_moved,
    facts.SessionDescribed: _session_described,
    facts.SessionCancelled: _session_cancelled,
    facts.EnrolmentConfirmed: _confirmed,
    facts.EnrolmentWaitlisted: _waitlisted,
    facts.EnrolmentRefused: confirming.refused,
    facts.EnrolmentPending: confirming.pending,
    facts.EnrolmentLapsed: confirming.lapsed,
    facts.ParticipantConfirmed: confirming.confirmed,
    facts.EnrolmentPromoted: _promoted,
    facts.EnrolmentWithdrawn: _withdrawn,
    facts.EnrolmentCompleted: _completed,
    facts.EnrolmentIncomplete: _incomplete,
    facts.ParticipantAdded: _participant_added,
    facts.ParticipantChanged: _participant_changed,
    facts.ParticipantReplaced: _participant_replaced,
    facts.ParticipantWithdrawn: _participant_withdrawn,
    facts.OrganisationRegistered: _institution,
    facts.OrganisationChanged: _institution,
    facts.PersonErased: confirming.erased,
    facts.PersonCorrected: correcting.corrected,
}
