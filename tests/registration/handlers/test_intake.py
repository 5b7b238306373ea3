"""Other systems at the real broker: every message gets exactly one outcome, and none stops another."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from contracts.intake import LARGEST, parse_outcome
from services.chassis.intake import Delivery
from services.registration.handlers.intake import MOST_ATTEMPTS, Faulty, Intake, NotStored
from services.registration.store import Answer
from tests.registration.conftest import Desk
from tests.registration.domain.given import IN_ORDER
from tests.registration.system import Partner, System, event, partner, running_system, wish

PARTNERS_PAGE = Path(__file__).parents[3] / "docs" / "partners.md"
DEEP = 990
"""Levels of nesting about where Python 3.11's JSON reader just copes and its writer no longer does."""
TOO_DEEP = "not-json" if sys.version_info < (3, 12) else "unknown-type"
"""Since 3.12 the C stack is the limit, thousands of levels for both: then it is the type that is wrong."""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("intake")) as system:
        asyncio.run(system.redeliver_soon())
        yield system


def rules(outcome: dict[str, Any]) -> list[str]:
    return [error.get("rule", "") for error in outcome["data"]["errors"]]


async def test_whatever_comes_gets_one_outcome_that_says_what_to_do(system: System) -> None:
    await system.open("bont")
    injected = wish("bont", "bcc@x.example", name="Noor\r\nBcc: all@x.example")
    nested = b'{"id":"n1","type":"x","data":' + b"[" * DEEP + b"]" * DEEP + b"}"
    many_faults = event("m1", {"programme": "bont", "participants": [{}] * 20_000})
    expected: list[tuple[bytes, str]] = [
        (b"not json", "not-json"),
        (b"", "not-json"),
        (b"\xff\xfe\x00", "not-json"),
        (b"[1, 2]", "not-json"),
        (b'"text"', "not-json"),
        (b"[" * 100_000, "not-json"),
        (nested, TOO_DEEP),
        (b'{"a": 1}', "invalid"),
        (b'{"id": 7}', "invalid"),
        (b'{"id": "no spaces allowed"}', "invalid"),
        (event("u1", {}, "unknown.type.v1"), "unknown-type"),
        (event("u2", {}, type_=None), "unknown-type"),  # type: ignore[arg-type]
        (event("s1", {}, "enrolment.withdraw.v1"), "wrong-subject"),
        (event("s2", wish("bont", "a@x.example"), source="school-x"), "wrong-source"),
        (event("v1", {"programme": "bont"}), "invalid"),
        (event("v2", injected), "invalid"),
        (event("v3", wish("bont", "no-address", "noor@localhost", "me@x..example")), "invalid"),
        (event("v4", wish("bont", "noor@localhost", "me@x..example")), "invalid"),
        (event("v5", wish("bont", "noor\ud800@x.example")), "invalid"),
        (many_faults, "invalid"),
        (b"x" * 300_000, "too-large"),
        (event("l1", wish("bont", "a@x.example") | {"more": "x" * LARGEST}), "too-large"),
        (event("p1", wish("onbekend", "a@x.example")), "not-found"),
        (event("o1", wish("bont", "a@x.example", organisation="nergens")), "refused"),
    ]
    async with partner(system) as demo:
        numbers = [await demo.send(body) for body, _ in expected]
        outcomes = await demo.outcomes(len(expected))
        assert {outcome["data"]["sequence"]: outcome["data"]["problem"] for outcome in outcomes} == dict(
            zip(numbers, (problem for _, problem in expected), strict=True)
        )
        for outcome in outcomes:
            parse_outcome(json.dumps(outcome).encode())
            assert outcome["type"] == "outcome.refused.v1"
            assert outcome["data"]["errors"]
            for error in outcome["data"]["errors"]:
                assert " " in error["detail"]
                assert error["detail_nl"] != error["detail"]
                assert error["rule"]
        by_id = {outcome["data"].get("request"): outcome["data"] for outcome in outcomes}
        assert [error["field"] for error in by_id["v4"]["errors"]] == [
            "data.participants.0.person.email",
            "data.participants.1.person.email",
        ]
        page = PARTNERS_PAGE.read_text(encoding="utf-8")
        assert all(f"`{problem}`" in page for _, problem in expected)
        assert f"{LARGEST} are allowed" in by_id["l1"]["errors"][0]["detail"]
        (unknown,) = by_id["o1"]["errors"]
        assert unknown["detail_nl"].startswith("We kennen je organisatie nog niet.")
        assert unknown["parameters"] == [{"name": "organisation", "value": "nergens"}]
        assert by_id["o1"]["enrolment"]
        text = repr(outcomes)
        assert "Bcc" not in text
        assert "localhost" not in text
        assert await system.enrolments("bont")
        await demo.send(event("fine", wish("bont", "a@x.example")))
        (accepted,) = await demo.outcomes(1)
        assert accepted["data"]["status"] == "confirmed"


