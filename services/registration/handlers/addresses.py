"""Whether mail can go to an address, and how the address is written on the envelope."""

from __future__ import annotations

import re

from email_validator import EmailNotValidError, validate_email

from contracts.enrolment import Person
from contracts.problem import Fault, Problem, ProblemError, problem_type

# What nearly every address looks like needs no library: letters, digits and a few signs, no dots at the edges, and
# labels of a host name (RFC 5321 §4.1.2, RFC 1123 §2.1). Everything else is judged by email-validator.
_PLAIN = re.compile(
    r"[A-Za-z0-9_+'-]+(?:\.[A-Za-z0-9_+'-]+)*@(?:(?!xn--)[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}"
)
_LONGEST_LOCAL_PART = 64


def checked(person: Person, field: str) -> Person:
    """
    The person with the address as it goes on an envelope: an international host name in its ASCII form.

    Raises:
        ProblemError: mail can't go there; ``field`` names the address in the request.
    """
    email = person.email
    if _PLAIN.fullmatch(email) and email.index("@") <= _LONGEST_LOCAL_PART:
        return person
    try:
        valid = validate_email(email, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    except EmailNotValidError as error:
        raise ProblemError(
            Problem(
                type=problem_type("invalid"),
                title="The request is not valid",
                status=422,
                detail="1 field(s) are wrong; 'errors' says which and why.",
                errors=(Fault(field=field, detail=_without_address(str(error), email), rule="address"),),
            )
        ) from None
    return person.model_copy(update={"email": valid.ascii_email or valid.normalized})


def _without_address(message: str, email: str) -> str:
    """The library's sentences may quote what was wrong; problem details are logged and relayed, so they must not."""
    parts = [email, *email.split("@")]
    if any(part and part in message for part in parts):
        return "is not an address that mail can go to"
    return message
