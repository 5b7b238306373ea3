"""The demo's check can fail: it names each thing that did not happen, or that nobody expected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from contracts.base import Title
from contracts.programme import ProgrammeKind
from contracts.queries import Counts, EnrolmentList, EnrolmentView, MailRow, ProgrammeReport, ReasonRow
from deploy.demo.checking import Result, answer_in_words, missed
from deploy.demo.runner import DemoFailed, _clear
from deploy.demo.samples import Expected, People, Sample, Standing

PROMOTED = {"type": "enrolment.promoted.v1", "data": {"reason": {"rule": "unit-free"}}}


def view(status: str) -> EnrolmentView:
    return EnrolmentView.model_validate(
        {"enrolment": "e", "programme": "p", "status": status, "units": 1, "participants": (), "source": "demo"}
    )


REPORT = ProgrammeReport(
    programme="p",
    title=Title(nl="P", en="P"),
    kind=ProgrammeKind.MEETING,
    withdrawn=False,
    counts=Counts(people_confirmed=2, people_waiting=1),
    refusals=(ReasonRow(rule="closed", nl="n", en="e", refusals=1),),
    organisations=(),
    provinces=(),
    roles=(),
    seats=(),
    days=(),
    mails=(MailRow(purpose="confirmation", sent=2, failed=0),),
    mails_sent=2,
    mails_failed=0,
)


@pytest.fixture
def result() -> Result:
    """Everything as expected."""
    expected = Expected(
        programme="p",
        answers=("confirmed", "refused: closed"),
        enrolments=Standing(confirmed=1, refused=1),
        people=People(confirmed=2, waiting=1),
        refusals={"closed": 1},
        promoted={"unit-free": 1},
        facts={"session.moved.v1": 1},
        mails={"confirmation": 2},
    )
    return Result(
        Sample(Path("p"), (), expected),
        ("confirmed", "refused: closed"),
        EnrolmentList(enrolments=(view("confirmed"), view("refused"))),
        [PROMOTED, {"type": "session.moved.v1", "data": {}}],
        REPORT,
    )


def test_what_is_as_expected_misses_nothing(result: Result) -> None:
    assert list(missed(result)) == []


def with_report(**changes: Any) -> Callable[[Result], Result]:
    return lambda result: replace(result, report=REPORT.model_copy(update=changes))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (
            lambda r: replace(r, answers=("waiting", "refused: closed")),
            "message 1 of requests.jsonl: answered 'waiting', not 'confirmed'",
        ),
        (lambda r: replace(r, answers=("confirmed",)), "1 messages were answered, not 2"),
        (
            lambda r: replace(r, enrolments=EnrolmentList(enrolments=(view("refused"),))),
            "registration has 0 confirmed enrolments, not 1",
        ),
        (lambda r: replace(r, facts=[*r.facts, PROMOTED]), "promotions by 'unit-free': 2, not 1"),
        (lambda r: replace(r, facts=[PROMOTED]), "facts of type 'session.moved.v1': 0, not 1"),
        (
            with_report(counts=Counts(people_confirmed=3, people_waiting=1)),
            "reporting counts 3 people confirmed, not 2",
        ),
        (
            lambda r: replace(r, enrolments=EnrolmentList(enrolments=(*r.enrolments.enrolments, view("pending")))),
            "registration has 1 pending enrolments, not 0",
        ),
        (
            with_report(counts=Counts(people_confirmed=2, people_waiting=1, people_lapsed=1)),
            "reporting counts 1 people lapsed, not 0",
        ),
        (with_report(refusals=()), "refusals by 'closed': 0, not 1"),
        (
            with_report(
                mails=(MailRow(purpose="confirmation", sent=2, failed=0), MailRow(purpose="invite", sent=1, failed=0))
            ),
            "mails for 'invite': 1, not 0",
        ),
        (with_report(mails_failed=1), "1 mails failed"),
    ],
)
def test_what_is_not_as_expected_is_named(result: Result, spoil: Callable[[Result], Result], sentence: str) -> None:
    assert list(missed(spoil(result))) == [sentence]


def test_an_outcome_is_said_in_words() -> None:
    assert answer_in_words({"data": {"status": "waiting"}}) == "waiting"
    rules = [{"rule": "closed", "detail": ""}, {"rule": "full", "detail": ""}]
    assert (
        answer_in_words({"data": {"errors": rules, "problem": "urn:deelname:problem:refused"}})
        == "refused: closed, full"
    )
    assert answer_in_words({"data": {"problem": "urn:deelname:problem:not-json"}}) == "refused: not-json"
    unread = {"errors": [{"rule": "characters"}], "problem": "urn:deelname:problem:invalid"}
    assert answer_in_words({"data": unread}) == "refused: invalid"
    assert answer_in_words(None) == "no answer"


def test_a_demo_s_directory_is_emptied_and_anybody_else_s_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "demo"
    _clear(mine)
    (mine / "rest").write_text("of an earlier demo")
    _clear(mine)
    assert [path.name for path in mine.iterdir()] == [".deelname-demo"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("mine")
    with pytest.raises(DemoFailed, match="no demo put there"):
        _clear(other)
    assert (other / "precious").read_text() == "mine"
