"""What other systems send on ``intake.<source>.<entity>.<verb>``, and the outcome that answers each message."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pydantic import Field, TypeAdapter

from contracts.base import EmailAddress, Identity, Line, Message, Slug
from contracts.choices import ONE_ENROLMENT, Choosing
from contracts.enrolment import EnrolmentRequest, EnrolmentStatus, MissingSeat, ParticipantRequest, Person
from contracts.envelope import Envelope
from contracts.problem import Fault

LARGEST = 256 * 1024
"""
Bytes that an intake message may have; a larger one is answered with a refusal, up to what the broker takes (1 MiB).
"""

LARGEST_OUTCOME = 4 * 1024
"""Bytes that an outcome has at most: what would make it larger is counted and not named."""

_SEQUENCE = "The message's number in the partner's intake stream, which the acknowledgement told ('seq')."


class EnrolmentReference(Choosing):
    """An enrolment of the same partner, by the id that the outcome gave or by the id of the request that made it."""

    choices = (ONE_ENROLMENT,)

    enrolment: Identity | None = None
    request: Identity | None = None


class WithdrawRequest(EnrolmentReference):
    """Give a place back."""


class AddParticipantRequest(EnrolmentReference):
    """Add somebody to an enrolment."""

    participant: ParticipantRequest


class ChangeParticipantRequest(EnrolmentReference):
    """Give somebody another seat, role or diet, or let somebody else take the place."""

    email: EmailAddress
    name: Line | None = Field(default=None, description="Tells those in the enrolment apart who share the address.")
    seat: Slug | None = None
    role: Slug | None = None
    replacement: Person | None = None
    diet: Line | None = Field(default=None, description="What whoever has the place then does not eat.")


class WithdrawParticipantRequest(EnrolmentReference):
    """Take one person out of an enrolment that goes on."""

    email: EmailAddress
    name: Line | None = Field(default=None, description="Tells those in the enrolment apart who share the address.")


INTAKE: Mapping[str, type[Message]] = MappingProxyType(
    {
        "enrolment.request.v1": EnrolmentRequest,
        "enrolment.withdraw.v1": WithdrawRequest,
        "participant.add.v1": AddParticipantRequest,
        "participant.change.v1": ChangeParticipantRequest,
        "participant.withdraw.v1": WithdrawParticipantRequest,
    }
)
"""Every type of request that other systems may send."""


class IntakeHead(Message):
    """As much of an intake message as is read before its type is known."""

    id: Identity
    type: str


class MessageName(Message):
    """As much as names a message and what it belongs to, of one that is not read further."""

    id: Identity
    correlationid: Any = None


class OutcomeAccepted(Message):
    """The request was carried out; ``status`` says whether the enrolment has a place or waits."""

    request: Identity
    sequence: int | None = Field(default=None, description=_SEQUENCE)
    enrolment: Identity
    programme: Slug
    status: EnrolmentStatus
    place: int | None = Field(default=None, description="The place in the waiting list, from 1.")
    missing: tuple[MissingSeat, ...] = Field(
        default=(), description="What the team still lacks; the first seats of more than fit into 4 KiB."
    )


class OutcomeRefused(Message):
    """The request was not carried out; ``errors`` names what was wrong."""

    request: Identity | None = Field(
        default=None, description="Absent where the message had no readable id, and where the id was 'reused'."
    )
    reused: Identity | None = Field(
        default=None,
        description="The message's id, where another message with other content had it before: that one's answer"
        " stands, and this is none to it.",
    )
    sequence: int = Field(description=_SEQUENCE)
    programme: Slug | None = None
    enrolment: Identity | None = None
    problem: str = Field(description="The last word of the problem's type: refused, not-json, invalid, id-reused …")
    errors: tuple[Fault, ...] = Field(
        default=(),
        description="What was wrong; of more than fits into 4 KiB, the last fault says how many more there are.",
    )


OUTCOMES: Mapping[str, type[Message]] = MappingProxyType(
    {"outcome.accepted.v1": OutcomeAccepted, "outcome.refused.v1": OutcomeRefused}
)

_ACCEPTED = TypeAdapter(Envelope[OutcomeAccepted])
_REFUSED = TypeAdapter(Envelope[OutcomeRefused])


def parse_outcome(body: bytes) -> Envelope[OutcomeAccepted] | Envelope[OutcomeRefused]:
    """
    Read an outcome.

    Raises:
        pydantic.ValidationError: the body is not one.
    """
    if IntakeHead.model_validate_json(body).type == "outcome.accepted.v1":
        return _ACCEPTED.validate_json(body)
    return _REFUSED.validate_json(body)
