"""What answers a partner's message, and how heavy it can become."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.commands import EnrolmentResult
from contracts.enrolment import MissingSeat
from contracts.envelope import Envelope
from contracts.intake import LARGEST_OUTCOME, OutcomeAccepted, OutcomeRefused, parse_outcome
from contracts.problem import MOST_FAULTS, Fault, Problem, enrolment_instance
from services.chassis.log import SCHEMA
from services.registration.batch import Batch, Memory
from services.registration.handlers.outcomes import append_outcome
from services.registration.store import OUTCOMES, Answer

LONG_ID = "i" * 64
LONG_SLUG = "s" * 64


def outcome_of(answer: Answer) -> tuple[bytes, Envelope[Any]]:
    """What a partner is told, for a message whose every id is as long as ids are."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(SCHEMA.format(table="outcomes"))
        batch = Batch(connection, Memory())
        batch.trace = f"00-{'1' * 32}-{'2' * 16}-01"
        now = datetime(2026, 11, 22, 12, tzinfo=UTC)
        append_outcome(batch, "p" * 40, answer, now, request=LONG_ID, sequence=10**15, programme=LONG_SLUG)
        batch.write()
        (entry,) = OUTCOMES.read(connection, 0, 2)
    return entry.body, parse_outcome(entry.body)


def refusal(*faults: Fault) -> Answer:
    problem = Problem(
        type="urn:deelname:problem:refused",
        title="Refused",
        status=409,
        instance=enrolment_instance(LONG_ID),
        errors=faults,
    )
    return Answer(409, problem.model_dump_json().encode())


def test_what_has_room_is_told_word_by_word() -> None:
    faults = tuple(Fault(detail=f"Wrong is {number}.", detail_nl=f"Fout is {number}.") for number in range(30))
    _, told = outcome_of(refusal(*faults))
    assert isinstance(told.data, OutcomeRefused)
    assert told.data.errors == faults


@pytest.mark.parametrize("kind", ["many", "long", "wide", "quoted"])
def test_a_refusal_with_more_faults_than_have_room_counts_the_rest(kind: str) -> None:
    number, sentence = {
        "many": (MOST_FAULTS - 1, "string should have at least 1 character"),
        "long": (5, "x" * 100_000),
        "wide": (40, "𝄞" * 3_000),
        "quoted": (40, '"' * 10_000),
    }[kind]
    faults = [Fault(detail=sentence, detail_nl=sentence, field="f" * 200, rule=LONG_SLUG) for _ in range(number)]

    body, told = outcome_of(refusal(*faults))

    assert len(body) <= LARGEST_OUTCOME
    assert isinstance(told.data, OutcomeRefused)
    *named, last = told.data.errors
    assert named
    assert all(fault.field == "f" * 200 and sentence.startswith(fault.detail.removesuffix("…")) for fault in named)
    assert last.detail == f"And {number - len(named)} more, for which there is no room here."
    assert last.detail_nl == f"En nog {number - len(named)}, waarvoor hier geen ruimte is."


def test_a_request_with_more_faults_than_are_kept_is_told_that_there_are_at_least_so_many() -> None:
    _, told = outcome_of(refusal(*(Fault(detail="x" * 50) for _ in range(MOST_FAULTS))))
    assert isinstance(told.data, OutcomeRefused)
    assert told.data.errors[-1].detail.startswith("And at least ")


def test_an_answer_about_a_team_with_very_many_seats_names_the_first_that_it_lacks() -> None:
    missing = tuple(MissingSeat(seat=f"{number:064}", count=2) for number in range(200))
    result = EnrolmentResult(enrolment=LONG_ID, programme=LONG_SLUG, status="confirmed", facts=(), missing=missing)

    body, told = outcome_of(Answer(200, result.model_dump_json().encode()))

    assert len(body) <= LARGEST_OUTCOME
    assert isinstance(told.data, OutcomeAccepted)
    assert len(told.data.missing) > 20
    assert told.data.missing == missing[: len(told.data.missing)]
