"""The doctor's own words, before a system that runs by another time."""

from __future__ import annotations

import asyncio
import functools
import http.client
import json
import socket
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from cli.doctor import links
from cli.doctor.findings import Report
from cli.doctor.services import _examine_clocks, _examine_http
from services.chassis.links import LinkKeys
from services.chassis.opening import Opening
from tests.cli.conftest import Deelname
from tests.ports import free_ports
from tests.tool import invoke


def test_a_clock_that_was_set_is_something_to_look_at_and_nothing_wrong(deelname: Deelname) -> None:
    outcome = deelname("doctor", "--free", 0)
    assert outcome.code == 0, outcome.said
    assert "goes by another time than the real one: 2023-02-06" in outcome.said
    assert "docs/operations.md#clocks" in outcome.said
    assert "Nothing is wrong" in outcome.said


@pytest.mark.parametrize(
    ("clock", "ahead", "shows_ahead", "codes"),
    [
        ("machine", 0, 0, []),
        ("machine", -3600, -3600, ["clock-differs"]),
        ("set", 0, 86400, ["clock-set"]),
        ("set", 0, 0, []),
        ("set", -3600, 86400, ["clock-differs", "clock-set"]),
        (None, -3600, -3600, ["clock-differs"]),
        (None, 0, 86400, ["clock-set"]),
    ],
)
def test_a_setting_is_blamed_for_the_time_only_where_it_is_set(
    clock: str | None, ahead: int, shows_ahead: int, codes: list[str]
) -> None:
    asked = datetime.now(UTC).replace(microsecond=0)
    headers = http.client.HTTPMessage()
    headers["date"] = format_datetime(asked + timedelta(seconds=ahead), usegmt=True)
    ready = {"now": (asked + timedelta(seconds=shows_ahead)).isoformat(), **({"clock": clock} if clock else {})}
    report = Report()
    _examine_clocks(report, "registration", ready, headers, asked)
    assert [finding.code for finding in report.findings] == codes
    assert all("DEELNAME_NOW" not in finding.what for finding in report.findings if finding.code == "clock-differs")


