"""A planned mail turned into a letter, from the state of this moment and the contact of its recipient. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Final, TypeVar

from contracts.base import Text, Title
from contracts.enrolment import KnownPerson, MissingSeat, Participant, Reason
from contracts.moments import day_of
from contracts.programme import Contact
from contracts.session import Occasion, Session, in_order_of_time
from services.chassis.links import Link
from services.chassis.state import State
from services.notifications import letters
from services.notifications.domain import entities
from services.notifications.domain.answering import Intention
from services.notifications.domain.entities import Course, Enrolment
from services.notifications.domain.mails import TO_CONTACT, Planned
from services.notifications.hygiene import UnusableAddress, mailbox
from services.notifications.letters import Language, Letter

_CAUSES: Final[Mapping[str, letters.WithdrawnBecause]] = {"on-request": "asked", "team-incomplete": "lapsed"}
"""What a mail makes of the rules by which an enrolment is withdrawn."""

Shared = TypeVar("Shared", letters.Programme, letters.Session)


class NothingToSay(ValueError):  # noqa: N818  (reads as what is the matter)
    """The state lacks what the letter is about; the message says what, in English, for staff."""


class Writer:
    """
    Writes letters from one state; what many of them share is put into words once.

    Args:
        now: sessions that ended by then are not listed.
        address_of: where a personal link leads. Without it letters say that there is one, and not which.
    """

    def __init__(self, state: State, now: datetime, address_of: Callable[[Link], str] | None = None) -> None:
        self._state = state
        self._now = now
        self._year = day_of(now).year
        self._address_of = address_of
        self._programmes: dict[tuple[str, Language], letters.Programme] = {}
        self._sessions: dict[tuple[object, ...], letters.Session] = {}
        self._coming: dict[tuple[str, str | None, Language], tuple[letters.Session, ...]] = {}

    def letter(
        self,
        mail: Planned,
        person: KnownPerson,
        language: Language | None = None,
        *,
        answered: bool = False,
        answers: Sequence[Intention] = (),
    ) -> Letter:
        """
        What the mail says to its recipient, in the language of the enrolment if none is given.

        Whom a stranger named reads nothing that the stranger typed, the own name included.

        Args:
            answered: whether the person has ever answered an invitation, and so is no stranger's invention.
            answers: those that the programme's contact is told of, where the mail is about them.

        Raises:
            NothingToSay: the programme, the enrolment or the session is not known.
        """
        state = self._state
        course = entities.course_of(state, mail.programme)
        if course is None:
            raise NothingToSay(f"the programme {mail.programme} is not known")
        enrolment = entities.enrolment_of(state, mail.programme, mail.enrolment) if mail.enrolment else None
        if enrolment is None:
            raise NothingToSay("the enrolment is not known")
        if mail.purpose in TO_CONTACT:
            # Nobody says which language a team reads; the programmes are Dutch.
            language = language or "nl"
            name = person.spelling(mail.programme)
            if mail.purpose == "undeliverable":
                return self._notice(course, letters.Undeliverable(name, person.email), language)
            return self._notice(course, self._declined(course, mail, name, answers, language), language)
        participant, awaited = enrolment.participant(mail.person), enrolment.waits_for(mail.person)
        said = participant or (awaited.participant if awaited else None)
        language = language or (said.language if said else None) or person.language
        unproven = entities.is_unconfirmed(state, enrolment, mail.person) or (
            mail.by_stranger and not entities.is_known(state, mail.person)
        )
        if mail.purpose in ("confirmation-request", "readdressed") or (unproven and not answered):
            return Letter(
                recipient=letters.Recipient("", person.email, language),
                programme=self._programme(course, language),
                occasion=self._occasion(course, enrolment, mail, language),
                year=self._year,
            )
        organisation = enrolment.organisation
        return Letter(
            recipient=letters.Recipient(person.spelling(mail.programme), person.email, language),
            programme=self._programme(course, language),
            occasion=self._occasion(course, enrolment, mail, language),
            organisation=entities.organisation_name(state, organisation) if organisation else None,
            seat=_seat(course, participant, language),
            role=_word(course.definition.enrolment.role(participant.role).title, language)
            if participant and participant.role
            else None,
            price=_price(course, enrolment),
            hours=_hours(course, participant),
            year=self._year,
        )

    def _notice(self, course: Course, occasion: letters.ToContact, language: Language) -> Letter:
        """To whom can pick up the telephone."""
        definition = course.definition
        contact = next(
            (each for each in (definition.enrolment_contact, definition.content_contact) if _usable(each.email)), None
        )
        if contact is None:
            raise NothingToSay("the programme has no contact with an address that mail can go to")
        return Letter(
            recipient=letters.Recipient(contact.name, contact.email, language),
            # Whom to ask would be the reader.
            programme=replace(self._programme(course, language), content=None, enrolment=None),
            occasion=occasion,
            year=self._year,
        )

    def _declined(
        self,
        course: Course,
        mail: Planned,
        name: str,
        answers: Sequence[Intention],
        language: Language,
    ) -> letters.Declined:
        if not answers:
            raise NothingToSay("the person declined nothing that the contact was not told of")
        declined, coming = (
            tuple(
                self._session(course, session, session.occasion, language)
                for each in answers
                if (each.answer == "declined") is off and (session := course.session(each.session)) is not None
            )
            for off in (True, False)
        )
        words = tuple(dict.fromkeys(each.words for each in answers if each.words))
        return letters.Declined(name, mail.enrolment or "", mail.person, declined, coming, words)

    def _programme(self, course: Course, language: Language) -> letters.Programme:
        definition = course.definition
        programme = self._programmes.get((definition.id, language))
        if programme is None:
            programme = letters.Programme(
                id=definition.id,
                title=_word(definition.title, language),
                organisers=tuple(entities.organisation_name(self._state, each) for each in definition.organisers),
                description=_word(definition.description, language),
                content=_contact(definition.content_contact),
                enrolment=_contact(definition.enrolment_contact),
                page=definition.page,
                team=definition.team is not None,
            )
            programme = self._programmes[definition.id, language] = _one(programme)
        return programme

    def _occasion(self, course: Course, enrolment: Enrolment, mail: Planned, language: Language) -> letters.Occasion:
        match mail.purpose:
            case "confirmation-request":
                return self._request(course, enrolment, mail.person)
            case "already-enrolled":
                waiting = enrolment.status == "waiting"
                sessions = () if waiting else self._to_come(course, enrolment, mail.person, language)
                return letters.AlreadyEnrolled(waiting, sessions)
            case "confirmation":
                sessions = self._to_come(course, enrolment, mail.person, language)
                return letters.Confirmation(sessions, _lacking(course, enrolment, language))
            case "invite" | "session-moved" | "session-cancelled" | "withdrawn-invite" | "readdressed":
                return self._calendar(course, mail, language)
            case "promotion":
                sessions = self._to_come(course, enrolment, mail.person, language)
                return letters.Promotion(sessions, _lacking(course, enrolment, language))
            case "waiting":
                return letters.Waiting(mail.detail.place)
            case "refusal":
                return letters.Refusal(
                    tuple(reason.nl if language == "nl" else reason.en for reason in enrolment.reasons)
                )
            case "withdrawn":
                return self._withdrawn(course, mail, language)
            case "programme-cancelled":
                reason = _word(course.reason, language) if course.reason else None
                return letters.ProgrammeCancelled(self._taken(course, mail, language), reason)
            case "team-incomplete":
                lacking = _lacking(course, enrolment, language)
                if lacking is None:
                    raise NothingToSay("the team is complete, or has no deadline")
                return letters.TeamIncomplete(lacking)
            case "undeliverable" | "declined":
                raise NothingToSay("it is about a person, and not to that person")

    def _request(self, course: Course, enrolment: Enrolment, person: str) -> letters.ConfirmationRequest:
        awaited = enrolment.waits_for(person)
        if awaited is None:
            raise NothingToSay("the person is not asked to confirm anything")
        link = Link("confirm", person, course.definition.id, awaited.asked_at, awaited.confirm_by)
        return letters.ConfirmationRequest(
            deadline=awaited.confirm_by, link=self._address_of(link) if self._address_of else None
        )

    def _withdrawn(self, course: Course, mail: Planned, language: Language) -> letters.Withdrawn:
        detail, reason = mail.detail, mail.detail.reason
        if reason is None:
            cause: letters.WithdrawnBecause = "replaced" if detail.replaced else "other"
        else:
            cause = _CAUSES.get(reason.rule, "other")
        return letters.Withdrawn(
            self._taken(course, mail, language),
            cause=cause,
            reason=_word(reason, language) if reason and cause != "asked" else "",
            waited=detail.waited,
        )

    def _calendar(self, course: Course, mail: Planned, language: Language) -> letters.CalendarOccasion:
        appointment = mail.detail.appointment
        if mail.session is None:
            raise NothingToSay("the mail is about no session")
        if appointment is None:
            undated = self._undated(course, mail, language)
            return (
                letters.Invite(undated, again=True) if mail.purpose == "invite" else letters.SessionCancelled(undated)
            )
        session = self._told(course, mail.session, appointment.occasion, language)
        calendar = letters.Calendar(appointment.uid, appointment.sequence, appointment.stamp, appointment.created)
        match mail.purpose:
            case "session-moved":
                before = _slot(appointment.before or appointment.occasion, language)
                return letters.SessionMoved(session, before, calendar)
            case "session-cancelled":
                return letters.SessionCancelled(session, calendar, appointment.postponed)
            case "withdrawn-invite":
                return letters.WithdrawnInvite(session, calendar)
            case "readdressed":
                return letters.Readdressed(session, calendar)
            case _:
                return letters.Invite(session, calendar, mail.detail.again)

    def _to_come(
        self, course: Course, enrolment: Enrolment, person: str, language: Language
    ) -> tuple[letters.Session, ...]:
        """What the person will attend, those without a date too."""
        participant = enrolment.participant(person)
        if participant is None:
            return ()
        key = course.definition.id, participant.seat, language
        if key not in self._coming:
            self._coming[key] = tuple(
                self._session(course, session, session, language)
                for session in in_order_of_time(entities.attended(course, participant))
                if not session.is_over(self._now)
            )
        return self._coming[key]

    def _taken(self, course: Course, mail: Planned, language: Language) -> tuple[letters.Session, ...]:
        taken = in_order_of_time(mail.detail.taken)
        return tuple(self._told(course, each.session, each.occasion, language) for each in taken)

    def _undated(self, course: Course, mail: Planned, language: Language) -> letters.Session:
        """A session that stands in nobody's calendar: as when only the month, or nothing, was known of its date."""
        session = course.session(mail.session or "")
        if session is None or mail.purpose not in ("session-cancelled", "invite"):
            raise NothingToSay("the mail is about no session")
        return self._session(course, session, session.model_copy(update={"start": None, "end": None}), language)

    def _told(self, course: Course, id_: str, occasion: Occasion, language: Language) -> letters.Session:
        session = course.session(id_)
        if session is None:
            raise NothingToSay(f"the session {id_} is not known")
        return self._session(course, session, occasion, language)

    def _session(self, course: Course, session: Session, occasion: Occasion, language: Language) -> letters.Session:
        when = occasion.start, occasion.end, occasion.period, occasion.online, occasion.venue
        key = course.definition.id, session.id, language, *when
        found = self._sessions.get(key)
        if found is None:
            title = _word(session.title, language)
            description = _word(session.description, language) if session.description else ""
            found = _one(letters.Session(session.id, title, _slot(occasion, language), session.lunch, description))
            self._sessions[key] = found
        return found


