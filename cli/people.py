"""How people are named on the command line, and how an enrolment stands after a command about them."""

from __future__ import annotations

import re
import shlex

from pydantic import ValidationError

from cli.desk import Desk
from cli.failure import USAGE, Failure
from contracts.commands import EnrolmentResult
from contracts.enrolment import ParticipantRequest
from contracts.problem import complaint


def named(person: str, name: str | None = None) -> dict[str, str]:
    """The fields by which a command names a person: an address has an @, an id has none."""
    if "@" not in person and name:
        raise Failure("An id needs no --name.", "Give the address with --name, or the id alone.", code=USAGE)
    return {"person": person} if "@" not in person else {"email": person} | ({"name": name} if name else {})


def report(desk: Desk, result: EnrolmentResult) -> None:
    """Say how an enrolment stands after a command."""
    if desk.output.as_json:
        desk.output.json(result)
        return
    place = f", number {result.place} in the waiting list" if result.place else ""
    mark = "✗" if result.status == "refused" else "✓"
    desk.output.say(f"{mark} {result.enrolment}: {result.status}{place}", "red" if mark == "✗" else "green")
    for missing in result.missing:
        desk.output.say(f"  still lacks {missing.count} × {missing.seat}", "yellow")


def read_participant(text: str) -> ParticipantRequest:
    """
    Read ``Name <address> seat=… role=… language=… diet="…"``.

    Raises:
        Failure: it is not that.
    """
    # Not as mail programs read it: they leave out what stands between brackets or quotes, and it is part of the name.
    match = re.fullmatch(r'(?P<quote>"?)(?P<name>[^<]+?)(?P=quote)\s*<(?P<email>[^<>]*)>(?P<rest>.*)', text.strip())
    if not match or not match["email"].strip():
        raise Failure(
            f"'{text}' names no person.", 'Write it as "Noor de Wit <noor@zeist.example> seat=jeugd".', code=USAGE
        )
    name, email = match["name"], match["email"]
    try:
        words = dict(word.partition("=")[::2] for word in shlex.split(match["rest"]))
    except ValueError:
        raise Failure(f"A quote is never closed in '{text}'.", 'Write it as diet="no nuts".', code=USAGE) from None
    if unknown := sorted(set(words) - {"seat", "role", "language", "diet"}):
        raise Failure(
            f"'{unknown[0]}' is not known after the address in '{text}'.",
            'Only seat=…, role=…, language=… and diet="…" can stand there.',
            code=USAGE,
        )
    person = {"name": name, "email": email} | ({"language": words.pop("language")} if "language" in words else {})
    try:
        return ParticipantRequest.model_validate({"person": person, **words})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Failure(
            f"'{text}': {'.'.join(str(part) for part in first['loc'])}: {complaint(first)}", "Correct it.", code=USAGE
        ) from None
