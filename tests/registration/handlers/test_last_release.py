"""Requests that were remembered by the last release."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from contracts.enrolment import EnrolmentRequest
from services.registration.handlers import key_of

ANNA: dict[str, Any] = {
    "programme": "kick-off",
    "participants": [{"person": {"name": "Anna", "email": "anna@people.example"}}],
}


def remembered(kind: str, said: object) -> bytes:
    """As the last release wrote it down: everything it had a field for, said or not."""
    return hashlib.sha256(json.dumps([[kind], said], sort_keys=True).encode()).digest()


def by_the_last_release(**more: Any) -> bytes:
    person = {"name": "Anna", "email": "anna@people.example", "language": "nl"}
    participant = {"person": person, "seat": None, "role": None, **more}
    return remembered("request", {"programme": "kick-off", "organisation": None, "participants": [participant]})


def test_a_request_repeated_after_an_upgrade_is_the_same_request() -> None:
    asked = EnrolmentRequest.model_validate(ANNA)
    assert key_of("web", "1", asked, "request").fits(by_the_last_release())


def test_what_the_last_release_had_no_word_for_makes_another_request() -> None:
    (participant,) = ANNA["participants"]
    asked = EnrolmentRequest.model_validate(ANNA | {"participants": [participant | {"diet": "no nuts"}]})
    assert not key_of("web", "1", asked, "request").fits(by_the_last_release())
