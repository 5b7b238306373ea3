"""
What other systems send: every message gets exactly one outcome, and none of them stops another.

A message that can't be understood is answered with a refusal that says what to do. A delivery that has been answered
is not answered again, even if the broker delivers it twice; a message that is sent again under the same id gets the
stored answer once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

import structlog

from contracts.base import Message
from contracts.enrolment import EnrolmentRequest, Person
from contracts.intake import (
    AddParticipantRequest,
    ChangeParticipantRequest,
    WithdrawParticipantRequest,
    WithdrawRequest,
)
from contracts.problem import ProblemError
from services.chassis import metrics, tracing
from services.chassis.identity import new_id
from services.chassis.intake import Delivery, NothingStored
from services.registration import store
from services.registration.batch import Batch
from services.registration.handlers import enrolments, messages
from services.registration.handlers.enrolments import Arrival
from services.registration.handlers.messages import PartnerMessage
from services.registration.handlers.outcomes import append_outcome
from services.registration.store import Answer
from services.registration.work import BROKEN, TRY_AGAIN, Key, Work, once, problem_answer
from services.registration.writer import Writer

_log = structlog.get_logger("registration.intake")

_OUTCOMES = metrics.counter(
    "deelname_intake_outcomes",
    "What became of messages of partners: each time that one was handled.",
    ["source", "outcome"],
)

MOST_ATTEMPTS = 5
"""Deliveries of a message that meets a fault of ours before it is answered with that: it must not wait for ever."""


_ANSWERED_BEFORE = 208


class Intake:
    """Takes deliveries, has them decided and answered, and returns when the answer is on disk."""

    def __init__(
        self,
        writer: Writer,
        clock: Callable[[], datetime],
        showed: Callable[[datetime], datetime],
        outcomes_changed: Callable[[], None],
        *,
        smtputf8: bool = False,
    ) -> None:
        """``showed`` tells what the clock showed at a moment of the broker's."""
        self._smtputf8 = smtputf8
        self._writer = writer
        self._clock = clock
        self._showed = showed
        self._outcomes_changed = outcomes_changed

    async def handle(self, delivery: Delivery) -> None:
        """
        Answer one delivery.

        Raises:
            NotStored: the answer could not be stored; the message must be handled again.
            Faulty: the message met a fault of ours, and must be handled again.
        """
        with tracing.span(
            "take in a message of a partner",
            "consumer",
            parent=_traceparent(delivery) if tracing.is_on() else None,
            attributes={"messaging.destination.name": delivery.stream},
        ):
            await self._handle(delivery)

    async def _handle(self, delivery: Delivery) -> None:
        now = self._clock()
        read = messages.read(delivery)
        work = self._work(read, now, self._showed(delivery.stored))

        def answered(batch: Batch) -> Answer:
            if store.delivered(batch.connection, read.source, delivery.sequence, delivery.stored):
                return Answer(_ANSWERED_BEFORE, b"")
            batch.correlation = read.correlation
            key = Key(read.source, read.id, read.digest) if read.id and read.digest else None
            answer = once(batch, key, work)
            _answer(batch, read, delivery, answer, now)
            return answer

        def given_up(batch: Batch) -> Answer:
            # Not under its id: once we are mended, the same message may be sent again and is decided then.
            if not store.delivered(batch.connection, read.source, delivery.sequence, delivery.stored):
                batch.correlation = read.correlation
                _answer(batch, read, delivery, BROKEN, now)
            return Answer(_ANSWERED_BEFORE, b"")

        answer = await self._writer.perform(answered, people=_people(read.data))
        outcome = _verdict(answer)
        if answer == BROKEN and delivery.attempt >= MOST_ATTEMPTS:
            answer = await self._writer.perform(given_up)
            outcome = "given_up"
        _OUTCOMES.labels(read.source, outcome).inc()
        if outcome == "refused" and read.problem is not None:
            # What was not understood may hold anything; of what was, the outcome tells the partner.
            reason = read.problem.type.rsplit(":", 1)[-1]
            _log.warning("a message was refused", source=read.source, number=delivery.sequence, reason=reason)
        if answer == TRY_AGAIN:
            raise NotStored(delivery.sequence)
        if answer.status >= 500:
            raise Faulty(delivery.sequence)
        self._outcomes_changed()

    def _work(self, read: PartnerMessage, now: datetime, stored: datetime) -> Work:
        try:
            return _work_for(
                read,
                Arrival(now, "intake", read.source, read.id, new_id, smtputf8=self._smtputf8, stored=stored),
            )
        except ProblemError as error:
            refusal = problem_answer(error.problem)
            return lambda _batch: refusal


def _traceparent(delivery: Delivery) -> str | None:
    return delivery.headers.get(tracing.HEADER) or tracing.traceparent_of(delivery.body)


def _verdict(answer: Answer) -> str:
    if answer.status == _ANSWERED_BEFORE:
        return "repeated"
    if answer.status >= 500:
        return "not_stored"
    return "refused" if answer.failed else "accepted"


class NotStored(NothingStored):
    """An answer could not be stored; nothing has happened and the delivery stays in the stream."""


class Faulty(RuntimeError):  # noqa: N818
    """A request met a fault of ours; nothing has happened and the delivery stays in the stream."""


def _work_for(read: PartnerMessage, arrival: Arrival) -> Work:
    if read.problem is not None:
        raise ProblemError(read.problem)
    match read.data:
        case EnrolmentRequest() as data:
            return enrolments.request(data, arrival)
        case WithdrawRequest() as data:
            return enrolments.withdraw(data, arrival)
        case AddParticipantRequest() as data:
            return enrolments.add_participant(data, data.participant, arrival)
        case ChangeParticipantRequest() as data:
            return enrolments.change_participant(
                data, arrival, who=data, seat=data.seat, role=data.role, replacement=data.replacement, diet=data.diet
            )
        case WithdrawParticipantRequest() as data:
            return enrolments.withdraw_participant(data, arrival, who=data)
        case _:
            raise TypeError(f"no work for {type(read.data).__name__}")


def _people(data: Message | None) -> Iterable[Person]:
    match data:
        case EnrolmentRequest(participants=participants):
            return [asking.person for asking in participants]
        case AddParticipantRequest(participant=asking):
            return [asking.person]
        case _:
            return []


def _answer(batch: Batch, read: PartnerMessage, delivery: Delivery, answer: Answer, now: datetime) -> None:
    append_outcome(
        batch,
        read.source,
        answer,
        now,
        request=read.id,
        sequence=delivery.sequence,
        programme=read.programme,
    )
