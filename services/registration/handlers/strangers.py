"""
What is known of a request that anybody may have sent, looked up for the domain and remembered after its decision.

Where a request came from and which mailboxes were asked are kept as digests under the key of the links, for a while.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contracts.base import same_mailbox
from contracts.enrolment import Participant, Person
from contracts.facts import (
    EnrolmentConfirmed,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWaitlisted,
    RegistrationFact,
)
from services.chassis.links import LinkKeys
from services.registration import store
from services.registration.batch import Batch
from services.registration.domain import ProgrammeState
from services.registration.domain.commands import Stranger
from services.registration.store import strangers

MOST_MAILS: Final = 3
"""Mails that ask one mailbox to confirm within thirty days, while nobody answers."""

MOST_UNASKED: Final = 12
"""Enrolments of one mailbox within thirty days in programmes where nobody has to confirm, while nobody ever did."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """
    How strangers are told apart and held back: ``mails`` a source and hour, nought without a bound.

    ``smtputf8``: see ``Settings``.
    """

    keys: LinkKeys
    mails: int
    smtputf8: bool = False

    def origin(self, source: str) -> Origin:
        """``source`` is what counts as one on the network: an address, or a network of IPv6."""
        return Origin(self.keys.digest("source", source), self)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request of the public came from: ``source`` is a digest, and ``bounds`` make those of mailboxes."""

    source: str
    bounds: Bounds


def mailbox(keys: LinkKeys, email: str) -> str:
    """A mailbox without what its provider does not tell apart, as a digest."""
    return keys.digest("mailbox", same_mailbox(email))


def known_of(
    batch: Batch,
    origin: Origin,
    state: ProgrammeState,
    *,
    participants: Sequence[Participant],
    people: Sequence[Person],
    enrolments: Sequence[str],
    now: datetime,
) -> Stranger:
    """What the domain has to know: ``people`` are the participants as they were typed, in the same order."""
    persons = {one.person for one in participants}
    mailboxes = {
        one.person: mailbox(origin.bounds.keys, who.email) for one, who in zip(participants, people, strict=True)
    }
    asked = strangers.times_asked(batch.connection, set(mailboxes.values()), now)
    caused = strangers.caused_by(batch.connection, origin.source, state.id, now)
    never = state.definition is not None and state.definition.enrolment.confirmation.needed == "never"
    most = MOST_UNASKED if never else MOST_MAILS
    return Stranger(
        enrolments=tuple(enrolments),
        unknown=frozenset(persons - store.confirmed_people(batch.settled, persons)),
        mailboxes=mailboxes,
        mails_left={one: max(0, most - asked.get(one, 0)) for one in mailboxes.values()},
        source_held=caused.units,
        source_mails_left=max(0, origin.bounds.mails - caused.mails) if origin.bounds.mails else None,
        source_free=caused.free,
    )


def remember(
    batch: Batch,
    origin: Origin,
    programme: str,
    stranger: Stranger,
    *,
    facts: Sequence[RegistrationFact],
    now: datetime,
) -> None:
    """Keep in mind what a request has come to hold, and whom it made us ask."""
    waits = [fact for fact in facts if isinstance(fact, EnrolmentPending)]
    in_at_once = [fact for fact in facts if isinstance(fact, EnrolmentConfirmed | EnrolmentWaitlisted)]
    mailed = [*(fact.asked for fact in waits), *(fact.unconfirmed for fact in in_at_once)]
    persons = [person for people in mailed for person in people]
    for person in persons:
        strangers.ask(batch.connection, stranger.mailboxes[person], now)
    held = {fact.enrolment: fact.held for fact in waits if fact.held}
    # Facts by which nothing comes about count as well: they stay in the log, and so do whom they name among the people.
    nothing = sum(len(fact.participants) for fact in facts if isinstance(fact, EnrolmentRefused))
    strangers.cause(batch.connection, origin.source, programme, held=held, mails=len(persons) + nothing, now=now)
