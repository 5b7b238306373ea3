"""The AsyncAPI documents are those of the code, valid, and agree with the contracts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft7Validator

from contracts import subjects
from contracts.commands import Command
from contracts.facts import FACTS, SERVICES
from contracts.intake import INTAKE, OUTCOMES
from contracts.schemas import COMMANDS, QUERIES
from tests.workspace import asyncapi

SPECIFICATION = Path(__file__).with_name("asyncapi-3.0.0.schema.json")
"""The schema of AsyncAPI 3.0.0 itself, as its makers publish it in the package @asyncapi/specs (Apache-2.0)."""


@pytest.fixture(scope="module", params=asyncapi.SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def document(service: str) -> dict[str, Any]:
    return asyncapi.document(service)


def test_the_checked_in_document_is_that_of_the_code(service: str) -> None:
    """Run `make schemas` and look at the difference."""
    checked_in = (asyncapi.FOLDER / f"{service}.json").read_text(encoding="utf-8")
    assert checked_in == asyncapi.encoded(service)


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validator = Draft7Validator(json.loads(SPECIFICATION.read_text(encoding="utf-8")))
    assert [f"{error.json_path}: {error.message}" for error in validator.iter_errors(document)] == []


def named(step: str) -> str:
    """One step of a JSON pointer in a URI (RFC 6901 §6)."""
    return unquote(step).replace("~1", "/").replace("~0", "~")


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [reference for value in part.values() for reference in references(value)]
    return [reference for value in part for reference in references(value)] if isinstance(part, list) else []


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = references(document)
    assert found
    for reference in found:
        assert reference.startswith("#/")
        target: Any = document
        for step in reference.removeprefix("#/").split("/"):
            target = target[named(step)]


def addresses(document: dict[str, Any], action: str) -> set[str]:
    channels = {
        named(operation["channel"]["$ref"].removeprefix("#/channels/"))
        for operation in document["operations"].values()
        if operation["action"] == action
    }
    return {document["channels"][channel]["address"] for channel in channels}


def test_each_fact_is_said_by_the_service_whose_log_it_is_in(service: str, document: dict[str, Any]) -> None:
    own = {
        subjects.fact_subject(service, type_, "{programme}") for type_, owner in SERVICES.items() if owner == service
    }
    assert own <= addresses(document, "send")


def test_registration_takes_in_and_answers_what_partners_send() -> None:
    document = asyncapi.document("registration")
    wanted = {subjects.intake("{source}", *type_.split(".")[:2]) for type_ in INTAKE}
    assert wanted <= addresses(document, "receive")
    assert len(OUTCOMES) == 2
    assert {subjects.outcome("{source}", "accepted"), subjects.outcome("{source}", "refused")} <= addresses(
        document, "send"
    )


def test_every_command_and_question_of_the_contracts_is_served_by_somebody() -> None:
    """A model that no service takes is a promise that nobody keeps."""
    served = {name for each in asyncapi.SERVICES for name in asyncapi.document(each)["components"]["schemas"]}
    models = {model.__name__ for model in (*COMMANDS, *QUERIES)}
    assert Command.__name__ not in models
    assert models - served == set()
    assert len(FACTS) == len(set(SERVICES))
