"""Questions to reporting."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field

from contracts.base import Identity, Message, OrganisationKind, Slug, Title
from contracts.programme import ProgrammeKind


class Counts(Message):
    """
    Units and people by status: everybody whom a request ever named stands in one of them.

    ``pending`` have yet to confirm a request of the public, ``lapsed`` did not in time. People of both may belong to a
    team that has a place already, whose unit then counts there.
    """

    units_confirmed: int = 0
    units_waiting: int = 0
    units_withdrawn: int = 0
    units_refused: int = 0
    people_confirmed: int = 0
    people_waiting: int = 0
    people_withdrawn: int = 0
    people_refused: int = 0
    units_pending: int = 0
    units_lapsed: int = 0
    people_pending: int = 0
    people_lapsed: int = 0


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
    """
    How many refusals named a rule, and for how many units and people; the sentence is the first refusal's.

    ``title`` is the rule in two or three words, for people: ``rule`` is for programs.
    """

    rule: str
    nl: str
    en: str
    refusals: int
    units: int = 0
    people: int = 0
    title: Title | None = None


class DayRow(Message):
    """
    What happened to enrolments on one day in Amsterdam (ISO 8601 date).

    ``requested`` is how many came in. At once, or when those whom they name had confirmed them, they were
    ``confirmed``, ``waiting`` or ``refused``; ``pending`` are yet to be confirmed, and ``lapsed`` never were in time.
    ``promoted`` and ``withdrawn`` are enrolments of this day or of days before.
    """

    day: str
    requested: int = 0
    confirmed: int = 0
    waiting: int = 0
    refused: int = 0
    promoted: int = 0
    withdrawn: int = 0
    pending: int = 0
    lapsed: int = 0


class MailRow(Message):
    """How many mails of a purpose were sent, how many failed, and how many of those sent came back."""

    purpose: str
    sent: int
    failed: int
    bounced: int = 0
    uncertain: int = Field(default=0, description="Of which nobody knows whether they arrived.")


class AnswerRow(Message):
    """
    What those who are invited to a session now last answered from their calendars.

    An answer stands until the person gives another one, also when the session has moved since.
    """

    session: Slug
    title: Title
    invited: int
    accepted: int = 0
    tentative: int = 0
    declined: int = 0
    unanswered: int = 0


class ProgrammeReport(Message):
    """What came of a programme."""

    programme: Slug
    title: Title
    kind: ProgrammeKind
    withdrawn: bool
    closed: bool = Field(default=False, description="Whether the staff closed it, because a session never had a date.")
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
    mails_bounced: int = 0
    mails_uncertain: int = Field(default=0, description="Of which nobody knows whether they arrived.")
    answers: tuple[AnswerRow, ...] = ()


class ProgrammeReportRow(Message):
    """A programme in a list of reports."""

    programme: Slug
    title: Title
    kind: ProgrammeKind | None = None
    withdrawn: bool = False
    closed: bool = False
    capacity: int | None = None
    counts: Counts
    mails_sent: int
    mails_failed: int
    mails_bounced: int = 0
    mails_uncertain: int = Field(default=0, description="Of which nobody knows whether they arrived.")


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


class TokenUses(Message):
    """The day on which each account was last let in by its token."""

    uses: dict[Identity, date]


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
