"""
The sending loop: what is due is looked at once more, written, stored, sent, and its outcome stored.

A mail is ``sending`` on disk before its first byte goes to the server, so that after a crash every mail whose fate is
unknown is known by name. Every further attempt repeats the stored bytes (RFC 1047: who can't know whether a mail
arrived must at least let the receiver see that it is the same one).
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from time import monotonic

import structlog

from services.chassis import metrics, tracing
from services.chassis.clock import Clock
from services.chassis.database import Database
from services.chassis.log import Entry, VersionConflict
from services.chassis.state import State
from services.notifications import store
from services.notifications.contacts import ContactsUnavailable, ReadsContacts
from services.notifications.links import PersonalLinks
from services.notifications.rendering import Renderer
from services.notifications.sender.composing import Composer, Sending
from services.notifications.sender.gates import Gates
from services.notifications.sender.judging import (
    Verdicts,
    failed,
    jitter,
    judge,
    look_again,
)
from services.notifications.sender.limits import HOUR, Limits
from services.notifications.sender.reach import Reach
from services.notifications.store import Outcome
from services.notifications.transport import Maildir, Transport
from services.notifications.transport import outcomes as transport_outcomes

_log = structlog.get_logger("notifications.sender")

BATCH = 64
BATCHES_UNDER_WAY = 2
"""While one batch is with the server, the next one is written."""
IDLE = 1.0
"""Seconds after which a sender with nothing to do looks again: the clock may have been set."""
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_FAREWELL = 10.0  # seconds that a server has to answer when the service ends; what it leaves open is uncertain
NO_LIMITS = Limits()

_MAILS = metrics.counter(
    "deelname_mails",
    "What became of mails. One that is postponed is counted again when it goes.",
    ["status", "purpose"],
)
_DELIVERIES = metrics.durations(
    "deelname_mail_delivery_duration_seconds", "Handing a mail over, from the turn it got to the mail server's answer."
)


class Sender:
    """
    Sends what is due, for ever.

    Args:
        state: the fold as it stands; asked anew for every batch.
        transport: open.
        envelope_from: the envelope sender of a mail, by the mail's id.
        links: makes the links that are for a mail's recipient alone.
        appended: given what was just appended to our own log.
        fault_pause: seconds for which the queue stands still after the server refused us.
        limits: how many mails may go out by the hour and by the minute; a maildir knows no hurry.
    """

    def __init__(
        self,
        database: Database,
        *,
        transport: Transport,
        contacts: ReadsContacts,
        renderer: Renderer,
        clock: Clock,
        state: Callable[[], State],
        envelope_from: Callable[[str], str],
        links: PersonalLinks,
        appended: Callable[[Sequence[Entry]], None] = lambda _: None,
        fault_pause: float = 180.0,
        limits: Limits = NO_LIMITS,
    ) -> None:
        self._database = database
        self._transport = transport
        self._repeatable = isinstance(transport, Maildir)
        self._contacts = contacts
        self._composer = Composer(renderer, links)
        self._clock = clock
        self._state = state
        self._envelope_from = envelope_from
        self._appended = appended
        self._fault_pause = fault_pause
        self.reach = Reach(database, clock)
        self._limits = limits
        self._gates = Gates(limits, paced=not self._repeatable)
        self._remembers = False
        self._fault = ""
        self._woken = asyncio.Event()
        self._prodded = asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def fault(self) -> str:
        """Why the queue stands still; empty while it moves. May quote the mail server, never a person."""
        return self._fault

    @property
    def capped(self) -> list[str]:
        """Whose mails are held back by a cap: ``person:<id>`` or ``programme:<id>``."""
        return self._gates.capped(self._clock())

    @property
    def capped_for_long(self) -> list[str]:
        """Whose mails have been held back by a cap for more than an hour: ``person:<id>`` or ``programme:<id>``."""
        return self._gates.capped(self._clock(), HOUR)

    def wake(self) -> None:
        """Say that mails were planned, or that one is due again."""
        self._woken.set()

    def time_went_back(self) -> None:
        """Forget the turns that were given by the time that the clock showed before."""
        self._gates = Gates(self._limits, paced=not self._repeatable)
        self._remembers = False
        self.wake()

    def prod(self) -> None:
        """Try again at once, also a server that refused us."""
        self._woken.set()
        self._prodded.set()

    async def run(self) -> None:
        """Send for ever, through every failure; on cancellation what is under way is brought to its end."""
        pause = _SHORTEST_PAUSE
        resolved = False
        try:
            while True:
                try:
                    if not resolved:
                        await self.resolve_crash()
                        await self.reach.load()
                        resolved = True
                    self._woken.clear()
                    self._prodded.clear()
                    if await self._turn():
                        pause = _SHORTEST_PAUSE
                    elif self._fault:
                        await self._wait(self._fault_pause)
                    else:
                        await self._wait(IDLE)
                except ContactsUnavailable as error:
                    _log.warning("contacts cannot be read, mails wait", reason=str(error))
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
                except Exception:
                    _log.exception("sending failed, it is tried again")
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, _LONGEST_PAUSE)
        finally:
            if self._under_way:
                await asyncio.wait(set(self._under_way), timeout=_FAREWELL)

    async def send_due(self) -> int:
        """Send everything that is due now, and return when the outcomes are stored. Returns how many were looked at."""
        total = 0
        while True:
            looked_at = await self._turn()
            if self._under_way:
                await asyncio.wait(set(self._under_way))
            elif not looked_at:
                return total
            total += looked_at

    async def resolve_crash(self) -> None:
        """
        Decide about mails that a crash left between ``sending`` and ``sent``.

        A maildir gives the same mail the same file: it is delivered again without harm. Of what was given to a mail
        server it cannot be known whether it arrived: it is ``uncertain`` until somebody decides.
        """
        left = await self._database.run(store.sending)
        if not left:
            return
        verdicts = Verdicts()
        for due, repeatable in left:
            if due.raw is None:
                verdicts.add(Outcome(due.ordinal, "dropped", "the person was erased"))
            elif repeatable and self._repeatable:
                verdicts.add(
                    Outcome(due.ordinal, "planned", "interrupted, and delivered again", uncounted=True, perhaps=True)
                )
            else:
                answer = "the service ended while the mail was under way; it may have arrived"
                verdicts.add(Outcome(due.ordinal, "uncertain", answer), failed(due, "uncertain"))
        await self._settle(verdicts)
        _log.warning("mails were under way when the service ended", mails=len(left), uncertain=len(verdicts.news))

    # One turn ---------------------------------------------------------------------------------------------------------

    async def _turn(self) -> int:
        """Take a batch to the server, without waiting for its answers. Returns how many mails were looked at."""
        # After a fault one mail alone tries whether the server takes us again.
        limit = 1 if self._fault else BATCH
        now = self._clock()
        batch = await self._database.run(lambda raw: store.due(raw, now, limit))
        if not batch:
            return 0
        if not self._remembers:
            self._gates.remember(await self._database.run(lambda raw: store.tried_since(raw, now - HOUR)))
            self._remembers = True
        state = self._state()
        verdicts = Verdicts()
        sound = look_again(state, batch, now, verdicts)
        contacts = await self._contacts.of({due.mail.person for due in sound})
        sound = self._gates.let_through(state, sound, contacts, now=now, verdicts=verdicts)
        written = await self._composer.written(state, sound, contacts, now=now, verdicts=verdicts)
        if verdicts.outcomes:
            await self._settle(verdicts)
        if written:
            while len(self._under_way) >= BATCHES_UNDER_WAY:
                await asyncio.wait(set(self._under_way), return_when=asyncio.FIRST_COMPLETED)
            begun = asyncio.Event()
            # A task of its own, so that ending the service never parts what is stored as ``sending`` from its delivery.
            task = asyncio.create_task(self._send(written, now, begun))
            self._under_way.add(task)
            task.add_done_callback(self._done)
            await begun.wait()
            if self._fault:
                await asyncio.wait({task})
                return 0 if self._fault else len(batch)
        # What waits for the fold to catch up was not dealt with: with nothing else to do, the loop pauses.
        return len(written) + len(verdicts.outcomes)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a batch could not be sent", exc_info=error)
        self._woken.set()

    async def _wait(self, seconds: float) -> None:
        # While the server refuses us, nothing that is planned meanwhile makes it take us sooner; a person may.
        event = self._prodded if self._fault else self._woken
        # Not wait_for: in Python 3.11 it loses a cancellation that comes with the event, and run() would go on.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await event.wait()

    # The server's answers ---------------------------------------------------------------------------------------------

    async def _send(self, batch: Sequence[Sending], now: datetime, begun: asyncio.Event) -> None:
        try:
            written = [each.written for each in batch]
            claimed, told = await self._database.transact(
                lambda raw: store.begin(raw, written, now, repeatable=self._repeatable)
            )
        finally:
            begun.set()
        self._appended(told)
        if len(claimed) < len(batch):
            for each in batch:
                if each.written.ordinal not in claimed:
                    _MAILS.labels("suppressed", each.due.mail.purpose).inc()
            batch = [each for each in batch if each.written.ordinal in claimed]
        deliver = self._traced if tracing.is_on() else self._hand_over
        answers = await asyncio.gather(*(deliver(each) for each in batch))
        now = self._clock()
        verdicts = Verdicts()
        fault = ""
        for each, answer in zip(batch, answers, strict=True):
            verdicts.add(*judge(each.due, answer, now))
            if isinstance(answer, transport_outcomes.Fault):
                fault = str(answer.reply)
        await self._settle_at_last(verdicts)
        await self.reach.note(answers)
        if fault and not self._fault:
            _log.error("the mail server refuses us, the queue stands still", reason=fault)
        if self._fault and not fault:
            _log.info("the mail server takes mails again")
        self._fault = fault

    async def _settle_at_last(self, verdicts: Verdicts) -> None:
        """Mails went out: whatever keeps the database from taking that, it is told again until it does."""
        pause = _SHORTEST_PAUSE
        while True:
            try:
                return await self._settle(verdicts)
            except (sqlite3.Error, VersionConflict):
                _log.exception("outcomes cannot be stored, it is tried again", mails=len(verdicts.outcomes))
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _traced(self, each: Sending) -> transport_outcomes.Outcome:
        with tracing.span(
            "send mail",
            "client",
            parent=each.due.trace,
            attributes={"deelname.mail.purpose": each.due.mail.purpose, "deelname.mail.attempt": each.due.attempts + 1},
        ) as span:
            answer = await self._hand_over(each)
            span.set_attribute("deelname.mail.outcome", type(answer).__name__.lower())
            # The code alone: what a mail server says may quote the address.
            if (code := getattr(getattr(answer, "reply", None), "code", None)) is not None:
                span.set_attribute("smtp.response.code", code)
            return answer

    async def _hand_over(self, each: Sending) -> transport_outcomes.Outcome:
        written = each.written
        begun = monotonic()
        try:
            return await self._transport.deliver(
                self._envelope_from(each.due.mail.id),
                written.recipient,
                written.raw,
                written.message_id,
                attempt=each.due.attempts + 1,
                jitter=jitter(each.due.mail.id, each.due.attempts),
            )
        except ValueError:
            return transport_outcomes.Failed(transport_outcomes.Reply("the address cannot be used"))
        except Exception as error:
            _log.exception("transport failed", mail=each.due.mail.id)
            return transport_outcomes.Uncertain(f"the transport failed: {type(error).__name__}")
        finally:
            _DELIVERIES.observe(monotonic() - begun)

    async def _settle(self, verdicts: Verdicts) -> None:
        now = self._clock()
        settled = await self._database.transact(lambda raw: store.settle(raw, verdicts.outcomes, verdicts.news, now))
        for (status, purpose), number in Counter(settled.mails).items():
            _MAILS.labels("postponed" if status == "planned" else status, purpose).inc(number)
        self._appended(settled.told)
