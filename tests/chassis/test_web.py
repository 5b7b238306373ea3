from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from pydantic import BaseModel, Field

from contracts.problem import Problem, ProblemError
from deploy.embedded import free_port
from services.chassis import web
from services.chassis.database import Database
from services.chassis.health import Health
from services.chassis.service import run
from services.chassis.web import LARGEST_BODY, application
from tests.chassis.conftest import until


@dataclass
class Standing:
    """A relay or reader that is as far as the test says."""

    following: bool = True
    lag: int = 0
    position: int = 7
    complaint: str = ""


class Person(BaseModel):
    name: str = Field(max_length=20)
    email: str = Field(pattern="@")


class Enrolment(BaseModel):
    participants: list[Person]


@pytest.fixture
def relay() -> Standing:
    return Standing()


@pytest.fixture
def reader() -> Standing:
    return Standing(lag=3)


@pytest.fixture
def app(database: Database, relay: Standing, reader: Standing) -> FastAPI:
    health = Health(database, relays={"LOG_TEST": relay}, readers={"LOG_OTHER": reader}, most_lag=100)
    app = application("Test", "1.0", "A face.", health)

    @app.post("/api/enrolments")
    async def enrol(enrolment: Enrolment) -> dict[str, str]:
        return {"status": "confirmed"}

    @app.get("/refused")
    async def refused() -> None:
        raise ProblemError(Problem(type="urn:x", title="Full", status=409, detail="No unit is left."))

    @app.get("/failed/{name}")
    async def failed(name: str) -> None:
        raise RuntimeError("secret of the machine room")

    return app


