"""
What other systems send: every message gets exactly one outcome, and none of them stops another.

A message that can't be understood is answered with a refusal that says what to do. A delivery that has been answered
is not answered again, even if the broker delivers it twice; a message that is sent again under the same id gets the
stored answer once more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog
from pydantic import TypeAdapter, ValidationError

from contracts.base import Identity, Message
from contracts.enrolment import EnrolmentRequest, Person
from contracts.envelope import Envelope
from contracts.intake import (
    INTAKE,
    LARGEST,
    AddParticipantRequest,
    ChangeParticipantRequest,
    WithdrawParticipantRequest,
    WithdrawRequest,
)
from contracts.problem import Problem, ProblemError, invalid, problem_type
from contracts.subjects import parse_intake_subject
from services.chassis import metrics, tracing
from services.chassis.identity import new_id
from services.chassis.intake import Delivery, NothingStored
from services.registration import store
from services.registration.batch import Batch
from services.registration.handlers import enrolments
from services.registration.handlers.enrolments import Arrival
from services.registration.handlers.outcomes import append_outcome
from services.registration.store import Answer
from services.registration.work import BROKEN, TRY_AGAIN, Key, Work, once, problem_answer
from services.registration.writer import Writer

_log = structlog.get_logger("registration.intake")

_IDENTITY: TypeAdapter[str] = TypeAdapter(Identity)
_KINDS = ", ".join(name.rsplit(".", 1)[0] for name in INTAKE)

_OUTCOMES = metrics.counter(
    "deelname_intake_outcomes",
    "What became of messages of partners: each time that one was handled.",
    ["source", "outcome"],
)

MOST_ATTEMPTS = 5
"""Deliveries of a message that meets a fault of ours before it is answered with that: it must not wait for ever."""


_ANSWERED_BEFORE = 208


@dataclass(frozen=True, slots=True)
class _Read:
    """A message as far as it could be read; ``problem`` says why not further."""

    source: str
    id: str | None = None
    type: str | None = None
    digest: bytes = b""
    data: Message | None = None
    programme: str | None = None
    problem: Problem | None = None


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
        read = _read(delivery)
        work = self._work(read, now, self._showed(delivery.stored))

        def answered(batch: Batch) -> Answer:
            if store.delivered(batch.connection, read.source, delivery.sequence, delivery.stored):
                return Answer(_ANSWERED_BEFORE, b"")
            key = Key(read.source, read.id, read.digest) if read.id is not None else None
            answer = once(batch, key, work)
            _answer(batch, read, delivery, answer, now)
            return answer

        def given_up(batch: Batch) -> Answer:
            # Not under its id: once we are mended, the same message may be sent again and is decided then.
            if not store.delivered(batch.connection, read.source, delivery.sequence, delivery.stored):
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

    def _work(self, read: _Read, now: datetime, stored: datetime) -> Work:
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


def _work_for(read: _Read, arrival: Arrival) -> Work:
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


def _problem(name: str, title: str, detail: str, status: int = 422) -> Problem:
    return Problem(type=problem_type(name), title=title, status=status, detail=detail)


def _read(delivery: Delivery) -> _Read:
    try:
        source, wanted = parse_intake_subject(delivery.subject)
    except ValueError:
        # Whoever may publish below their prefix may publish anything below it. The second word is the partner's.
        return _Read(
            delivery.subject.split(".")[1],
            problem=_problem(
                "wrong-subject",
                "The subject is none of ours",
                f"Send to intake.<source>.<entity>.<verb>, where the last two are one of: {_KINDS}.",
            ),
        )
    if len(delivery.body) > LARGEST:
        return _Read(
            source,
            problem=_problem(
                "too-large",
                "The message is too large",
                f"It has {len(delivery.body)} bytes, {LARGEST} are allowed. Send fewer participants in one message.",
                413,
            ),
        )
    try:
        document = json.loads(delivery.body)
    except (ValueError, RecursionError):
        return _Read(
            source,
            problem=_problem("not-json", "The message is not JSON", "Send a CloudEvents 1.0 event as JSON in UTF-8."),
        )
    if not isinstance(document, dict):
        return _Read(
            source,
            problem=_problem("not-json", "The message is not a JSON object", "Send a CloudEvents 1.0 event as JSON."),
        )
    return _read_document(document, source, wanted)


def _read_document(document: dict[str, object], source: str, wanted: str) -> _Read:
    type_ = document.get("type")
    try:
        id_ = _IDENTITY.validate_python(document.get("id"), strict=True)
    except ValidationError as error:
        return _Read(source, problem=_at("id", invalid(error, "message")))
    try:
        content = json.dumps([type_, document.get("data")], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except RecursionError:
        return _Read(source, problem=_problem("not-json", "The message is nested too deeply", "Nest it less deeply."))
    read = _Read(source, id=id_, digest=hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest())
    model = INTAKE.get(type_) if isinstance(type_, str) else None
    if model is None:
        known = ", ".join(INTAKE)
        return _with_problem(read, _problem("unknown-type", "Unknown type", f"'type' must be one of: {known}."))
    if type_ != f"{wanted}.v1" and not str(type_).startswith(f"{wanted}.v"):
        return _with_problem(
            read, _problem("wrong-subject", "The subject and the type differ", f"The subject says '{wanted}'.")
        )
    try:
        envelope = Envelope[model].model_validate(document)  # type: ignore[valid-type]  # known only at run time
    except ValidationError as error:
        return _with_problem(read, invalid(error, "message"))
    if envelope.source != source:
        return _with_problem(
            read,
            _problem("wrong-source", "Wrong source", f"'source' must be '{source}', as in the subject.", 403),
        )
    programme = getattr(envelope.data, "programme", None)
    return _Read(source, id=id_, type=str(type_), digest=read.digest, data=envelope.data, programme=programme)


def _with_problem(read: _Read, problem: Problem) -> _Read:
    return _Read(read.source, id=read.id, digest=read.digest, problem=problem)


def _at(field: str, problem: Problem) -> Problem:
    faults = tuple(fault.model_copy(update={"field": field}) for fault in problem.errors)
    return problem.model_copy(update={"errors": faults})


def _answer(batch: Batch, read: _Read, delivery: Delivery, answer: Answer, now: datetime) -> None:
    append_outcome(
        batch,
        read.source,
        answer,
        now,
        request=read.id,
        sequence=delivery.sequence,
        programme=read.programme,
    )
