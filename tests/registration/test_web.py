"""The HTTP face, over HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from contracts.commands import EnrolmentReceipt
from contracts.queries import ProgrammeList, ProgrammeView
from contracts.session import Online
from services.chassis.identity import new_id
from services.registration import app
from services.registration.handlers import Handlers
from services.registration.handlers.programmes import LARGEST_DEFINITION
from tests.registration.domain.given import IN_ORDER, SESSION, programme, track
from tests.registration.system import System, running_system

LINK = "https://vergaderen.example/geheim"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("web")) as system:
        yield system


@pytest.fixture
def open_(system: System) -> Any:
    """Opens a programme in which nobody has to confirm; what comes of confirming is in test_confirmation.py."""
    return lambda id_, **rules: asyncio.run(system.open(id_, **{"confirmation": {"needed": "never"}} | rules))


def wish(programme: str, *emails: str, **more: Any) -> dict[str, Any]:
    people = [{"person": {"name": "Noor de Wit", "email": email}} for email in emails]
    return {"programme": programme, "participants": people, **more}


def test_programmes_are_shown_with_how_many_places_are_taken(system: System, open_: Any) -> None:
    open_("tonen", capacity=3, waiting_list=IN_ORDER)
    assert system.post("/api/enrolments", wish("tonen", "a@x.example", "b@x.example"))[0] == 202
    status, document = system.get("/api/programmes")
    assert status == 200
    (shown,) = [one for one in ProgrammeList.model_validate(document).programmes if one.id == "tonen"]
    assert (shown.open, shown.capacity, shown.confirmed, shown.waiting) == (True, 3, 2, 0)
    status, document = system.get("/api/programmes/tonen")
    assert ProgrammeView.model_validate(document).definition.title.nl == "Ontmoeting"


def test_the_public_does_not_see_the_links_into_sessions(system: System) -> None:
    """Whoever has a place gets the link by mail; the page is for everybody."""
    online = SESSION.model_copy(update={"online": Online(join_link=LINK, platform="Teams")})
    asyncio.run(system.publish(programme(sessions=(online,)).model_copy(update={"id": "digitaal"})))
    status, document = system.get("/api/programmes/digitaal")
    assert (status, document["definition"]["sessions"][0]["online"]) == (200, {"platform": "Teams"})

    async def as_staff() -> Any:
        async with system.staff() as ask:
            return (await ask("ask.registration.programme.get", {"programme": "digitaal"}))[1]

    assert asyncio.run(as_staff())["definition"]["sessions"][0]["online"]["join_link"] == LINK


def test_the_public_is_told_what_to_expect_and_no_id(system: System, open_: Any) -> None:
    """Whoever knew the id could try what can be done with it, and see from that whether the request was refused."""
    asyncio.run(system.publish(track().model_copy(update={"id": "spoor"})))
    noor = {"person": {"name": "Noor", "email": "noor@x.example"}, "seat": "jeugd", "role": "jeugd-educatie"}
    status, told = system.post("/api/enrolments", {"programme": "spoor", "participants": [noor]})
    receipt = EnrolmentReceipt.model_validate(told, extra="forbid")
    assert (status, receipt.expected, receipt.place) == (202, "confirmed", None)
    assert [one.seat for one in receipt.missing] == ["basis", "manager"]
    open_("rij", capacity=1, waiting_list=IN_ORDER)
    assert system.post("/api/enrolments", wish("rij", "a@x.example"))[1]["expected"] == "confirmed"
    told = system.post("/api/enrolments", wish("rij", "b@x.example"))[1]
    assert (told["expected"], told["place"]) == ("waiting", 1)


@pytest.mark.parametrize(
    "rules",
    [{}, {"capacity": 1}, {"capacity": 2, "waiting_list": IN_ORDER}, {"capacity": 1, "waiting_list": IN_ORDER},
     {"closes": "2023-03-01T00:00"}, {"eligible": {"roles": ["directeur"]}}],
)  # fmt: skip
@pytest.mark.parametrize("others", [[], ["eva@x.example"], ["noor@x.example"]])
@pytest.mark.parametrize("needed", ["never", "unknown"])
def test_a_known_and_an_unknown_address_are_answered_alike(
    system: System, rules: dict[str, Any], others: list[str], needed: str
) -> None:
    """By status, headers and body; two programmes alike, of which only one knows Noor."""
    answers = []
    noor, somebody = (f"{name}-{new_id()}@x.example" for name in ("noor", "iemand"))
    others = [noor if one == "noor@x.example" else one for one in others]
    for who, first in (("weet-het", noor), ("weet-niet", somebody)):
        id_ = f"{who}-{new_id()}"
        open_first = {name: value for name, value in rules.items() if name == "capacity"}
        asyncio.run(system.open(id_, confirmation={"needed": "never"}, **open_first))
        assert system.post("/api/enrolments", wish(id_, first))[0] == 202
        asyncio.run(system.open(id_, confirmation={"needed": needed}, **rules))
        status, headers, body = system.exchange("POST", "/api/enrolments", wish(id_, noor, *others))
        body.pop("instance", None)
        answers.append((status, sorted(set(headers) - {"date"}), repr(body).replace(id_, "")))
    assert answers[0] == answers[1]
    assert "already-enrolled" not in answers[0][2]


def test_who_types_a_colleagues_address_is_somebody_else_and_changes_nobody(system: System, open_: Any) -> None:
    """A shared mailbox: the second is not enrolled under the first one's name, nor mailed in their language."""
    asked = {
        "mailbox-een": {"name": "Fatima El Amrani", "email": "jeugd@bieb-twee.example", "language": "nl"},
        "mailbox-twee": {"name": "Piet Bakker", "email": "jeugd@bieb-twee.example", "language": "en"},
        "mailbox-drie": {"name": "FATIMA EL-AMRANI", "email": "Jeugd@bieb-twee.example", "language": "en"},
    }
    read = {}
    for id_, who in asked.items():
        open_(id_)
        assert system.post("/api/enrolments", {"programme": id_, "participants": [{"person": who}]})[0] == 202
        ((participant,),) = [one["participants"] for one in asyncio.run(system.enrolments(id_))]
        read[id_] = participant
    # The language of that request is its mails'; the person's own stays.
    asked["mailbox-drie"]["language"] = "nl"
    assert [one["contact"] for one in read.values()] == [*asked.values()]
    persons = [one["person"] for one in read.values()]
    assert (persons[0] == persons[2], persons[0] == persons[1]) == (True, False)


