"""What other systems send, as the design shows it to them."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from contracts import intake, schemas
from contracts.enrolment import EnrolmentRequest
from contracts.envelope import Envelope

EXAMPLE = """
{"specversion": "1.0", "id": "form-7741", "source": "biblionet", "type": "enrolment.request.v1",
 "time": "2023-03-02T09:14:00Z",
 "data": {"programme": "gezinsaanpak-2023",
          "organisation": "bibliotheek-zeist",
          "participants": [
            {"seat": "jeugd-educatie", "role": "jeugd-educatie",
             "person": {"name": "Noor de Wit", "email": "noor@bibliotheek-zeist.example", "language": "nl"}},
            {"seat": "basisvaardigheden", "role": "taalhuis",
             "person": {"name": "Sam Bakker", "email": "sam@bibliotheek-zeist.example"}},
            {"seat": "manager", "role": "manager-educatie",
             "person": {"name": "Eva Smit", "email": "eva@bibliotheek-zeist.example"}}]}}
"""
READER = TypeAdapter(Envelope[EnrolmentRequest])


def test_the_request_that_the_design_shows_is_understood() -> None:
    request = READER.validate_json(EXAMPLE)
    assert request.type in intake.INTAKE
    assert [participant.seat for participant in request.data.participants] == [
        "jeugd-educatie",
        "basisvaardigheden",
        "manager",
    ]
    assert [participant.person.language for participant in request.data.participants] == ["nl", "nl", "nl"]


def test_the_request_that_the_design_shows_fits_the_published_schema() -> None:
    Draft202012Validator(schemas.documents()["enrolment.request.v1"]).validate(
        TypeAdapter(dict[str, object]).validate_json(EXAMPLE)
    )


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ('"name": "Noor de Wit"', '"name": "Noor\\r\\nBcc: all@example.com"'),
        ('"name": "Noor de Wit"', '"name": ""'),
        ('"email": "noor@bibliotheek-zeist.example"', '"email": "noor@x.example\\nBcc: all@example.com"'),
        ('"email": "noor@bibliotheek-zeist.example"', '"email": "noor@x.example, all@example.com"'),
        ('"language": "nl"', '"language": "fr"'),
        ('"programme": "gezinsaanpak-2023"', '"programme": "gezinsaanpak.>"'),
        ('"id": "form-7741"', '"id": "form 7741"'),
        ('"time": "2023-03-02T09:14:00Z"', '"time": "2023-03-02T09:14:00"'),
    ],
)
def test_a_request_that_could_do_harm_is_refused(what: str, instead: str) -> None:
    assert what in EXAMPLE
    with pytest.raises(ValidationError):
        READER.validate_json(EXAMPLE.replace(what, instead))


def test_a_request_for_nobody_or_for_a_crowd_is_refused() -> None:
    one = {"person": {"name": "Noor", "email": "noor@example.org"}}
    for number in (0, 101):
        with pytest.raises(ValidationError):
            EnrolmentRequest.model_validate({"programme": "uitwisseling", "participants": [one] * number})
