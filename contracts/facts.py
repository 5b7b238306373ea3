"""
The facts: everything that has come true, as stored in a service's log and published on ``log.<service>.>``.

A type's name is written by hand and never changes its meaning. A new optional field keeps the type; anything else is a
new ``.v2`` beside ``.v1``. A reader asks :func:`parse` and ignores what it does not know.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias, TypeVar, cast

from pydantic import AwareDatetime, Field, StringConstraints, TypeAdapter, ValidationError, create_model

from contracts.access import Role
from contracts.base import Identity, Message, Slug, Text, Title
from contracts.enrolment import Enrolled, MissingSeat, Participant, Reason
from contracts.envelope import Envelope, UnknownData
from contracts.moments import LENIENTLY
from contracts.organisation import Organisation
from contracts.programme import Contact, EnrolmentRules, Programme, ProgrammeKind, TeamRule
from contracts.session import Occasion, Session
from contracts.theme import Theme, ThemeReference

FACTS: dict[str, type[Message]] = {}
"""Every type of fact by its name."""

NAMES: dict[type[Message], str] = {}
"""The name of every type of fact."""

SERVICES: dict[str, str] = {}
"""The service whose log a type of fact belongs to."""

StatusCode = Annotated[str, StringConstraints(pattern=r"^[245]\.[0-9]{1,3}\.[0-9]{1,3}$")]
"""An enhanced status code (RFC 3463), such as 5.1.1."""

InvitationAnswer = Literal["accepted", "tentative", "declined"]
"""What a calendar can answer to an invitation (the PARTSTAT of RFC 5545 §3.2.12)."""

DeliveryVerdict = Literal["gone", "failing", "unreachable", "ours"]
"""
What a failed delivery says: the address does not exist; it did not take this mail; its server did not answer; or the
mail was refused because of the sender, the way or the content (``ours``), which says nothing about the address.
"""

PendingCause = Literal["address-unknown", "always"]
"""Why somebody has to confirm: nobody ever did from that address, or the programme wants it of everybody."""

LapseCause = Literal["expired", "withdrawn"]
"""Why somebody who did not confirm will not come: the time was up, or the enrolment or the programme was withdrawn."""

Model = TypeVar("Model", bound=type[Message])


def _fact(name: str, service: str = "registration") -> Callable[[Model], Model]:
    def register(model: Model) -> Model:
        FACTS[name] = model
        NAMES[model] = name
        SERVICES[name] = service
        return model

    return register


# Programmes ----------------------------------------------------------------------------------------------------------


@_fact("programme.published.v1")
class ProgrammePublished(Message):
    """A programme exists from now on, as defined."""

    programme: Programme


@_fact("programme.described.v1")
class ProgrammeDescribed(Message):
    """Words about the programme changed; nothing that anybody's agenda depends on."""

    title: Title
    description: Text
    kind: ProgrammeKind
    page: str | None = None


@_fact("programme.organised.v1")
class ProgrammeOrganised(Message):
    """Other organisers or contacts."""

    organisers: tuple[Slug, ...]
    content_contact: Contact
    enrolment_contact: Contact


@_fact("programme.classified.v1")
class ProgrammeClassified(Message):
    """Other themes or goals."""

    themes: tuple[ThemeReference, ...]


@_fact("programme.rules-changed.v1")
class ProgrammeRulesChanged(Message):
    """Other enrolment rules; ``changed`` names them. Who is enrolled already stays enrolled."""

    rules: EnrolmentRules
    changed: tuple[str, ...]


@_fact("programme.capacity-raised.v1")
class ProgrammeCapacityRaised(Message):
    """More units than before; ``after`` without a number means without a limit."""

    before: int
    after: int | None = None


@_fact("programme.capacity-lowered.v1")
class ProgrammeCapacityLowered(Message):
    """Fewer units than before, never fewer than are confirmed; no ``before`` means that there was no limit."""

    before: int | None = None
    after: int


@_fact("programme.team-rule-changed.v1")
class ProgrammeTeamRuleChanged(Message):
    """
    Another team rule. Teams that come in from now on are measured by it.

    Of those that were in, it asks nothing more than before: a team has to fill what was asked when it enrolled, less
    what a later rule no longer asks. A seat that is left out while somebody sits in it is there as a closed one.
    """

    team: TeamRule


