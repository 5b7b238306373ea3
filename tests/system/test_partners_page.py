"""
What ``docs/partners.md`` says is so: its two programs and its commands are run as they stand, at a running system.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contracts import schemas
from contracts.intake import INTAKE, LARGEST
from deploy.streams import ACK_WAIT, DAY, OUTCOMES_KEPT
from tests.partner_programs import PAGE, blocks, program, run
from tests.tool import ROOT, invoke, started


def commands() -> dict[str, list[str]]:
    """What the page has one type, by the first word, as lists of words."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()
    return {words[0]: words for line in lines if (words := line.split())[0] in ("node", "python")}


@pytest.fixture(scope="module")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of a system that has the page's partner and its programmes."""
    with started(tmp_path_factory.mktemp("partners"), "--partner", "biblionet") as endpoints:
        for line in "".join(blocks("sh")).splitlines():
            words = line.split()
            if words[:1] == ["deelname"] and words[1] != "up":
                told = invoke(*(ROOT / word if "/" in word else word for word in words[1:]), "--endpoints", endpoints)
                assert told.code == 0, told.said
        yield endpoints


def outcomes(lines: list[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines]


def accepted(words: list[str], said: list[dict[str, Any]]) -> None:
    ids = [json.loads((schemas.SAMPLES / name).read_text(encoding="utf-8"))["id"] for name in words[4:]]
    assert [one["request"] for one in said] == ids
    assert [one["status"] for one in said] == ["confirmed"] * (len(ids) - 1) + ["withdrawn"]


@pytest.mark.node
@pytest.mark.timeout(180)
def test_the_javascript_is_run_as_written_and_the_full_samples_are_accepted_as_they_stand(
    endpoints: Path, tmp_path: Path
) -> None:
    started, words = program("javascript", tmp_path), commands()["node"]
    said = outcomes(run(started, endpoints, words[3], words[4:]))
    accepted(words, said)
    again = outcomes(run(started, endpoints, words[3], words[4:]))
    assert [one | {"sequence": 0} for one in again] == [one | {"sequence": 0} for one in said]


@pytest.mark.timeout(180)
def test_the_python_is_run_as_written_and_the_minimal_samples_are_accepted_as_they_stand(
    endpoints: Path, tmp_path: Path
) -> None:
    words = commands()["python"]
    accepted(words, outcomes(run(program("python", tmp_path), endpoints, words[3], words[4:])))


def test_all_samples_of_what_partners_send_are_sent() -> None:
    sent = {name for words in commands().values() for name in words[4:]}
    assert sent == {f"{type_}.{kind}.json" for type_ in INTAKE for kind in ("full", "minimal")}


def test_the_numbers_are_those_of_the_code() -> None:
    page = PAGE.read_text(encoding="utf-8")
    security = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert set(re.findall(r"(\d+) KiB", page)) == {str(LARGEST // 1024)}
    assert f"| a partner's request | {LARGEST // 1024} KiB |" in security
    assert f"within {ACK_WAIT:.0f} seconds" in page
    assert f"kept for {OUTCOMES_KEPT / DAY:.0f} days" in page
