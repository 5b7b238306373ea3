"""The last look before a mail goes out: whether it is still true."""

from __future__ import annotations

from datetime import datetime

from services.chassis.state import State
from services.notifications.domain import entities
from services.notifications.domain.entities import Course, Enrolment
from services.notifications.domain.mails import Planned


def obstacle(state: State, mail: Planned, now: datetime) -> str | None:
    """
    Why a planned mail should not go out any more, in English for staff; None when it should.

    Who was withdrawn gets no confirmation and no invitation any more. Cancellations and withdrawals go out whatever
    has happened since. Whether a calendar item is over, :func:`~services.notifications.domain.saying.settle` says: that
    depends on what its person was told.
    """
    appointment = mail.detail.appointment
    course = entities.course_of(state, mail.programme)
    enrolment = entities.enrolment_of(state, mail.programme, mail.enrolment) if mail.enrolment else None
    if course is None or enrolment is None:
        return "the enrolment is not known"
    match mail.purpose:
        case "confirmation-request":
            return _not_awaited(course, enrolment, mail.person, now)
        case "already-enrolled":
            if enrolment.status not in ("confirmed", "waiting") or enrolment.participant(mail.person) is None:
                return "the person takes part no more"
            return _not_held(course, now)
        case "confirmation" | "promotion":
            return _not_coming(course, enrolment, mail.person, now)
        case "team-incomplete":
            if not enrolment.missing:
                return "the team is complete"
            if enrolment.complete_by is None or enrolment.complete_by <= now:
                return "the team's deadline is over"
            return _not_coming(course, enrolment, mail.person, now)
        case "waiting":
            if enrolment.status != "waiting" or enrolment.participant(mail.person) is None:
                return "the person is not waiting any more"
            return "the programme was withdrawn" if course.withdrawn else None
        case "invite" if appointment is None:
            session = course.definition.session(mail.session or "")
            participant = enrolment.participant(mail.person)
            if session is None or participant is None or session not in entities.attended(course, participant):
                return "the session does not take place, or the person does not attend it"
            return _not_coming(course, enrolment, mail.person, now)
        case "invite" | "session-moved":
            invitation = entities.invitation_of(state, mail.programme, mail.person, mail.session or "")
            if appointment is None or invitation is None or not invitation.standing:
                return "the person is not invited to this session any more"
            return "the person has a newer invitation" if invitation.uid != appointment.uid else None
        case "undeliverable":
            if entities.is_unconfirmed(state, enrolment, mail.person):
                # The programme's contact would read what a stranger typed.
                return "nobody has confirmed anything from this address"
            return "the programme is over" if entities.all_over(course, now) else None
        case "declined":
            return _not_coming(course, enrolment, mail.person, now) or _not_held(course, now)
        case "session-cancelled" if appointment is None:
            return _not_coming(course, enrolment, mail.person, now)
        case "refusal" | "session-cancelled" | "programme-cancelled" | "withdrawn" | "withdrawn-invite" | "readdressed":
            return None


def _not_coming(course: Course, enrolment: Enrolment, person: str, now: datetime) -> str | None:
    if not course.withdrawn and (enrolment.status != "confirmed" or enrolment.participant(person) is None):
        return "the person is not enrolled any more"
    return _not_held(course, now)


def _not_awaited(course: Course, enrolment: Enrolment, person: str, now: datetime) -> str | None:
    awaited = enrolment.waits_for(person)
    if awaited is None:
        if enrolment.participant(person) is not None:
            return "the person has confirmed already"
        return f"the person is not asked to confirm any more: the enrolment is {enrolment.status}"
    return "the time to confirm is up" if awaited.confirm_by <= now else _not_held(course, now)


def _not_held(course: Course, now: datetime) -> str | None:
    if course.withdrawn:
        return "the programme was withdrawn"
    return "the programme is over" if entities.all_over(course, now) else None