@_fact("programme.withdrawn.v1")
class ProgrammeWithdrawn(Message):
    """The programme does not take place: all its sessions are cancelled and nobody can enrol."""

    reason: Text | None = None


@_fact("programme.closed.v1")
class ProgrammeClosed(Message):
    """
    The programme is over since that moment, although a session never had a date. Nobody is told.

    Who has a place keeps it and who waits goes on waiting; nobody can enrol, and no deadline runs any more.
    """

    since: AwareDatetime


@_fact("session.added.v1")
class SessionAdded(Message):
    """The programme has one more session."""

    session: Session


@_fact("session.moved.v1")
class SessionMoved(Message):
    """A session has another time or place: every agenda must follow."""

    session: Slug
    before: Occasion
    after: Occasion


@_fact("session.described.v1")
class SessionDescribed(Message):
    """Words about a session changed, or its lunch; no agenda need follow."""

    session: Slug
    title: Title
    description: Text | None = None
    lunch: bool = False


@_fact("session.cancelled.v1")
class SessionCancelled(Message):
    """A session does not take place."""

    session: Slug


# Enrolments ----------------------------------------------------------------------------------------------------------


@_fact("enrolment.pending.v1")
class EnrolmentPending(Enrolled):
    """
    A request of the public waits until whom it names has confirmed it from the mailbox.

    ``participants`` are those who have yet to confirm, ``asked`` those of them who get the mail that asks: one for each
    mailbox. ``held`` units are kept free for them until ``confirm_by``, none where others must not be kept out by
    people who may not exist. Who confirms comes in by a fact of its own: confirmed, waiting, refused or added.
    """

    held: Annotated[int, Field(ge=0)]
    cause: PendingCause
    confirm_by: AwareDatetime
    asked: tuple[Identity, ...]


@_fact("enrolment.lapsed.v1")
class EnrolmentLapsed(Message):
    """
    Some who had yet to confirm an enrolment will not come, and the units that were held for them are free again.

    It names nobody: strangers may have typed anybody's address.
    """

    enrolment: Identity
    people: Annotated[int, Field(ge=1)]
    units: Annotated[int, Field(ge=0)]
    cause: LapseCause


@_fact("participant.confirmed.v1")
class ParticipantConfirmed(Message):
    """Whoever reads a person's mailbox has confirmed an enrolment that named the person, who is known from now on."""

    enrolment: Identity
    person: Identity


@_fact("enrolment.confirmed.v1")
class EnrolmentConfirmed(Enrolled):
    """A request has a place. ``price`` is in euro for all its units, absent where the programme has no prices."""

    price: Decimal | None = None


@_fact("enrolment.waitlisted.v1")
class EnrolmentWaitlisted(Enrolled):
    """A request waits; ``place`` is its place in the waiting list at that moment, from 1."""

    place: Annotated[int, Field(ge=1)]
    price: Decimal | None = None


@_fact("enrolment.refused.v1")
class EnrolmentRefused(Enrolled):
    """A request that broke rules; every one of them is named."""

    reasons: Annotated[tuple[Reason, ...], Field(min_length=1)]


@_fact("enrolment.promoted.v1")
class EnrolmentPromoted(Message):
    """Who waited has a place now, and why."""

    enrolment: Identity
    reason: Reason


@_fact("enrolment.passed-over.v1")
class EnrolmentPassedOver(Message):
    """Who waited was not promoted although units were free, and why."""

    enrolment: Identity
    reason: Reason


@_fact("enrolment.withdrawn.v1")
class EnrolmentWithdrawn(Message):
    """Somebody does not come after all; ``before`` is what the enrolment was until then."""

    enrolment: Identity
    before: Literal["confirmed", "waiting"]
    reason: Reason


@_fact("enrolment.completed.v1")
class EnrolmentCompleted(Message):
    """A team that was incomplete has all its seats taken."""

    enrolment: Identity


