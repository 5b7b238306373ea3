"""Playing a partner: messages are judged as registration will judge them, sent, and matched with their outcomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.intake_files import IntakeMessage, judge, read_messages
from contracts.intake import LARGEST
from tests.cli.conftest import Deelname
from tests.tool import invoke

# One system for all of them, not one for each worker.


def message(id_: str, programme: str = "gesprek", name: str = "Anna", **changes: Any) -> dict[str, Any]:
    found = {
        "specversion": "1.0",
        "id": id_,
        "source": "demo",
        "type": "enrolment.request.v1",
        "time": "2023-02-06T09:00:00+01:00",
        "data": {
            "programme": programme,
            "organisation": "bibliotheek-zeist",
            "participants": [{"person": {"name": name, "email": f"{name.lower()}@{programme}.example"}}],
        },
    }
    return found | changes


def judged(content: object) -> tuple[tuple[str, ...], tuple[str, ...]]:
    text = content if isinstance(content, str) else json.dumps(content)
    verdict = judge(IntakeMessage(Path("x.json"), 1, text), "demo")
    return verdict.errors, verdict.warnings


def test_a_good_message_has_nothing_against_it() -> None:
    assert judged(message("a")) == ((), ())


def test_what_registration_would_ignore_is_warned_of_with_what_was_perhaps_meant() -> None:
    content = message("a", correlatonid="x")
    content["data"]["organization"] = "bibliotheek-zeist"
    content["data"]["participants"][0]["person"]["langauge"] = "en"
    errors, warnings = judged(content)
    assert errors == ()
    assert set(warnings) == {
        "correlatonid: unknown field, would be ignored; did you mean 'correlationid'?",
        "data.organization: unknown field, would be ignored; did you mean 'organisation'?",
        "data.participants.0.person.langauge: unknown field, would be ignored; did you mean 'language'?",
    }


def test_another_source_than_the_partner_is_warned_of() -> None:
    assert judged(message("a", source="biblionet"))[1] == (
        "source: 'biblionet' is not 'demo', as whom it would be sent",
    )


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes at column 2"),
        ("[]", "is not a JSON object"),
        (message("a", type="enrolment.requst.v1"), "did you mean 'enrolment.request.v1'?"),
        (message("a", time="2023-02-06T09:00:00"), "time: input should have timezone info"),
        (
            message("a", name="Anna\r\nBcc: x@y.example"),
            "name: character 5 cannot stand here: CARRIAGE RETURN, U+000D",
        ),
        (message("a", data={}), "data.programme: is missing"),
        (
            message("a", data=message("b")["data"] | {"participants": []}),
            "data.participants: must have at least 1",
        ),
        (message("a", padding="x" * LARGEST), f"at most {LARGEST} are taken"),
    ],
    ids=["not JSON", "a list", "unknown type", "no time zone", "line break", "missing", "nobody", "too large"],
)
def test_what_registration_would_refuse_is_an_error(content: object, error: str) -> None:
    errors, _ = judged(content)
    assert any(error in found for found in errors), errors


def test_a_file_holds_one_message_a_list_or_one_a_line(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(message("a"), indent=2))
    assert [found.id for found in read_messages(path)] == ["a"]
    path.write_text(json.dumps([message("a"), message("b")]))
    assert [found.id for found in read_messages(path)] == ["a", "b"]
    path.write_text(f"{json.dumps(message('a'))}\n\nnot JSON\n{json.dumps(message('b'))}\n")
    assert [(found.line, found.id) for found in read_messages(path)] == [(1, "a"), (3, None), (4, "b")]


def test_check_needs_no_broker(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(message('a'))}\nnot JSON\n")
    told = invoke("intake", "check", path)
    assert told.code == 1
    assert f"{path}:2" in told.said
    assert [entry["valid"] for entry in invoke("intake", "check", path, "--json").json] == [True, False]


def test_every_message_has_its_outcome_also_what_nobody_can_read(
    deelname: Deelname, programme: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.jsonl"
    first = message(f"{programme}-1", programme)
    lines = [
        json.dumps(first),
        "not JSON",
        json.dumps(first),
        json.dumps(message(f"{programme}-1", programme, name="Cor")),
        json.dumps(message(f"{programme}-2", programme, type="enrolment.cancel.v1")),
        json.dumps(message(f"{programme}-3", programme, name="Bert")),
    ]
    path.write_text("\n".join(lines) + "\n")
    sent = deelname("intake", "send", path, "--json")
    assert sent.code == 1
    outcomes = [entry["outcome"]["data"] for entry in sent.json]
    assert [outcome.get("status", "refused") for outcome in outcomes] == [
        "confirmed", "refused", "confirmed", "refused", "refused", "confirmed",
    ]  # fmt: skip
    assert outcomes[0]["enrolment"] == outcomes[2]["enrolment"]
    assert len({outcome["enrolment"] for outcome in outcomes if outcome.get("status")}) == 2


def test_what_is_accepted_ends_with_0_and_is_shown(deelname: Deelname, programme: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(message(f"{programme}-9", programme)))
    sent = deelname("intake", "send", path)
    assert sent.code == 0
    assert f"✓ {programme}-9: confirmed" in sent.said


def test_a_refusal_is_shown_rule_by_rule_in_the_language_asked_for(
    deelname: Deelname, programme: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.json"
    content = message(f"{programme}-8", programme)
    content["data"]["organisation"] = "bibliotheek-almelo"
    path.write_text(json.dumps(content))
    sent = deelname("intake", "send", path, "--language", "nl")
    assert sent.code == 1
    assert "Dit programma is bedoeld voor organisaties in Utrecht. (province-not-eligible)" in sent.said


def test_without_waiting_the_outcome_can_be_read_later(deelname: Deelname, programme: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(message(f"{programme}-7", programme)))
    sent = deelname("intake", "send", path, "--wait", 0)
    assert sent.code == 3
    assert "deelname intake outcomes" in sent.err
    found = deelname("intake", "outcomes", "--wait", 2, "--json").json
    assert [outcome["data"]["request"] for outcome in found] == [f"{programme}-7"]
    assert deelname("intake", "outcomes", "--wait", 0.2).said == "No outcome is waiting."


def test_staff_are_no_partner(deelname: Deelname, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text(json.dumps(message("a")))
    told = deelname("intake", "send", path, "--as", "staff")
    assert told.code == 3
    assert "Use --as with a partner that the system knows" in told.said
