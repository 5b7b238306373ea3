"""Questions: what ``ask.<service>.<entity>.<verb>`` takes and what it answers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import EmailAddress, Identity, Language, Message, OrganisationKind, Slug, Title
from contracts.enrolment import EnrolmentStatus, MissingSeat, Person, Reason
from contracts.organisation import Organisation
from contracts.programme import Programme, ProgrammeKind
from contracts.theme import Theme

# Registration --------------------------------------------------------------------------------------------------------


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
    open: bool = Field(description="Whether a request that comes now would be in time.")
    capacity: int | None = None
    confirmed: int
    waiting: int
    version: int


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
    contact: Person | None = None


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
    source: str
    reasons: tuple[Reason, ...] = Field(default=(), description="Why it stands so: refusals, promotion, pass-over.")
    history: tuple[Happening, ...] = ()


class EnrolmentList(Message):
    """Enrolments of one programme, as many as fit into an answer."""

    enrolments: tuple[EnrolmentView, ...]
    next: int | None = Field(default=None, description="There are more: ask again with this as 'after'.")


class PersonQuestion(Message):
    """A question about one person, by id or by address."""

    person: Identity | None = None
    email: EmailAddress | None = None


class PersonExport(Message):
    """Everything that registration keeps about a person (GDPR art. 15)."""

    person: Identity
    contact: Person
    since: datetime
    enrolments: tuple[EnrolmentView, ...]


class LogQuestion(Message):
    """A piece of the log: the facts after a position."""

    after: Annotated[int, Field(ge=0)] = 0
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    programme: Slug | None = None


class LogPiece(Message):
    """Facts as they stand in the log, and the position of the newest fact of all."""

    facts: tuple[dict[str, object], ...]
    head: int


# Notifications -------------------------------------------------------------------------------------------------------

MailStatus = Literal["planned", "sending", "sent", "failed", "uncertain", "dropped"]


class MailsQuestion(Message):
    """Mails by any of these; the newest first."""

    programme: Slug | None = None
    enrolment: Identity | None = None
    person: Identity | None = None
    status: MailStatus | None = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100


class MailView(Message):
    """One mail and its fate."""

    mail: Identity
    purpose: Slug
    person: Identity
    programme: Slug | None = None
    enrolment: Identity | None = None
    session: Slug | None = None
    status: MailStatus
    due_at: datetime
    attempts: int
    message_id: str | None = None
    answer: str | None = Field(default=None, description="What the mail server last said, or why it was dropped.")


class MailList(Message):
    """Mails."""

    mails: tuple[MailView, ...]


class MailPreviewQuestion(Message):
    """How a mail would look now, for an enrolment; nothing is sent."""

    enrolment: Identity
    purpose: Slug
    person: Identity | None = None
    session: Slug | None = None
    language: Language | None = None


class MailPreview(Message):
    """A mail that was not sent."""

    subject: str
    to: str
    text: str
    html: str
    calendar: str | None = None
    raw: str = Field(description="The whole message as it would go out (RFC 5322).")


class MailsExport(Message):
    """Everything that notifications keeps about a person (GDPR art. 15)."""

    person: Identity
    mails: tuple[MailView, ...]
    messages: tuple[str, ...] = Field(description="The mails as they went out (RFC 5322).")


# Reporting -----------------------------------------------------------------------------------------------------------


class Counts(Message):
    """Units and people by status."""

    units_confirmed: int = 0
    units_waiting: int = 0
    units_withdrawn: int = 0
    units_refused: int = 0
    people_confirmed: int = 0
    people_waiting: int = 0
    people_withdrawn: int = 0
    people_refused: int = 0


class CountRow(Message):
    """
    Counts under one heading, such as an organisation or a province.

    A ``key`` that starts with an underscore is no id: it says that there is none (``_without-organisation``) or that it
    cannot be known (``_unregistered-organisation``), and ``title`` says so in words.
    """

    key: str
    name: str
    title: Title | None = Field(default=None, description="The name in both languages, where it has two.")
    counts: Counts


class SeatRow(Message):
    """How many people have a seat, and the hours that are planned for them together; both of the confirmed."""

    seat: str
    title: Title | None = None
    people: int
    hours: float | None = None
    counts: Counts = Counts()


class ReasonRow(Message):
    """How many refusals named a rule, and for how many units and people; the sentence is the first refusal's."""

    rule: str
    nl: str
    en: str
    refusals: int
    units: int = 0
    people: int = 0