@_fact("enrolment.incomplete.v1")
class EnrolmentIncomplete(Message):
    """A team that was complete lacks somebody, or what it lacks or its deadline changed."""

    enrolment: Identity
    missing: Annotated[tuple[MissingSeat, ...], Field(min_length=1)]
    complete_by: datetime | None = None


@_fact("participant.added.v1")
class ParticipantAdded(Message):
    """
    One more person in an enrolment; ``units`` is what the enrolment takes from now on.

    ``price`` is in euro for all these units, absent where the enrolment has no price or it stays what it was.
    """

    enrolment: Identity
    participant: Participant
    units: int
    price: Decimal | None = None


@_fact("participant.changed.v1")
class ParticipantChanged(Message):
    """The same person in another seat or role."""

    enrolment: Identity
    participant: Participant


@_fact("participant.replaced.v1")
class ParticipantReplaced(Message):
    """Somebody else takes a person's place."""

    enrolment: Identity
    person: Identity
    participant: Participant


@_fact("participant.withdrawn.v1")
class ParticipantWithdrawn(Message):
    """
    One person fewer in an enrolment that goes on; ``units`` is what it takes from now on.

    ``price`` is in euro for all these units, absent where the enrolment has no price or it stays what it was.
    """

    enrolment: Identity
    person: Identity
    units: int
    price: Decimal | None = None


# What belongs to no programme ----------------------------------------------------------------------------------------


@_fact("organisation.registered.v1")
class OrganisationRegistered(Message):
    """An organisation is in the registry."""

    organisation: Organisation


@_fact("organisation.changed.v1")
class OrganisationChanged(Message):
    """An organisation's entry is another; this is the whole new one."""

    organisation: Organisation


@_fact("theme.published.v1")
class ThemePublished(Message):
    """A theme exists, or is defined anew."""

    theme: Theme


@_fact("person.corrected.v1")
class PersonCorrected(Message):
    """
    Somebody's name, address or language is another; the new one stands in the contacts, never here.

    ``changed`` says which of them; ``email`` that mail goes to another address than before.
    """

    person: Identity
    changed: tuple[Literal["name", "email", "language"], ...] = ()


@_fact("person.erased.v1")
class PersonErased(Message):
    """
    Everything that said who this person is has been erased, and every reader erases what it kept.

    ``cause`` says whether somebody asked for it or the term for which people are kept has passed.
    """

    person: Identity
    cause: Literal["asked-for", "term-passed"] | None = None


# Staff ---------------------------------------------------------------------------------------------------------------


@_fact("token.created.v1")
class TokenCreated(Message):
    """
    A token of the staff is good from now on.

    ``digest`` is the SHA-256 of its secret of 256 random bits, from which nobody gets back to the secret. Services read
    here which tokens there are, and need ask nobody when one is shown to them.
    """

    account: Identity
    digest: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    role: Role
    organisations: tuple[Slug, ...] = ()
    expires: AwareDatetime | None = None


@_fact("token.revoked.v1")
class TokenRevoked(Message):
    """A token is worth nothing from now on."""

    account: Identity


# Notifications' own log ----------------------------------------------------------------------------------------------


@_fact("mail.sent.v1", "notifications")
class MailSent(Message):
    """A mail was accepted by the transport."""

    mail: Identity
    purpose: Slug
    person: Identity
    enrolment: Identity | None = None
    session: Slug | None = None
    copy_of: Identity | None = Field(default=None, description="The mail of which somebody wanted a new copy.")


@_fact("mail.failed.v1", "notifications")
class MailFailed(Message):
    """
    A mail will not arrive: refused for good, given up, or of unknown fate (``uncertain``).

    ``verdict`` is what a refusal says about the address, where a mail server refused it.
    """

    mail: Identity
    purpose: Slug
    person: Identity
    enrolment: Identity | None = None
    session: Slug | None = None
    copy_of: Identity | None = Field(default=None, description="The mail of which somebody wanted a new copy.")
    cause: Literal["refused", "given-up", "uncertain"]
    verdict: DeliveryVerdict | None = None