@pytest.mark.parametrize("subject", ["enrolment", "enrolment.request.extra", "a.b.c.d.e"])
async def test_a_subject_that_is_none_of_ours_gets_its_outcome(system: System, subject: str) -> None:
    await system.open("open")
    async with partner(system) as demo:
        await demo.send(event("x", wish("open", "a@x.example")), subject)
        (outcome,) = await demo.outcomes(1)
        assert outcome["data"]["problem"] == "wrong-subject"
        assert "intake.<source>.<entity>.<verb>" in outcome["data"]["errors"][0]["detail"]


async def test_the_same_message_again_gets_the_same_outcome_and_happens_once(system: System) -> None:
    await system.open("eens", capacity=1, waiting_list=IN_ORDER)
    async with partner(system) as demo:
        body = event("e1", wish("eens", "noor@x.example"))
        for one in (body, event("e2", wish("eens", "sam@x.example")), body, body):
            await demo.send(one)
        outcomes = await demo.outcomes(4)
        first = [outcome["data"] for outcome in outcomes if outcome["data"]["request"] == "e1"]
        assert len({one.pop("sequence") for one in first}) == 3
        assert first == [first[0]] * 3
        assert len({outcome["id"] for outcome in outcomes}) == 4
        await demo.send(event("e1", wish("eens", "eva@x.example")))
        (other,) = await demo.outcomes(1)
        assert other["data"]["problem"] == "id-reused"
        assert other["data"]["reused"] == "e1"
        assert not {"request", "enrolment", "status"} & set(other["data"])
        assert "causationid" not in other
    assert [one["status"] for one in await system.enrolments("eens")] == ["confirmed", "waiting"]


async def test_what_was_too_large_may_come_again_in_parts_under_the_same_id(system: System) -> None:
    await system.open("delen")
    async with partner(system) as demo:
        await demo.send(event("g1", wish("delen", "noor@x.example") | {"more": "x" * LARGEST}))
        (large,) = await demo.outcomes(1)
        assert (large["data"]["request"], large["data"]["problem"]) == ("g1", "too-large")
        await demo.send(event("g1", wish("delen", "noor@x.example")))
        (small,) = await demo.outcomes(1)
        assert small["data"]["status"] == "confirmed"


async def test_what_a_request_belongs_to_comes_back_and_stands_in_the_facts_that_it_causes(system: System) -> None:
    await system.open("samen")

    def about(id_: str, data: dict[str, Any], correlation: str) -> bytes:
        return json.dumps(json.loads(event(id_, data)) | {"correlationid": correlation}).encode()

    large = wish("samen", "eva@x.example") | {"more": "x" * LARGEST}
    async with partner(system) as demo:
        for body in (
            about("k1", wish("samen", "noor@x.example"), "case-1"),
            about("k2", wish("samen", "no-address"), "case-2"),
            about("k3", large, "case-3"),
            about("k4", wish("samen", "sam@x.example"), "sam@x.example"),
            event("k5", wish("samen", "kim@x.example")),
            about("k6", large, "sam@x.example"),
        ):
            await demo.send(body)
        told = {outcome["data"]["request"]: outcome for outcome in await demo.outcomes(6)}
    assert {id_: outcome.get("correlationid") for id_, outcome in told.items()} == {
        "k1": "case-1",
        "k2": "case-2",
        "k3": "case-3",
        "k4": None,
        "k5": None,
        "k6": None,
    }
    assert told["k4"]["data"]["errors"][0]["field"] == "correlationid", "facts stay, and it would stand in them"
    with closing(sqlite3.connect(f"file:{system.database}?mode=ro", uri=True)) as database:
        facts = [json.loads(row[0]) for row in database.execute("SELECT body FROM log WHERE programme = 'samen'")]
    assert {fact.get("causationid"): fact.get("correlationid") for fact in facts} == {
        None: None,
        "k1": "case-1",
        "k5": None,
    }