def test_a_service_that_says_nothing_is_told_from_one_that_is_not_there(
    deelname: Deelname, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.doctor.services._PATIENCE", 0.2)
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        silent = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        nobody = f"http://127.0.0.1:{free_ports(1)}"
        outcome = deelname("doctor", "--http", f"reporting={silent}", "--http", f"notifications={nobody}", "--json")
    found = {finding["part"]: finding for finding in outcome.json["findings"] if finding["wrong"]}
    assert (found["reporting"]["code"], found["notifications"]["code"]) == ("service-silent", "service-not-answering")
    assert "kill it" in found["reporting"]["remedy"]


def test_an_address_of_another_service_is_noticed(deelname: Deelname, running: Path) -> None:
    """Both are well; what is read there is another's."""
    other = json.loads(running.read_text())["http"]["notifications"]
    outcome = deelname("doctor", "--free", 0, "--http", f"registration={other}", "--json")
    assert outcome.code == 1
    (found,) = [finding for finding in outcome.json["findings"] if finding["wrong"]]
    assert (found["part"], found["code"]) == ("registration", "another-service")
    assert f"what answers at {other} is notifications" in found["what"]


NEW, OLD, OTHER = b"n" * 32, b"o" * 32, b"x" * 32


@pytest.mark.parametrize(
    ("makes", "believes", "found"),
    [
        ({"b": NEW, "a": OLD}, {"b": NEW, "a": OLD}, []),
        ({"b": NEW}, {"b": NEW, "a": OLD}, []),
        ({"a": OLD}, {"b": NEW, "a": OLD}, [("link-keys-half-rotated", False)]),
        ({"b": NEW, "a": OLD}, {"a": OLD}, [("links-refused", True)]),
        ({"a": OLD}, {"a": OTHER}, [("links-refused", True)]),
        ({"a": OLD}, {"b": OLD}, [("links-refused", True)]),
        ({"b": NEW, "a": OLD}, {"b": OTHER, "a": OLD}, [("links-refused", True)]),
    ],
)
def test_keys_of_links_that_do_not_fit_are_told_from_a_rotation_under_way(
    makes: dict[str, bytes], believes: dict[str, bytes], found: list[tuple[str, bool]]
) -> None:
    report = Report()
    links.examine(
        report,
        {
            "notifications": {"links": LinkKeys(makes).description},
            "registration": {"links": LinkKeys(believes).description},
        },
    )
    assert [(finding.code, finding.wrong) for finding in report.findings] == found
    assert all("notifications" in finding.remedy for finding in report.findings)


@pytest.mark.parametrize(
    "answers",
    [
        {},
        {"registration": {"links": LinkKeys({"a": OLD}).description}},
        {"registration": {}, "notifications": {"links": LinkKeys({"a": OLD}).description}},
        {"registration": {"links": True}, "notifications": {"links": ["a"]}},
        {"registration": {"links": {"newest": "a", "fingerprints": ["a"]}}, "notifications": {"links": {"newest": []}}},
    ],
)
def test_of_a_service_that_says_nothing_of_its_keys_nothing_is_said(answers: dict[str, dict[str, object]]) -> None:
    report = Report()
    links.examine(report, answers)
    assert not report.findings
    assert not report.checked


def test_a_system_that_was_killed_is_one_finding_with_how_to_start_it(tmp_path: Path) -> None:
    endpoints = tmp_path / "endpoints.json"
    endpoints.write_text(f'{{"nats": {{}}, "data": "{tmp_path}", "process": 1}}')
    (tmp_path / "lock").write_text("1")
    outcome = invoke("doctor", "--endpoints", endpoints, "--json")
    assert outcome.code == 1
    (finding,) = outcome.json["findings"]
    assert finding["code"] == "system-not-running"
    assert f"deelname up --data {tmp_path}" in finding["remedy"]


@pytest.mark.parametrize(
    ("service", "remedy"), [("reporting", "Delete it"), ("registration", "Restore the newest backup")]
)
@pytest.mark.parametrize("error", ["file is not a database", "database disk image is malformed"])
def test_a_database_that_is_damaged_is_said_with_what_cures_it(
    tmp_path: Path, service: str, remedy: str, error: str
) -> None:
    last = {"level": "critical", "exception": [{"exc_type": "DatabaseError", "exc_value": error}]}
    (tmp_path / f"{service}.log").write_text(json.dumps(last) + "\n")
    endpoints = tmp_path / "endpoints.json"
    nobody = f"http://127.0.0.1:{free_ports(1)}"
    endpoints.write_text(json.dumps({"nats": {}, "logs": str(tmp_path), "http": {service: nobody}}))
    (finding,) = invoke("doctor", "--endpoints", endpoints, "--json").json["findings"]
    assert (finding["part"], finding["code"], finding["section"]) == (service, "database-damaged", "database-lost")
    assert finding["remedy"].startswith(remedy)


@pytest.mark.parametrize(
    "address",
    [
        "reception=http://127.0.0.1:1",
        "registration=127.0.0.1:1",
        "registration=http://a:99999",
        "registration=http://[a",
    ],
)
def test_an_address_of_no_service_is_wrong_usage(deelname: Deelname, address: str) -> None:
    outcome = deelname("doctor", "--http", address)
    assert outcome.code == 2
    assert "registration=https://" in outcome.said


def test_without_a_system_it_says_how_to_name_one(tmp_path: Path) -> None:
    outcome = invoke("doctor", "--endpoints", tmp_path / "none.json")
    assert outcome.code == 2


def test_nothing_is_ended_that_deelname_up_did_not_start(tmp_path: Path) -> None:
    endpoints = tmp_path / "endpoints.json"
    endpoints.write_text('{"nats": {}}')
    outcome = invoke("down", "--endpoints", endpoints)
    assert outcome.code == 2
    assert "Compose" in outcome.said
    endpoints.write_text(f'{{"nats": {{}}, "data": "{tmp_path}", "process": 1}}')
    outcome = invoke("down", "--endpoints", endpoints)
    assert outcome.code == 1
    assert "Nothing runs on" in outcome.said


def test_an_address_with_a_password_is_refused_without_repeating_it(deelname: Deelname) -> None:
    outcome = deelname("doctor", "--http", "registration=https://me:geheim@deelname.example")
    assert (outcome.code, "geheim" in outcome.said) == (2, False)
    assert "can see a command line" in outcome.said


async def test_a_service_that_starts_is_told_from_one_that_does_not_answer() -> None:
    async with Opening("reporting", "127.0.0.1", 0) as opening:
        opening.progress.wait()
        report = Report()
        look = functools.partial(_examine_http, report, "reporting", opening.address, None, free=0, days=1)
        await asyncio.to_thread(look)
    (finding,) = report.findings
    assert finding.code == "service-starting"
    assert finding.what == "it starts: it waits for the broker, or reads what it knows."
