"""Files with programmes: what an organiser would want to know of them, and where stands what registration refuses."""

from __future__ import annotations

from cli.desk import Desk
from cli.document import Document
from cli.failure import REFUSED, Failure
from contracts.moments import end_of
from contracts.problem import ProblemError
from contracts.programme import Programme

_SUBJECT = {
    "organisation-unknown": ("organisers",),
    "theme-unknown": ("themes",),
    "goal-unknown": ("themes",),
    "per-changed": ("enrolment", "per"),
    "capacity-below-confirmed": ("enrolment", "capacity"),
    "programme-withdrawn": ("id",),
}
"""What in a definition the rules are about that only registration can judge."""


def remarks(document: Document[Programme]) -> list[str]:
    """What the contract allows but an organiser would want to know."""
    programme = document.value
    found = [
        f"{document.place('sessions', number)}: session {session.id} has neither a date nor a 'period'"
        for number, session in enumerate(programme.sessions)
        if not session.start and not session.period
    ]
    starts = [start for session in programme.sessions if (start := session.begins)]
    closes = programme.enrolment.closes
    if closes and starts and end_of(closes) > min(starts):
        found.append(f"{document.place('enrolment', 'closes')}: enrolment closes after the first session has begun")
    if programme.enrolment.capacity is None and programme.enrolment.waiting_list:
        found.append(f"{document.place('enrolment', 'waiting_list')}: a waiting list without a capacity stays empty")
    if programme.enrolment.confirmation.needed == "never":
        place = document.place("enrolment", "confirmation", "needed")
        found.append(f"{place}: anybody can take places in the name of others, who are not asked ('never')")
    if closes is None:
        dated = programme.sessions and all(session.finishes for session in programme.sessions)
        until = "is open until the last session has ended" if dated else "never closes"
        found.append(f"{document.place('enrolment')}: enrolment {until} ('closes' is not given)")
    return found


def located(desk: Desk, document: Document[Programme], error: ProblemError) -> Failure:
    """A service's complaint about a file, with the lines it is about."""
    problem = error.problem
    lines = []
    for fault in problem.errors:
        path = [int(part) if part.isdigit() else part for part in (fault.field or "").split(".")]
        place = document.place(*(_SUBJECT.get(fault.rule or "") or (path[1:] if path[0] == "programme" else path)))
        lines.append(f"  {document.path}:{place}: {desk.output.fault(fault)}")
    head = f"{document.path} was refused{'.' if lines else f': {problem.detail or problem.title}'}"
    withdrawn = any(fault.rule == "programme-withdrawn" for fault in problem.errors)
    remedy = "Give it another id and publish that." if withdrawn else "Correct it and publish again."
    return Failure("\n".join([head, *lines]), remedy, code=REFUSED, problem=problem)