@dataclass(frozen=True)
class Answer:
    """What came back over HTTP."""

    status: int
    headers: http.client.HTTPMessage
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Browser:
    """Asks the application over a real connection."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def ask(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Answer:
        return await asyncio.to_thread(self._ask, method, path, body, kind)

    async def get(self, path: str) -> Answer:
        return await self.ask("GET", path)

    def _ask(self, method: str, path: str, body: bytes | None, kind: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            connection.request(method, path, body, {"content-type": kind} if body else {})
            answer = connection.getresponse()
            return Answer(answer.status, answer.msg, answer.read().decode())
        finally:
            connection.close()


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[Browser]:
    port = free_port()
    stop = asyncio.Event()
    service = asyncio.create_task(run(app, port=port, stop=stop))
    browser = Browser(port)

    async def listens() -> bool:
        return (await browser.get("/health/live")).status == 200

    await until(listens)
    yield browser
    stop.set()
    await service


def _problem(answer: Answer) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status
    return problem


async def test_a_wrong_body_is_refused_field_by_field_without_its_values(client: Browser) -> None:
    body = {"participants": [{"name": "Noor de Wit", "email": "noor-at-zeist"}, {"name": "N" * 30}]}
    answer = await client.ask("POST", "/api/enrolments", json.dumps(body).encode())
    assert answer.status == 422
    problem = _problem(answer)
    assert [fault["field"] for fault in problem["errors"]] == [
        "participants.0.email",
        "participants.1.name",
        "participants.1.email",
    ]
    assert "Correct them" in problem["detail"]
    assert "noor" not in answer.text
    assert "NNN" not in answer.text


async def test_a_body_that_is_no_json_is_refused(client: Browser) -> None:
    answer = await client.ask("POST", "/api/enrolments", b'{"name": "Noor')
    assert answer.status == 422
    (fault,) = _problem(answer)["errors"]
    assert (fault["field"], fault["rule"], fault["detail"]) == ("body", "not-json", "the body is not valid JSON")
    assert "Noor" not in answer.text


async def test_what_is_not_sent_as_json_is_told_how_to_be(client: Browser) -> None:
    body = b'{"participants": []}'
    said = [
        {
            "field": "body",
            "rule": "not-json",
            "detail": "must be JSON, sent with the header 'Content-Type: application/json'",
            "detail_nl": "moet JSON zijn, gestuurd met de header 'Content-Type: application/json'",
        }
    ]
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        assert _problem(await client.ask("POST", "/api/enrolments", body, kind))["errors"] == said
    assert _problem(await client.ask("POST", "/api/enrolments"))["errors"] == said
    assert (await client.ask("POST", "/api/enrolments", body, "application/json; charset=utf-8")).status == 200
    listed = _problem(await client.ask("POST", "/api/enrolments", b"[]"))
    assert [(fault["field"], fault["detail"]) for fault in listed["errors"]] == [("body", "must be a JSON object")]


async def test_a_body_that_is_too_large_is_refused_before_it_fills_the_memory(client: Browser) -> None:
    fits = b'{"participants": []}'.ljust(LARGEST_BODY)
    assert (await client.ask("POST", "/api/enrolments", fits)).status == 200
    answer = await client.ask("POST", "/api/enrolments", fits + b" ")
    assert answer.status == 413
    assert str(LARGEST_BODY) in _problem(answer)["detail"]


async def test_a_problem_is_told_as_it_is(client: Browser) -> None:
    answer = await client.get("/refused")
    assert answer.status == 409
    assert _problem(answer)["detail"] == "No unit is left."


async def test_a_failure_is_told_without_internals_and_logged(
    client: Browser, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await client.get("/failed/Noor")
    assert answer.status == 500
    assert "secret" not in json.dumps(_problem(answer))
    logged = capsys.readouterr().out
    assert "machine room" in logged
    assert "/failed/{name}" in logged
    assert "Noor" not in logged


async def test_an_address_that_is_not_there_says_where_to_look(client: Browser) -> None:
    assert "/openapi.json" in _problem(await client.get("/nowhere"))["detail"]
    answer = await client.ask("PUT", "/refused")
    assert answer.headers["allow"] == "GET"
    assert _problem(answer)["status"] == 405


@pytest.mark.parametrize("path", ["/health/live", "/refused", "/failed/x", "/nowhere"])
async def test_every_answer_keeps_browsers_careful(client: Browser, path: str) -> None:
    headers = (await client.get(path)).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert "unsafe" not in headers["content-security-policy"]


async def test_a_service_is_ready_when_all_its_parts_are(client: Browser) -> None:
    answer = await client.get("/health/ready")
    assert answer.status == 200
    report = answer.json()
    assert report["status"] == "ready"
    assert report["database"] is True
    assert report["relays"]["LOG_TEST"]["following"] is True
    assert report["readers"]["LOG_OTHER"]["lag"] == 3


@pytest.mark.parametrize("trouble", ["relay stands", "reader stands", "reader far behind", "database read-only"])
async def test_a_service_is_not_ready_when_one_part_is_not(
    client: Browser, relay: Standing, reader: Standing, database: Database, trouble: str
) -> None:
    match trouble:
        case "relay stands":
            relay.following = False
        case "reader stands":
            reader.following = False
        case "reader far behind":
            reader.lag = 101
        case "database read-only":
            await database.run(lambda raw: raw.execute("PRAGMA query_only = ON"))
    answer = await client.get("/health/ready")
    assert answer.status == 503
    assert answer.json()["status"] == "not ready"
    assert (await client.get("/health/live")).status == 200


async def test_the_description_is_written_once_and_goes_out_in_pieces(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is large, and everybody may ask for it as often as for a small page."""
    described = [app.openapi()]
    monkeypatch.setattr(app, "openapi", described.pop)
    monkeypatch.setattr(web, "_PIECE", 1000)
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "GET",
        "path": "/openapi.json",
        "raw_path": b"/openapi.json",
        "query_string": b"",
        "headers": [],
        "client": ("192.0.2.1", 1),
    }

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    answers = []
    for _ in range(2):
        sent: list[Any] = []

        async def send(message: Any, sent: list[Any] = sent) -> None:
            sent.append(message)

        await app(dict(scope), receive, send)
        pieces = [message.get("body", b"") for message in sent[1:]]
        assert max(map(len, pieces)) <= 1000
        answers.append(b"".join(pieces))
        assert (b"content-length", str(len(answers[-1])).encode()) in sent[0]["headers"]
    assert answers[0] == answers[1]
    assert "/api/enrolments" in json.loads(answers[0])["paths"]
