"""A programme as its organisers define it: in YAML, in the command that publishes it, and in the facts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from contracts.base import EmailAddress, Line, Link, Message, OrganisationKind, Province, Slug, Text, Title
from contracts.characters import Unfit
from contracts.moments import RULE, DayOrTime, end_of, start_of
from contracts.session import Session, in_order_of_time
from contracts.theme import ThemeReference


@lru_cache(maxsize=1024)
def readable(id_: str) -> Title:
    """An id for which nobody gave a title, as people would write it."""
    words = id_.replace("-", " ")
    return Title(nl=words, en=words)


def named_twice(ids: Iterable[str]) -> list[str]:
    """The ids that stand there more than once."""
    return sorted(id_ for id_, times in Counter(ids).items() if times > 1)


class ProgrammeKind(StrEnum):
    """The four shapes that programmes have."""

    MEETING = "meeting"
    ROUND_TABLE = "round-table"
    INSPIRATION = "inspiration"
    TRACK = "track"


class Contact(Message):
    """
    Whom to turn to: a team or function with a shared mailbox.

    It is public and enters the log, so it names no person: persons leave and may ask to be erased, a log stays.
    """

    name: Line
    email: EmailAddress
    phone: Line | None = None


class WaitingList(Message):
    """
    How those who did not fit wait for a place.

    ``in-order``: nobody passes the first who waits, even when a smaller group behind would fit.
    ``fill-gaps``: who does not fit into the free units is passed over, with the reason stored, and keeps the place.
    """

    policy: Literal["in-order", "fill-gaps"] = "in-order"
    freeze: DayOrTime | None = Field(
        default=None, description="From this moment on nobody is promoted automatically; staff still can."
    )


class Eligibility(Message):
    """Who may come; an empty list means that it does not matter."""

    kinds: tuple[OrganisationKind, ...] = ()
    provinces: tuple[Province, ...] = ()
    roles: tuple[Slug, ...] = ()
    without_organisation: bool = Field(default=False, description="Whether people without an organisation may come.")


class Role(Message):
    """What people are called who have a role: one of them ("directeur"), and several ("directeuren")."""

    id: Slug
    title: Title
    plural: Title | None = None


class PriceRule(Message):
    """A price per unit in euro for those whom it names; the first rule that fits counts."""

    kinds: tuple[OrganisationKind, ...] = ()
    provinces: tuple[Province, ...] = ()
    amount: Annotated[Decimal, Field(ge=0, max_digits=8, decimal_places=2)]


class Confirmation(Message):
    """
    Which requests of the public wait until whom they name has confirmed them, for how long, and what they may hold.

    Partners and staff vouch for their people. The shares are of the capacity, in percent, and never less than a unit.
    """

    needed: Literal["always", "unknown", "never"] = Field(
        default="unknown", description="'unknown': of those who never confirmed anything from that address."
    )
    within_hours: Annotated[int, Field(ge=1, le=336)] = Field(
        default=48, description="How long a place is held; a quarter of it where places are scarce."
    )
    held_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=25, description="What all who have yet to confirm may hold together."
    )
    source_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=10, description="What one source on the network may hold by requests of one hour."
    )


class EnrolmentRules(Message):
    """
    When, by whom and how many.

    ``capacity`` and ``maximum_per_organisation`` count units: a unit is a team where the programme takes teams and a
    person where it takes persons. A day that ``opens`` does so with its first moment; one that ``closes`` is the last
    on which one can enrol, and a time the first moment at which it is too late.
    """

    opens: DayOrTime | None = None
    closes: DayOrTime | None = None
    per: Literal["person", "team"] = "person"
    capacity: Annotated[int, Field(ge=1, le=100_000)] | None = None
    waiting_list: WaitingList | None = None
    maximum_per_organisation: Annotated[int, Field(ge=1)] | None = None
    eligible: Eligibility = Eligibility()
    prices: tuple[PriceRule, ...] = ()
    roles: tuple[Role, ...] = Field(
        default=(),
        description="What people read for the roles; one that is not named here is read as its id is written.",
    )
    confirmation: Confirmation = Confirmation()
    keep_people_days: Annotated[int, Field(ge=1, le=3650)] | None = Field(
        default=None,
        description="Days after the programme's end for which it is known who took part; None: as registration is set.",
    )

    @model_validator(mode="after")
    def _opens_before_it_closes(self) -> Self:
        if self.opens and self.closes and start_of(self.opens) >= end_of(self.closes):
            raise Unfit("enrolment must open before it closes", "de aanmelding moet opengaan voordat zij sluit", RULE)
        return self

    @model_validator(mode="after")
    def _names_roles_once(self) -> Self:
        twice = named_twice(role.id for role in self.roles)
        if twice:
            raise Unfit(
                f"role {', '.join(twice)} is named twice",
                f"de rol {', '.join(twice)} staat er twee keer",
                "named-twice",
            )
        return self

    def role(self, id_: str) -> Role:
        """What people read for a role."""
        return next((role for role in self.roles if role.id == id_), None) or Role(id=id_, title=readable(id_))


class Seat(Message):
    """A place in a team: who may take it, how many of them, which sessions they attend and how long it takes."""

    id: Slug
    title: Title
    roles: tuple[Slug, ...] = Field(default=(), description="The roles that may take the seat; empty: any.")
    count: Annotated[int, Field(ge=1, le=50)] = 1
    sessions: tuple[Slug, ...] | None = Field(default=None, description="None: all sessions.")
    hours: Annotated[float, Field(ge=0, le=2000)] | None = Field(default=None, description="Planned hours a person.")
    closed: bool = Field(
        default=False,
        description="Whoever sits in it stays and attends its sessions; nobody else can take it, and no team lacks it. "
        "A seat that a new definition leaves out while somebody sits in it is kept as a closed one.",
    )


class TeamRule(Message):
    """What makes a team complete; without ``complete_within_days`` an incomplete team is refused."""

    seats: Annotated[tuple[Seat, ...], Field(min_length=1)]
    complete_within_days: Annotated[int, Field(ge=1, le=365)] | None = None

    @property
    def open_seats(self) -> tuple[Seat, ...]:
        """The seats that can be taken, and that a team needs to be complete."""
        return tuple(seat for seat in self.seats if not seat.closed)


class Programme(Message):
    """The whole definition of a programme."""

    id: Slug
    kind: ProgrammeKind
    title: Title
    description: Text
    organisers: Annotated[tuple[Slug, ...], Field(min_length=1, description="Ids of registered organisations.")]
    content_contact: Contact
    enrolment_contact: Contact
    themes: tuple[ThemeReference, ...] = ()
    page: Link | None = None
    sessions: tuple[Session, ...] = ()
    enrolment: EnrolmentRules = EnrolmentRules()
    team: TeamRule | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        for what, ids in (
            ("session", [session.id for session in self.sessions]),
            ("seat", [seat.id for seat in self.team.seats] if self.team else []),
            ("theme", [reference.theme for reference in self.themes]),
            ("organiser", list(self.organisers)),
        ):
            twice = named_twice(ids)
            if twice:
                raise Unfit(
                    f"{what} {', '.join(twice)} is named twice", f"{', '.join(twice)} staat er twee keer", "named-twice"
                )
        if (self.enrolment.per == "team") != (self.team is not None):
            raise Unfit(
                "enrolment per team needs a team rule, and a team rule needs 'per: team'",
                "aanmelden per team vraagt om 'team', en 'team' om 'per: team'",
                "team",
            )
        known = {session.id for session in self.sessions}
        for seat in self.team.seats if self.team else ():
            unknown = sorted(set(seat.sessions or ()) - known)
            if unknown:
                raise Unfit(
                    f"seat {seat.id} attends unknown sessions: {', '.join(unknown)}",
                    f"de plek {seat.id} hoort bij onbekende bijeenkomsten: {', '.join(unknown)}",
                    "session-unknown",
                )
        return self

    def seat_title(self, id_: str) -> Title:
        """What people read for a seat, also for one that the team has no more."""
        seats = self.team.seats if self.team else ()
        return next((seat.title for seat in seats if seat.id == id_), None) or readable(id_)

    def attends(self, seat: str | None, session: str) -> bool:
        """Whether who has this seat attends a session; who has none, or one that is no more, attends all of them."""
        seats = self.team.seats if self.team else ()
        attended = next((one.sessions for one in seats if one.id == seat), None)
        return attended is None or session in attended

    def session(self, id_: str) -> Session | None:
        """The session with this id, if the programme has it."""
        return next((session for session in self.sessions if session.id == id_), None)

    def in_order(self) -> Programme:
        """The same definition with its sessions in the order of time: as it is shown."""
        return self.model_copy(update={"sessions": in_order_of_time(self.sessions)})

    def without(self, session: str) -> Programme:
        """The definition once a session is cancelled: nobody attends it any more, whatever the team rule said."""
        team = self.team
        if team is not None:
            seats = tuple(
                seat if seat.sessions is None else seat.model_copy(update={"sessions": _others(seat.sessions, session)})
                for seat in team.seats
            )
            team = team.model_copy(update={"seats": seats})
        remaining = tuple(each for each in self.sessions if each.id != session)
        return self.model_copy(update={"sessions": remaining, "team": team})


def _others(sessions: tuple[str, ...], session: str) -> tuple[str, ...]:
    return tuple(each for each in sessions if each != session)
