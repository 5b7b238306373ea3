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
from dataclasses import dataclass, replace
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
    MessageName,
    WithdrawParticipantRequest,
    WithdrawRequest,
)
from contracts.problem import Problem, ProblemError, invalid, problem
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
    correlation: str | None = None
    digest: bytes | None = None
    """What the message says, as far as it is to be remembered under its id."""
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


def _read(delivery: Delivery) -> _Read:
    try:
        source, wanted = parse_intake_subject(delivery.subject)
    except ValueError:
        # Whoever may publish below their prefix may publish anything below it. The second word is the partner's.
        return _Read(
            delivery.subject.split(".")[1],
            problem=problem(
                "wrong-subject",
                "The subject is none of ours",
                422,
                f"Send to intake.<source>.<entity>.<verb>, where the last two are one of: {_KINDS}.",
                f"Stuur naar intake.<source>.<entity>.<verb>, met als laatste twee een van: {_KINDS}.",
            ),
        )
    if len(delivery.body) > LARGEST:
        return _too_large(delivery.body, source)
    try:
        document = json.loads(delivery.body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        return _Read(source, problem=_NOT_JSON)
    return _read_document(document, source, wanted)


def _too_large(body: bytes, source: str) -> _Read:
    """It is named as far as it names itself, and not remembered: sent in parts, the first may have its id."""
    told = problem(
        "too-large",
        "The message is too large",
        413,
        f"It has {len(body)} bytes, {LARGEST} are allowed. Send fewer participants in one message.",
        f"Het heeft {len(body)} bytes, {LARGEST} mag. Stuur minder deelnemers in één bericht.",
    )
    try:
        # The broker bounds it, and nothing is kept of the rest.
        named = MessageName.model_validate_json(body)
    except ValidationError:
        return _Read(source, problem=told)
    return _Read(source, id=named.id, correlation=_identity(named.correlationid), problem=told)


_NOT_JSON = problem(
    "not-json",
    "The message is not a JSON object",
    422,
    "Send a CloudEvents 1.0 event as a JSON object in UTF-8, nested no deeper than the schemas are.",
    "Stuur een CloudEvents 1.0-event als JSON-object in UTF-8, niet dieper genest dan de schema's.",
)


def _identity(value: object) -> str | None:
    try:
        return _IDENTITY.validate_python(value, strict=True)
    except ValidationError:
        return None


def _read_document(document: dict[str, object], source: str, wanted: str) -> _Read:
    type_ = document.get("type")
    correlation = _identity(document.get("correlationid"))
    try:
        id_ = _IDENTITY.validate_python(document.get("id"), strict=True)
    except ValidationError as error:
        return _Read(source, correlation=correlation, problem=_at("id", invalid(error, "message")))
    try:
        content = json.dumps([type_, document.get("data")], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    except RecursionError:
        return _Read(source, correlation=correlation, problem=_NOT_JSON)
    digest = hashlib.sha256(content.encode("utf-8", "surrogatepass")).digest()
    read = _Read(source, id=id_, correlation=correlation, digest=digest)
    model = INTAKE.get(type_) if isinstance(type_, str) else None
    if model is None:
        known = ", ".join(INTAKE)
        return replace(
            read,
            problem=problem(
                "unknown-type",
                "Unknown type",
                422,
                f"'type' must be one of: {known}.",
                f"'type' moet een van deze zijn: {known}.",
                field="type",
            ),
        )
    if type_ != f"{wanted}.v1" and not str(type_).startswith(f"{wanted}.v"):
        return replace(
            read,
            problem=problem(
                "wrong-subject",
                "The subject and the type differ",
                422,
                f"The subject says '{wanted}', and 'type' says something else.",
                f"Het subject zegt '{wanted}' en 'type' iets anders.",
                field="type",
            ),
        )
    try:
        envelope = Envelope[model].model_validate(document)  # type: ignore[valid-type]  # known only at run time
    except ValidationError as error:
        return replace(read, problem=invalid(error, "message"))
    if envelope.source != source:
        return replace(
            read,
            problem=problem(
                "wrong-source",
                "Wrong source",
                403,
                f"'source' must be '{source}', as in the subject.",
                f"'source' moet '{source}' zijn, zoals in het subject.",
                field="source",
            ),
        )
    return replace(read, type=str(type_), data=envelope.data, programme=getattr(envelope.data, "programme", None))


def _at(field: str, told: Problem) -> Problem:
    faults = tuple(fault.model_copy(update={"field": field}) for fault in told.errors)
    return told.model_copy(update={"errors": faults})


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
