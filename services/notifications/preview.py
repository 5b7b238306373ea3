"""A mail that is not planned: how one would look now. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Final, get_args

from contracts.enrolment import Reason
from contracts.queries import MailPreviewQuestion
from contracts.session import Session
from services.chassis.state import State
from services.notifications.domain import Intention, entities, to_tell
from services.notifications.domain.entities import Course, Enrolment
from services.notifications.domain.mails import CANCELS, REQUESTS, Appointment, Detail, Planned, Taken, item_uid
from services.notifications.letters import Purpose

ASKED: Final = Reason(rule="on-request", nl="Zoals gevraagd.", en="As asked.")


class DoesNotFit(ValueError):  # noqa: N818  (reads as what is the matter)
    """The purpose does not fit the enrolment as it stands; the message says why and what would fit."""


PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
_STATUSES: dict[Purpose, tuple[str, ...]] = {
    "confirmation": ("confirmed", "waiting"),
    "promotion": ("confirmed", "waiting"),
    "waiting": ("waiting",),
    "refusal": ("refused",),
    "already-enrolled": ("confirmed", "waiting"),
}


def imagined(state: State, programme: str, question: MailPreviewQuestion, now: datetime) -> Planned:
    """
    The mail that the question asks for, as it would be planned now.

    What can still become of an enrolment (promoted, withdrawn, cancelled) can be seen before it happens; what it is or
    is not (waiting, refused, incomplete) must be so.

    Raises:
        DoesNotFit: see there.
    """
    course = entities.course_of(state, programme)
    enrolment = entities.enrolment_of(state, programme, question.enrolment)
    if course is None or enrolment is None:
        raise DoesNotFit(f"the enrolment {question.enrolment} is not known")
    purpose = next((each for each in PURPOSES if each == question.purpose), None)
    if purpose is None:
        raise DoesNotFit(f"there is no mail '{question.purpose}'; there are {', '.join(PURPOSES)}")
    if purpose == "confirmation-request":
        person = _awaited(enrolment, question.person)
    else:
        person = _person(enrolment, question.person)
    _check(purpose, enrolment)
    session, detail = None, Detail()
    if purpose in REQUESTS | CANCELS:
        session, detail = _calendar(state, course, enrolment, person, purpose=purpose, wanted=question.session, now=now)
    elif purpose in ("withdrawn", "programme-cancelled"):
        agenda = entities.agenda_of(state, programme, person)
        detail = Detail(
            taken=tuple(
                Taken(each.session, each.occasion, each.uid)
                for each in agenda.invitations
                if each.standing and not (each.latest or each.occasion).is_over(now)
            ),
            # It can be seen before it happens, and then it is asked for.
            reason=ASKED if purpose == "withdrawn" else None,
            waited=purpose == "withdrawn" and enrolment.status == "waiting",
        )
    return Planned(
        id="preview",
        purpose=purpose,
        person=person,
        programme=programme,
        due_at=now,
        enrolment=enrolment.id,
        session=session,
        detail=detail,
    )


def imagined_answers(state: State, mail: Planned, wanted: str | None, now: datetime) -> tuple[Intention, ...]:
    """
    What the person would have answered for a mail about answers: that a session which is to come does not suit.

    Args:
        wanted: which session; the first without it.

    Raises:
        DoesNotFit: the person was invited to nothing that is still to come.
    """
    if mail.purpose != "declined":
        return ()
    for item in entities.agenda_of(state, mail.programme, mail.person).invitations:
        answer = Intention(item.uid, item.session, "declined")
        if wanted in (None, item.session) and to_tell(state, mail.programme, mail.person, (answer,), now):
            return (answer,)
    raise DoesNotFit("the person was invited to no such session that is still to come")


def _awaited(enrolment: Enrolment, wanted: str | None) -> str:
    people = [each.participant.person for each in enrolment.awaited]
    if not people or wanted not in (None, *people):
        raise DoesNotFit("the mail 'confirmation-request' is for people who have yet to confirm")
    return wanted or people[0]


def _person(enrolment: Enrolment, wanted: str | None) -> str:
    if wanted is None:
        if not enrolment.participants:
            raise DoesNotFit("nobody takes part in this enrolment any more")
        return enrolment.participants[0].person
    if enrolment.participant(wanted) is None:
        raise DoesNotFit(f"the person {wanted} does not take part in this enrolment")
    return wanted


def _check(purpose: Purpose, enrolment: Enrolment) -> None:
    wanted = _STATUSES.get(purpose)
    if wanted is not None and enrolment.status not in wanted:
        raise DoesNotFit(
            f"the mail '{purpose}' is for enrolments that are {' or '.join(wanted)}; this is {enrolment.status}"
        )
    if purpose == "team-incomplete" and (not enrolment.missing or enrolment.complete_by is None):
        raise DoesNotFit("the mail 'team-incomplete' is for teams that lack somebody and have a deadline")
    if purpose not in ("refusal",) and enrolment.status == "refused":
        raise DoesNotFit("this enrolment was refused: only the mail 'refusal' fits it")


def _calendar(
    state: State,
    course: Course,
    enrolment: Enrolment,
    person: str,
    *,
    purpose: Purpose,
    wanted: str | None,
    now: datetime,
) -> tuple[str, Detail]:
    session = _session(course, enrolment, person, purpose=purpose, wanted=wanted)
    item = entities.invitation_of(state, course.definition.id, person, session.id)
    occasion = item.occasion if item and purpose in CANCELS else session.occasion
    if occasion.start is None:
        if purpose == "session-cancelled":
            return session.id, Detail()
        raise DoesNotFit(f"the session {session.id} has no date yet, so there is nothing for an agenda")
    if item is not None and not item.standing and purpose in REQUESTS:
        number, item = item.number + 1, None
    else:
        number = 1
    # The SEQUENCE, and what was told before, are known to whoever knows what went out.
    stamp = now.replace(microsecond=0)
    return session.id, Detail(
        appointment=Appointment(
            uid=item.uid if item else item_uid(course.definition.id, session.id, person, number),
            sequence=0,
            stamp=stamp,
            created=item.created if item else stamp,
            occasion=occasion,
        )
    )


def _session(course: Course, enrolment: Enrolment, person: str, *, purpose: Purpose, wanted: str | None) -> Session:
    participant = enrolment.participant(person)
    sessions = list(entities.attended(course, participant)) if participant else []
    if wanted is not None:
        session = next((each for each in [*sessions, *course.former] if each.id == wanted), None)
        if session is None:
            raise DoesNotFit(
                f"the person does not attend a session '{wanted}'; there are"
                f" {', '.join(each.id for each in sessions) or 'none'}"
            )
        return session
    session = next((each for each in sessions if each.start is not None), None)
    if session is None and sessions and purpose == "session-cancelled":
        return sessions[0]
    if session is None:
        raise DoesNotFit("none of the sessions has a date yet, so there is nothing for an agenda")
    return session