async def test_a_partner_changes_its_own_enrolments_by_the_id_of_its_request(system: System) -> None:
    await system.open("eigen")
    async with partner(system) as demo:

        async def ask(id_: str, kind: str, **data: Any) -> dict[str, Any]:
            await demo.send(event(id_, data, f"{kind}.v1"), kind)
            (outcome,) = await demo.outcomes(1)
            return dict(outcome["data"])

        await demo.send(event("c1", wish("eigen", "noor@x.example")))
        (made,) = await demo.outcomes(1)
        sam = {"person": {"name": "Sam", "email": "sam@x.example"}}
        assert (await ask("c2", "participant.add", request="c1", participant=sam))["status"] == "confirmed"
        eva = {"name": "Eva", "email": "eva@x.example"}
        changed = await ask(
            "c3", "participant.change", request="c1", email=" SAM@x.example", role="taalhuis", replacement=eva
        )
        assert changed["enrolment"] == made["data"]["enrolment"]
        (stands,) = await system.enrolments("eigen")
        assert [one["contact"]["email"] for one in stands["participants"]] == ["noor@x.example", "eva@x.example"]
        assert stands["participants"][1]["role"] == "taalhuis"
        assert (await ask("c4", "participant.withdraw", request="c1", email="eva@x.example"))["status"] == "confirmed"
        assert (await ask("c5", "enrolment.withdraw", enrolment=stands["enrolment"]))["status"] == "withdrawn"
        assert (await ask("c6", "enrolment.withdraw", request="unheard"))["problem"] == "not-found"
        assert (await ask("c7", "enrolment.withdraw"))["problem"] == "invalid"
        assert (await ask("c8", "enrolment.withdraw", enrolment="x", request="c1"))["problem"] == "invalid"


async def test_nobody_touches_what_another_brought_in(system: System) -> None:
    await system.open("ander")
    async with partner(system) as demo, partner(system, "school-x") as school:
        await demo.send(event("t1", wish("ander", "noor@x.example")))
        (made,) = await demo.outcomes(1)
        enrolment = made["data"]["enrolment"]
        sam = {"person": {"name": "Sam", "email": "sam@x.example"}}
        attempts: list[tuple[str, dict[str, Any]]] = [
            ("enrolment.withdraw", {"enrolment": enrolment}),
            ("enrolment.withdraw", {"request": "t1"}),
            ("participant.add", {"enrolment": enrolment, "participant": sam}),
            ("participant.change", {"enrolment": enrolment, "email": "noor@x.example", "role": "x"}),
            ("participant.withdraw", {"enrolment": enrolment, "email": "noor@x.example"}),
        ]
        for number, (kind, data) in enumerate(attempts):
            await school.send(event(f"a{number}", data, f"{kind}.v1", "school-x"), kind)
        outcomes = await school.outcomes(len(attempts))
        assert {outcome["data"]["problem"] for outcome in outcomes} == {"not-found"}
        assert (await system.enrolments("ander"))[0]["status"] == "confirmed"
        # The same id from another partner is another message.
        await school.send(event("t1", wish("ander", "eva@x.example"), source="school-x"))
        assert (await school.outcomes(1))[0]["data"]["status"] == "confirmed"


async def _burst(demo: Partner, programme: str, number: int) -> dict[int, str]:
    """Valid requests between poison; the number in the stream of each, and its id or nothing."""
    bodies: list[tuple[str, bytes]] = []
    for index in range(number):
        bodies.append((f"{programme}-{index}", event(f"{programme}-{index}", wish(programme, f"p{index}@x.example"))))
        if index % 10 == 0:
            bodies.append(("", b"{" * (index + 1)))
    numbers = await asyncio.gather(*(demo.send(body) for _, body in bodies))
    return dict(zip(numbers, (id_ for id_, _ in bodies), strict=True))


def _each_once(outcomes: list[dict[str, Any]], sent: dict[int, str], places: int) -> None:
    requests = Counter(outcome["data"].get("request", "") for outcome in outcomes)
    assert requests == Counter(sent.values())
    status = Counter(outcome["data"].get("status") for outcome in outcomes if outcome["data"].get("request"))
    assert status == {"confirmed": places, "waiting": sum(1 for id_ in sent.values() if id_) - places}


