"""The envelope is a CloudEvents 1.0 event in the JSON format."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.envelope import Envelope, schema_name
from contracts.facts import EnrolmentCompleted

REQUIRED = {"id", "source", "specversion", "type"}
OPTIONAL = {"datacontenttype", "dataschema", "subject", "time"}
GIVEN: dict[str, Any] = {
    "id": "0186a040-5c2e-7b1d-9f3a-2d4c6e8f0040",
    "source": "registration",
    "type": "enrolment.completed.v1",
    "time": datetime(2023, 3, 2, 9, 14, tzinfo=UTC),
    "data": EnrolmentCompleted(enrolment="e-1"),
}


def test_it_has_every_attribute_of_the_specification() -> None:
    """CloudEvents 1.0.2 §3.1."""
    assert set(Envelope.model_fields) >= REQUIRED | OPTIONAL


def test_attribute_names_are_lower_case_letters_and_digits() -> None:
    """CloudEvents 1.0.2 §3.1: extensions too; names of more than 20 characters should be avoided."""
    for name in set(Envelope.model_fields) - {"data"}:
        assert re.fullmatch(r"[a-z0-9]{1,20}", name)


@pytest.mark.parametrize("name", ["id", "source", "type", "time", "data"])
def test_none_of_the_required_attributes_may_be_absent(name: str) -> None:
    with pytest.raises(ValidationError):
        Envelope[EnrolmentCompleted].model_validate({key: value for key, value in GIVEN.items() if key != name})


def test_time_is_written_with_an_offset() -> None:
    """CloudEvents 1.0.2 §3.1.2 and RFC 3339: a timestamp without an offset says no time."""
    written = Envelope[EnrolmentCompleted](**GIVEN).model_dump(mode="json")
    assert written["time"] == "2023-03-02T09:14:00Z"
    with pytest.raises(ValidationError):
        Envelope[EnrolmentCompleted].model_validate(GIVEN | {"time": "2023-03-02T09:14:00"})


def test_another_version_of_the_specification_is_not_understood() -> None:
    with pytest.raises(ValidationError):
        Envelope[EnrolmentCompleted].model_validate(GIVEN | {"specversion": "2.0"})


def test_the_schemas_address_is_absolute() -> None:
    """CloudEvents 1.0.2 §3.1.2: dataschema is a URI, not a relative reference."""
    assert schema_name("enrolment.completed.v1") == "urn:deelname:schema:enrolment.completed.v1"
