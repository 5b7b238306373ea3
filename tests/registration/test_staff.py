"""Staff over HTTP: tokens, roles, whose programme it is; and who stands in the facts, however they came."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from contracts.access import ROLES
from services.registration import app
from services.registration.handlers import Handlers
from services.registration.handlers.owning import LED
from tests.registration.domain.given import programme
from tests.registration.system import System, running_system
from tests.registration.test_web import wish

LEAST = {"viewer": 0, "organiser": 1, "admin": 2}


@dataclass
class Desk:
    """The service, and a token for each role."""

    system: System
    tokens: dict[str, str]

    def call(self, who: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        token = self.tokens.get(who, who)
        return self.system.post(f"/api/{path}", body or {}, authorization=f"Bearer {token}", **headers)

    def make(self, name: str, role: str, **more: Any) -> str:
        """A token that staff makes over the broker."""
        status, made = self.ask("do.registration.token.create", {"name": name, "role": role, **more})
        assert status == 200, made
        return str(made["token"])

    def ask(self, subject: str, body: Any = None, as_: str = "staff") -> tuple[int, Any]:
        async def ask() -> tuple[int, Any]:
            async with self.system.staff() as staff:
                return await staff(subject, body or {})

        return asyncio.run(ask())

    def publish(self, id_: str, *organisers: str, **rules: Any) -> None:
        definition = programme(**rules).model_copy(update={"id": id_, "organisers": organisers})
        asyncio.run(self.system.publish(definition))

    def facts(self, programme_id: str | None = None) -> list[Any]:
        question = {"limit": 1000} | ({"programme": programme_id} if programme_id else {})
        found: list[Any] = self.ask("ask.registration.log.read", question)[1]["facts"]
        return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with running_system(tmp_path_factory.mktemp("staff")) as system:
        asyncio.run(system.open("begin"))
        desk = Desk(system, {})
        desk.tokens["viewer"] = desk.make("viewer", "viewer")
        desk.tokens["organiser"] = desk.make("organiser", "organiser", organisations=["bibliotheek-zeist"])
        desk.tokens["admin"] = desk.make("admin", "admin")
        yield desk


def table() -> list[Any]:
    return [pytest.param(route, id=route.subject) for route in app.routes(Handlers.__new__(Handlers))]


@pytest.mark.parametrize("route", table())
def test_every_command_and_question_asks_for_its_role(desk: Desk, route: Any) -> None:
    kind, _, entity, verb = route.subject.split(".")
    path = f"{kind}/{entity}/{verb}"
    bodies: tuple[Any, ...] = ({}, b"no json", b"\xff")
    for body in bodies:
        status, problem = desk.system.post(f"/api/{path}", body)
        assert (status, problem["status"]) == (401, 401), "nobody reads what a stranger sends"
    assert desk.call("wrong", path)[0] == 401
    for role in ROLES:
        # An empty body is refused as such where the role is enough, unless the question needs none.
        status, _ = desk.call(role, path, {})
        assert (status == 403) is (LEAST[role] < LEAST[route.role]), (role, status)
        assert status != 401


def test_a_field_that_no_command_has_is_refused_so_that_a_typing_error_shows(desk: Desk) -> None:
    """Over the broker and over HTTP alike: a misspelt capacity would be no limit at all."""
    desk.publish("getypt", "probiblio")
    definition = programme().model_copy(update={"id": "getypt", "organisers": ("probiblio",)}).model_dump(mode="json")
    definition["enrolment"] |= {"capcity": 3}
    for status, problem in (
        desk.call("admin", "do/programme/publish", {"programme": definition}),
        desk.ask("do.registration.programme.publish", {"programme": definition}),
    ):
        assert (status, [fault["field"] for fault in problem["errors"]]) == (422, ["programme.enrolment.capcity"])
    status, problem = desk.call("admin", "do/enrolment/withdraw", {"enrolment": "e1", "becuase": "x"})
    (fault,) = problem["errors"]
    assert (status, fault["field"]) == (422, "becuase")
    assert fault["detail"] == "is no field that is known here; known: id, enrolment, request"


def test_what_organisers_may_is_checked_for_whose_programme_it_is() -> None:
    led = [route for route in app.routes(Handlers.__new__(Handlers)) if route.role == "organiser"]
    assert led
    for route in led:
        assert issubclass(route.request, LED), route.subject


def test_an_organiser_leads_their_own_programmes_and_no_others(desk: Desk) -> None:
    desk.publish("eigen", "bibliotheek-zeist", "probiblio")
    desk.publish("andermans", "probiblio")
    made = {}
    for id_, status in (("eigen", 200), ("andermans", 403)):
        assert desk.call("organiser", "do/enrolment/request", wish(id_, f"a@{id_}.example"))[0] == status
        made[id_] = desk.call("admin", "do/enrolment/request", wish(id_, f"b@{id_}.example"))[1]["enrolment"]
        about = {"enrolment": made[id_]}
        somebody = {"participant": {"person": {"name": "Eva", "email": "eva@x.example"}}}
        assert desk.call("organiser", "ask/programme/get", {"programme": id_})[0] == status
        assert desk.call("organiser", "ask/lunch/list", {"programme": id_})[0] == status
        assert desk.call("organiser", "ask/enrolment/list", {"programme": id_})[0] == status
        assert desk.call("organiser", "ask/enrolment/get", about)[0] == status
        assert desk.call("organiser", "do/enrolment/promote", about)[0] == (409 if status == 200 else 403)
        assert desk.call("organiser", "do/participant/add", about | somebody)[0] == status
        assert desk.call("organiser", "do/participant/change", about | {"email": "x@y.example"})[0] in (404, status)
        assert desk.call("organiser", "do/enrolment/withdraw", about)[0] == status
        assert desk.call("organiser", "do/programme/withdraw", {"programme": id_})[0] == status
    assert [one["status"] for one in asyncio.run(desk.system.enrolments("andermans"))] == ["confirmed"]


def test_an_organiser_can_take_no_programme_over_and_publish_none_for_others(desk: Desk) -> None:
    def publish(id_: str, *organisers: str) -> int:
        definition = programme().model_copy(update={"id": id_, "organisers": organisers})
        body = {"programme": definition.model_dump(mode="json", exclude_none=True)}
        return desk.call("organiser", "do/programme/publish", body)[0]

    desk.publish("van-probiblio", "probiblio")
    assert publish("van-probiblio", "bibliotheek-zeist") == 403
    assert publish("nieuw", "probiblio") == 403
    assert publish("nieuw", "bibliotheek-zeist") == 200
    assert publish("nieuw", "probiblio") == 403


def test_only_an_admin_makes_another_organisation_an_organiser_or_takes_that_from_one(desk: Desk) -> None:
    def publish(who: str, *organisers: str, id_: str = "samen") -> tuple[int, Any]:
        definition = programme().model_copy(update={"id": id_, "organisers": organisers})
        body = {"programme": definition.model_dump(mode="json", exclude_none=True)}
        return desk.call(who, "do/programme/publish", body)

    status, problem = publish("organiser", "bibliotheek-zeist", "probiblio")
    assert (status, problem["status"], problem["type"]) == (403, 403, "urn:deelname:problem:not-your-organisers")
    assert "add probiblio. Ask an admin" in problem["detail"]
    assert desk.facts("samen") == [], "nothing of it has happened"
    assert publish("organiser", "bibliotheek-zeist")[0] == 200
    assert publish("organiser", "bibliotheek-zeist", "probiblio")[0] == 403
    assert publish("admin", "bibliotheek-zeist", "probiblio")[0] == 200
    assert publish("organiser", "probiblio", "bibliotheek-zeist")[0] == 200, "who was there stays"
    status, problem = publish("organiser", "bibliotheek-zeist")
    assert status == 403
    assert "remove probiblio. Ask an admin" in problem["detail"]
    assert problem["detail"].endswith("as they are: probiblio.")


def test_the_answer_that_another_got_under_an_id_is_not_given_to_an_organiser(desk: Desk) -> None:
    desk.publish("sleutels", "probiblio")
    body = wish("sleutels", "noor@x.example") | {"id": "one-1"}
    assert desk.call("admin", "do/enrolment/request", body)[0] == 200
    assert desk.call("organiser", "do/enrolment/request", body)[0] == 403
    desk.publish("sleutels", "probiblio", "bibliotheek-zeist")
    assert desk.call("organiser", "do/enrolment/request", body | {"id": "two-2"})[0] == 409, "not refused for ever"


def test_facts_name_the_account_of_who_caused_them(desk: Desk) -> None:
    desk.publish("wie", "bibliotheek-zeist")
    desk.call("organiser", "do/enrolment/request", wish("wie", "a@x.example"))
    desk.system.post("/api/enrolments", wish("wie", "b@x.example"))
    tokens = {one["name"]: one["account"] for one in desk.ask("ask.registration.token.list")[1]["tokens"]}
    actors = [fact.get("actor") for fact in desk.facts("wie")]
    assert actors == ["broker:staff", f"token:{tokens['organiser']}", None]
    piece = desk.ask("ask.registration.log.read", {"programme": "wie"})[1]
    assert piece["actors"] == {f"token:{tokens['organiser']}": "organiser"}


def test_nobody_gives_themselves_out_for_another_over_the_broker(desk: Desk) -> None:
    forged = json.dumps({"acc": "STAFF", "user": "boss"})

    async def publish() -> None:
        async with desk.system.client("staff") as client:
            definition = programme().model_copy(update={"id": "vals"}).model_dump(mode="json", exclude_none=True)
            for name in ("Nats-Request-Info", "nats-request-info", "NATS-REQUEST-INFO"):
                answer = await client.request(
                    "do.registration.programme.publish",
                    json.dumps({"programme": definition | {"title": {"nl": name, "en": name}}}).encode(),
                    headers={name: forged, "Nats-Request-Info": forged},
                    timeout=10,
                )
                assert not answer.headers or "Nats-Service-Error-Code" not in answer.headers, answer.data

    asyncio.run(publish())
    assert {fact["actor"] for fact in desk.facts("vals")} == {"broker:staff"}


def test_a_token_is_told_once_and_kept_as_a_digest(desk: Desk) -> None:
    status, made = desk.call("admin", "do/token/create", {"name": "dashboard", "role": "viewer"})
    assert status == 200
    secret = made["token"].split("_", 2)[2]
    held = b"".join(path.read_bytes() for path in desk.system.database.parent.iterdir())
    held += b"".join(path.read_bytes() for path in desk.system.broker.store.rglob("*.blk"))
    held += desk.system.journal.read_bytes()
    assert secret.encode() not in held
    assert secret not in json.dumps(desk.ask("ask.registration.token.list"))
    (fact,) = [one for one in desk.facts() if one["data"].get("account") == made["account"]]
    assert (fact["type"], fact["data"]["role"]) == ("token.created.v1", "viewer")
    assert "dashboard" not in json.dumps(fact), "what it is called stays with registration"
    assert desk.call(made["token"], "ask/programme/list")[0] == 200


def test_a_revoked_token_opens_nothing_also_after_a_restart(desk: Desk) -> None:
    token = desk.make("kort", "viewer")
    assert desk.call(token, "ask/programme/list")[0] == 200
    assert desk.ask("do.registration.token.create", {"name": "kort", "role": "viewer"})[0] == 409
    assert desk.ask("do.registration.token.revoke", {"name": "kort"})[0] == 200
    assert desk.call(token, "ask/programme/list")[0] == 401
    assert desk.ask("do.registration.token.revoke", {"name": "kort"})[0] == 404
    assert desk.ask("do.registration.token.revoke", {})[0] == 422
    assert desk.system.stop() == 0
    desk.system.start()
    assert desk.call(token, "ask/programme/list")[0] == 401
    assert desk.call("viewer", "ask/programme/list")[0] == 200


def test_who_revokes_a_token_is_told_that_the_other_services_cannot_know_it_yet(desk: Desk) -> None:
    status, revoked = desk.call(desk.make("baas", "admin"), "do/token/revoke", {"name": "baas"})
    assert (status, revoked["told"], revoked.get("detail")) == (200, True, None)
    token = desk.make("verloren", "viewer")
    desk.system.broker.kill()
    try:
        status, revoked = desk.call("admin", "do/token/revoke", {"name": "verloren"})
        assert (status, revoked["told"]) == (200, False)
        assert "reporting does not know and may still let it in" in revoked["detail"]
        assert desk.call(token, "ask/programme/list")[0] == 401
    finally:
        desk.system.broker.start()
    while desk.system.get("/health/ready")[0] != 200:
        desk.system.wait(0.05)

    async def in_the_stream() -> int:
        async with desk.system.client("topology") as owner:
            return (await owner.jsm().stream_info("LOG_REGISTRATION")).state.last_seq

    fact = next(one for one in desk.facts() if one["data"] == {"account": revoked["account"]})
    assert fact["type"] == "token.revoked.v1"
    while asyncio.run(in_the_stream()) < fact["position"]:
        desk.system.wait(0.05)


def test_a_token_that_has_expired_opens_nothing(desk: Desk) -> None:
    token = desk.make("voorbij", "viewer", expires="2023-03-01T00:00:00Z")
    assert desk.call(token, "ask/programme/list")[0] == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "x", "role": "organiser"}, 422),
        ({"name": "x", "role": "viewer", "organisations": ["bibliotheek-zeist"]}, 422),
        ({"name": "x", "role": "boss"}, 422),
        ({"name": "x", "role": "organiser", "organisations": ["nergens"]}, 404),
    ],
)
def test_a_token_that_makes_no_sense_is_not_made(desk: Desk, body: Any, status: int) -> None:
    assert desk.ask("do.registration.token.create", body)[0] == status


def test_the_day_of_the_last_use_is_noted(desk: Desk) -> None:
    desk.call(desk.make("gebruikt", "viewer"), "ask/programme/list")
    while not (day := _used(desk, "gebruikt")):
        desk.system.wait(0.05)
    assert day == "2023-03-02"
    desk.make("ongebruikt", "viewer")
    assert _used(desk, "ongebruikt") is None


def _used(desk: Desk, name: str) -> Any:
    listed = desk.ask("ask.registration.token.list")[1]["tokens"]
    return next(one for one in listed if one["name"] == name).get("used")


def test_an_account_of_the_proxys_people_is_made_once_and_names_nobody_in_the_log(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEELNAME_PROXIES", "127.0.0.1")
    monkeypatch.setenv("DEELNAME_PROXY_SUBJECT_HEADER", "X-Auth-Request-Email")
    monkeypatch.setenv("DEELNAME_PROXY_GROUPS_HEADER", "X-Auth-Request-Groups")
    monkeypatch.setenv("DEELNAME_PROXY_GROUPS", "bieb=organiser:bibliotheek-zeist,ict=admin")
    with running_system(tmp_path_factory.mktemp("proxy")) as system:
        asyncio.run(system.open("door-proxy"))
        desk = Desk(system, {})
        signed_in = {"x_auth_request_email": "marieke@bieb.example", "x_auth_request_groups": "ict"}
        for number in range(2):
            body = wish("door-proxy", f"p{number}@x.example")
            assert system.post("/api/do/enrolment/request", body, **signed_in)[0] == 200
        assert system.post("/api/do/enrolment/request", body, x_auth_request_email="marieke@bieb.example")[0] == 403
        _published, first, second = (fact.get("actor") for fact in desk.facts("door-proxy"))
        assert first == second
        assert first.startswith("proxy:")
        assert desk.ask("ask.registration.log.read", {"programme": "door-proxy"})[1]["actors"] == {
            first: "marieke@bieb.example"
        }
        connection = sqlite3.connect(f"file:{system.database}?mode=ro", uri=True)
        assert "marieke" not in repr(connection.execute("SELECT * FROM log").fetchall())
        assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (1,)
        connection.close()


def test_a_slip_is_answered_with_a_question_over_http_as_over_the_broker(desk: Desk) -> None:
    desk.publish("vergissing", "probiblio")
    assert desk.ask("do.registration.enrolment.request", wish("vergissing", "noor@x.example"))[0] == 200
    none = programme(sessions=()).model_copy(update={"id": "vergissing"}).model_dump(mode="json")
    tried = desk.call("admin", "do/programme/publish", {"programme": none, "dry_run": True})
    assert tried[0] == 200
    assert tried[1]["facts"] == ["session.cancelled.v1"]
    assert tried[1]["questions"][0]["rule"] == "session-off"
    asked = desk.call("admin", "do/programme/publish", {"programme": none})
    assert asked == desk.ask("do.registration.programme.publish", {"programme": none})
    assert (asked[0], asked[1]["type"]) == (409, "urn:deelname:problem:needs-confirmation")
    assert [fault["rule"] for fault in asked[1]["errors"]] == ["session-off", "mails"]
    assert all(fault["detail"] and fault["detail_nl"] for fault in asked[1]["errors"])
    done = desk.call("admin", "do/programme/publish", {"programme": none, "confirmed": True})
    assert (done[0], done[1]["facts"]) == (200, ["session.cancelled.v1"])
    assert desk.call("viewer", "do/programme/close", {"programme": "vergissing"})[0] == 403
    closed = desk.call("admin", "do/programme/close", {"programme": "vergissing"})
    assert (closed[0], closed[1]["facts"]) == (200, ["programme.closed.v1"])