@lru_cache(maxsize=1024)
def _one(shared: Shared) -> Shared:
    """One object for all that are equal, so that the renderer recognises what it put into words before."""
    return shared


def _slot(occasion: Occasion, language: Language) -> letters.Slot:
    place: letters.Place | None = None
    if occasion.venue is not None:
        place = letters.Venue(occasion.venue.name, occasion.venue.address)
    elif occasion.online is not None:
        place = letters.Online(occasion.online.join_link, occasion.online.platform)
    period = _word(occasion.period, language) if occasion.period else None
    return letters.Slot(occasion.begins, occasion.finishes, place, period, occasion.all_day)


def _usable(address: str) -> bool:
    try:
        mailbox(address)
    except UnusableAddress:
        return False
    return True


def _contact(contact: Contact) -> letters.Contact:
    return letters.Contact(contact.name, contact.email, contact.phone)


def _price(course: Course, enrolment: Enrolment) -> letters.Price | None:
    if enrolment.price is None:
        return None
    return letters.Price(enrolment.price, len(enrolment.participants), course.definition.team is not None)


def _seat(course: Course, participant: Participant | None, language: Language) -> str | None:
    if participant is None or participant.seat is None:
        return None
    return _word(course.definition.seat_title(participant.seat), language)


def _hours(course: Course, participant: Participant | None) -> float | None:
    seats = course.definition.team.seats if course.definition.team and participant else ()
    return next((each.hours for each in seats if participant and each.id == participant.seat), None)


def _lacking(course: Course, enrolment: Enrolment, language: Language) -> letters.Lacking | None:
    """What the team lacks and must have by a day; None where it is complete, or there is no day."""
    if not enrolment.missing or enrolment.complete_by is None:
        return None
    missing = tuple(_missing(course, each, language) for each in enrolment.missing)
    awaiting = enrolment.public and course.definition.enrolment.confirmation.needed != "never"
    people = sum(each.count for each in enrolment.missing)
    return letters.Lacking(missing, enrolment.complete_by, awaiting, people if people != len(missing) else None)


def _missing(course: Course, missing: MissingSeat, language: Language) -> str:
    title = _word(course.definition.seat_title(missing.seat), language)
    return title if missing.count == 1 else f"{missing.count} × {title}"


def _word(text: Title | Text | Reason, language: Language) -> str:
    return text.nl if language == "nl" else text.en
