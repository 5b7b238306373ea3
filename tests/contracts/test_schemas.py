"""The checked-in JSON Schemas are those of the code, are valid, and leave no message out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from contracts import facts, intake, schemas
from contracts.base import Message
from contracts.enrolment import Correspondent
from contracts.envelope import Envelope, UnknownData

CHECKED_IN = sorted(path.stem for path in schemas.FOLDER.glob("*.json"))
Documents = dict[str, dict[str, Any]]
NOT_SENT_ALONE: set[type[Message]] = {UnknownData, intake.IntakeHead, intake.MessageName, Correspondent}


def test_the_checked_in_schemas_are_those_of_the_code(documents: Documents) -> None:
    """Run `make schemas` and look at the difference: only a new optional field may keep its type's name."""
    checked_in = {path.name: path.read_text(encoding="utf-8") for path in schemas.FOLDER.iterdir()}
    made = {f"{name}.json": schemas.encoded(document) for name, document in documents.items()}
    assert sorted(checked_in) == sorted(made)
    assert [name for name in made if made[name] != checked_in[name]] == []


def test_writing_removes_what_no_longer_exists(tmp_path: Path, documents: Documents) -> None:
    (tmp_path / "enrolment.dreamt.v1.json").write_text("{}")
    schemas.write(tmp_path)
    assert {path.stem for path in tmp_path.iterdir()} == set(documents)


@pytest.mark.parametrize("name", CHECKED_IN)
def test_a_schema_is_valid_in_its_dialect(name: str, documents: Documents) -> None:
    Draft202012Validator.check_schema(documents[name])


def _subclasses(model: type[Message]) -> Iterator[type[Message]]:
    for subclass in model.__subclasses__():
        yield subclass
        yield from _subclasses(subclass)


def test_every_message_of_the_contracts_is_in_a_schema(documents: Documents) -> None:
    """A model that no schema mentions is either forgotten in contracts/schemas.py or used by nobody."""
    described = {document["title"] for document in documents.values()}
    for document in documents.values():
        described |= set(document.get("$defs", {}))
    leaves = {
        model
        for model in _subclasses(Message)
        if model.__module__.startswith("contracts.")
        and not issubclass(model, Envelope)
        and not model.__subclasses__()
        and model not in NOT_SENT_ALONE
    }
    assert {model.__name__ for model in leaves} - described == set()


@pytest.mark.parametrize("type_", [*facts.FACTS, *intake.INTAKE, *intake.OUTCOMES])
def test_an_envelope_asks_for_what_cloudevents_requires(type_: str, documents: Documents) -> None:
    """CloudEvents 1.0.2 §3.1.1: id, source, specversion and type are required and not empty."""
    schema: dict[str, Any] = documents[type_]
    assert {"specversion", "id", "source", "type", "time", "data"} <= set(schema["required"])
    assert schema["properties"]["type"]["const"] == type_
    assert schema["properties"]["specversion"]["const"] == "1.0"
    assert schema["properties"]["id"]["minLength"] == schema["properties"]["source"]["minLength"] == 1


@pytest.mark.parametrize("type_", facts.FACTS)
def test_only_facts_must_have_a_position(type_: str, documents: Documents) -> None:
    assert "position" in documents[type_]["required"]
    assert all("position" not in documents[name]["required"] for name in (*intake.INTAKE, *intake.OUTCOMES))
