"""
Samples of every message parse for ever.

A sample is never changed after a release, only added to: it is what stands in logs that are years old. A new type needs
two, ``contracts/samples/<type>.full.json`` and ``<type>.minimal.json``.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from pydantic import BaseModel, TypeAdapter, ValidationError

from contracts import facts, intake, schemas
from contracts.envelope import Envelope, UnknownData

TYPES = [*facts.FACTS, *intake.INTAKE, *intake.OUTCOMES]
Documents = dict[str, dict[str, Any]]
ONLY_FACTS_HAVE = {"actor", "position", "version"}
INSTEAD_OF_ANOTHER = {"enrolment"}
"""Of a reference to an enrolment, which has one of two fields."""


def sample(type_: str, kind: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((schemas.SAMPLES / f"{type_}.{kind}.json").read_text(encoding="utf-8"))
    return content


def parse(type_: str, message: dict[str, Any]) -> Envelope[Any]:
    """Read a message in the way in which its reader does."""
    body = json.dumps(message).encode()
    if type_ in facts.FACTS:
        return facts.parse(body)
    if type_ in intake.INTAKE:
        model = intake.INTAKE[type_]
        return TypeAdapter(Envelope[model]).validate_json(body)  # type: ignore[valid-type]  # known at run time only
    return intake.parse_outcome(body)


def check(documents: Documents, type_: str, message: dict[str, Any]) -> None:
    Draft202012Validator(documents[type_], format_checker=FormatChecker()).validate(message)


def test_every_type_has_its_two_samples_and_no_sample_lost_its_type() -> None:
    wanted = {f"{type_}.{kind}.json" for type_ in TYPES for kind in ("full", "minimal")}
    assert {path.name for path in schemas.SAMPLES.iterdir()} == wanted


@pytest.mark.parametrize("kind", ["full", "minimal"])
@pytest.mark.parametrize("type_", TYPES)
def test_a_sample_parses_and_fits_its_schema(type_: str, kind: str, documents: Documents) -> None:
    message = sample(type_, kind)
    check(documents, type_, message)
    parsed = parse(type_, message)
    assert parsed.type == type_
    assert not isinstance(parsed.data, UnknownData)


@pytest.mark.parametrize("kind", ["full", "minimal"])
@pytest.mark.parametrize("type_", TYPES)
def test_what_we_write_fits_the_schema_and_says_the_same(type_: str, kind: str, documents: Documents) -> None:
    parsed = parse(type_, sample(type_, kind))
    for written in (parsed.model_dump(mode="json"), parsed.model_dump(mode="json", exclude_none=True)):
        check(documents, type_, written)
        assert parse(type_, written) == parsed


@pytest.mark.parametrize("kind", ["full", "minimal"])
@pytest.mark.parametrize("type_", TYPES)
def test_what_we_make_ourselves_is_what_would_have_been_read(type_: str, kind: str) -> None:
    data = parse(type_, sample(type_, kind)).data
    fields = {name: getattr(data, name) for name in type(data).model_fields}
    made = type(data).made(**fields)
    assert (made, hash(made), repr(made)) == (data, hash(data), repr(data))
    assert made.to_json() == data.model_dump_json(exclude_none=True).encode()
    assert made.model_copy(update=fields) == data
    if fields:
        with pytest.raises(TypeError, match=next(iter(fields))):
            type(data).made()


@pytest.mark.parametrize("type_", TYPES)
def test_the_full_sample_has_every_field(type_: str) -> None:
    """Who adds an optional field adds it here too."""
    parsed = parse(type_, sample(type_, "full"))
    absent = set(type(parsed).model_fields) - parsed.model_fields_set
    assert absent == (set() if type_ in facts.FACTS else ONLY_FACTS_HAVE)
    data: BaseModel = parsed.data
    instead = INSTEAD_OF_ANOTHER if isinstance(data, intake.EnrolmentReference) else set()
    instead = {"reused"} if isinstance(data, intake.OutcomeRefused) else instead
    assert set(type(data).model_fields) - data.model_fields_set == instead


@pytest.mark.parametrize("type_", TYPES)
def test_the_minimal_sample_can_spare_no_field(type_: str, documents: Documents) -> None:
    """A field that becomes required is a new type: the minimal sample of the old one would no longer parse."""
    message = sample(type_, "minimal")
    for part in (message, message["data"]):
        for name in list(part):
            poorer = copy.deepcopy(message)
            del (poorer if part is message else poorer["data"])[name]
            assert list(Draft202012Validator(documents[type_]).iter_errors(poorer)), f"{name} is not required"


@pytest.mark.parametrize("type_", TYPES)
def test_a_reader_ignores_fields_that_it_does_not_know(type_: str, documents: Documents) -> None:
    message = sample(type_, "full")
    parsed = parse(type_, message)
    message["futureextension"] = "x"
    message["data"]["future_field"] = {"deep": [1]}
    check(documents, type_, message)
    assert parse(type_, message) == parsed


def test_a_fact_of_an_unknown_type_is_kept_as_it_came() -> None:
    message = sample("enrolment.promoted.v1", "full") | {"type": "enrolment.celebrated.v1", "data": {"cake": "apple"}}
    parsed = facts.parse(json.dumps(message))
    assert isinstance(parsed.data, UnknownData)
    assert parsed.position == message["position"]
    assert parsed.data.model_dump() == {"cake": "apple"}


def test_a_known_type_with_data_of_another_is_an_error_and_no_unknown_fact() -> None:
    message = sample("enrolment.promoted.v1", "full") | {"data": {"cake": "apple"}}
    with pytest.raises(ValidationError):
        facts.parse(json.dumps(message))
