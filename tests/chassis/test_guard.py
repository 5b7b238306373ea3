"""What every request passes: how often an address may ask, and which pages may send a form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
from fastapi import Depends, FastAPI

from services.chassis.access import Caller, Gate, Needs, Proxy
from services.chassis.database import Database
from services.chassis.guard import Buckets, Guard
from services.chassis.health import Health
from services.chassis.web import application

BEHIND = Proxy.read("10.0.0.1", None, None, "")


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


class Face:
    """An application asked as a server would ask it, from any address."""

    def __init__(self, database: Database, buckets: Buckets | None, proxy: Proxy | None = None) -> None:
        gate = Gate(lambda text: Caller("token", "a", "admin") if text == "good" else None, proxy)
        self.app: FastAPI = application("Test", "1", "A face.", Health(database), Guard(gate, buckets))

        @self.app.get("/open")
        @self.app.post("/open")
        async def open_() -> str:
            return "open"

        @self.app.post("/led")
        async def led(caller: Annotated[Caller, Depends(Needs("organiser"))]) -> str:
            return caller.name

    async def ask(
        self, method: str, path: str, headers: Sequence[tuple[str, str]] = (), peer: str = "192.0.2.1"
    ) -> Answer:
        scope = {
            "type": "http", "http_version": "1.1", "asgi": {"version": "3.0"}, "method": method, "path": path,
            "raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http", "client": (peer, 1),
            "server": ("deelname.example", 80),
            "headers": [(b"host", b"deelname.example"), *((name.encode(), value.encode()) for name, value in headers)],
        }  # fmt: skip
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        told = json.loads(body or b"null") if "json" in names.get("content-type", "json") else body
        return Answer(sent[0]["status"], names, told)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def face(database: Database, clock: Clock) -> Face:
    return Face(database, Buckets(60, clock), BEHIND)


async def test_who_asks_too_often_is_told_when_to_come_back(face: Face, clock: Clock) -> None:
    statuses = [(await face.ask("GET", "/open")).status for _ in range(61)]
    assert statuses == [200] * 60 + [429]
    refused = await face.ask("GET", "/open")
    assert refused.headers["content-type"] == "application/problem+json"
    assert (refused.body["status"], refused.body["type"]) == (429, "urn:deelname:problem:too-many-requests")
    assert refused.headers["x-content-type-options"] == "nosniff"
    clock.seconds += int(refused.headers["retry-after"])
    assert (await face.ask("GET", "/open")).status == 200


async def test_a_change_counts_for_five(face: Face) -> None:
    assert [(await face.ask("POST", "/open")).status for _ in range(13)] == [200] * 12 + [429]


async def test_each_address_has_its_own_and_an_ipv6_network_is_one(face: Face) -> None:
    for _ in range(12):
        await face.ask("POST", "/open", peer="2001:db8::1")
    assert (await face.ask("POST", "/open", peer="2001:db8::ffff:2")).status == 429
    assert (await face.ask("POST", "/open", peer="2001:db8:0:1::1")).status == 200
    assert (await face.ask("POST", "/open")).status == 200


async def test_behind_the_proxy_each_client_counts_and_nobody_else_can_claim_to_be_another(face: Face) -> None:
    for _ in range(12):
        await face.ask("POST", "/open", [("x-forwarded-for", "198.51.100.7")], peer="10.0.0.1")
    again = await face.ask("POST", "/open", [("x-forwarded-for", "203.0.113.1, 198.51.100.7")], peer="10.0.0.1")
    assert again.status == 429
    assert (await face.ask("POST", "/open", [("x-forwarded-for", "198.51.100.8")], peer="10.0.0.1")).status == 200
    claims = [
        (await face.ask("POST", "/open", [("x-forwarded-for", f"203.0.113.{number}")], peer="192.0.2.9")).status
        for number in range(13)
    ]
    assert claims[-1] == 429


async def test_staff_health_and_metrics_are_not_held_back_but_wrong_tokens_are(face: Face) -> None:
    good, wrong = ("authorization", "Bearer good"), ("authorization", "Bearer wrong")
    assert {(await face.ask("POST", "/led", [good])).status for _ in range(70)} == {200}
    assert {(await face.ask("POST", "/led", [wrong])).status for _ in range(12)} == {401}
    assert (await face.ask("POST", "/led", [wrong])).status == 429
    assert (await face.ask("GET", "/open")).status == 429
    assert (await face.ask("GET", "/health/live")).status == 200
    assert b"deelname_ready" in (await face.ask("GET", "/metrics")).body


def test_what_is_remembered_of_addresses_is_bounded(clock: Clock) -> None:
    buckets = Buckets(60, clock, most_remembered=3)
    for number in range(4):
        assert buckets.take(f"192.0.2.{number}", 60) == 0
    assert buckets.take("192.0.2.3", 1) > 0
    assert buckets.take("192.0.2.0", 1) == 0, "forgotten, as the one that asked longest ago"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        ([("sec-fetch-site", "same-origin")], 200),
        ([("sec-fetch-site", "none")], 200),
        ([("sec-fetch-site", "cross-site")], 403),
        ([("sec-fetch-site", "same-site")], 403),
        ([("sec-fetch-site", "cross-site"), ("origin", "http://deelname.example")], 403),
        ([("origin", "http://deelname.example")], 200),
        ([("origin", "http://evil.example")], 403),
        ([("origin", "http://deelname.example.evil.example")], 403),
        ([("origin", "null")], 403),
    ],
)
async def test_a_page_of_another_site_can_not_send_a_form(
    face: Face, headers: list[tuple[str, str]], status: int
) -> None:
    assert (await face.ask("POST", "/open", headers)).status == status
    assert (await face.ask("GET", "/open", headers)).status == 200, "a link may come from anywhere"


async def test_a_signed_in_browser_can_not_be_made_to_send_either(face: Face) -> None:
    """Browsers add Basic credentials, and a proxy its headers, whoever made the form."""
    headers = [("authorization", "Basic eDpnb29k"), ("sec-fetch-site", "cross-site")]
    assert (await face.ask("POST", "/led", headers)).status == 403
    assert (await face.ask("POST", "/led", headers[:1])).status == 200


async def test_nobody_of_another_origin_is_given_leave_to_read(face: Face) -> None:
    answer = await face.ask("GET", "/open", [("origin", "http://evil.example")])
    preflight = await face.ask("OPTIONS", "/led", [("origin", "http://evil.example")])
    assert not any("access-control" in name for name in answer.headers | preflight.headers)


async def test_browsers_are_told_to_stay_with_tls_where_there_is_tls(face: Face) -> None:
    secure = ("x-forwarded-proto", "https")
    assert "strict-transport-security" in (await face.ask("GET", "/open", [secure], peer="10.0.0.1")).headers
    assert "strict-transport-security" not in (await face.ask("GET", "/open", [secure])).headers


@pytest.mark.parametrize(("accept", "scheme"), [("application/json", "Bearer"), ("text/html,*/*", "Basic")])
async def test_nobody_is_told_how_to_say_who_they_are(face: Face, accept: str, scheme: str) -> None:
    answer = await face.ask("POST", "/led", [("accept", accept)])
    assert (answer.status, answer.body["status"]) == (401, 401)
    assert answer.headers["www-authenticate"].startswith(scheme)


async def test_a_role_that_is_too_small_is_refused(database: Database) -> None:
    face = Face(database, None, Proxy.read("10.0.0.1", "x-user", "x-groups", "staff=viewer,ict=admin"))
    for groups, status in (("staff", 403), ("", 403), ("ict", 200)):
        headers = [("x-user", "somebody"), ("x-groups", groups)]
        assert (await face.ask("POST", "/led", headers, peer="10.0.0.1")).status == status
        assert (await face.ask("POST", "/led", headers)).status == 401
