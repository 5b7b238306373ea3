"""
The one outcome of each message of a partner, none larger than ``LARGEST_OUTCOME``.

All partners' outcomes share a stream. What one may weigh, times how many each partner may have there, is what keeps a
partner that floods from pushing out those of others (``deploy/streams.py``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from contracts.base import Message
from contracts.commands import EnrolmentResult
from contracts.envelope import Envelope, schema_name
from contracts.intake import LARGEST_OUTCOME, OutcomeAccepted, OutcomeRefused
from contracts.problem import MOST_FAULTS, Fault, Problem
from contracts.subjects import outcome
from services.chassis.identity import new_id
from services.registration.batch import SOURCE, Batch
from services.registration.store import Answer
from services.registration.work import ID_REUSED

_LONGEST_SENTENCE = 500
"""Bytes (UTF-8) that a fault's sentence has in each language where not everything has room."""
_THE_REST = 200
"""Bytes that the fault has which says how many more there are."""

_Item = TypeVar("_Item", bound=Message)


def append_outcome(
    batch: Batch,
    source: str,
    answer: Answer,
    now: datetime,
    *,
    request: str | None,
    sequence: int,
    programme: str | None,
) -> None:
    """
    Answer a message of a partner; the outcome is written when the batch is.

    Args:
        source: the partner.
        answer: what was decided, or why nothing could be.
        request: the message's id; None where none could be read.
        sequence: the message's number in the partner's stream.
        programme: what it is about, as far as that could be read.
    """
    if answer.failed:
        data: OutcomeAccepted | OutcomeRefused = _refused(answer, request, sequence, programme)
    else:
        data = _accepted(answer, request, sequence)
    type_ = "outcome.refused.v1" if answer.failed else "outcome.accepted.v1"
    envelope = Envelope[Message](
        id=new_id(),
        source=SOURCE,
        type=type_,
        subject=getattr(data, "programme", None),
        time=now.astimezone(UTC),
        dataschema=schema_name(type_),
        # An id that is not this message's alone would name another as the cause.
        causationid=data.request,
        correlationid=batch.correlation,
        traceparent=batch.trace,
        data=data,
    )
    body = _written(envelope)
    if len(body) > LARGEST_OUTCOME:
        room = LARGEST_OUTCOME - len(_written(envelope.model_copy(update={"data": _emptied(data)})))
        body = _written(envelope.model_copy(update={"data": _fitting(data, room)}))
    batch.add_outcome(source, outcome(source, "refused" if answer.failed else "accepted"), envelope.id, body)


def _written(envelope: Envelope[Message]) -> bytes:
    return envelope.model_dump_json(exclude_none=True, serialize_as_any=True).encode()


def _accepted(answer: Answer, request: str | None, sequence: int) -> OutcomeAccepted:
    result = EnrolmentResult.model_validate_json(answer.body)
    return OutcomeAccepted(
        request=request or "",
        sequence=sequence,
        enrolment=result.enrolment,
        programme=result.programme,
        status=result.status,
        place=result.place,
        missing=result.missing,
    )


def _refused(answer: Answer, request: str | None, sequence: int, programme: str | None) -> OutcomeRefused:
    problem = Problem.model_validate_json(answer.body)
    name = problem.type.rsplit(":", 1)[-1]
    reused = name == ID_REUSED
    return OutcomeRefused(
        request=None if reused else request,
        reused=request if reused else None,
        sequence=sequence,
        programme=programme,
        enrolment=problem.instance.rsplit(":", 1)[-1] if problem.instance else None,
        problem=name,
        errors=problem.errors or _fault_stored_before(problem),
    )


def _fault_stored_before(problem: Problem) -> tuple[Fault, ...]:
    """Of a problem without faults, as releases before this one stored them."""
    rule = problem.type.rsplit(":", 1)[-1]
    dutch = f"Dit kon niet worden gedaan ({rule})."
    return (Fault(rule=rule, detail=problem.detail or problem.title, detail_nl=dutch),)


def _emptied(data: OutcomeAccepted | OutcomeRefused) -> Message:
    return data.model_copy(update={"missing": ()} if isinstance(data, OutcomeAccepted) else {"errors": ()})


def _fitting(data: OutcomeAccepted | OutcomeRefused, room: int) -> Message:
    """The same with as much of its list as has room in so many bytes."""
    if isinstance(data, OutcomeAccepted):
        return data.model_copy(update={"missing": tuple(_first(data.missing, room))})
    named = list(_first(map(_shortened, data.errors), room - _THE_REST))
    return data.model_copy(update={"errors": (*named, *_more(len(data.errors), len(named)))})


def _first(items: Iterable[_Item], room: int) -> Iterable[_Item]:
    for item in items:
        room -= len(item.to_json()) + 1
        if room < 0:
            return
        yield item


def _shortened(fault: Fault) -> Fault:
    return fault.model_copy(
        update={"detail": _cut(fault.detail), "detail_nl": fault.detail_nl and _cut(fault.detail_nl)}
    )


def _cut(sentence: str) -> str:
    written = sentence.encode()
    if len(written) <= _LONGEST_SENTENCE:
        return sentence
    return written[:_LONGEST_SENTENCE].decode(errors="ignore") + "…"


def _more(all_: int, named: int) -> Sequence[Fault]:
    if all_ == named:
        return ()
    more = all_ - named
    # Of a request with more faults than that the others were not even kept.
    at_least, minstens = ("at least ", "minstens ") if all_ >= MOST_FAULTS else ("", "")
    return (
        Fault(
            rule="and-more",
            detail=f"And {at_least}{more} more, for which there is no room here.",
            detail_nl=f"En {minstens}nog {more}, waarvoor hier geen ruimte is.",
        ),
    )
