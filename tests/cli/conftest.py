"""The tool, speaking to a system that runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tool import Outcome, invoke

Deelname = Callable[..., Outcome]


@pytest.fixture
def deelname(running: Path) -> Deelname:
    """The tool, speaking to the running system."""

    def call(*words: object, **env: str) -> Outcome:
        return invoke(*words, "--endpoints", running, env=env)

    return call


@pytest.fixture
def programme(deelname: Deelname, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """A published programme of this test's own: two places, a waiting list, libraries in Utrecht."""
    id_ = f"test-{abs(hash(request.node.name)) % 10**9}"
    path = tmp_path / "programme.yaml"
    path.write_text(definition(id_))
    published = deelname("programme", "publish", path)
    assert published.code == 0, published.said
    return id_


def definition(id_: str, *, capacity: int = 2, start: str = "2023-06-20T10:00", title: str = "Gesprek") -> str:
    """The YAML of a small programme."""
    return f"""\
id: {id_}
kind: meeting
title: {{ nl: {title}, en: Talk }}
description: {{ nl: Een gesprek., en: A talk. }}
organisers: [bisc]
content_contact: {{ name: Team, email: team@bisc.example }}
enrolment_contact: {{ name: Team, email: team@bisc.example }}
sessions:
  - id: gesprek
    title: {{ nl: Gesprek, en: Talk }}
    start: {start}
    end: {start[:10]}T13:00
    venue: {{ name: Huis, address: "Mariaplaats 3, Utrecht" }}
enrolment:
  closes: 2023-06-19T00:00
  capacity: {capacity}
  waiting_list: {{ policy: in-order }}
  eligible: {{ kinds: [library], provinces: [utrecht] }}
  prices: [{{ kinds: [library], amount: 25 }}]
"""


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition; fail when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        time.sleep(0.02)
