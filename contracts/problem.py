"""Failure as it is told over NATS and HTTP alike: problem details (RFC 9457)."""

from __future__ import annotations

from typing import Any

from pydantic import Field, ValidationError

from contracts.base import Message

ERROR_HEADER = "Nats-Service-Error"
ERROR_CODE_HEADER = "Nats-Service-Error-Code"
MEDIA_TYPE = "application/problem+json"


MOST_FAULTS = 100
"""Faults that are told of one request: full of them, it must not make an answer larger than any message."""
_LONGEST_FIELD = 200


class Fault(Message):
    """One thing that is wrong: ``field`` is a path into the request, ``rule`` the rule of enrolment that failed."""

    detail: str
    field: str | None = None
    rule: str | None = None
    detail_nl: str | None = Field(default=None, description="The same in Dutch, where people are told.")


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


def invalid(error: ValidationError, what: str = "request") -> Problem:
    """Say which fields of a request are wrong, without repeating what was in them: it may be personal data."""
    return Problem(
        type=problem_type("invalid"),
        title=f"The {what} is not valid",
        status=422,
        detail=f"{error.error_count()} field(s) are wrong; 'errors' says which and why.",
        errors=tuple(
            Fault(field=".".join(str(part) for part in item["loc"])[:_LONGEST_FIELD] or None, detail=_plain(item))
            for item in error.errors(include_url=False, include_input=False, include_context=False)[:MOST_FAULTS]
        ),
    )


def _plain(item: Any) -> str:
    message = str(item["msg"]).removeprefix("Value error, ")
    return message[:1].lower() + message[1:]


def not_found(what: str, id_: str, hint: str = "") -> Problem:
    """Nothing has this id."""
    detail = f"There is no {what} '{id_}'." + (f" {hint}" if hint else "")
    return Problem(type=problem_type("not-found"), title=f"No such {what}", status=404, detail=detail)
