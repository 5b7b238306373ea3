"""No input makes a 500: whatever strangers put into a request, it is answered, counted, and logged nowhere."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import pytest_asyncio
from fastapi import Depends, FastAPI, Header, Query, Request, Response
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from structlog.testing import capture_logs

from contracts.base import Identity, Line, Slug
from deploy.embedded import free_port
from services.chassis.access import Caller, Gate, Needs, Proxy, Token, Verifier, new_token
from services.chassis.database import Database
from services.chassis.guard import Buckets, Guard
from services.chassis.health import Health
from services.chassis.pages import Lang, Pages
from services.chassis.service import run
from services.chassis.web import application
from tests.chassis.conftest import until

PROXY = Proxy.read("10.0.0.0/8, fd00::/8", "x-user", "x-groups", "staff=viewer")
TEXT, DIGEST = new_token("account")
TOKENS = {"account": Token("account", DIGEST, "admin")}
COMMON = {"site": "Site", "home": "Home", "skip": "Skip", "other_language": "Other"}


class Person(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: Line
    age: int = 0
    weight: float = 0.0


class People(BaseModel):
    model_config = ConfigDict(extra="forbid")

    people: list[Person]


def face(database: Database, templates: Path, buckets: Buckets | None = None) -> FastAPI:
    """Everything that the faces of services do with what is sent to them."""
    gate = Gate(Verifier(TOKENS.get, lambda: datetime.now(UTC)), PROXY)
    app = application("Test", "1", "A face.", Health(database), Guard(gate, buckets))
    (templates / "page.html").write_text('{% extends "layout.html" %}{% block content %}{{ typed }}{% endblock %}')
    pages = Pages(templates, {"nl": COMMON, "en": COMMON})

    @app.get("/")
    async def page(request: Request, lang: Lang) -> Response:
        return pages.render("page.html", request, lang, typed=str(request.query_params))

    @app.get("/programmes/{id_}")
    async def shown(request: Request, id_: str, lang: Lang) -> Response:
        return pages.render("page.html", request, lang, typed=id_, at="/programmes")

    @app.get("/api/{id_}/{number}")
    async def programme(
        id_: Slug,
        number: int,
        format: Annotated[Literal["json", "csv"] | None, Query()] = None,
        accept: Annotated[str, Header()] = "",
    ) -> str:
        return f"{id_} {number} {format} {accept}"

    @app.post("/api/enrolments")
    async def enrol(people: People, idempotency_key: Annotated[Identity | None, Header()] = None) -> People:
        return people

    @app.post("/led")
    async def led(people: People, caller: Annotated[Caller, Depends(Needs("organiser"))]) -> People:
        return people

    @app.post("/form")
    async def form(request: Request) -> Response:
        return Response(await request.body())

    return app


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[FastAPI]:
    directory = tmp_path_factory.mktemp("hostile")
    (directory / "migrations").mkdir()
    database = await Database.open(directory / "some.db", directory / "migrations")
    (directory / "templates").mkdir()
    yield face(database, directory / "templates")
    await database.close()


Headers = list[tuple[bytes, bytes]]


def scope_of(
    method: str = "GET",
    path: str = "/",
    query: bytes = b"",
    headers: Headers | None = None,
    client: tuple[str, int] | None = ("192.0.2.1", 1),
) -> dict[str, Any]:
    return {
        "type": "http", "http_version": "1.1", "asgi": {"version": "3.0"}, "method": method, "path": path,
        "raw_path": b"/", "query_string": query, "root_path": "", "scheme": "http", "client": client,
        "server": ("deelname.example", 80), "headers": headers or [],
    }  # fmt: skip


async def ask(app: FastAPI, scope: dict[str, Any], body: bytes | None = b"", pieces: int = 1) -> int:
    """The status; None as the body is a client that has left."""
    size = max(1, -(-len(body or b"") // pieces))
    parts = [(body or b"")[begin : begin + size] for begin in range(0, len(body or b""), size)] or [b""]
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        if body is None or not parts:
            return {"type": "http.disconnect"}
        part = parts.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(parts)}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0] if statuses else 0


NAMES = st.sampled_from(
    [
        b"authorization", b"host", b"origin", b"referer", b"accept", b"accept-language", b"content-type", b"cookie",
        b"idempotency-key", b"x-forwarded-for", b"x-forwarded-proto", b"sec-fetch-site", b"traceparent", b"x-user",
        b"x-groups", b"range", b"content-length", b"transfer-encoding", b"expect",
    ]
)  # fmt: skip
ODD = st.sampled_from(
    [
        b"Basic \xff", b"Basic /w==", b"Basic =", b"Basic YTpi", b"basic", b"Bearer \xff",
        b"Bearer deelname_\xff_\xff", b"Bearer deelname_account_wrong", b"Bearer deelname__",
        b"http://[", b"http://[::1", b"http://a]b", b"[",
        b"[::1]:x", b"x:99999999999", b"http://\xe2\x84\x80", b"null", b"nl;q=nan", b"en;q=inf,nl;q=-1e999", b",;,;=",
        b"text/csv;q=\xff",
        b"application/json; charset=nonsense", b"application/json; charset=\xff", b"application/json",
        b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=", b"1.2.3.4, [::1]", b"::ffff:1.2.3.4",
        b"fe80::1%\xff", b"10.0.0.1", b"https", b"same-origin", b"cross-site", b"0" * 5000, b"staff", b"a=\xff;;=;",
        b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01", b"chunked", b"-1", b"\xc2\xb2",
    ]
)  # fmt: skip
SCOPES = st.builds(
    scope_of,
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS", "CONNECT", "x"]),
    # As uvicorn makes one: octets that are no UTF-8 have been replaced.
    path=st.one_of(
        st.sampled_from(["/", "/programmes/x", "/form", "/api/enrolments", "/led", "/health/x", "*", "", "//", "a:1"]),
        st.builds("/{}/{}".format, st.sampled_from(["programmes", "api", "api/zeist"]), st.text(max_size=20)),
        st.builds("/api/zeist/{}".format, st.integers(4000, 5000).map(lambda digits: "9" * digits)),
        st.text(max_size=10),
    ),
    query=st.one_of(
        st.sampled_from([b"lang=%ff", b"%ed%a0%80=%00&format=%ff", b"lang=nl&lang=en", b"&" * 5000, b"format=%zz"]),
        # uvicorn lets nothing else pass.
        st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=30).map(str.encode),
    ),
    headers=st.lists(st.tuples(NAMES, st.one_of(ODD, st.binary(max_size=30))), max_size=6),
    client=st.sampled_from([("192.0.2.1", 1), ("10.0.0.1", 1), ("fd00::1", 1), ("fe80::1%eth0", 1), None]),
)
JSON = b"content-type", b"application/json"
GOOD = b"authorization", f"Bearer {TEXT}".encode()
BODIES = st.one_of(
    st.none(),
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"NaN", b"-Infinity", b"1" * 5000, b'{"people":' + b"9" * 5000 + b"}", b"[" * 100_000,
            b'{"people":' * 50_000,
            b'{"people":[{"name":"\\ud800"}]}', b'{"people":[{"name":"x","\\udfff":1}]}', b'{"\\ud800":1}',
            b'{"\\u0000":1}',
            b'{"people":[{"name":"x","age":1e400}]}', b'{"people":[{"name":"x","age":' + b"9" * 4000 + b"}]}",
            b'{"people":[{"name":"x","weight":NaN}]}', b'{"people":[{"name":"x","weight":1e999}]}',
            b'{"people":[],"people":[{"name":"x"}]}', b"\xff\xfe{\x00", b"\xef\xbb\xbf{}",
            b'{"people":[{"name":"\xff"}]}',
            '{"people":[]}'.encode("utf-16"), '{"people":[]}'.encode("utf-32"), bytes(300_000),
        ]
    ),
)  # fmt: skip


@pytest.mark.asyncio(loop_scope="module")
@given(scope=SCOPES, body=BODIES, pieces=st.integers(1, 3))
@example(scope_of(headers=[(b"authorization", b"Basic \xff")]), b"", 1)
@example(scope_of("POST", "/form", headers=[(b"origin", b"http://[")]), b"", 1)
@example(scope_of(headers=[(b"host", b"[")]), b"", 1)
@example(scope_of("POST", "/form"), None, 1)
async def test_whatever_a_request_holds_it_is_answered(
    app: FastAPI, scope: dict[str, Any], body: bytes | None, pieces: int
) -> None:
    with capture_logs() as lines:
        status = await ask(app, scope, body, pieces)
    assert status < 500, status
    assert status or body is None
    assert lines == []


@pytest.mark.asyncio(loop_scope="module")
@given(body=BODIES, path=st.sampled_from(["/api/enrolments", "/led"]), pieces=st.integers(1, 3))
async def test_whatever_a_body_holds_it_is_answered_to_the_public_and_to_staff(
    app: FastAPI, path: str, body: bytes | None, pieces: int
) -> None:
    with capture_logs() as lines:
        status = await ask(app, scope_of("POST", path, headers=[JSON, GOOD]), body, pieces)
    assert status < 500, status
    assert lines == []


PIECES = st.one_of(
    st.sampled_from(
        [
            b"GET / HTTP/1.1\r\nHost: x\r\n", b"POST /form HTTP/1.1\r\nHost: x\r\n", b"POST /led HTTP/1.0\r\n", b"\r\n",
            b"Content-Length: 5\r\n", b"Content-Length: 6\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n",
            b"0\r\n\r\n", b"hello", b"GET /%ff%00?%ff HTTP/1.1\r\nHost: [\r\n", b"Expect: 100-continue\r\n", b": \r\n",
            b"Connection: upgrade, close\r\nUpgrade: h2c\r\n", b" folded\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: \xff\r\n", b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n",
            b"GET http://[ HTTP/1.1\r\n",
            b"x" * 20_000, b"GET /open HTTP/1.9\r\nHost: x\r\n", b"ffffffffffffffffffff\r\n",
        ]
    ),
    st.builds(b"%s: %s\r\n".__mod__, st.tuples(NAMES, st.one_of(ODD, st.binary(max_size=9)))),
    st.binary(max_size=9),
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def port(app: FastAPI) -> AsyncIterator[int]:
    port, stop = free_port(), asyncio.Event()
    service = asyncio.create_task(run(app, port=port, stop=stop))

    async def listens() -> bool:
        try:
            return bool(await over_a_socket(port, b"GET / HTTP/1.0\r\n\r\n"))
        except OSError:
            return False

    await until(listens)
    yield port
    stop.set()
    await service


async def over_a_socket(port: int, raw: bytes) -> bytes:
    """What comes back for this and nothing more."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    got = b""
    try:
        # Behind it what is no request, so that few connections have to be waited for.
        writer.write(raw + b"\r\n\r\n" + b"\x00\r\n\r\n" * 2000)
        async with asyncio.timeout(1):
            while part := await reader.read(65_536):
                got += part
    except (ConnectionError, TimeoutError):
        pass
    finally:
        writer.close()
    return got


