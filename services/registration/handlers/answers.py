"""How decisions are answered: results as JSON, everything else as problem details."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.base import Message
from contracts.commands import EnrolmentResult
from contracts.enrolment import Reason
from contracts.facts import NAMES, RegistrationFact
from contracts.problem import Fault, Problem, enrolment_instance, problem_type
from services.registration.domain import ProgrammeState, Rejected
from services.registration.store import Answer
from services.registration.writer import problem_answer


def result(message: Message) -> Answer:
    """A success."""
    return Answer(200, message.model_dump_json(exclude_none=True).encode())


def names(facts: Sequence[RegistrationFact]) -> tuple[str, ...]:
    """The types of facts."""
    return tuple(NAMES[type(fact)] for fact in facts)


def rejected(rejection: Rejected) -> Answer:
    """The command had no effect."""
    missing = rejection.kind == "not-found"
    return problem_answer(
        Problem(
            type=problem_type(rejection.kind),
            title="Not found" if missing else "Not possible",
            status=404 if missing else 409,
            detail=" ".join(reason.en for reason in rejection.reasons),
            errors=_faults(rejection.reasons),
        )
    )


def refused(enrolment: str, reasons: Sequence[Reason]) -> Answer:
    """A request for a place was decided against; the refusal is a fact, and ``instance`` names it."""
    return problem_answer(
        Problem(
            type=problem_type("refused"),
            title="Enrolment refused",
            status=409,
            detail=" ".join(reason.en for reason in reasons),
            instance=enrolment_instance(enrolment),
            errors=_faults(reasons),
        )
    )


def enrolment_result(
    state: ProgrammeState, enrolment: str, facts: Sequence[RegistrationFact], place: int | None = None
) -> Answer:
    """How an enrolment stands now."""
    stands = state.enrolments[enrolment]
    waits = stands.status == "waiting"
    return result(
        EnrolmentResult(
            enrolment=enrolment,
            programme=state.id,
            status=stands.status,
            place=(place or state.place(enrolment)) if waits else None,
            missing=stands.missing if stands.active else (),
            facts=names(facts),
        )
    )


def _faults(reasons: Sequence[Reason]) -> tuple[Fault, ...]:
    return tuple(Fault(rule=reason.rule, detail=reason.en, detail_nl=reason.nl) for reason in reasons)
