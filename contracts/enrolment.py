"""The words in which enrolments are asked for and told about."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import EmailAddress, Identity, Language, Line, Message, Slug

EnrolmentStatus = Literal["confirmed", "waiting", "withdrawn", "refused"]


class Person(Message):
    """Who someone is, as far as a mail needs it. Personal data: never in a log."""

    name: Line
    email: EmailAddress
    language: Language = "nl"


class ParticipantRequest(Message):
    """Somebody who wants to take part; ``seat`` where the programme takes teams."""

    person: Person
    seat: Slug | None = None
    role: Slug | None = None
    diet: Line | None = Field(
        default=None,
        description="What somebody does not eat; kept, until the day after, only where a session has a lunch.",
    )


class EnrolmentRequest(Message):
    """A request to take part; a volunteer may have no organisation."""

    programme: Slug
    organisation: Slug | None = None
    participants: Annotated[tuple[ParticipantRequest, ...], Field(min_length=1, max_length=100)]


class Participant(Message):
    """Somebody who takes part, named by a random person id only."""

    person: Identity
    seat: Slug | None = None
    role: Slug | None = None


class Reason(Message):
    """Why something was decided: the rule's name for machines and the sentence for people, in both languages."""

    rule: Slug
    nl: str
    en: str


class MissingSeat(Message):
    """How many people a team still needs in one of its seats."""

    seat: Slug
    count: Annotated[int, Field(ge=1)]


class Enrolled(Message):
    """What a confirmed, waiting or refused enrolment consists of."""

    enrolment: Identity
    organisation: Slug | None = None
    units: Annotated[int, Field(ge=1)]
    participants: tuple[Participant, ...]
    channel: Literal["intake", "staff", "web"] = "staff"
    source: Identity = Field(description="The partner, or the tool, that asked.")
    missing: tuple[MissingSeat, ...] = ()
    complete_by: datetime | None = Field(default=None, description="When an incomplete team must be complete (UTC).")
