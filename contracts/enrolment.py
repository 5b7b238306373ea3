"""The words in which enrolments are asked for and told about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from contracts.base import EmailAddress, Identity, Language, Line, Message, Name, Slug
from contracts.parameters import Parameter

EnrolmentStatus = Literal["pending", "confirmed", "waiting", "withdrawn", "refused", "lapsed"]
"""
How an enrolment stands. ``pending``: those whom it names have yet to confirm it; ``lapsed``: they did not in time.
"""

Channel = Literal["intake", "staff", "web"]
"""By which door a request came: a partner's stream, the staff's commands, or the pages and API that are everybody's."""


class KnownPerson(Message):
    """
    Who someone is, as far as a mail needs it. Personal data: never in a log.

    Name and address were judged when they came in: rules that came later do not make them unreadable.
    """

    name: str
    email: str
    language: Language = "nl"

    def spelling(self, programme: str) -> str:  # noqa: ARG002  (whose spellings are not known is called one thing)
        """The name as it was written for a programme."""
        return self.name


class Person(KnownPerson):
    """Who someone is, as somebody says it."""

    name: Name
    email: EmailAddress


class Correspondent(KnownPerson):
    """
    Somebody as the bucket of contacts has them: as they were written first, or as the staff corrected it.

    ``spellings`` is how the name was written for programmes, where it was otherwise: whoever leads a programme, and its
    mails, call somebody as was said for it.
    """

    spellings: Mapping[Slug, str] | None = None

    def spelling(self, programme: str) -> str:
        """The name as it was written for a programme."""
        return (self.spellings or {}).get(programme, self.name)


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
    language: Language | None = Field(
        default=None, description="The language of this request's mails, where it is not the person's own."
    )


class Reason(Message):
    """
    Why something was decided: the rule's name for machines and the sentence for people, in both languages.

    The sentence has no ids. ``parameters`` has those that it is about, for programs and for staff.
    """

    rule: Slug
    nl: str
    en: str
    parameters: tuple[Parameter, ...] = ()


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
    channel: Channel = "staff"
    source: Identity = Field(description="The partner, or the tool, that asked.")
    missing: tuple[MissingSeat, ...] = ()
    complete_by: datetime | None = Field(default=None, description="When an incomplete team must be complete (UTC).")
    unconfirmed: tuple[Identity, ...] = Field(
        default=(),
        description="Those named by a stranger, who have never confirmed anything from that address: mails to them"
        " greet nobody by name and repeat nothing that was typed.",
    )
    present: tuple[Identity, ...] = Field(
        default=(),
        description="Those whom the request named although they take part already: they, and nobody else, are told so.",
    )