@_fact("mail.bounced.v1", "notifications")
class MailBounced(Message):
    """
    A mail that was sent came back. ``status`` is the enhanced status code of the report (RFC 3463), where it has one.

    ``suppressed`` says that nothing more goes to the address until it is corrected or somebody lifts that, ``verdict``
    what the report says about the address.
    """

    mail: Identity
    purpose: Slug
    person: Identity
    enrolment: Identity | None = None
    session: Slug | None = None
    status: StatusCode | None = None
    suppressed: bool = False
    verdict: DeliveryVerdict | None = None


@_fact("invitation.answered.v1", "notifications")
class InvitationAnswered(Message):
    """Somebody's calendar answered an invitation. It says what the person intends; it gives no place back."""

    enrolment: Identity
    session: Slug
    person: Identity
    answer: InvitationAnswer


@_fact("suppression.added.v1", "notifications")
class SuppressionAdded(Message):
    """The staff had an address suppressed: nothing is sent to it any more. ``person`` is whose it is, where known."""

    person: Identity | None = None


@_fact("suppression.lifted.v1", "notifications")
class SuppressionLifted(Message):
    """The staff had an address mailed again that was suppressed, by them or because mails to it came back."""

    person: Identity | None = None


RegistrationFact: TypeAlias = (
    ProgrammePublished
    | ProgrammeDescribed
    | ProgrammeOrganised
    | ProgrammeClassified
    | ProgrammeRulesChanged
    | ProgrammeCapacityRaised
    | ProgrammeCapacityLowered
    | ProgrammeTeamRuleChanged
    | ProgrammeWithdrawn
    | ProgrammeClosed
    | SessionAdded
    | SessionMoved
    | SessionDescribed
    | SessionCancelled
    | EnrolmentPending
    | EnrolmentLapsed
    | ParticipantConfirmed
    | EnrolmentConfirmed
    | EnrolmentWaitlisted
    | EnrolmentRefused
    | EnrolmentPromoted
    | EnrolmentPassedOver
    | EnrolmentWithdrawn
    | EnrolmentCompleted
    | EnrolmentIncomplete
    | ParticipantAdded
    | ParticipantChanged
    | ParticipantReplaced
    | ParticipantWithdrawn
    | OrganisationRegistered
    | OrganisationChanged
    | ThemePublished
    | PersonCorrected
    | PersonErased
    | TokenCreated
    | TokenRevoked
)
NotificationsFact: TypeAlias = (
    MailSent | MailFailed | MailBounced | InvitationAnswered | SuppressionAdded | SuppressionLifted
)

Fact: TypeAlias = Envelope[Message]
"""A fact in its envelope; which one it is, its ``data`` says by its class."""

NO_PROGRAMME = "_"
"""What stands for the programme in facts that belong to none."""


@functools.cache
def variant(name: str) -> type[Fact]:
    """The envelope model of one type of fact, as its JSON Schema describes it."""
    model = FACTS[name]
    return create_model(
        model.__name__ + "Fact",
        __base__=Envelope[model],  # type: ignore[valid-type]  # the type parameter is known only at run time
        __doc__=model.__doc__,
        type=(Literal[name], name),  # type: ignore[arg-type]  # likewise
    )


@functools.cache
def _known() -> TypeAdapter[Any]:
    # Not at import: it takes longer than all else here, and the tool reads no fact.
    variants: Any = functools.reduce(operator.or_, map(variant, FACTS))
    return TypeAdapter(Annotated[variants, Field(discriminator="type")])


_UNKNOWN = TypeAdapter(Envelope[UnknownData])


def prepare() -> None:
    """Do now what the first call of :func:`parse` would do: for whoever has to be quick then."""
    _known()


def parse(body: bytes | str) -> Fact:
    """
    Read a fact. Of a type that this version does not know, the data is an ``UnknownData`` for the caller to ignore.

    Raises:
        pydantic.ValidationError: the body is not an envelope, or not what its type promises.
    """
    try:
        return cast("Fact", _known().validate_json(body, context={LENIENTLY: True}))
    except ValidationError as error:
        if any(problem["type"] == "union_tag_invalid" for problem in error.errors(include_input=False)):
            return cast("Fact", _UNKNOWN.validate_json(body))
        raise
