"""What a mail that came in changes: one transaction for each, whoever hands it over."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from sqlite3 import Connection

import structlog

from contracts.base import same_address
from contracts.commands import ReceivedMail
from contracts.facts import InvitationAnswer, InvitationAnswered, MailBounced
from contracts.queries import ReceivedKind
from services.chassis import metrics
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.notifications import store
from services.notifications.domain import given, overtakes
from services.notifications.domain.failures import Failure, about, reported
from services.notifications.domain.mails import TO_CONTACT
from services.notifications.inbox.reader import ReaderUnavailable
from services.notifications.inbox.room import Refusals, Room, Share
from services.notifications.incoming.content import (
    Answered,
    Automatic,
    OddReport,
    Read,
    Reply,
    Report,
    Unclear,
)
from services.notifications.links import blanked
from services.notifications.return_path import ReturnPaths
from services.notifications.store import Mailed, News

_log = structlog.get_logger("notifications.inbox")

_ANSWERS: dict[str, InvitationAnswer] = {"ACCEPTED": "accepted", "TENTATIVE": "tentative", "DECLINED": "declined"}
_RECEIVED = metrics.counter("deelname_received_mails", "Mails that came back, by what was made of them.", ["kind"])

ROOM = Room()

Reads = Callable[[bytes, bool | None], Awaitable[Read]]


class TryLater(Exception):  # noqa: N818
    """The mail can't be taken at this moment; whoever has it keeps it and comes again."""


