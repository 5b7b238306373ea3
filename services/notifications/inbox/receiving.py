"""What a mail that came in changes: one transaction for each, whoever hands it over."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import sha256
from sqlite3 import Connection

import structlog

from contracts.base import same_address
from contracts.commands import ReceivedMail
from services.chassis import metrics
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.notifications import store
from services.notifications.inbox.reader import ReaderUnavailable
from services.notifications.inbox.room import Refusals, Room, Share
from services.notifications.inbox.taking import Taking, TryLater, Verdict
from services.notifications.incoming.content import Read
from services.notifications.links import blanked
from services.notifications.return_path import ReturnPaths

_log = structlog.get_logger("notifications.inbox")

_RECEIVED = metrics.counter("deelname_received_mails", "Mails that came back, by what was made of them.", ["kind"])

ROOM = Room()

Reads = Callable[[bytes, bool | None], Awaitable[Read]]


class NoRoom(TryLater):
    """There is no room for one more mail that a person has to look at."""

    def __init__(self, share: Share) -> None:
        super().__init__("there is no more room for mails that a person has to look at")
        self.share = share


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

        def take(connection: Connection) -> tuple[int, Verdict]:
            work = Taking(connection, self._return_paths, found, recipient, now=now, actor=actor, hold=self._hold)
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
