"""The header ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header), which makes a repetition harmless."""

from __future__ import annotations

import re
from typing import Any, Final

from fastapi import Request

from contracts.problem import Problem, ProblemError, problem, problem_type
from services.registration.work import ID_REUSED

HEADER: Final = "Idempotency-Key"
_KEY: Final = "[A-Za-z0-9][A-Za-z0-9._:-]{0,63}"

# A string of structured fields (RFC 9651 §4.2.5; what it may hold here needs no escapes), with parameters, which mean
# nothing to us. Without quotes it is no string: that was taken before, and does no harm.
_ITEM: Final = re.compile(rf' *(?:"({_KEY})"(?: *; *[a-z*][a-z0-9_.*-]*(?:=(?:"[ -!#-~]*"|[^";, ]+))?)*|({_KEY})) *')

DESCRIPTION: Final = (
    "Makes a repetition harmless: what comes again with the same key gets the first answer, for 30 days. A string of"
    " structured fields, in double quotes: 1 to 64 letters, digits and . _ : -, such as a UUID. Without it nothing is"
    " remembered. 400 says that it cannot be read, 422 that it came with another body before. Who repeats a request"
    " while the first is under way gets the first one's answer when it is there, so there is no 409 for that."
)
SCHEMA: Final[dict[str, Any]] = {
    "pattern": f'^("{_KEY}"|{_KEY})$',
    "examples": ['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
}


def key_in(request: Request) -> str | None:
    """
    The key that a request carries; None where it has none.

    Raises:
        ProblemError: there are several, or it is none.
    """
    found = request.headers.getlist(HEADER)
    if not found:
        return None
    if len(found) == 1 and (match := _ITEM.fullmatch(found[0])):
        return match[1] or match[2]
    raise ProblemError(
        problem(
            "idempotency-key",
            "The idempotency key cannot be read",
            400,
            f'{HEADER} must be one string in double quotes, of 1 to 64 letters, digits and . _ : -, as in "form-7741".',
            f"{HEADER} moet één tekst tussen dubbele aanhalingstekens zijn, van 1 tot 64 letters, cijfers en . _ : -,"
            ' zoals "form-7741".',
            field=HEADER,
        )
    )


def told_over_http(failed: Problem) -> Problem:
    """A key that came with another body before is answered with 422 (§2.7 of the draft); all else stays as it is."""
    if failed.type != problem_type(ID_REUSED):
        return failed
    return problem(
        ID_REUSED,
        failed.title,
        422,
        "This key came with another body before, and what was answered then stands. Nothing of this one was done: send"
        " it with a new key.",
        "Deze sleutel kwam al eerder, met een andere inhoud, en wat toen is geantwoord blijft staan. Hiermee is niets"
        " gedaan: stuur het met een nieuwe sleutel.",
        field=HEADER,
    )