class NoRoom(TryLater):
    """There is no room for one more mail that a person has to look at."""

    def __init__(self, share: Share) -> None:
        super().__init__("there is no more room for mails that a person has to look at")
        self.share = share


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What was made of a mail; ``kept`` says that its bytes are, for a person."""

    kind: ReceivedKind
    note: str
    mail: Mailed | None = None
    kept: bool = False


class Inbox:
    """
    Takes mails that came back.

    Args:
        reads: what reads a mail, told whether its envelope has the null sender, None where none is known; raises
            ``ReaderUnavailable`` when nothing can at this moment.
        organiser: the address of the organiser of every invitation, whose mail may be copied here.
        appended: called after a mail was taken: there may be facts in our log, and mails to send.
        room: the most that is kept for a person: strangers who write cannot fill the disk.
        hold: how long an answer waits for others of the same person before the programme's contact is told.
    """

    def __init__(
        self,
        database: Database,
        *,
        reads: Reads,
        return_paths: ReturnPaths,
        organiser: str,
        clock: Clock,
        appended: Callable[[], None] = lambda: None,
        room: Room = ROOM,
        hold: timedelta = timedelta(),
    ) -> None:
        self._database = database
        self._reads = reads
        self._return_paths = return_paths
        self._organiser = same_address(organiser)
        self._clock = clock
        self._appended = appended
        self._room = room
        self._refusals = Refusals()
        self._hold = hold

    def takes(self, address: str) -> bool:
        """Whether mail to an address belongs here."""
        return self._return_paths.covers(address) or same_address(address) == self._organiser

    async def waiting(self) -> str:
        """How many mails are kept for a person, in words for staff; "" where none is."""
        unread = await self._database.run(store.unread)
        return f"how many mails wait for a person: {unread.mails}" if unread.mails else ""

    async def full(self) -> str:
        """What was lately refused because there was no room for it, in words for staff; "" where nothing was."""
        return self._refusals.told(self._clock())

    async def receive(self, raw: bytes, recipient: str | None = None, actor: str | None = None) -> ReceivedMail:
        """
        Understand a mail and do what follows from it; when this returns, that is committed.

        Args:
            recipient: to whom the envelope addressed it; without one, the headers are searched.
            actor: the account of whoever of the staff handed it over.

        Raises:
            TryLater: nobody can read it at this moment, the mail that it is about is under way, or too many are kept.
        """
        return await (await self.opened(raw)).take(recipient, actor)

    async def opens(self, raw: bytes, null_sender: bool | None = None) -> Callable[[str], Awaitable[ReceivedMail]]:
        """Read a mail once; what is given takes it for one of those whom its envelope names. Raises as ``receive``."""
        return (await self.opened(raw, null_sender)).take

    async def opened(self, raw: bytes, null_sender: bool | None = None) -> Opened:
        """
        A mail that was read, to be taken for each of those whom its envelope names.

        Raises:
            TryLater: nobody can read it at this moment.
        """
        try:
            found = await self._reads(raw, null_sender)
        except ReaderUnavailable:
            raise TryLater("mails cannot be read at this moment") from None
        # Of megabytes it is made without the interpreter's lock.
        digest = await asyncio.to_thread(lambda: sha256(raw).digest())
        return Opened(self, raw, found, digest)

    async def take(
        self, opened: Opened, recipient: str | None, actor: str | None, known: int | None
    ) -> tuple[ReceivedMail, bool]:
        """See ``Opened.take``; also whether the bytes are kept now, which they need be but once: as ``known``."""
        now = self._clock()
        found = opened.found

        def take(connection: Connection) -> tuple[int, _Verdict]:
            work = _Work(connection, self._return_paths, found, recipient, now=now, actor=actor, hold=self._hold)
            digest = hmac.new(work.key, (recipient or "").encode() + b"\n" + opened.digest, sha256).hexdigest()
            work.known = store.number_of(connection, digest) is not None
            verdict = work.verdict()
            # What is about a mail of ours is kept with that mail's person, and nobody can make up addresses of those.
            if verdict.kept and known is not None and verdict.mail is None:
                return known, verdict
            raw = blanked(opened.raw) if verdict.kept else None
            sender = store.fingerprint(work.key, found.sender) if found.sender and verdict.kept else None
            if raw is not None and not work.known:
                whose = verdict.mail.person if verdict.mail else sender or ""
                lacking = self._room.lacking(connection, whose, len(raw), stranger=verdict.mail is None)
                if lacking is not None:
                    raise NoRoom(lacking)
            number = store.keep(
                connection,
                digest=digest,
                kind=verdict.kind,
                note=verdict.note,
                mail=verdict.mail,
                raw=raw,
                mentioned=[store.fingerprint(work.key, each) for each in found.mentioned] if verdict.kept else (),
                now=now,
                sender=sender,
            )
            return number, verdict

        try:
            number, verdict = await self._database.transact(take)
        except NoRoom as error:
            self._refusals.note(error.share, now)
            raise
        self._appended()
        _RECEIVED.labels(verdict.kind).inc()
        _log.info("mail received", received=number, kind=verdict.kind, mail=verdict.mail and verdict.mail.id)
        taken = ReceivedMail(
            received=number, kind=verdict.kind, note=verdict.note, mail=verdict.mail.id if verdict.mail else None
        )
        return taken, verdict.kept


class Opened:
    """A mail that was read once, whomever it is for."""

    def __init__(self, inbox: Inbox, raw: bytes, found: Read, digest: bytes) -> None:
        self._inbox = inbox
        self._kept: int | None = None
        self.raw = raw
        self.found = found
        self.digest = digest

    async def take(self, recipient: str | None, actor: str | None = None) -> ReceivedMail:
        """
        Do what follows from it, as mail to one recipient; when this returns, that is committed.

        Raises:
            TryLater: see ``Inbox.receive``.
        """
        taken, kept = await self._inbox.take(self, recipient, actor, self._kept)
        if kept:
            self._kept = taken.received
        return taken


class _Work:
    """One mail being taken, inside its transaction."""

    def __init__(
        self,
        connection: Connection,
        return_paths: ReturnPaths,
        found: Read,
        recipient: str | None,
        *,
        now: datetime,
        actor: str | None,
        hold: timedelta,
    ) -> None:
        self.connection = connection
        self.return_paths = return_paths
        self.found = found
        self.recipient = recipient
        self.now = now
        self.actor = actor
        self.hold = hold
        self.key = store.key(connection)
        self.known = False

    def verdict(self) -> _Verdict:
        content = self.found.content
        match content:
            case Report() | OddReport():
                return self.reported(content)
            case Reply():
                return self.replied(content)
            case Automatic(what):
                return _Verdict("automatic", what, self.addressed())
            case Unclear(why, uids):
                about = next((mail for uid in uids if (mail := store.mail_of_item(self.connection, uid))), None)
                return _Verdict("unknown", why, about or self.addressed(), kept=True)

    # Bounces ----------------------------------------------------------------------------------------------------------

    def addressed(self) -> Mailed | None:
        """The mail whose envelope sender this mail goes to."""
        # The envelope is the relay's word; headers are anybody's, but nobody else can make one of our addresses.
        for address in self.found.recipients if self.recipient is None else (self.recipient,):
            id_ = self.return_paths.mail(address)
            if id_ is not None and (mail := store.mail_of_id(self.connection, id_)) is not None:
                return mail
        return None

    def returned(self, report: Report | OddReport) -> Mailed | None:
        """
        The mail that a report returns, if it reports on the very address that this mail went to.

        Whoever got one of our mails knows its Message-ID; a report about somebody else's address is not theirs to make.
        """
        addresses = {same_address(address) for each in reported(report) for address in each.addresses}
        for message_id in report.message_ids:
            mail = store.mail_of_message(self.connection, message_id)
            if mail is not None and mail.recipient is not None and same_address(mail.recipient) in addresses:
                return mail
        return None

    def reported(self, report: Report | OddReport) -> _Verdict:
        mail = self.addressed() or self.returned(report)
        if mail is None:
            return _Verdict("unknown", "a report about a mail that we do not know", kept=True)
        said = about(report, mail.recipient)
        if said.done == "delayed":
            return _Verdict("delayed", f"the mail server still tries{said.coded}", mail)
        if said.done == "other":
            return _Verdict("automatic", f"a report that the mail was {said.action[:20]}", mail)
        if said.verdict is None:
            return _Verdict("unknown", "a mail system says something that is not understood", mail, kept=True)
        if mail.status == "sending":
            raise TryLater("the mail that this is about is still under way")
        if mail.status not in ("sent", "uncertain"):
            return _Verdict("bounce", f"about a mail that is {mail.status} already{said.coded}", mail)
        return self.failed(mail, said)

    def failed(self, mail: Mailed, failure: Failure) -> _Verdict:
        assert failure.verdict is not None  # noqa: S101  (narrows for the type checker: see the only caller)
        address = store.fingerprint(self.key, mail.recipient) if mail.recipient else None
        # Who was erased, or whose mail is old, has no address here: nothing may be kept that could quote one.
        said = f" {failure.said}" if mail.recipient else ""
        store.bounced(self.connection, mail, f"bounced{failure.coded}{said}")
        reason = store.count_failure(
            self.connection,
            mail=mail.ordinal,
            address=address,
            person=None if mail.purpose in TO_CONTACT else mail.person,
            source="bounce",
            status=failure.status,
            verdict=failure.verdict,
            now=self.now,
        )
        fact = MailBounced(
            mail=mail.id,
            purpose=mail.purpose,
            person=mail.person,
            enrolment=mail.enrolment,
            session=mail.session,
            status=failure.status,
            suppressed=bool(reason),
            verdict=failure.verdict,
        )
        store.append(self.connection, [News(mail.programme, fact, actor=self.actor)], self.now)
        why = reason or ("because of us, not of the address" if failure.verdict == "ours" else "")
        return _Verdict("bounce", f"the mail came back{failure.coded}{f': {why}' if why else ''}", mail)

    # Answers to invitations -------------------------------------------------------------------------------------------

    def replied(self, reply: Reply) -> _Verdict:
        verdicts = [self.answered(reply.sender, each, reply.date) for each in reply.answers]
        return next((each for each in verdicts if each.kept), verdicts[-1])

    def answered(self, sender: str | None, said: Answered, date: datetime | None) -> _Verdict:
        """One answer, by the rules of RFC 5546 §2.1.5 and §3.2.3 and those that keep others from answering."""
        mail = store.mail_of_item(self.connection, said.uid)
        if mail is None or mail.enrolment is None or mail.session is None:
            return _Verdict("unknown", "an answer to an invitation that we do not know", kept=True)
        invited = same_address(mail.recipient) if mail.recipient is not None else None
        if same_address(said.attendee) != invited:
            return _Verdict("unknown", "an answer for somebody who was not invited so", mail, kept=True)
        if sender is None or same_address(sender) != invited:
            return _Verdict("unknown", "an answer that somebody else sent", mail, kept=True)
        answer = _ANSWERS.get(said.partstat)
        if answer is None:
            other = said.partstat == "DELEGATED"
            why = (
                "somebody wants to send somebody else"
                if other
                else "an answer that is neither yes, nor no, nor perhaps"
            )
            return _Verdict("unknown", why, mail, kept=True)
        history = store.said_of(self.connection, said.uid)
        sequence = history.told.appointment.sequence if history.told else 0
        if said.sequence < sequence:
            return _Verdict("reply", "an answer to what the invitation said before", mail)
        # Nobody can have seen a higher one: it must not make later answers look old.
        when = given(sequence, said.stamp, said.replied or date, invited=history.stamp, arrived=self.now)
        before = store.answer_of(self.connection, said.uid)
        if before is not None and (self.known or not overtakes(when, before.given)):
            return _Verdict("reply", "an answer that a later one replaced, or that is known", mail)
        changed = before is None or before.answer != answer
        # The same answer once more, from another device or by another way, takes no words back.
        words = said.words or ("" if before is None or changed else before.words)
        store.put_answer(self.connection, said.uid, mail.ordinal, store.Answer(answer, when, words))
        if changed:
            fact = InvitationAnswered(enrolment=mail.enrolment, session=mail.session, person=mail.person, answer=answer)
            store.append(self.connection, [News(mail.programme, fact, actor=self.actor)], self.now)
            store.tell_answer(self.connection, said.uid, mail.ordinal, self.now, self.hold)
        return _Verdict("reply", answer, mail)
