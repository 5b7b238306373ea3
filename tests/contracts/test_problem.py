"""Problems say what is wrong and where, and repeat nothing of what was sent."""

from __future__ import annotations

import ast
import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from contracts import intake, schemas
from contracts.enrolment import EnrolmentRequest
from contracts.envelope import Envelope
from contracts.problem import Problem, ProblemError, invalid, not_found

ROOT = Path(__file__).parents[2]

SECRET = "noor.de.wit\x00@bibliotheek-zeist.example"


def problem_with(request: dict[str, object]) -> Problem:
    with pytest.raises(ValidationError) as caught:
        EnrolmentRequest.model_validate(request)
    return invalid(caught.value)


def test_every_field_that_is_wrong_is_named() -> None:
    problem = problem_with({"programme": "Not A Slug", "participants": [{"person": {"name": "", "email": SECRET}}]})
    assert problem.status == 422
    wrong = {"programme", "participants.0.person.name", "participants.0.person.email"}
    assert {fault.field for fault in problem.errors} >= wrong


def test_what_was_sent_is_not_repeated() -> None:
    """It may be personal data, and problems are logged and shown."""
    problem = problem_with({"programme": "a", "participants": [{"person": {"name": "Noor\nde Wit", "email": SECRET}}]})
    text = problem.model_dump_json()
    assert "zeist" not in text
    assert "Wit" not in text


def test_what_is_wrong_is_said_in_words_for_who_wrote_it() -> None:
    problem = problem_with(
        {"programme": "Not A Slug", "participants": [{"person": {"name": "", "email": "noor at zeist"}}, "Sam"]}
    )
    assert {fault.field: fault.detail for fault in problem.errors} == {
        "programme": "may have lower-case letters, digits and single hyphens between them, as in 'gezinsaanpak-2023'",
        "participants.0.person.name": "a name must not be empty",
        "participants.0.person.email": "character 5 cannot stand here: SPACE, U+0020. Remove it",
        "participants.1": "must be a JSON object",
    }
    assert [fault.detail for fault in problem_with({"programme": "a"}).errors] == ["is missing"]


def test_a_list_is_not_too_short_because_its_members_are_wrong() -> None:
    problem = problem_with({"programme": "a", "participants": [{"person": {"name": "Noor"}}]})
    assert [fault.field for fault in problem.errors] == ["participants.0.person.email"]
    assert (problem.detail or "").startswith("1 field(s)")
    assert [fault.detail for fault in problem_with({"programme": "a", "participants": []}).errors] == [
        "must have at least 1"
    ]


def test_a_request_full_of_faults_gets_a_short_answer() -> None:
    nobody = {"person": {"name": "", "email": ""}}
    problem = problem_with({"programme": "a", "participants": [nobody] * 100})
    assert len(problem.model_dump_json()) < 64 * 1024


def test_a_problem_is_what_rfc_9457_describes() -> None:
    """RFC 9457 §3.1: type is a URI, status a number, title and detail are for people."""
    problem = not_found("programme", "uitwisseling", "Publish it first.")
    assert problem.model_dump(exclude_none=True, exclude={"errors"}) == {
        "type": "urn:deelname:problem:not-found",
        "title": "No such programme",
        "status": 404,
        "detail": "There is no programme 'uitwisseling'. Publish it first.",
    }
    assert str(ProblemError(problem)) == problem.detail


def test_whatever_makes_a_fault_names_its_rule_and_says_it_in_both_languages() -> None:
    silent = []
    for path in (path for folder in ("contracts", "services") for path in (ROOT / folder).rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Fault":
                said = {keyword.arg for keyword in call.keywords}
                # Another class of this name, of mail that could not be handed over, takes no words.
                if said and not {"rule", "detail", "detail_nl"} <= said:
                    silent.append(f"{path.relative_to(ROOT)}:{call.lineno}")
    assert silent == []


def _bent(value: Any) -> Iterator[Any]:
    """A message with one value in it that does not belong there, or without it."""
    places = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in places:
        for other in (None, 7, 1.5, True, "", " ", "\x00", "x" * 20_000, [], [1], {}, {"x": 1}):
            bent = copy.copy(value)
            bent[key] = other
            yield bent
        if isinstance(inner, dict | list):
            for other in _bent(inner):
                bent = copy.copy(value)
                bent[key] = other
                yield bent
        if isinstance(value, dict):
            yield {name: kept for name, kept in value.items() if name != key}


@pytest.mark.parametrize("type_", intake.INTAKE)
def test_whatever_is_wrong_with_a_message_has_a_rule_and_words_in_both_languages(type_: str) -> None:
    model = intake.INTAKE[type_]
    reader = TypeAdapter(Envelope[model])  # type: ignore[valid-type]  # known at run time only
    message = json.loads((schemas.SAMPLES / f"{type_}.full.json").read_text(encoding="utf-8"))
    wrong = 0
    for bent in _bent(message):
        try:
            reader.validate_python(bent)
        except ValidationError as error:
            for fault in invalid(error).errors:
                assert fault.rule not in (None, "value"), fault
                assert fault.detail_nl not in (None, fault.detail), fault
                wrong += 1
    assert wrong > 100
