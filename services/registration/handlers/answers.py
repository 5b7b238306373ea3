"""How decisions are answered: results as JSON, everything else as problem details."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import TypeAdapter

from contracts.base import Message
from contracts.commands import MOST_TOLD, Change, EnrolmentReceipt, EnrolmentResult, Published
from contracts.enrolment import Reason
from contracts.facts import NAMES, RegistrationFact
from contracts.parameters import for_staff
from contracts.problem import MOST_FAULTS, Fault, Problem, enrolment_instance, problem_type
from services.registration.domain import ProgrammeState, Rejected, summaries
from services.registration.domain.reasons.words import counted
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
            detail=_detail(rejection.reasons),
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
            detail=_detail(reasons),
            instance=enrolment_instance(enrolment),
            errors=_faults(reasons),
        )
    )


class Foreseen(NamedTuple):
    """What publishing brings about, what to know beside it, what to ask first, and whom it is mailed to."""

    changes: Sequence[summaries.Change]
    notes: tuple[Reason, ...]
    questions: tuple[Reason, ...]
    told: Sequence[Told]

    @property
    def people(self) -> frozenset[str]:
        """Everybody who is mailed."""
        return frozenset[str]().union(*(one.people for one in self.told))

    @property
    def enrolments(self) -> frozenset[str]:
        """The enrolments that they are in."""
        return frozenset[str]().union(*(one.enrolments for one in self.told))


def published(after: ProgrammeState, facts: Sequence[RegistrationFact], foreseen: Foreseen) -> Answer:
    """What publishing, withdrawing or closing a programme brought about."""
    return result(_published(after, facts, foreseen))


def would_publish(state: ProgrammeState, facts: Sequence[RegistrationFact], foreseen: Foreseen) -> Answer:
    """What it would bring about; nothing has changed, and the same command may still be sent."""
    would = _published(state, facts, foreseen)
    return result(would.model_copy(update={"dry_run": True, "questions": foreseen.questions[:MOST_TOLD]}))._replace(
        final=False
    )


def _published(state: ProgrammeState, facts: Sequence[RegistrationFact], foreseen: Foreseen) -> Published:
    changes = (
        Change(fact=one.type, times=one.times, nl=one.nl, en=one.en, people=len(one.people)) for one in foreseen.changes
    )
    return Published(
        id=state.id,
        facts=names(facts),
        version=state.version,
        changes=tuple(changes)[:MOST_TOLD],
        notes=foreseen.notes[:MOST_TOLD],
        people=len(foreseen.people),
    )


def needs_confirmation(foreseen: Foreseen) -> Answer:
    """The command had no effect yet: it would mail more people than may happen by a slip, or tell them of one."""
    counts = [Fault(rule="mails", detail=one.en, detail_nl=one.nl) for one in foreseen.changes if one.people]
    answer = problem_answer(
        Problem(
            type=problem_type("needs-confirmation"),
            title="Needs confirmation",
            status=409,
            detail=f"This would mail {counted(len(foreseen.people), 'person', 'people')} in "
            f"{counted(len(foreseen.enrolments), 'enrolment', 'enrolments')}. "
            "Nothing has changed yet; send it again with 'confirmed' to go on.",
            errors=(*_faults(foreseen.questions), *counts)[:MOST_FAULTS],
        )
    )
    return answer._replace(final=False)


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


def _detail(reasons: Sequence[Reason]) -> str:
    """All in one, for who reads answers to programs."""
    return " ".join(for_staff(reason.en, reason.parameters) for reason in reasons)


def _faults(reasons: Sequence[Reason]) -> tuple[Fault, ...]:
    return tuple(
        Fault(rule=reason.rule, detail=reason.en, detail_nl=reason.nl, parameters=reason.parameters)
        for reason in reasons
    )
