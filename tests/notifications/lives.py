"""Facts as registration would write them, and the lives of programmes told with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts import facts, subjects
from contracts.base import Message, Text, Title
from contracts.enrolment import MissingSeat, Participant, Reason
from contracts.envelope import Envelope
from contracts.facts import Fact
from contracts.moments import start_of
from contracts.organisation import Organisation
from contracts.programme import Contact, Programme, Seat, TeamRule
from contracts.session import Occasion, Online, Session, Venue
from services.chassis.reader import Message as StreamMessage
from services.chassis.state import State
from services.notifications.domain import Planned, step

START = datetime(2023, 3, 2, 9, 14, tzinfo=UTC)
PROGRAMME = "gezinsaanpak-2023"
BROKEN = Reason(rule="closed", nl="De inschrijving is gesloten.", en="Enrolment is closed.")
FREE = Reason(rule="place-free", nl="Er kwam een plaats vrij.", en="A place came free.")
PRESENT = Reason(rule="already-enrolled", nl="Je bent al aangemeld.", en="You are enrolled already.")
ASKED = Reason(rule="on-request", nl="Zelf afgemeld.", en="Withdrawn on request.")


def title(text: str) -> Title:
    return Title(nl=f"{text} (nl)", en=f"{text} (en)")


def words(text: str) -> Text:
    return Text(nl=f"{text} (nl)", en=f"{text} (en)")


def occasion(day: str, start: int = 10, end: int = 12, *, venue: str | None = None) -> Occasion:
    """A day such as 2023-06-20, hours in Amsterdam; online unless a venue is named."""
    return Occasion(
        start=datetime.fromisoformat(f"{day}T{start:02}:00"),
        end=datetime.fromisoformat(f"{day}T{end:02}:00"),
        online=None if venue else Online(join_link="https://teams.microsoft.com/l/meetup-join/1"),
        venue=Venue(name=venue, address="Markt 1, Gouda") if venue else None,
    )


UNDATED = Occasion(period=title("januari 2024"))


def session(id_: str, when: Occasion | None = None, **more: Any) -> Session:
    when = when or UNDATED
    return Session(id=id_, title=title(id_), **dict(when), **more)


def programme(*sessions: Session, team: TeamRule | None = None, **more: Any) -> Programme:
    contact = Contact(name="Team Deelname", email="team@deelname.example", phone=None)
    return Programme.model_validate(
        {
            "id": PROGRAMME,
            "kind": "track",
            "title": title("Gezinsaanpak"),
            "description": words("Een jaar lang samen."),
            "organisers": ("probiblio",),
            "content_contact": contact,
            "enrolment_contact": contact,
            "sessions": sessions or (session("kick-off", occasion("2023-06-20")), session("slot")),
            "enrolment": {"per": "team" if team else "person"},
            "team": team,
            **more,
        }
    )


TEAM = TeamRule(
    seats=(
        Seat(id="maker", title=title("Maker"), count=2),
        Seat(id="manager", title=title("Manager"), sessions=("kick-off",)),
    ),
    complete_within_days=30,
)


def people(*persons: str | tuple[str, str]) -> tuple[Participant, ...]:
    """Participants by person, or by person and seat."""
    return tuple(
        Participant(person=each) if isinstance(each, str) else Participant(person=each[0], seat=each[1])
        for each in persons
    )


def confirmed(enrolment: str, *persons: str | tuple[str, str], **more: Any) -> facts.EnrolmentConfirmed:
    return facts.EnrolmentConfirmed(
        enrolment=enrolment, units=1, participants=people(*persons), source="biblionet", **more
    )


def waitlisted(enrolment: str, *persons: str | tuple[str, str], place: int = 1, **more: Any) -> Message:
    return facts.EnrolmentWaitlisted(
        enrolment=enrolment, units=1, participants=people(*persons), source="biblionet", place=place, **more
    )


def refused(enrolment: str, *persons: str, **more: Any) -> Message:
    return facts.EnrolmentRefused.model_validate(
        {"enrolment": enrolment, "units": 1, "participants": people(*persons), "source": "biblionet"}
        | {"reasons": (BROKEN,)}
        | more
    )


def pending(enrolment: str, *persons: str | tuple[str, str], hours: float = 48, **more: Any) -> facts.EnrolmentPending:
    """A request of the public; by itself from nobody's known address, and one mail for each of those whom it names."""
    participants = more.pop("participants", people(*persons))
    ids = tuple(each.person for each in participants)
    return facts.EnrolmentPending.model_validate(
        {
            "enrolment": enrolment,
            "units": 1,
            "participants": participants,
            "channel": "web",
            "source": "web",
            "held": 1,
            "cause": "address-unknown",
            "confirm_by": START + timedelta(hours=hours),
            "asked": ids,
            "unconfirmed": ids,
            **more,
        }
    )