async def test_a_burst_between_poison_through_a_broker_killed_in_the_middle(system: System) -> None:
    await system.open("stroom", capacity=40, waiting_list=IN_ORDER)
    async with partner(system) as demo:
        sent = await _burst(demo, "stroom", 300)
        system.broker.kill()
        await asyncio.to_thread(system.broker.start)
        outcomes = await demo.outcomes(len(sent), within=40)
        _each_once(outcomes, sent, 40)
    enrolments = await system.enrolments("stroom")
    assert Counter(one["status"] for one in enrolments) == {"confirmed": 40, "waiting": 260}


def _until_enrolled(system: System, programme: str, number: int) -> None:
    deadline = monotonic() + 20
    watching = sqlite3.connect(f"file:{system.database}?mode=ro", uri=True)
    while watching.execute("SELECT count(*) FROM enrolments WHERE programme = ?", (programme,)).fetchone()[0] < number:
        assert monotonic() < deadline, "the service takes nothing in"
        system.wait(0.001)
    watching.close()


async def test_a_service_killed_between_commit_and_acknowledgement_answers_once(system: System) -> None:
    await system.open("klap", capacity=10, waiting_list=IN_ORDER)
    async with partner(system) as demo:
        sending = asyncio.create_task(_burst(demo, "klap", 150))
        await asyncio.to_thread(_until_enrolled, system, "klap", 20)
        system.kill()
        sent = await sending
        await asyncio.to_thread(system.start)
        outcomes = await demo.outcomes(len(sent), within=45)
        _each_once(outcomes, sent, 10)


def _delivery(sequence: int, body: bytes, attempt: int = 1) -> Delivery:
    stored = datetime(2023, 3, 2, tzinfo=UTC)
    return Delivery("intake.demo.enrolment.request", body, {}, "INTAKE_DEMO", sequence, stored, attempt)


class TestDelivery:
    """One delivery at a time, without a broker in between."""

    async def test_twice_is_answered_once(self, desk: Desk) -> None:
        await desk.open()
        intake = Intake(desk.writer, lambda: desk.now, lambda _stored: desk.now, lambda: None)
        for attempt in (1, 2, 3):
            await intake.handle(_delivery(1, event("d1", wish("ontmoeting", "noor@x.example")), attempt))
        await intake.handle(_delivery(2, event("d1", wish("ontmoeting", "noor@x.example"))))
        assert await desk.count("outcomes") == 2
        assert (await desk.state()).confirmed == 1

    async def test_that_cannot_be_stored_stays_in_the_stream(self, desk: Desk) -> None:
        await desk.open()
        intake = Intake(desk.writer, lambda: desk.now, lambda _stored: desk.now, lambda: None)
        await desk.database.run(lambda raw: raw.execute("PRAGMA query_only = ON"))
        for attempt in (1, MOST_ATTEMPTS, 99):
            with pytest.raises(NotStored):
                await intake.handle(_delivery(1, event("d1", wish("ontmoeting", "noor@x.example")), attempt))
        await desk.database.run(lambda raw: raw.execute("PRAGMA query_only = OFF"))
        await intake.handle(_delivery(1, event("d1", wish("ontmoeting", "noor@x.example")), 100))
        assert await desk.count("outcomes") == 1

    async def test_that_meets_a_fault_of_ours_is_answered_after_some_attempts_and_may_be_sent_again(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await desk.open()
        intake = Intake(desk.writer, lambda: desk.now, lambda _stored: desk.now, lambda: None)
        body = event("d1", wish("ontmoeting", "noor@x.example"))

        def fault(*_: object) -> Answer:
            raise KeyError("a fault of ours")

        with monkeypatch.context() as broken:
            broken.setattr("services.registration.handlers.enrolments.decide", fault)
            for attempt in range(1, MOST_ATTEMPTS):
                with pytest.raises(Faulty):
                    await intake.handle(_delivery(1, body, attempt))
            await intake.handle(_delivery(1, body, MOST_ATTEMPTS))
        assert await desk.count("outcomes") == 1
        assert await desk.count("requests") == 0
        await intake.handle(_delivery(2, body))
        assert (await desk.state()).confirmed == 1
