"""What the tool shows of requests that strangers sent, and how the staff vouch for one, in a system that runs."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Deelname, definition

# One system for all of them, not one for each worker.


@pytest.fixture
def many(deelname: Deelname, programme: str, tmp_path: Path) -> str:
    """The programme with places enough to hold two for strangers."""
    path = tmp_path / "many.yaml"
    confirmation = "confirmation: { within_hours: 24, held_percent: 20, source_percent: 20 }"
    path.write_text(definition(programme, capacity=10).replace("capacity:", f"{confirmation}\n  capacity:"))
    published = deelname("programme", "publish", path)
    assert "The enrolment rules change (confirmation)." in " ".join(published.said.split())
    return programme


def ask_in_public(running: Path, programme: str, *names: str) -> None:
    """As the form on the page of a programme does."""
    people = [{"person": {"name": name, "email": f"{name.lower()}@{programme}.example"}} for name in names]
    body = {"programme": programme, "organisation": "bibliotheek-zeist", "participants": people}
    face = json.loads(running.read_text())["http"]["registration"]
    asked = urllib.request.Request(
        f"{face}/api/enrolments", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    with urllib.request.urlopen(asked, timeout=20) as answer:
        assert answer.status == 202


def pending(deelname: Deelname, programme: str) -> dict[str, dict[str, Any]]:
    """What has yet to be confirmed, by who has to."""
    views = deelname("enrolment", "list", programme, "--status", "pending", "--json").json["enrolments"]
    return {view["participants"][0]["contact"]["name"]: view for view in views}


def test_who_has_yet_to_confirm_and_until_when_is_shown(deelname: Deelname, running: Path, many: str) -> None:
    ask_in_public(running, many, "Anna", "Bert", "Carla")
    assert pending(deelname, many).keys() == {"Anna", "Bert", "Carla"}
    listed = deelname("enrolment", "list", many, "--status", "pending").said
    assert "Anna (yet to confirm)" in listed
    assert "1 yet to confirm until " in listed
    shown = deelname("enrolment", "show", pending(deelname, many)["Anna"]["enrolment"]).said
    assert ": pending" in shown
    assert "1 yet to confirm until " in shown
    assert "1 place held until then" in shown
    assert "deelname enrolment confirm " in shown
    assert "enrolment.pending.v1" in shown
    assert "held until then" not in deelname("enrolment", "show", pending(deelname, many)["Carla"]["enrolment"]).said


def test_what_is_held_is_shown_beside_what_is_given_out(deelname: Deelname, running: Path, many: str) -> None:
    ask_in_public(running, many, "Anna", "Bert", "Carla")
    [row] = [row for row in deelname("programme", "list", "--json").json["programmes"] if row["id"] == many]
    assert (row["confirmed"], row["held"]) == (0, 2)
    assert "Held" in deelname("programme", "list").said
    shown = deelname("programme", "show", many).said
    assert "10 people; 0 confirmed, 2 held for who has yet to confirm, 0 waiting" in shown
    assert "who never did from that address, within 24 hours; 20% held at most, 20% by one source" in shown


def test_the_staff_vouch_for_somebody_once(deelname: Deelname, running: Path, many: str) -> None:
    ask_in_public(running, many, "Anna")
    enrolment = pending(deelname, many)["Anna"]["enrolment"]
    assert f"✓ {enrolment}: confirmed" in deelname("enrolment", "confirm", enrolment).said
    again = deelname("enrolment", "confirm", enrolment, "--json")
    assert (again.code, again.json["status"], again.json["facts"]) == (0, "confirmed", [])
    shown = deelname("enrolment", "show", enrolment).said
    assert "yet to confirm" not in shown
    assert shown.index("enrolment.pending.v1") < shown.index("enrolment.confirmed.v1")
    assert deelname("enrolment", "confirm", "unknown").code == 1


def test_a_request_that_is_given_up_says_why_it_lapsed(deelname: Deelname, running: Path, many: str) -> None:
    ask_in_public(running, many, "Anna")
    enrolment = pending(deelname, many)["Anna"]["enrolment"]
    assert deelname("enrolment", "withdraw", enrolment, "--json").json["status"] == "lapsed"
    listed = deelname("enrolment", "list", many, "--status", "lapsed").said
    assert enrolment in listed
    assert "never confirmed" in listed
    assert "It was withdrawn before it had been confirmed." in deelname("enrolment", "show", enrolment).said
    facts = len(deelname("log", "show", "--programme", many, "--json").json)
    lapsed = deelname("log", "tail", "-n", 1000, "--count", facts, "--programme", many).out.splitlines()[-1]
    assert f"enrolment.lapsed.v1  enrolment {enrolment}, because withdrawn" in lapsed
    assert deelname("enrolment", "confirm", enrolment).code == 1