def test_a_refusal_names_every_rule_in_both_languages(system: System, open_: Any) -> None:
    open_("streng", capacity=1, eligible={"roles": ["directeur"]})
    status, headers, problem = system.exchange(
        "POST", "/api/enrolments", wish("streng", "a@x.example", "A@X.example", organisation="nergens")
    )
    assert status == 409
    assert headers["content-type"] == "application/problem+json"
    assert [fault["rule"] for fault in problem["errors"]] == [
        "organisation-unknown",
        "role-not-eligible",
        "named-twice",
        "larger-than-capacity",
    ]
    assert all(fault["detail"] and fault["detail_nl"] for fault in problem["errors"])
    assert problem["instance"].startswith("urn:deelname:enrolment:")
    assert "x.example" not in repr(problem).lower()


def test_what_a_stranger_was_answered_under_an_id_is_forgotten_after_a_month(system: System, open_: Any) -> None:
    """They can make up ids without end; those of partners and staff stand for ever."""
    open_("sleutel")
    assert system.post("/api/enrolments", wish("sleutel", "sleutel@x.example"), idempotency_key="month")[0] == 202
    with contextlib.closing(sqlite3.connect(f"file:{system.database}?mode=ro", uri=True)) as database:
        kept = dict(database.execute("SELECT source, max(until) FROM requests WHERE id = 'month' GROUP BY source"))
        others = database.execute(
            "SELECT count(*) FROM requests WHERE source <> 'web' AND until IS NOT NULL"
        ).fetchone()
    assert {source: until[:15] for source, until in kept.items()} == {"web": "2023-04-01T09:1"}
    assert others == (0,)


def test_a_second_click_with_the_same_key_is_one_enrolment(system: System, open_: Any) -> None:
    open_("klik")
    body = wish("klik", "noor@x.example")
    first = system.post("/api/enrolments", body, idempotency_key="k1")
    assert system.post("/api/enrolments", body, idempotency_key="k1") == first
    assert system.post("/api/enrolments", body, idempotency_key='"k1"') == first
    status, problem = system.post("/api/enrolments", wish("klik", "sam@x.example"), idempotency_key='"k1"')
    assert (status, problem["type"]) == (422, "urn:deelname:problem:id-reused")
    assert [fault["field"] for fault in problem["errors"]] == ["Idempotency-Key"]
    assert "instance" not in problem
    assert system.post("/api/enrolments", body) == first
    assert [one["status"] for one in asyncio.run(system.enrolments("klik"))] == ["confirmed", "refused"]


@pytest.mark.parametrize(
    "key",
    [
        "not a key!",
        '"not a key!"',
        "",
        '""',
        '"k',
        'k"',
        '"k1", "k2"',
        "'k1'",
        ":azE=:",
        f'"{"k" * 65}"',
        '"k1" x',
        '"k1";=1',
    ],
)
def test_a_key_that_cannot_be_read_is_refused(system: System, open_: Any, key: str) -> None:
    open_("sleutelgat")
    status, problem = system.post("/api/enrolments", wish("sleutelgat", "noor@x.example"), idempotency_key=key)
    assert (status, problem["errors"][0]["rule"]) == (400, "idempotency-key")
    assert asyncio.run(system.enrolments("sleutelgat")) == []


def test_two_keys_are_none(system: System, open_: Any) -> None:
    open_("sleutelgat")
    body = json.dumps(wish("sleutelgat", "noor@x.example")).encode()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", system.port, timeout=10)) as connection:
        connection.putrequest("POST", "/api/enrolments")
        for name, value in (("content-type", "application/json"), ("content-length", str(len(body)))):
            connection.putheader(name, value)
        for key in ('"k1"', '"k2"'):
            connection.putheader("idempotency-key", key)
        connection.endheaders(body)
        assert connection.getresponse().status == 400


