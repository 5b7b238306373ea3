"""What staff, and whoever pipes mails in, ask and tell about what comes back."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from sqlite3 import Connection

from contracts.base import same_address
from contracts.commands import (
    LARGEST_RAW,
    AddSuppression,
    Dismissed,
    DismissReceived,
    LiftSuppression,
    ReceivedMail,
    ReceiveMail,
    Suppressed,
)
from contracts.enrolment import KnownPerson
from contracts.problem import Problem, ProblemError, not_found, problem_type
from contracts.queries import (
    Everything,
    ReceivedList,
    ReceivedMailQuestion,
    ReceivedMessage,
    ReceivedQuestion,
    SuppressionList,
)
from services.chassis.clock import Clock
from services.chassis.commands import Call
from services.chassis.database import Database
from services.notifications import store
from services.notifications.contacts import ReadsContacts, for_staff
from services.notifications.inbox.receiving import Inbox
from services.notifications.inbox.taking import TryLater


class Postbox:
    """
    Takes mails that are handed over as a command, lists what came, and keeps the list of suppressed addresses.

    Args:
        appended: called when there may be facts in our log.
    """

    def __init__(
        self,
        database: Database,
        *,
        inbox: Inbox,
        contacts: ReadsContacts,
        clock: Clock,
        appended: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._inbox = inbox
        self._contacts = contacts
        self._clock = clock
        self._appended = appended

    async def receive_mail(self, call: Call) -> ReceivedMail:
        """``do.notifications.mail.receive``: take a mail that came back."""
        return await self.receive(call.parse(ReceiveMail), call.actor)

    async def receive(self, command: ReceiveMail, actor: str | None = None) -> ReceivedMail:
        """
        Take a mail. To hand the same one over again is harmless.

        Raises:
            ProblemError: it is not base64, too large, or about a mail that is under way at this moment.
        """
        try:
            raw = base64.b64decode(command.raw, validate=True)
        except binascii.Error:
            raise _invalid("'raw' is not base64") from None
        if len(raw) > LARGEST_RAW:
            raise ProblemError(
                Problem(
                    type=problem_type("mail-too-large"),
                    title="The mail is too large",
                    status=413,
                    detail=f"It has {len(raw)} octets; {LARGEST_RAW} fit into a message. Larger ones come by LMTP.",
                )
            )
        try:
            return await self._inbox.receive(raw, command.recipient, actor)
        except TryLater as error:
            raise ProblemError(
                Problem(
                    type=problem_type("try-later"),
                    title="Not at this moment",
                    status=503,
                    detail=f"{str(error).capitalize()}: hand it over again in a minute.",
                )
            ) from None

    async def list_received(self, call: Call) -> ReceivedList:
        """``ask.notifications.received.list``: what came back, the newest first."""
        question = call.parse(ReceivedQuestion)
        found, waiting = await self._database.run(
            lambda raw: (store.received(raw, question.limit, unread=question.unread), store.unread(raw))
        )
        return ReceivedList(received=tuple(found), unread=waiting.mails)

    async def get_received(self, call: Call) -> ReceivedMessage:
        """``ask.notifications.received.get``: one of them, as it came."""
        return await self.message(call.parse(ReceivedMailQuestion))

    async def message(self, question: ReceivedMailQuestion) -> ReceivedMessage:
        """
        A mail that is kept for a person.

        Raises:
            ProblemError: there is none of this number, or its bytes are not kept.
        """
        found = await self._database.run(
            lambda raw: store.received_piece(raw, question.received, question.begin or 0, LARGEST_RAW)
        )
        if found is None:
            raise ProblemError(not_found("received mail", str(question.received)))
        piece, size = found
        # Who asks for no piece takes what comes for the whole.
        if question.begin is None and len(piece) < size:
            raise ProblemError(
                Problem(
                    type=problem_type("mail-too-large"),
                    title="The mail is too large",
                    status=413,
                    detail=f"It has {size} octets; {LARGEST_RAW} fit into an answer. Ask for it in pieces, by 'begin'.",
                )
            )
        return ReceivedMessage(raw=base64.b64encode(piece).decode(), size=size)

    async def dismiss_received(self, call: Call) -> Dismissed:
        """``do.notifications.received.dismiss``: somebody has dealt with mails that were kept."""
        return await self.dismiss(call.parse(DismissReceived))

    async def dismiss(self, command: DismissReceived) -> Dismissed:
        """Forget what the mails say, and that they wait; what was noted of them stays. Others are passed over."""
        changed = await self._database.transact(lambda raw: store.dismiss(raw, command.received))
        self._database.forget_soon()
        return Dismissed(changed=changed)

    async def list_suppressions(self, call: Call) -> SuppressionList:
        """``ask.notifications.suppression.list``: addresses to which nothing is sent."""
        call.parse(Everything)
        return SuppressionList(suppressed=tuple(await self._database.run(store.suppressions)))

    async def add_suppression(self, call: Call) -> Suppressed:
        """``do.notifications.suppression.add``: send nothing more to an address."""
        return await self.suppress(call.parse(AddSuppression), call.actor)

    async def suppress(self, command: AddSuppression, actor: str | None = None) -> Suppressed:
        """
        Suppress the address that is given, or the one that the person has now.

        Raises:
            ProblemError: neither or both are given, or nobody knows the person.
        """
        email = command.email or await self._address(command.person or "")
        wanted = same_address(email)
        now = self._clock()

        def suppress(raw: Connection) -> bool:
            known = store.people_with_address(raw, lambda address: same_address(address) == wanted)
            return store.suppress(
                raw,
                address=store.fingerprint(store.key(raw), email),
                person=command.person or (known[0] if len(known) == 1 else None),
                source="staff",
                reason=command.reason,
                now=now,
                actor=actor,
            )

        changed = await self._database.transact(suppress)
        self._appended()
        return Suppressed(changed=int(changed))

    async def lift_suppression(self, call: Call) -> Suppressed:
        """``do.notifications.suppression.lift``: send to an address again."""
        return await self.lift(call.parse(LiftSuppression), call.actor)

    async def lift(self, command: LiftSuppression, actor: str | None = None) -> Suppressed:
        """
        Lift what stands against an address, or against all addresses of a person.

        Raises:
            ProblemError: neither or both are given.
        """
        now = self._clock()

        def lift(raw: Connection) -> int:
            address = store.fingerprint(store.key(raw), command.email) if command.email else None
            return store.lift(raw, now, address=address, person=command.person, actor=actor)

        changed = await self._database.transact(lift)
        self._appended()
        return Suppressed(changed=changed)

    async def _address(self, person: str) -> str:
        contact = await for_staff(self._contacts, person)
        if not isinstance(contact, KnownPerson):
            raise ProblemError(not_found("person", person))
        return contact.email


def _invalid(detail: str) -> ProblemError:
    return ProblemError(
        Problem(type=problem_type("invalid"), title="The request is not valid", status=422, detail=f"{detail}.")
    )
