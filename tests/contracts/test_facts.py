"""The list of facts holds together: names, services and the unions that the type checker sees."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from contracts import facts
from contracts.base import Message
from contracts.facts import FACTS, NAMES, SERVICES, NotificationsFact, RegistrationFact


@pytest.mark.parametrize("name", FACTS)
def test_a_type_says_entity_fact_and_version(name: str) -> None:
    """Its first two words become words of a subject."""
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*\.[a-z]+(-[a-z]+)*\.v[1-9][0-9]*", name)


def test_each_model_is_one_type() -> None:
    assert {model: name for name, model in FACTS.items()} == NAMES
    assert len(FACTS) == len(NAMES) == len(SERVICES)


@pytest.mark.parametrize(
    ("service", "union"), [("registration", RegistrationFact), ("notifications", NotificationsFact)]
)
def test_the_type_checker_sees_every_fact_of_a_service(service: str, union: object) -> None:
    """A fact that is missing in its union could be decided and never be matched on."""
    assert set(get_args(union)) == {FACTS[name] for name, owner in SERVICES.items() if owner == service}


@pytest.mark.parametrize("name", FACTS)
def test_a_fact_names_people_by_id_alone(name: str) -> None:
    """A log is never shortened: whatever says who somebody is stands in the contacts."""
    described = facts.variant(name).model_json_schema()
    models = {described["title"], *described.get("$defs", {})}
    assert models & {"Person", "ParticipantRequest", "EnrolmentRequest"} == set()
    assert "email" not in FACTS[name].model_fields


@pytest.mark.parametrize("model", FACTS.values(), ids=lambda model: model.__name__)
def test_a_fact_can_not_be_changed(model: type[Message]) -> None:
    assert model.model_config.get("frozen") is True
