"""Failure as it is told over NATS and HTTP alike: problem details (RFC 9457)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError

from contracts.base import PATTERNS, Message
from contracts.characters import Unfit
from contracts.fields import fields_at, meant

Details = TypeVar("Details", bound=Mapping[str, Any])

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


def invalid(error: ValidationError, what: str = "request", model: type[BaseModel] | None = None) -> Problem:
    """
    Say which fields of a request are wrong, without repeating what was in them: it may be personal data.

    With the ``model`` that was expected, it is said of an unknown field which one was perhaps meant.
    """
    details = without_echoes(error.errors(include_url=False, include_input=False))
    return Problem(
        type=problem_type("invalid"),
        title=f"The {what} is not valid",
        status=422,
        detail=f"{len(details)} field(s) are wrong; 'errors' says which and why.",
        errors=tuple(
            Fault(
                field=".".join(str(part) for part in item["loc"])[:_LONGEST_FIELD] or None,
                **_unknown_field(item, model) or _wrong_value(item),
            )
            for item in details[:MOST_FAULTS]
        ),
    )


def _wrong_value(item: Mapping[str, Any]) -> dict[str, str | None]:
    return {"detail": complaint(item), "detail_nl": unfit.dutch if (unfit := unfit_of(item)) else None}


def _unknown_field(item: Mapping[str, Any], model: type[BaseModel] | None) -> dict[str, str | None] | None:
    if item["type"] != "extra_forbidden" or model is None:
        return None
    english, dutch = complaint(item), "is hier geen bekend veld"
    if (near := meant(model, item["loc"])) is not None:
        return {"detail": f"{english}; did you mean '{near}'?", "detail_nl": f"{dutch}; bedoelde je '{near}'?"}
    known = ", ".join(fields_at(model, item["loc"][:-1]))
    return {"detail": f"{english}; known: {known}", "detail_nl": f"{dutch}; bekend zijn: {known}"}


def complaint(item: Mapping[str, Any]) -> str:
    """What pydantic found wrong (one of its ``errors()``), in words for who wrote it, without what was written."""
    context = item.get("ctx") or {}
    match item["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is no field that is known here"
        case "string_pattern_mismatch" if (said := PATTERNS.get(context.get("pattern", ""))) is not None:
            return said
        case "string_too_short" if context.get("min_length") == 1:
            return "must not be empty"
        case "too_short" if "min_length" in context:
            return f"must have at least {context['min_length']}"
        case "too_long" if "max_length" in context:
            return f"may have at most {context['max_length']}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be a JSON object"
        case _:
            message = str(item["msg"]).removeprefix("Value error, ")
            return message[:1].lower() + message[1:].removesuffix(".")


def unfit_of(item: Mapping[str, Any]) -> Unfit | None:
    """Why text was not taken, in both languages, where that is what pydantic found wrong (one of its ``errors()``)."""
    error = (item.get("ctx") or {}).get("error")
    return error if isinstance(error, Unfit) else None


def without_echoes(details: Iterable[Details]) -> list[Details]:
    """Leave out 'too short' of a list whose only trouble is that its members failed: they are named themselves."""
    details = list(details)
    failed = {tuple(item["loc"][:length]) for item in details for length in range(len(item["loc"]))}
    return [item for item in details if item["type"] != "too_short" or tuple(item["loc"]) not in failed]


def not_found(what: str, id_: str, hint: str = "") -> Problem:
    """Nothing has this id."""
    detail = f"There is no {what} '{id_}'." + (f" {hint}" if hint else "")
    return Problem(type=problem_type("not-found"), title=f"No such {what}", status=404, detail=detail)
