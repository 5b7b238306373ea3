"""Questions to registration."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AwareDatetime, Field

from contracts.access import Role
from contracts.base import EmailAddress, Identity, Line, Message, Slug, Title
from contracts.choices import ONE_PERSON, Choosing
from contracts.enrolment import Channel, EnrolmentStatus, KnownPerson, MissingSeat, Reason
from contracts.organisation import Organisation
from contracts.programme import Programme, ProgrammeKind
from contracts.theme import Theme


class Everything(Message):
    """A question without conditions."""


class ProgrammeQuestion(Message):
    """A question about one programme."""

    programme: Slug


class ProgrammeStanding(Message):
    """A programme with how many units it has given out."""

    id: Slug
    kind: ProgrammeKind
    title: Title
    withdrawn: bool
    over: bool = Field(default=False, description="Whether the last session has ended, or it was closed by the staff.")
    open: bool = Field(description="Whether a request that comes now would be in time.")
    capacity: int | None = None
    confirmed: int
    held: int = Field(
        default=0,
        description="Units kept free for requests that have yet to be confirmed; the public sees them as confirmed.",
    )
    waiting: int
    version: int = Field(description="How many facts made it; 0 in what the public sees: it would tell who is known.")


class ProgrammeList(Message):
    """All programmes, by id."""

    programmes: tuple[ProgrammeStanding, ...]


class ProgrammeView(ProgrammeStanding):
    """One programme with its whole definition."""

    definition: Programme


class ThemeList(Message):
    """All themes, by id."""

    themes: tuple[Theme, ...]


class OrganisationList(Message):
    """The registry of organisations, by id."""

    organisations: tuple[Organisation, ...]


class EnrolmentsQuestion(Message):
    """The enrolments of a programme, in the order in which they were made; ``after`` goes on behind a page."""

    programme: Slug
    status: EnrolmentStatus | None = None
    after: Annotated[int, Field(ge=0)] = 0


class EnrolmentQuestion(Message):
    """One enrolment with its history."""

    enrolment: Identity


class ParticipantView(Message):
    """Somebody who takes part; ``contact`` is gone once the person is erased."""

    person: Identity
    seat: Slug | None = None
    role: Slug | None = None
    unconfirmed: bool = Field(default=False, description="Whether the person has yet to confirm, and is not in yet.")
    contact: KnownPerson | None = Field(default=None, description="As was said for this programme.")
    shares_address: int | None = Field(default=None, description="How many others have the address, up to a hundred.")


class Happening(Message):
    """One fact about an enrolment, in words."""

    position: int
    time: datetime
    type: str
    reason: Reason | None = None


class EnrolmentView(Message):
    """How an enrolment stands, and why."""

    enrolment: Identity
    programme: Slug
    organisation: Slug | None = None
    status: EnrolmentStatus
    units: int
    place: int | None = None
    participants: tuple[ParticipantView, ...]
    missing: tuple[MissingSeat, ...] = ()
    complete_by: datetime | None = None
    channel: Channel = "staff"
    source: str
    confirm_by: datetime | None = Field(default=None, description="Until when somebody has yet to confirm.")
    held: int = Field(default=0, description="Units that are kept free until then.")
    price: Decimal | None = Field(default=None, description="In euro for all units; none where there are no prices.")
    reasons: tuple[Reason, ...] = Field(default=(), description="Why it stands so: refusals, promotion, pass-over.")
    history: tuple[Happening, ...] = ()


class EnrolmentList(Message):
    """Enrolments of one programme, as many as fit into an answer."""

    enrolments: tuple[EnrolmentView, ...]
    next: int | None = Field(default=None, description="There are more: ask again with this as 'after'.")


class PersonQuestion(Choosing):
    """A question about one person: by id, or by address, with the name beside it where several share the address."""

    choices = (ONE_PERSON,)

    person: Identity | None = None
    email: EmailAddress | None = None
    name: Line | None = Field(default=None, description="Tells those who share the address apart; goes with 'email'.")


class AddressQuestion(Message):
    """A question about everybody at an address."""

    email: EmailAddress


class PersonView(Message):
    """Somebody who has an address, and where they appear; ``contact`` is as they were written first, or corrected."""

    person: Identity
    contact: KnownPerson
    since: datetime
    programmes: tuple[Slug, ...]


class PeopleList(Message):
    """Everybody at an address; who came first stands first."""

    people: tuple[PersonView, ...]


class PersonExport(Message):
    """Everything that registration keeps about a person (GDPR art. 15)."""

    person: Identity
    contact: KnownPerson
    since: datetime
    shares_address: int | None = Field(default=None, description="How many others have the address, up to a hundred.")
    enrolments: tuple[EnrolmentView, ...]
    diets: dict[str, str] = Field(default={}, description="What the person does not eat, by programme.")


class PeopleExpiringQuestion(Message):
    """Who will be erased by itself within so many days, because the term for which people are kept passes."""

    within_days: Annotated[int, Field(ge=0, le=10_000)] = 30
    limit: Annotated[int, Field(ge=1, le=1000)] = 200


class ExpiringPerson(Message):
    """Somebody who will be erased, unless they enrol again; ``programmes`` are all that they appear in."""

    person: Identity
    contact: KnownPerson | None = None
    until: datetime
    programmes: tuple[Slug, ...]


class PeopleExpiring(Message):
    """Who will be erased, the earliest first; ``total`` are all of them within the days asked for."""

    people: tuple[ExpiringPerson, ...]
    total: int
    undecided: int = Field(description="People of programmes of which nobody knows yet when they end.")


class Diet(Message):
    """What somebody who has a place does not eat."""

    person: Identity
    name: str
    diet: str
    seat: Slug | None = None


class LunchView(Message):
    """A session with a lunch: how many have a place in it, and what some of them do not eat."""

    session: Slug
    title: Title
    people: int
    diets: tuple[Diet, ...]


class LunchList(Message):
    """The lunches of a programme that are not over yet, in its order."""

    lunches: tuple[LunchView, ...]


class LogQuestion(Message):
    """A piece of the log: the facts after a position."""

    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    programme: Slug | None = None


class LogPiece(Message):
    """Facts as they stand in the log, and the position of the newest fact of all."""

    facts: tuple[dict[str, object], ...]
    head: int
    actors: dict[str, str] = Field(default_factory=dict, description="The accounts that caused them, and their names.")


class TokenView(Message):
    """A token of the staff; the day of its last use is that at registration."""

    account: Identity
    name: Line
    role: Role
    organisations: tuple[Slug, ...] = ()
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    used: date | None = None


class TokenList(Message):
    """All tokens there ever were, the newest first."""

    tokens: tuple[TokenView, ...]
