"""Whether mail can go to an address, and how the address is written on the envelope."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

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
    return all_checked([person], lambda _: field)[0]


def all_checked(people: Iterable[Person], field: Callable[[int], str]) -> list[Person]:
    """
    Everybody with the address as it goes on an envelope; ``field`` names the address of the nth in the request.

    Raises:
        ProblemError: mail can't go to some of them; each is named.
    """
    good: list[Person] = []
    faults: list[Fault] = []
    for number, person in enumerate(people):
        try:
            email = _ascii(person.email)
        except EmailNotValidError as error:
            faults.append(Fault(field=field(number), detail=_without_address(str(error), person.email), rule="address"))
        else:
            good.append(person if email == person.email else person.model_copy(update={"email": email}))
    if faults:
        raise ProblemError(
            Problem(
                type=problem_type("invalid"),
                title="The request is not valid",
                status=422,
                detail=f"{len(faults)} field(s) are wrong; 'errors' says which and why.",
                errors=tuple(faults),
            )
        )
    return good


def on_the_envelope(email: str) -> str:
    """An address in the form in which it would have been stored, to look somebody up by it."""
    try:
        return _ascii(email)
    except EmailNotValidError:
        return email


def _ascii(email: str) -> str:
    if _PLAIN.fullmatch(email) and email.index("@") <= _LONGEST_LOCAL_PART:
        return email
    valid = validate_email(email, check_deliverability=False, allow_smtputf8=False, test_environment=True)
    return valid.ascii_email or valid.normalized


def _without_address(message: str, email: str) -> str:
    """The library's sentences may quote what was wrong; problem details are logged and relayed, so they must not."""
    parts = [email, *email.split("@")]
    if any(part and part in message for part in parts):
        return "is not an address that mail can go to"
    return message