class DayRow(Message):
    """
    What happened to enrolments on one day in Amsterdam (ISO 8601 date).

    ``requested`` is how many came in; at once they were ``confirmed``, ``waiting`` or ``refused``. ``promoted`` and
    ``withdrawn`` are enrolments of this day or of days before.
    """

    day: str
    requested: int = 0
    confirmed: int = 0
    waiting: int = 0
    refused: int = 0
    promoted: int = 0
    withdrawn: int = 0


class MailRow(Message):
    """How many mails of a purpose were sent, and how many failed."""

    purpose: str
    sent: int
    failed: int


class ProgrammeReport(Message):
    """What came of a programme."""

    programme: Slug
    title: Title
    kind: ProgrammeKind
    withdrawn: bool
    per: Literal["person", "team"] = Field(default="person", description="What a unit is.")
    capacity: int | None = None
    counts: Counts
    refusals: tuple[ReasonRow, ...]
    organisations: tuple[CountRow, ...]
    provinces: tuple[CountRow, ...]
    roles: tuple[CountRow, ...]
    seats: tuple[SeatRow, ...]
    days: tuple[DayRow, ...]
    mails: tuple[MailRow, ...]
    mails_sent: int
    mails_failed: int


class ProgrammeReportRow(Message):
    """A programme in a list of reports."""

    programme: Slug
    title: Title
    kind: ProgrammeKind | None = None
    withdrawn: bool = False
    capacity: int | None = None
    counts: Counts
    mails_sent: int
    mails_failed: int


class ProgrammeReportList(Message):
    """All programmes, by id."""

    programmes: tuple[ProgrammeReportRow, ...]


Heading = Literal["theme", "organiser", "province", "municipality"]


class ParticipationQuestion(Message):
    """Which organisations took part, across programmes, under one heading; ``key`` picks one of its values."""

    by: Heading
    key: str | None = None
    kind: OrganisationKind | None = Field(default=None, description="Only organisations of this kind.")


class OrganisationMention(Message):
    """An organisation that took part, or of the registry; the name of one that the registry lacks says so."""

    id: Slug
    name: str
    title: Title | None = Field(default=None, description="The name in both languages, where it has two.")
    municipality: str | None = None


class ParticipationRow(Message):
    """
    Which organisations took part under one value of the heading, and which never did.

    Who has a confirmed enrolment took part. Who never did is registered and could have: the rules of at least one of
    the programmes allow its kind and province, and it does not organise that programme itself. Withdrawn programmes
    did not take place and count for nothing.
    """

    key: str
    name: str
    title: Title | None = Field(default=None, description="The name in both languages, where it has two.")
    programmes: tuple[Slug, ...]
    counts: Counts
    took_part: tuple[OrganisationMention, ...]
    never_took_part: tuple[OrganisationMention, ...]


class Participation(Message):
    """The answer, by key."""

    by: Heading
    rows: tuple[ParticipationRow, ...]


class ThemeQuestion(Message):
    """A question about one theme."""

    theme: Slug


class Reached(Message):
    """How many programmes, organisations and different people took part: had a place in what was not withdrawn."""

    programmes: int = 0
    organisations: int = 0
    people: int = 0


class GoalCell(Reached):
    """What was reached for one goal in one municipality."""

    goal: Slug


class MunicipalityRow(Message):
    """
    What was reached in one municipality, per goal in the theme's order.

    ``whole`` counts each programme, organisation and person once, also of programmes that name no goal.
    """

    municipality: str
    goals: tuple[GoalCell, ...]
    whole: Reached = Reached()


class ThemeReport(Message):
    """Per municipality and goal, what a theme has reached."""

    theme: Slug
    title: Title
    goals: tuple[CountRow, ...]
    municipalities: tuple[MunicipalityRow, ...]
    elsewhere: tuple[GoalCell, ...] = Field(description="What was reached outside the theme's municipalities.")
    whole: Reached = Field(default=Reached(), description="What the theme reached, everything counted once.")
    whole_elsewhere: Reached = Field(default=Reached(), description="The part of it outside its municipalities.")
