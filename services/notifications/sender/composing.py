"""The bytes of mails that are about to go out, and what becomes of those that cannot be written."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog

from contracts.enrolment import KnownPerson
from services.chassis.state import State
from services.notifications import message
from services.notifications.contacts import Absence, Contact
from services.notifications.domain.mails import CANCELS, PERSONAL, REQUESTS
from services.notifications.letters import Letter
from services.notifications.links import NoAddress, PersonalLinks
from services.notifications.rendering import Renderer, for_others
from services.notifications.sender.judging import Verdicts, absent, failed
from services.notifications.store import Due, Outcome, Written
from services.notifications.writing import Writer

_log = structlog.get_logger("notifications.sender")

_LETTERS_A_TURN = 8
_UNSET_WAIT = timedelta(minutes=5)
"""How long a mail waits for the operator to set what it needs."""
_ABOUT_ITEMS = REQUESTS | CANCELS


class Sending(NamedTuple):
    """A mail that is ``sending`` on disk, and how it got there."""

    due: Due
    written: Written


class Composer:
    """
    Writes mails.

    Args:
        links: makes the links that are for a mail's recipient alone.
    """

    def __init__(self, renderer: Renderer, links: PersonalLinks) -> None:
        self._renderer = renderer
        self._domain = renderer.sender.mailbox.rpartition("@")[2]
        self._links = links

    async def written(
        self, state: State, batch: Sequence[Due], contacts: Mapping[str, Contact], *, now: datetime, verdicts: Verdicts
    ) -> list[Sending]:
        """The bytes of each mail; what cannot be written goes to the verdicts."""
        ready = []
        writer = Writer(state, now, self._links.address_of)
        for number, due in enumerate(batch, 1):
            if number % _LETTERS_A_TURN == 0:
                # Writing costs no waiting: without this, answers of the server would wait for the whole batch.
                await asyncio.sleep(0)
            contact = contacts[due.mail.person]
            if isinstance(contact, Absence):
                verdicts.add(absent(due, contact, now))
                continue
            try:
                ready.append(Sending(due, self._bytes(writer, due, contact, now)))
            except NoAddress as error:
                verdicts.add(Outcome(due.ordinal, "planned", str(error), due_at=now + _UNSET_WAIT))
            except Exception as error:
                # One mail that cannot be written must not stop the others. The error may quote the person.
                _log.error("mail cannot be written", mail=due.mail.id, reason=type(error).__name__)
                answer = f"cannot be written: {type(error).__name__}"
                verdicts.add(Outcome(due.ordinal, "failed", answer), failed(due, "refused"))
        return ready

    def _bytes(self, writer: Writer, due: Due, person: KnownPerson, now: datetime) -> Written:
        personal = due.mail.purpose in PERSONAL
        if due.raw is not None and due.message_id is not None and due.recipient is not None and not personal:
            return Written(
                due.ordinal, due.message_id, due.recipient, due.raw, due.mail.purpose, due.mail.detail.appointment
            )
        if due.told_at is not None:
            # Whoever reads it there may be anybody.
            person = KnownPerson(name="", email=due.told_at, language=person.language)
        said = writer.letter(due.mail, person, answered=due.answered, answers=due.answers)
        own_id = message.message_id(due.mail.id, person.email, self._domain)
        confirmation = None
        if due.confirmation is not None and due.mail.purpose in _ABOUT_ITEMS:
            confirmation = due.confirmation_message or message.message_id(due.confirmation, person.email, self._domain)

        def composed(letter: Letter) -> bytes:
            return message.compose(
                self._renderer.render(letter),
                letter,
                sender=self._renderer.sender,
                message_id=own_id,
                # What is written anew for every attempt, because nobody keeps it, says the same each time.
                date=(due.first_at or now) if personal else now,
                in_reply_to=due.previous or confirmation,
                references=(confirmation,) if confirmation else (),
            )

        return Written(
            due.ordinal,
            own_id,
            said.recipient.mailbox,
            composed(said),
            due.mail.purpose,
            due.mail.detail.appointment,
            kept=composed(for_others(said)) if personal else None,
            # A copy tells nothing that was not told.
            answers=() if due.mail.copy_of else due.answers,
        )
