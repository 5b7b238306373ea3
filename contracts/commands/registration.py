"""What registration is told to do, and how it answers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from contracts.access import Role
from contracts.base import EmailAddress, Identity, Language, Line, Message, Name, Slug, Text
from contracts.characters import Unfit
from contracts.choices import ONE_ENROLMENT, ONE_PERSON, Choice, Choosing
from contracts.commands.base import Command
from contracts.enrolment import EnrolmentRequest, EnrolmentStatus, MissingSeat, ParticipantRequest, Person, Reason
from contracts.organisation import Organisation
from contracts.programme import Programme
from contracts.theme import Theme


class TellingCommand(Command):
    """
    A command that may mail many people at once, or tell somebody by a slip that a session is off.

    Above a number of people that registration is set to, and however few they are where a session that they have is
    cancelled or put into the past, it is refused with the problem ``needs-confirmation``, which says why, how many
    people would be mailed and by what. Sent once more with ``confirmed``, under the same id if it has one, it is done.
    """

    confirmed: bool = Field(default=False, description="Mail everybody whom this concerns; ask nothing.")
    dry_run: bool = Field(default=False, description="Change nothing and mail nobody: only say what would happen.")


class PublishProgramme(TellingCommand):
    """Publish a programme, or publish it again with changes."""

    programme: Programme


class WithdrawProgramme(TellingCommand):
    """Cancel a programme with everything in it."""

    programme: Slug
    reason: Text | None = None


class CloseProgramme(TellingCommand):
    """
    Let a programme be over although a session never had a date: nobody can enrol any more, and nobody is mailed.

    While a session with a date is to come it is refused. The answer's ``notes`` say who still waits.
    """

    programme: Slug


class PublishTheme(Command):
    """Publish a theme, or publish it again with changes."""

    theme: Theme


class RegisterOrganisations(Command):
    """
    Put organisations into the registry, or change them.

    A field that is left out stays as it is in the registry; one that is null is cleared.
    """

    organisations: Annotated[tuple[Organisation, ...], Field(min_length=1, max_length=2000)]


class RequestEnrolment(Command, EnrolmentRequest):
    """Ask for a place."""


class EnrolmentCommand(Command, Choosing):
    """A command about one enrolment, named by its id or, for partners, by the id of the request that made it."""

    choices = (ONE_ENROLMENT,)

    enrolment: Identity | None = None
    request: Identity | None = Field(default=None, description="The id of the intake message that asked for it.")


class WithdrawEnrolment(EnrolmentCommand):
    """Give a place, or a place in the waiting list, back."""


class PromoteEnrolment(EnrolmentCommand):
    """Give who waits a place by hand, also behind the freeze; never more than the capacity."""


class ConfirmEnrolment(EnrolmentCommand):
    """Vouch for everybody who has yet to confirm an enrolment: they come in as if they had."""


class AddParticipant(EnrolmentCommand):
    """Add somebody to an enrolment."""

    participant: ParticipantRequest


class NamingSomebody(Choosing):
    """Names a person: by id, or by address, with the name beside it where several people share the address."""

    choices = (ONE_PERSON,)

    person: Identity | None = None
    email: EmailAddress | None = Field(default=None, description="Names the person where the id is not known.")
    name: Line | None = Field(default=None, description="Tells those who share the address apart; goes with 'email'.")


class ChangeParticipant(EnrolmentCommand, NamingSomebody):
    """Give a person another seat, role or diet, or let somebody else take the place (``replacement``)."""

    seat: Slug | None = None
    role: Slug | None = None
    replacement: Person | None = None
    diet: Line | None = Field(default=None, description="What whoever has the place then does not eat.")


class WithdrawParticipant(EnrolmentCommand, NamingSomebody):
    """Take one person out of an enrolment that goes on; the last one withdraws it."""


class CorrectPerson(Command, NamingSomebody):
    """Correct somebody's name, address or language. Two people do not become one by it."""

    new_name: Name | None = None
    new_email: EmailAddress | None = None
    language: Language | None = None


class ErasePerson(Command, NamingSomebody):
    """Erase everything that says who a person is, or who ``everybody`` at an address is."""

    everybody: bool | None = Field(default=None, description="All who share the address, which 'email' gives.")


