"""How decisions are answered: results as JSON, everything else as problem details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter

from contracts.base import Message
from contracts.commands import EnrolmentReceipt, EnrolmentResult
from contracts.enrolment import Reason
from contracts.facts import NAMES, RegistrationFact
from contracts.problem import MOST_FAULTS, Fault, Problem, enrolment_instance, problem_type
from services.registration.domain import ProgrammeState, Rejected
from services.registration.domain.telling import Told
from services.registration.store import Answer
from services.registration.work import problem_answer

_ACCEPTED = 202
_TOLD = TypeAdapter(dict[str, Any]).serializer


def result(message: Message) -> Answer:
    """A success."""
    return Answer(200, message.to_json())


def names(facts: Sequence[RegistrationFact]) -> tuple[str, ...]:
    """The types of facts."""
    return tuple([NAMES[type(fact)] for fact in facts])


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


def needs_confirmation(told: Sequence[Told]) -> Answer:
    """The command had no effect yet: it would mail more people than may happen by a slip."""
    people = frozenset[str]().union(*(one.people for one in told))
    enrolments = frozenset[str]().union(*(one.enrolments for one in told))
    by: dict[str, tuple[int, set[str]]] = {}
    for one in told:
        session = getattr(one.fact, "session", None)
        id_ = session if isinstance(session, str) or session is None else session.id
        what = f"{NAMES[type(one.fact)].rpartition('.')[0]}{f' ({id_})' if id_ else ''}"
        number, whom = by.get(what, (0, set()))
        by[what] = number + 1, whom | one.people
    answer = problem_answer(
        Problem(
            type=problem_type("needs-confirmation"),
            title="Needs confirmation",
            status=409,
            detail=f"This would mail {_counted(len(people), 'person', 'people')} in "
            f"{_counted(len(enrolments), 'enrolment', 'enrolments')}. Nothing has changed yet; send it again with "
            "'confirmed' to go on.",
            errors=tuple(
                Fault(
                    detail=f"{what}{f', {number} times' if number > 1 else ''}: "
                    f"{_counted(len(whom), 'person', 'people')}",
                    detail_nl=f"{what}{f', {number} keer' if number > 1 else ''}: "
                    f"{_counted(len(whom), 'persoon', 'personen')}",
                )
                for what, (number, whom) in by.items()
            )[:MOST_FAULTS],
        )
    )
    return answer._replace(final=False)


def _counted(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"


def enrolment_result(
    state: ProgrammeState, enrolment: str, facts: Sequence[RegistrationFact], place: int | None = None
) -> Answer:
    """How an enrolment stands now: an ``EnrolmentResult``, written at once: making one first takes twice as long."""
    stands = state.enrolments[enrolment]
    told: dict[str, object] = {"enrolment": enrolment, "programme": state.id, "status": stands.status}
    if stands.status == "waiting":
        told["place"] = place or state.place(enrolment)
    told["missing"] = stands.missing if stands.active else ()
    told["facts"] = names(facts)
    return Answer(200, _TOLD.to_json(told))


def receipt(told: EnrolmentReceipt) -> Answer:
    """What the public is told of a request that came in."""
    return Answer(_ACCEPTED, told.to_json())


def told_in_public(answer: Answer) -> Answer:
    """An answer to the public, also one that the release before this stored under the id of a request: as a receipt."""
    if answer.failed or answer.status == _ACCEPTED:
        return answer
    stored = EnrolmentResult.model_validate_json(answer.body)
    waits = stored.status == "waiting"
    return receipt(
        EnrolmentReceipt(
            programme=stored.programme,
            expected="waiting" if waits else "confirmed",
            place=stored.place if waits else None,
            missing=stored.missing,
        )
    )


def _faults(reasons: Sequence[Reason]) -> tuple[Fault, ...]:
    return tuple(Fault(rule=reason.rule, detail=reason.en, detail_nl=reason.nl) for reason in reasons)
