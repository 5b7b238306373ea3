"""Failure as it is told over NATS and HTTP alike: problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from contracts.base import Message
from contracts.complaints import complained
from contracts.fields import fields_at, meant
from contracts.parameters import Parameter

Details = TypeVar("Details", bound=Mapping[str, Any])

ERROR_HEADER = "Nats-Service-Error"
ERROR_CODE_HEADER = "Nats-Service-Error-Code"
MEDIA_TYPE = "application/problem+json"


MOST_FAULTS = 100
"""Faults that are told of one request: full of them, it must not make an answer larger than any message."""
_LONGEST_FIELD = 200


class Fault(Message):
    """
    One thing that is wrong: ``field`` is a path into the request, ``rule`` names what it breaks.

    Every fault that is made has a rule and both languages; what an earlier version stored may lack them.
    """

    detail: str
    field: str | None = None
    rule: str | None = Field(default=None, description="For programs: of enrolment, or of the message's form.")
    detail_nl: str | None = Field(default=None, description="The same in Dutch.")
    parameters: tuple[Parameter, ...] = Field(
        default=(), exclude_if=lambda ids: not ids, description="The ids that it is about, as they were asked."
    )


class Problem(Message):
    """Problem details (RFC 9457 §3.1) with the member ``errors``, which lists everything that is wrong."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str | None = None
    instance: str | None = Field(default=None, description="What it happened to, such as the refused enrolment.")
    errors: tuple[Fault, ...] = ()


def enrolment_instance(enrolment: str) -> str:
    """The URI that names an enrolment as the occurrence of a problem (RFC 9457 §3.1.5)."""
    return f"urn:deelname:enrolment:{enrolment}"


def problem_type(name: str) -> str:
    """The URI that names a kind of problem."""
    return f"urn:deelname:problem:{name}"


class ProblemError(Exception):
    """Carries a problem to the edge that answers with it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail or problem.title)
        self.problem = problem


def invalid(error: ValidationError, what: str = "request", model: type[BaseModel] | None = None) -> Problem:
    """
    Say which fields of a request are wrong, without repeating what was in them: it may be personal data.

    With the ``model`` that was expected, it is said of an unknown field which one was perhaps meant.
    """
    details = without_echoes(error.errors(include_url=False, include_input=False))
    faults = (
        fault_of(item, ".".join(str(part) for part in item["loc"])[:_LONGEST_FIELD] or None, model) for item in details
    )
    return wrong_fields(faults, len(details), what)


def wrong_fields(faults: Iterable[Fault], number: int, what: str = "request") -> Problem:
    """So many faults make a request invalid; of very many the first are told, and the others are not even made."""
    return Problem(
        type=problem_type("invalid"),
        title=f"The {what} is not valid",
        status=422,
        detail=f"{number} field(s) are wrong; 'errors' says which and why. Correct them and send it again.",
        errors=tuple(islice(faults, MOST_FAULTS)),
    )


def fault_of(item: Mapping[str, Any], field: str | None, model: type[BaseModel] | None = None) -> Fault:
    """What pydantic found wrong (one of its ``errors()``) with a field, without what was written."""
    rule, english, dutch = complained(item)
    if rule == "unknown-field" and model is not None:
        if (near := meant(model, item["loc"])) is not None:
            english, dutch = f"{english}; did you mean '{near}'?", f"{dutch}; bedoelde je '{near}'?"
        else:
            known = ", ".join(fields_at(model, item["loc"][:-1]))
            english, dutch = f"{english}; known: {known}", f"{dutch}; bekend zijn: {known}"
    return Fault(field=field, rule=rule, detail=english, detail_nl=dutch)


def complaint(item: Mapping[str, Any]) -> str:
    """What pydantic found wrong (one of its ``errors()``), in English for who wrote it, without what was written."""
    return complained(item).english


def without_echoes(details: Iterable[Details]) -> list[Details]:
    """Leave out 'too short' of a list whose only trouble is that its members failed: they are named themselves."""
    details = list(details)
    failed = {tuple(item["loc"][:length]) for item in details for length in range(len(item["loc"]))}
    return [item for item in details if item["type"] != "too_short" or tuple(item["loc"]) not in failed]


_DUTCH = {
    "enrolment": "aanmelding",
    "mail": "mail",
    "organisation": "organisatie",
    "person": "persoon",
    "programme": "programma",
    "received mail": "ontvangen mail",
    "theme": "thema",
    "token": "token",
}


def not_found(what: str, id_: str, hint: str = "", hint_nl: str = "") -> Problem:
    """Nothing has this id."""
    return problem(
        "not-found",
        f"No such {what}",
        404,
        f"There is no {what} '{id_}'.{hint and f' {hint}'}",
        f"Er is geen {_DUTCH.get(what, what)} '{id_}'.{hint_nl and f' {hint_nl}'}",
    )


def problem(name: str, title: str, status: int, english: str, dutch: str, *, field: str | None = None) -> Problem:
    """A problem with one thing that is wrong, which is called as the problem is and said in both languages."""
    fault = Fault(rule=name, field=field, detail=english, detail_nl=dutch)
    return Problem(type=problem_type(name), title=title, status=status, detail=english, errors=(fault,))