def lapsed(enrolment: str, cause: Any = "expired", people: int = 1) -> facts.EnrolmentLapsed:
    return facts.EnrolmentLapsed(enrolment=enrolment, people=people, units=1, cause=cause)


def promoted(enrolment: str) -> Message:
    return facts.EnrolmentPromoted(enrolment=enrolment, reason=FREE)


def withdrawn(enrolment: str, before: Any = "confirmed") -> Message:
    return facts.EnrolmentWithdrawn(enrolment=enrolment, before=before, reason=ASKED)


def missing(seat: str, count: int = 1) -> tuple[MissingSeat, ...]:
    return (MissingSeat(seat=seat, count=count),)


class Life:
    """A log that grows fact by fact, with the state after the last one and all mails so far."""

    def __init__(self, *sessions: Session, team: TeamRule | None = None, publish: bool = True) -> None:
        self.state = State()
        self.time = START
        self.facts: list[Fact] = []
        self.mails: list[Planned] = []
        if publish:
            self.happens(facts.OrganisationRegistered(organisation=ORGANISATION), subject=facts.NO_PROGRAMME)
            self.happens(facts.ProgrammePublished(programme=programme(*sessions, team=team)))

    def happens(self, data: Message, *, subject: str = PROGRAMME, minutes: int = 1) -> list[Planned]:
        """A fact comes true, a minute after the one before by itself; returns the mails that it calls for."""
        self.time += timedelta(minutes=minutes)
        fact = envelope(data, len(self.facts) + 1, self.time, subject)
        self.facts.append(fact)
        self.state, mails = step(self.state, fact)
        self.mails += mails
        return list(mails)

    def moves(self, id_: str, after: Occasion, before: Occasion | None = None) -> list[Planned]:
        return self.happens(facts.SessionMoved(session=id_, before=before or UNDATED, after=after))

    def later(self, day: str) -> None:
        """The time is noon of a later day."""
        self.time = start_of(datetime.fromisoformat(f"{day}T12:00"))


ORGANISATION = Organisation.model_validate({"id": "probiblio", "name": "Probiblio", "kind": "support-organisation"})


def envelope(data: Message, position: int, time: datetime, subject: str = PROGRAMME) -> Fact:
    return Envelope[Message](
        id=f"fact-{position}",
        source="registration",
        type=facts.NAMES[type(data)],
        subject=subject,
        time=time,
        position=position,
        data=data,
    )


def body(fact: Fact) -> bytes:
    return facts.variant(fact.type).model_validate(dict(fact)).model_dump_json().encode()


def messages(log: Sequence[Fact]) -> list[StreamMessage]:
    """The log as a reader hands it over."""
    return [
        StreamMessage(position, subjects.fact_subject("registration", fact.type, fact.subject), body(fact))
        for position, fact in enumerate(log, 1)
    ]


def told(mails: Sequence[Planned]) -> list[tuple[str, ...]]:
    """Purpose, person and session of mails, to be compared at a glance."""
    return [(each.purpose, each.person, *((each.session,) if each.session else ())) for each in mails]


def sequences(mails: Sequence[Planned], only: Callable[[Planned], bool] = lambda _: True) -> list[tuple[str, int]]:
    """UID and SEQUENCE of calendar mails, in order."""
    return [
        (each.detail.appointment.uid, each.detail.appointment.sequence)
        for each in mails
        if each.detail.appointment is not None and only(each)
    ]
