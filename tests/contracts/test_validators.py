"""The schemas mean the same to the validators that partners have: ajv in JavaScript, check-jsonschema in Python."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts import facts, intake, schemas
from tests.javascript import Ajv, ajv

ROOT = Path(__file__).parents[2]
TYPES = [*facts.FACTS, *intake.INTAKE, *intake.OUTCOMES]
ASYNCAPI = sorted((ROOT / "docs" / "asyncapi").glob("*.json"))
Documents = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def judge(documents: Documents) -> Iterator[Ajv]:
    """Knows every schema."""
    with ajv() as judge:
        assert {name: said for name, document in documents.items() if (said := judge.ask(schema=document))} == {}
        yield judge


def patterns(document: Any) -> Iterator[str]:
    """Every pattern in a document."""
    if isinstance(document, dict):
        if isinstance(document.get("pattern"), str):
            yield document["pattern"]
        for value in document.values():
            yield from patterns(value)
    elif isinstance(document, list):
        for value in document:
            yield from patterns(value)


@pytest.mark.node
def test_every_schema_compiles_in_javascript_and_every_sample_fits_its_own(judge: Ajv) -> None:
    wrong = {}
    for path in schemas.SAMPLES.iterdir():
        message = json.loads(path.read_text(encoding="utf-8"))
        if said := judge.ask(id=f"urn:deelname:schema:{message['type']}", instance=message):
            wrong[path.name] = said
    assert wrong == {}


@pytest.mark.node
@pytest.mark.parametrize("path", ASYNCAPI, ids=lambda path: path.stem)
def test_every_pattern_of_an_asyncapi_document_is_one_in_javascript(judge: Ajv, path: Path) -> None:
    found = set(patterns(json.loads(path.read_text(encoding="utf-8"))))
    assert found
    assert {pattern: said for pattern in found if (said := judge.ask(pattern=pattern))} == {}


@pytest.mark.node
def test_what_is_no_pattern_in_javascript_is_seen(judge: Ajv) -> None:
    assert judge.ask(pattern=r"^[^\"]+$") != []


def check_jsonschema(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.prefix) / "bin" / "check-jsonschema"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_schema_is_one_for_check_jsonschema() -> None:
    said = check_jsonschema("--check-metaschema", *map(str, sorted(schemas.FOLDER.iterdir())))
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize("type_", [*intake.INTAKE, *intake.OUTCOMES])
def test_the_samples_of_partners_fit_by_check_jsonschema(type_: str) -> None:
    samples = sorted(map(str, schemas.SAMPLES.glob(f"{type_}.*.json")))
    said = check_jsonschema("--schemafile", str(schemas.FOLDER / f"{type_}.json"), *samples)
    assert said.returncode == 0, said.stdout
