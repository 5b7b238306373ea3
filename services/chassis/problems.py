"""Problem details as an answer over HTTP, and how the document at ``/openapi.json`` describes them."""

from __future__ import annotations

import functools
from typing import Any, Final

from fastapi.responses import JSONResponse

from contracts.problem import MEDIA_TYPE, Problem

_DESCRIPTIONS: Final = {
    400: "Not readable: the body is no JSON in UTF-8",
    401: "Nobody whom we know",
    403: "Somebody who may not, or sent by another site",
    404: "No such thing",
    409: "Not possible: 'errors' names every rule",
    413: "Larger than a request or an answer may be",
    422: "Not valid: 'errors' names every field",
    429: "Too many requests: Retry-After says for how many seconds",
    503: "Not stored, without effect: try again",
}


class ProblemResponse(JSONResponse):
    """Problem details (RFC 9457) with their media type."""

    media_type = MEDIA_TYPE


def problem_response(problem: Problem, headers: dict[str, str] | None = None) -> ProblemResponse:
    """The HTTP answer that tells ``problem``."""
    return ProblemResponse(problem.model_dump(mode="json", exclude_none=True), problem.status, headers)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How these failures are described, as the argument ``responses`` of a route."""
    return {
        status: {"description": _DESCRIPTIONS[status], "content": {MEDIA_TYPE: {"schema": _schema()}}}
        for status in statuses
    }


@functools.cache
def _schema() -> dict[str, Any]:
    # A model alone would be described as application/json. Made once: a service has some forty routes, and making it
    # for each was a third of what a start costs.
    schema = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    return {key: value for key, value in schema.items() if key != "$defs"} | {
        "properties": schema["properties"]
        | {"errors": {"type": "array", "items": schema["$defs"]["Fault"], "title": "Errors"}}
    }
