"""The service as a whole: staff at the real broker, ten places for two hundred, nobody's data where it must not be."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from contracts import subjects
from contracts.facts import FACTS, SERVICES
from contracts.intake import LARGEST_OUTCOME
from deploy.identities import TOPOLOGY_PARTNERS
from deploy.streams import OUTCOME_BYTES, outcomes_per_subject
from services.registration import app
from services.registration.handlers import Handlers
from tests.registration.domain.given import IN_ORDER, programme
from tests.registration.system import PARTNERS, System, event, partner, running_system, wish

PERSONS = {
    "Wilhelmina Zonnebloemstra": "w.zonnebloemstra@bibliotheek-zeist.example",
    "Ottoline Kwartelvanger": "kwartelvanger@vrijwilligers.example",
}
TRACES = ("zonnebloem", "kwartelvanger", "wilhelmina", "ottoline", "vrijwilligers.example")


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("app")) as system:
        yield system


async def test_two_hundred_at_once_for_ten_places_are_ten(system: System) -> None:
    await system.open("druk", capacity=10, waiting_list=IN_ORDER)
    async with system.staff() as ask:
        answers = await asyncio.gather(
            *(ask("do.registration.enrolment.request", wish("druk", f"p{number}@x.example")) for number in range(200))
        )
    assert Counter(answer["status"] for _, answer in answers) == {"confirmed": 10, "waiting": 190}
    assert sorted(answer["place"] for _, answer in answers if "place" in answer) == list(range(1, 191))


async def test_staff_does_and_asks_everything(system: System) -> None:
    await system.open("alles", capacity=1, waiting_list=IN_ORDER)
    async with system.staff() as ask:

        async def good(words: str, body: Any) -> Any:
            status, answer = await ask(words, body)
            assert status == 200, answer
            return answer

        theme = {"id": "taal", "title": {"nl": "Taal", "en": "Language"}}
        assert (await good("do.registration.theme.publish", {"theme": theme}))["facts"] == ["theme.published.v1"]
        assert [one["id"] for one in (await good("ask.registration.theme.list", {}))["themes"]] == ["taal"]
        assert len((await good("ask.registration.organisation.list", {}))["organisations"]) == 3
        first = await good("do.registration.enrolment.request", wish("alles", "noor@x.example") | {"id": "r1"})
        second = await good("do.registration.enrolment.request", wish("alles", "sam@x.example"))
        assert (first["status"], second["status"], second["place"]) == ("confirmed", "waiting", 1)
        refused = await ask("do.registration.enrolment.promote", {"enrolment": second["enrolment"]})
        assert (refused[0], refused[1]["errors"][0]["rule"]) == (409, "full")
        await good("do.registration.enrolment.withdraw", {"request": "r1"})
        view = await good("ask.registration.enrolment.get", {"enrolment": second["enrolment"]})
        assert [one["type"] for one in view["history"]] == ["enrolment.waitlisted.v1", "enrolment.promoted.v1"]
        assert view["history"][1]["reason"]["nl"].startswith("Er is een plek vrij")
        by_email = {"email": " SAM@x.example "}
        export = await good("ask.registration.person.export", by_email)
        assert [one["enrolment"] for one in export["enrolments"]] == [second["enrolment"]]
        assert (await good("do.registration.person.correct", by_email | {"new_name": "Samira"}))[
            "result"
        ] == "corrected"
        assert (await good("do.registration.person.correct", by_email | {"new_name": "Samira"}))[
            "result"
        ] == "unchanged"
        noor = {"new_email": "Noor@x.example", "new_name": "NOOR DE WIT"}
        taken = await ask("do.registration.person.correct", by_email | noor)
        assert (taken[0], taken[1]["type"]) == (409, "urn:deelname:problem:would-merge")
        eva = {"enrolment": second["enrolment"], "participant": {"person": {"name": "Eva", "email": "eva@x.example"}}}
        assert (await ask("do.registration.participant.add", eva))[0] == 409
        change = {"enrolment": second["enrolment"], "email": "sam@x.example", "role": "taalhuis"}
        assert (await good("do.registration.participant.change", change))["facts"] == ["participant.changed.v1"]
        del change["role"]
        withdrawn = await good("do.registration.participant.withdraw", change)
        assert withdrawn["status"] == "withdrawn"
        assert (await good("do.registration.person.erase", by_email))["result"] == "erased"
        assert (await ask("do.registration.person.erase", by_email))[0] == 404
        gone = await good("do.registration.programme.withdraw", {"programme": "alles"})
        assert gone["facts"] == ["programme.withdrawn.v1"]
        listed = (await good("ask.registration.programme.list", {}))["programmes"]
        assert [(one["withdrawn"], one["open"]) for one in listed if one["id"] == "alles"] == [(True, False)]
        piece = await good("ask.registration.log.read", {"programme": "alles", "limit": 1000})
        assert [fact["version"] for fact in piece["facts"]] == list(range(1, len(piece["facts"]) + 1))
        waiting = {"programme": "alles", "status": "waiting"}
        assert (await good("ask.registration.enrolment.list", waiting))["enrolments"] == []


async def test_the_flood_of_one_partner_pushes_out_no_answer_to_another(system: System) -> None:
    await system.open("vloed")
    request = event("vloed-1", wish("vloed", "noor@vloed.example"), source="school-x")
    heaviest = event("", {"programme": "vloed", "participants": [{"person": {"name": "", "email": "@"}}] * 100})
    async with (
        partner(system, "school-x") as quiet,
        partner(system, "demo") as loud,
        system.client(TOPOLOGY_PARTNERS) as owner,
    ):
        jsm = owner.jsm()

        async def unread() -> int:
            return (await jsm.consumer_info(subjects.OUTCOMES_STREAM, "school-x")).num_pending or 0

        usual = (await jsm.stream_info(subjects.OUTCOMES_STREAM)).config
        await quiet.send(request)
        await until(unread, 1)
        # As a gibibyte is to a flood that fills it.
        room = 9 * OUTCOME_BYTES
        shares = outcomes_per_subject(len(PARTNERS), room)
        await jsm.update_stream(replace(usual, max_bytes=room, max_msgs_per_subject=shares))
        before = (await jsm.stream_info(subjects.OUTCOMES_STREAM)).state.last_seq

        async def answered() -> int:
            return (await jsm.stream_info(subjects.OUTCOMES_STREAM)).state.last_seq - before

        await asyncio.gather(*(loud.send(heaviest.replace(b'""', b'"v%d"' % n, 1)) for n in range(40)))
        await until(answered, 40)

        held = (await jsm.stream_info(subjects.OUTCOMES_STREAM, subjects_filter=subjects.outcomes())).state
        assert (held.subjects or {})["outcome.demo.refused"] == shares == 2
        assert LARGEST_OUTCOME * 0.9 * shares < held.bytes <= OUTCOME_BYTES * held.messages
        (outcome,) = await quiet.outcomes(1)
        assert outcome["data"]["request"] == "vloed-1"
        await loud.take_all()
        await jsm.update_stream(usual)


async def test_an_answer_that_was_dropped_comes_again_with_its_request(system: System) -> None:
    await system.open("oud")
    request = event("oud-1", wish("oud", "noor@oud.example"), source="school-x")
    async with (
        partner(system, "school-x") as school,
        partner(system) as demo,
        system.client(TOPOLOGY_PARTNERS) as owner,
    ):
        usual = (await owner.jsm().stream_info(subjects.OUTCOMES_STREAM)).config

        async def unread() -> int:
            return (await owner.jsm().consumer_info(subjects.OUTCOMES_STREAM, "school-x")).num_pending or 0

        await school.send(request)
        await until(unread, 1)
        # As answers go with age, or when the partner has had too many since.
        await owner.jsm().update_stream(replace(usual, max_msgs=1))
        await demo.send(b"not json")
        await demo.outcomes(1)
        await until(unread, 0)
        await owner.jsm().update_stream(usual)

        await school.send(request)
        (outcome,) = await school.outcomes(1)
        assert outcome["data"]["request"] == "oud-1"
        assert outcome["type"] == "outcome.accepted.v1"
    assert len(await system.enrolments("oud")) == 1


async def until(asked: Callable[[], Awaitable[int]], expected: int) -> None:
    async with asyncio.timeout(20):
        while await asked() != expected:  # noqa: ASYNC110  # the broker tells when asked
            await asyncio.sleep(0.05)


async def test_an_address_with_an_international_host_is_one_in_each_spelling(system: System) -> None:
    await system.open("spelling")
    async with system.staff() as ask:
        status, made = await ask("do.registration.enrolment.request", wish("spelling", "Noor@Bücher.example"))
        assert status == 200
        status, problem = await ask("do.registration.enrolment.request", wish("spelling", "noor@xn--bcher-kva.example"))
        assert (status, problem["errors"][0]["rule"]) == (409, "already-enrolled")
        gone = {"enrolment": made["enrolment"], "email": "noor@bücher.example"}
        assert (await ask("do.registration.participant.withdraw", gone))[1]["status"] == "withdrawn"


async def test_a_typing_error_in_a_command_shows(system: System) -> None:
    async with system.staff() as ask:
        body = wish("druk", "a@x.example") | {"organization": "bibliotheek-zeist"}
        status, problem = await ask("do.registration.enrolment.request", body)
        assert (status, [fault["field"] for fault in problem["errors"]]) == (422, ["organization"])
        body = wish("druk", "a@x.example")
        body["participants"][0]["person"]["langauge"] = "en"
        body["participants"].append({"person": {"name": "Sam", "email": "sam@x.example"}})
        status, problem = await ask("do.registration.enrolment.request", body)
        assert (status, [fault["field"] for fault in problem["errors"]]) == (422, ["participants.0.person.langauge"])


async def test_no_byte_of_a_person_is_in_the_log_its_stream_or_what_the_service_says(system: System) -> None:
    await system.open("stil", capacity=1)
    async with system.staff() as ask, partner(system) as demo:
        for number, (name, email) in enumerate(PERSONS.items()):
            person = {"person": {"name": name, "email": email}}
            await ask("do.registration.enrolment.request", {"programme": "stil", "participants": [person, person]})
            await ask(
                "do.registration.enrolment.request",
                {"programme": "stil", "participants": [person]} | {"id": f"q{number}"},
            )
            await ask(
                "do.registration.enrolment.request", {"programme": "stil", "participants": [person], "typo": name}
            )
            await ask("do.registration.person.correct", {"email": email, "new_name": f"{name} Junior"})
            await ask("do.registration.person.correct", {"email": email, "new_email": f"{name}@localhost"})
            await ask("do.registration.person.erase", {"email": f"niet.{email}"})
            await demo.send(event(f"stil-{number}", wish("stil", email, name=name)))
            await demo.send(event(f"stil-kapot-{number}", wish("stil", f"{name}@localhost", name=f"{name}\n")))
        outcomes = await demo.outcomes(4)
    await _relayed(system)
    kept = {path: path.read_bytes() for path in system.broker.store.rglob("*.blk")}
    logs = {path: held for path, held in kept.items() if "LOG_REGISTRATION" in str(path) or "OUTCOMES" in str(path)}
    assert any(b"enrolment.refused.v1" in held for held in logs.values())
    assert b"zonnebloemstra" in b"".join(held for path, held in kept.items() if "KV_contacts" in str(path))
    for path, held in logs.items():
        assert not _traces(held), path
    assert not _traces(json.dumps(outcomes).encode())
    assert not _traces(system.journal.read_bytes())
    connection = sqlite3.connect(f"file:{system.database}?mode=ro", uri=True)
    for table in ("log", "outcomes", "requests", "enrolments", "deliveries"):
        assert not _traces(repr(connection.execute(f"SELECT * FROM {table}").fetchall()).encode()), table
    connection.close()


def _traces(held: bytes) -> list[str]:
    text = held.lower()
    return [trace for trace in TRACES if trace.encode() in text]


async def _relayed(system: System) -> None:
    """Wait until the stream is as far as the log."""
    while any(relay["lag"] or not relay["following"] for relay in system.get("/health/ready")[1]["relays"].values()):
        system.wait(0.02)


def test_a_restart_in_order_ends_with_nought_and_finds_everything(system: System) -> None:
    asyncio.run(system.open("her", capacity=1))
    before = system.get("/api/programmes")
    assert system.stop() == 0
    system.start()
    assert system.get("/api/programmes") == before


def test_the_document_describes_every_subject_and_fact() -> None:
    document = app.document()
    assert document["asyncapi"].startswith("3.")
    channels = set(document["channels"])
    for route in app.routes(Handlers.__new__(Handlers)):
        assert route.subject in channels
        assert document["operations"][route.subject]["reply"]
    for name, service in SERVICES.items():
        entity, fact, _ = name.split(".")
        assert (f"log.registration.{{programme}}.{entity}.{fact}" in channels) is (service == "registration")
    assert len(FACTS) == len(SERVICES)
    for kind in (
        "enrolment.request",
        "enrolment.withdraw",
        "participant.add",
        "participant.change",
        "participant.withdraw",
    ):
        assert f"intake.{{source}}.{kind}" in channels
    assert {"outcome.{source}.accepted", "outcome.{source}.refused"} <= channels
    assert app.document() == document


def test_every_route_has_words_of_its_own() -> None:
    routes = app.routes(Handlers.__new__(Handlers))
    assert len({route.subject for route in routes}) == len(routes)
    assert all(re.fullmatch(r"(do|ask)\.registration\.[a-z]+\.[a-z]+", route.subject) for route in routes)


def test_the_organisers_programme_is_what_they_published(system: System) -> None:
    asyncio.run(system.open("zo", capacity=3))
    definition = system.get("/api/programmes/zo")[1]["definition"]
    wanted = programme(capacity=3).model_copy(update={"id": "zo"}).model_dump(mode="json", exclude_none=True)
    assert definition == wanted