@pytest.mark.asyncio(loop_scope="module")
@given(pieces=st.lists(PIECES, min_size=1, max_size=8))
async def test_whatever_comes_over_a_connection_it_is_answered_or_cut_off(port: int, pieces: list[bytes]) -> None:
    errors = Errors()
    logging.getLogger().addHandler(errors)
    try:
        with capture_logs() as lines:
            got = await over_a_socket(port, b"".join(pieces))
    finally:
        logging.getLogger().removeHandler(errors)
    assert all(int(status) < 502 and status != b"500" for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", got)), got
    assert [line for line in lines if line["log_level"] != "warning"] == []
    assert errors.lines == []


class Errors(logging.Handler):
    """What libraries complain about."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


WRONG = [
    ("GET", "/", [(b"authorization", b"Basic \xff")], 1),
    ("GET", "/", [(b"authorization", b"Basic /w==")], 1),
    ("GET", "/", [(b"authorization", b"Bearer deelname_account_wrong")], 1),
    ("GET", "/", [(b"authorization", b"Bearer made-up")], 1),
    ("GET", "/", [GOOD, GOOD], 1),
    ("GET", "/none", [], 1),
    ("GET", "/", [(b"transfer-encoding", b"chunked"), (b"content-length", b"1")], 1),
    ("POST", "/form", [(b"origin", b"http://evil.example")], 5),
    ("POST", "/form", [(b"origin", b"http://[")], 5),
    ("POST", "/form", [(b"sec-fetch-site", b"cross-site")], 5),
    ("POST", "/none", [], 5),
    ("POST", "/api/enrolments", [JSON], 5),
    ("POST", "/led", [JSON], 5),
    ("PUT", "/", [], 5),
    ("GET", "/", [(b"x-user", b"somebody")], 1),
]


@pytest.mark.parametrize("wrong", WRONG)
async def test_what_is_refused_counts_as_what_is_not(
    database: Database, tmp_path: Path, wrong: tuple[str, str, Headers, int]
) -> None:
    method, path, headers, cost = wrong
    app = face(database, tmp_path, Buckets(60, lambda: 0.0))
    statuses = [await ask(app, scope_of(method, path, headers=headers)) for _ in range(60 // cost + 1)]
    assert statuses[-1] == 429
    assert 429 not in statuses[:-1]


async def test_a_body_that_stops_is_not_waited_for(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.chassis.web.BODY_WITHIN", 0.05)
    app = face(database, tmp_path)
    told: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        return {}

    async def send(message: Any) -> None:
        told.append(message)

    await app(scope_of("POST", "/api/enrolments", headers=[JSON]), receive, send)
    assert told[0]["status"] == 408
    assert (b"connection", b"close") in told[0]["headers"]
