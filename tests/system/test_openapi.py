"""
Schemathesis against the documents that the faces serve: what they promise, and what they do when asked nonsense.

Left out is its check that everything that fits the schema is taken: the rules of a programme, and of what goes
together, stand in no schema.
"""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.tool import invoke

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
EXAMPLES = 5
"""Of each kind for each operation, so that it takes a minute and not ten."""
BOUNDED = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],
)
FACES = ("registration", "reporting", "notifications")


class Faces:
    """Where the services are, and a token that may do everything."""

    def __init__(self, endpoints: Path) -> None:
        self.addresses: dict[str, str] = json.loads(endpoints.read_text())["http"]
        made = invoke(
            "token", "create", "--name", "schemathesis", "--role", "admin", "--json", "--endpoints", endpoints
        )
        self.token = made.json["token"]

    def document(self, face: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.addresses[face]}/openapi.json", timeout=20) as answer:
            document: dict[str, Any] = json.loads(answer.read())
        return document

    @cached_property
    def operations(self) -> dict[str, list[Any]]:
        """What can be asked of each face: read once, which takes longer than asking it."""
        found: dict[str, list[Any]] = {}
        for face in FACES:
            schema: Any = schemathesis.openapi.from_url(f"{self.addresses[face]}/openapi.json")
            results = list(schema.get_all_operations())
            assert all(isinstance(each, Ok) for each in results)
            found[face] = [each.ok() for each in results]
        return found

    def check(self, case: Any) -> None:
        """Whoever may do everything is answered as promised; a stranger is sent away, whatever is in the request."""
        if secured(case.operation):
            for headers in ({}, {"Authorization": "Bearer deelname_x_y"}):
                assert case.call(headers=headers, timeout=60).status_code == 401
        case.call_and_validate(checks=CHECKS, headers={"Authorization": f"Bearer {self.token}"}, timeout=60)


@pytest.fixture(scope="module")
def faces(running: Path) -> Faces:
    return Faces(running)


def secured(operation: Any) -> bool:
    return bool(operation.definition.raw.get("security"))


def examine(operation: Any, mode: GenerationMode, check: Callable[[Any], None]) -> None:
    """Have a check made of some requests of an operation."""

    @BOUNDED
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        check(case)

    ask()


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("face", FACES)
def test_a_face_keeps_what_its_document_promises(faces: Faces, face: str, mode: GenerationMode) -> None:
    wrong: list[str] = []
    for operation in faces.operations[face]:
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.path_parameters or operation.query):
            continue
        try:
            examine(operation, mode, faces.check)
        except (Exception, BaseExceptionGroup) as error:
            wrong.append(f"{operation.label}: {error}")
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize("face", FACES)
def test_what_is_the_staffs_is_below_api_and_says_that_it_is_closed(faces: Faces, face: str) -> None:
    closed = [operation.path for operation in faces.operations[face] if secured(operation)]
    assert bool(closed) is (face != "notifications")
    assert all(path.startswith("/api/") for path in closed)