def test_who_repeats_while_the_first_is_under_way_gets_its_answer(system: System, open_: Any) -> None:
    open_("haast")
    body = wish("haast", "noor@x.example")

    def once(_number: int) -> Any:
        return system.post("/api/enrolments", body, idempotency_key='"8e03978e-40d5-43dd-bc93-6894a57f9324"; v=1')

    with ThreadPoolExecutor(8) as people:
        answers = list(people.map(once, range(8)))
    assert answers == [answers[0]] * 8
    assert answers[0][0] == 202
    assert len(asyncio.run(system.enrolments("haast"))) == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/api/programmes/onbekend", None, 404),
        ("GET", "/api/programmes/Not%20A%20Slug", None, 422),
        ("GET", "/api/nergens", None, 404),
        ("DELETE", "/api/programmes", None, 405),
        ("POST", "/api/enrolments", b"not json", 422),
        ("POST", "/api/enrolments", b"", 422),
        ("POST", "/api/enrolments", {"programme": "x", "participants": []}, 422),
        ("POST", "/api/enrolments", wish("x", "geheim adres"), 422),
        ("POST", "/api/enrolments", wish("x", "geheim@localhost"), 422),
        ("POST", "/api/enrolments", wish("onbekend", "geheim@x.example"), 404),
    ],
)
def test_every_failure_is_told_as_a_problem_without_what_was_sent(
    system: System, method: str, path: str, body: Any, status: int
) -> None:
    got, headers, problem = system.exchange(method, path, body)
    assert got == status
    assert headers["content-type"] == "application/problem+json"
    assert problem["status"] == status
    assert problem["title"]
    assert "geheim" not in repr(problem)


def test_a_field_that_nobody_knows_is_refused_with_the_one_that_was_meant(system: System, open_: Any) -> None:
    """Left out without a word, 'organization' costs somebody the place of a library, and 'langauge' the language."""
    open_("velden")
    asked = wish("velden", "a@x.example", organization="bibliotheek-zeist")
    asked["participants"][0]["person"]["langauge"] = "en"
    asked["participants"][0]["zzz"] = 1
    status, problem = system.post("/api/enrolments", asked)
    assert (status, problem["type"]) == (422, "urn:deelname:problem:invalid")
    assert {fault["field"]: fault["detail"].partition("; ")[2] for fault in problem["errors"]} == {
        "organization": "did you mean 'organisation'?",
        "participants.0.person.langauge": "did you mean 'language'?",
        "participants.0.zzz": "known: person, seat, role, diet",
    }
    assert problem["errors"][0]["detail_nl"].endswith("bedoelde je 'language'?")
    assert system.post("/api/enrolments", {"programm": "velden"})[1]["errors"][0]["field"] == "programme"


def test_the_faces_description_is_served_and_names_every_route(system: System) -> None:
    status, document = system.get("/openapi.json")
    assert (status, document["openapi"][:2]) == (200, "3.")
    staff = app.routes(Handlers.__new__(Handlers))
    assert set(document["paths"]) == {
        "/health/live",
        "/health/ready",
        "/health/serving",
        "/api/programmes",
        "/api/programmes/{programme}",
        "/api/enrolments",
        *("/api/" + route.subject.replace(".registration.", "/").replace(".", "/") for route in staff),
    }
    for path, methods in document["paths"].items():
        for method in methods.values():
            of_staff = path.startswith(("/api/do/", "/api/ask/"))
            assert bool(method.get("security")) is of_staff, path
            assert ({"401", "403"} <= set(method["responses"])) is of_staff, path
    assert set(document["components"]["securitySchemes"]) == {"HTTPBearer", "HTTPBasic"}
    request = document["paths"]["/api/enrolments"]["post"]
    assert {"202", "403", "404", "409", "422", "429"} <= set(request["responses"])
    (key,) = request["parameters"]
    assert (key["name"], key["in"], key["required"]) == ("idempotency-key", "header", False)
    for text, fits in (('"form-7741"', True), ("form-7741", True), ('"form 7741"', False), ('"form-7741', False)):
        assert bool(re.fullmatch(key["schema"]["pattern"], text)) is fits, text
    assert {"400", "422"} <= set(request["responses"])


def test_a_definition_too_large_for_a_fact_stops_nobody(system: System) -> None:
    """The relay could never publish it, and nothing behind it."""
    many = tuple(
        SESSION.model_copy(update={"id": f"s{number}", "description": {"nl": "n" * 9000, "en": "e" * 9000}})
        for number in range(LARGEST_DEFINITION // 18_000 + 1)
    )
    body = programme().model_dump(mode="json", exclude_none=True) | {
        "sessions": [one.model_dump(mode="json", exclude_none=True, warnings=False) for one in many]
    }

    async def publish() -> tuple[int, Any]:
        async with system.staff() as ask:
            return await ask("do.registration.programme.publish", {"programme": body})

    assert asyncio.run(publish())[0] == 413