class CreateToken(Message):
    """
    Give somebody of the staff, or a program, a token for HTTP.

    Other than commands it has no ``id``: the answer of a command with an id is kept for ever, and this one must not be.
    """

    name: Line
    role: Role
    organisations: tuple[Slug, ...] = Field(default=(), description="An organiser's: their programmes are theirs.")
    expires: AwareDatetime | None = None

    @model_validator(mode="after")
    def _organisers_alone_have_organisations(self) -> CreateToken:
        if (self.role == "organiser") != bool(self.organisations):
            raise Unfit(
                "an organiser needs organisations, and nobody else has any",
                "een organisator heeft organisaties nodig, en niemand anders heeft er",
                "organisations",
            )
        return self


class RevokeToken(Choosing):
    """Make a token worthless, by its name or by its account."""

    choices = (
        Choice(
            ("name", "account"),
            "Name the token: either 'name' or 'account'.",
            "Noem het token: óf 'name' óf 'account'.",
        ),
    )

    name: Line | None = None
    account: Identity | None = None


# Results -------------------------------------------------------------------------------------------------------------


MOST_TOLD = 100
"""Changes, notes and questions that one answer tells: a definition may have thousands of sessions."""


class Change(Message):
    """What one fact, or several of a kind, bring about, and how many people are mailed of it."""

    fact: str = Field(description="The type.")
    times: int = 1
    nl: str
    en: str
    people: int = 0


class Published(Message):
    """
    What publishing brought about: the types of the facts, in order; none where nothing changed.

    ``changes`` says it in words and ``notes`` what else to know, such as who keeps a place although new rules would not
    let them in; at most 100 of each. ``people`` are all who are mailed. With ``dry_run`` nothing has changed: it is
    what would happen, and ``questions`` is what would be asked first.
    """

    id: Slug
    facts: tuple[str, ...]
    version: int | None = None
    changes: tuple[Change, ...] = ()
    notes: tuple[Reason, ...] = ()
    people: int = 0
    dry_run: bool = False
    questions: tuple[Reason, ...] = ()


class OrganisationsRegistered(Message):
    """How many entries of the registry are new, changed, and as they were."""

    registered: int
    changed: int
    unchanged: int


class EnrolmentResult(Message):
    """How an enrolment stands after a command."""

    enrolment: Identity
    programme: Slug
    status: EnrolmentStatus
    place: int | None = Field(default=None, description="The place in the waiting list, from 1.")
    missing: tuple[MissingSeat, ...] = ()
    facts: tuple[str, ...] = ()


class EnrolmentReceipt(Message):
    """
    What the public is told of a request: that it has come in, and what becomes of it if none of these people takes part
    already and all confirm it. Whether somebody does, or need not confirm, is nobody else's business; what comes next
    is said by mail, to those who are named.
    """

    programme: Slug
    expected: Literal["confirmed", "waiting"]
    try_again: AwareDatetime | None = Field(
        default=None,
        description="So many requests wait to be confirmed that this one may have been left out: who gets no mail sends"
        " it again then.",
    )
    place: int | None = Field(default=None, description="The place in the waiting list to expect, from 1.")
    missing: tuple[MissingSeat, ...] = Field(default=(), description="The seats of the team that are empty.")


class PersonResult(Message):
    """Whom a command about a person was about."""

    person: Identity
    result: Literal["corrected", "unchanged", "erased"]
    people: tuple[Identity, ...] | None = Field(
        default=None, description="All of them, where the command was about everybody at an address."
    )
    copies_until: AwareDatetime | None = Field(
        default=None,
        description=(
            "Where they were erased: copies that services made of their databases before an update hold them until then"
            " at the latest, and go by themselves. Backups that were fetched hold them as long as somebody keeps these."
        ),
    )


class TokenMade(Message):
    """The one time that a token is told."""

    account: Identity
    name: Line
    role: Role
    token: str


class TokenRevocation(Message):
    """Whose token is worth nothing now, at registration; ``told`` and ``detail`` say whether others can know it."""

    account: Identity
    name: Line
    told: bool | None = Field(
        default=None, description="Whether the broker has been told, from which reporting learns it within a second."
    )
    detail: str | None = Field(default=None, description="What that means, where it was not told.")
