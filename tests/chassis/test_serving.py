"""What strangers can do to a port: say nothing, half of something, two things at once, too much, and not listen."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic

import pytest
from fastapi import FastAPI, Request, Response
from structlog.testing import capture_logs

from deploy.embedded import free_port
from services.chassis import connections as connections_
from services.chassis import serving, web
from services.chassis.connections import Admission, Phase
from services.chassis.database import Database
from services.chassis.guard import Guard
from services.chassis.health import Health
from services.chassis.opening import Opening
from services.chassis.service import run
from services.chassis.web import application
from tests.chassis.conftest import until
from tests.warm import popen

HALF = b"GET /open HTTP/1.1\r\nHost: x\r\nX: "
WHOLE = b"GET /open HTTP/1.1\r\nHost: x\r\n\r\n"


class Face:
    """A face that is served, its routes, and who asks it."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.port = free_port()
        self.asked: list[str] = []
        self.at_work = 0
        self.go_on = asyncio.Event()

        @app.get("/open")
        async def open_(request: Request) -> Response:
            self.asked.append(request.url.path)
            return Response(b"open")

        @app.get("/slow")
        async def slow() -> Response:
            self.at_work += 1
            await self.go_on.wait()
            return Response(b"done")

        @app.get("/large")
        async def large() -> Response:
            return Response(bytes(40_000_000))

        @app.post("/form")
        async def form(request: Request) -> Response:
            body = await request.body()
            self.asked.append(f"form of {len(body)}")
            return Response(b"read")

        @app.post("/hasty")
        async def hasty() -> Response:
            self.asked.append("hasty")
            return Response(b"unread")

    async def connect(self, *sent: bytes, source: str | None = None) -> Client:
        local = (source, 0) if source else None
        client = Client(*await asyncio.open_connection("127.0.0.1", self.port, local_addr=local))
        for part in sent:
            await client.send(part)
        return client

    async def ask(self, raw: bytes = WHOLE, source: str | None = None) -> bytes:
        """All that comes back until the connection ends, which it has to."""
        client = await self.connect(raw, source=source)
        try:
            return await client.rest()
        finally:
            client.close()


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    async def rest(self, within: float = 8) -> bytes:
        """What comes until the other side ends."""
        got = b""
        async with asyncio.timeout(within):
            with contextlib.suppress(ConnectionError):
                while part := await self.reader.read(65_536):
                    got += part
        return got

    async def answer(self, within: float = 8) -> bytes:
        """One answer whose length is told."""
        async with asyncio.timeout(within):
            head = await self.reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            return head + await self.reader.readexactly(length)

    def close(self) -> None:
        self.writer.close()


def statuses(raw: bytes) -> list[int]:
    """Of the answers in what came back."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d\d\d) ", raw)]


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every phase lasts half a second, and overdue ones are looked for often."""
    for phase in Phase:
        if phase.lasts is not None:
            monkeypatch.setattr(phase, "lasts", 0.5)
    monkeypatch.setattr(web, "BODY_WITHIN", 0.3)
    monkeypatch.setattr(serving, "_TICK", 0.05)


@contextlib.asynccontextmanager
async def served(database: Database, admission: Admission | None = None) -> AsyncIterator[Face]:
    face = Face(application("Test", "1", "A face.", Health(database), Guard()))
    stop = asyncio.Event()
    service = asyncio.create_task(run(face.app, opening=Opening("test", "127.0.0.1", face.port, admission), stop=stop))

    async def listens() -> bool:
        with contextlib.suppress(OSError):
            client = await face.connect(WHOLE)
            await client.answer()
            client.close()
            return True
        return False

    await until(listens)
    face.asked.clear()
    try:
        yield face
    finally:
        face.go_on.set()
        stop.set()
        await service


@pytest.fixture
async def face(database: Database) -> AsyncIterator[Face]:
    async with served(database) as face:
        yield face


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Nothing of what happens is an error to anybody's logger, ours or a library's."""
    with capture_logs() as ours:
        yield
        # asyncio tells of a task that failed and was asked by nobody when it is thrown away.
        gc.collect()
    assert [line for line in ours if line["log_level"] in {"error", "critical"}] == []
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("begun", [b"", b"G", HALF, b"POST /form HTTP/1.1\r\nHost: x\r\n"])
async def test_a_head_that_does_not_come_ends_the_connection(
    quick: None, quiet: None, face: Face, begun: bytes
) -> None:
    assert await face.ask(begun) == b""


async def test_a_head_that_trickles_in_is_as_late_as_one_that_does_not(quick: None, quiet: None, face: Face) -> None:
    client = await face.connect(HALF)
    ended = asyncio.create_task(client.rest())
    begun = monotonic()
    while not ended.done():
        await client.send(b"x")
        await asyncio.wait({ended}, timeout=0.05)
        assert monotonic() - begun < 8
    client.close()


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf of i",
        b"POST /form HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf ",
        b"POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n",
    ],
)
async def test_a_body_that_does_not_come_is_answered_and_ends_the_connection(
    quick: None, quiet: None, face: Face, begun: bytes
) -> None:
    answer = await face.ask(begun)
    assert b"HTTP/1.1 408 " in answer
    assert b"within 0.3 seconds" in answer
    assert face.asked == []


async def test_a_body_that_trickles_in_is_as_late(quick: None, quiet: None, face: Face) -> None:
    client = await face.connect(b"POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    ended = asyncio.create_task(client.rest())
    while not ended.done():
        await client.send(b"x")
        await asyncio.wait({ended}, timeout=0.05)
    assert (await ended).startswith(b"HTTP/1.1 408 ")
    client.close()


async def test_a_body_that_nobody_reads_is_no_reason_to_stay(quick: None, quiet: None, face: Face) -> None:
    client = await face.connect(b"POST /hasty HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx")
    assert (await client.answer()).endswith(b"unread")
    ended = asyncio.create_task(client.rest())
    while not ended.done():
        await client.send(b"x")
        await asyncio.wait({ended}, timeout=0.05)
    client.close()


async def test_who_does_not_take_an_answer_is_not_waited_for(quick: None, quiet: None, face: Face) -> None:
    client = await face.connect(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    before = connections_.OPEN._value.get()
    await until(lambda: connections_.OPEN._value.get() < before)
    client.writer.transport.resume_reading()  # type: ignore[attr-defined]
    assert len(await client.rest()) < 40_000_000
    client.close()


async def test_a_connection_is_kept_for_the_next_request_and_answers_come_in_order(quiet: None, face: Face) -> None:
    client = await face.connect(WHOLE)
    assert b" 200 " in await client.answer()
    await client.send(WHOLE + WHOLE + b"GET /none HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    rest = await client.rest()
    assert statuses(rest) == [200, 200, 404]
    client.close()


async def test_the_oldest_unfinished_of_a_source_makes_room_and_others_notice_nothing(quiet: None, face: Face) -> None:
    first = await face.connect(HALF)
    # The fixture's own connection may still be counted, which ends one more of them.
    half_sent = [await face.connect(HALF) for _ in range(60)]
    assert b" 200 " in await face.ask(WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert await first.rest() == b""
    for client in (first, *half_sent):
        client.close()


async def test_who_is_being_answered_keeps_the_place_and_another_source_has_its_own(
    quiet: None, database: Database
) -> None:
    async with served(database, Admission(5)) as face:
        close = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        busy = [asyncio.create_task(face.ask(close, "127.0.0.9")) for _ in range(5)]
        await until(lambda: face.at_work == 5)
        assert await face.ask(source="127.0.0.9") == b"", "refused before a byte was read"
        assert b" 200 " in await face.ask(WHOLE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), "127.0.0.8")
        face.go_on.set()
        assert all(b"done" in answer for answer in await asyncio.gather(*busy))


async def test_a_proxy_stands_for_many(quiet: None, database: Database) -> None:
    async with served(database, Admission(5, lambda address: address == "127.0.0.1")) as face:
        busy = [asyncio.create_task(face.ask(b"GET /slow HTTP/1.0\r\n\r\n")) for _ in range(60)]
        await until(lambda: face.at_work == 60)
        face.go_on.set()
        assert all(b"done" in answer for answer in await asyncio.gather(*busy))


async def test_a_crowd_of_sources_keeps_nobody_from_being_answered_soon(
    quiet: None, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(serving, "most_connections", lambda: 100)
    async with served(database) as face:
        crowd = [await face.connect(HALF, source=f"127.0.0.{2 + number % 20}") for number in range(400)]
        took = []
        for _ in range(20):
            begun = monotonic()
            assert b" 200 " in await face.ask(b"GET /open HTTP/1.0\r\n\r\n")
            took.append(monotonic() - begun)
        assert max(took) < 1
        assert connections_.OPEN._value.get() <= 100
        for client in crowd:
            client.close()


async def test_who_has_not_finished_asking_does_not_keep_a_service_from_stopping(
    quiet: None, database: Database
) -> None:
    async with served(database) as face:
        clients = [await face.connect(begun) for begun in (b"", HALF) for _ in range(10)]
        begun = monotonic()
    assert monotonic() - begun < 4
    for client in clients:
        assert await client.rest() == b""
        client.close()


POST = b"POST /form HTTP/1.1\r\nHost: x\r\n"
SMUGGLED = b"GET /open?smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
BOTH = b"Content-Length: 5\r\n" + CHUNKED + b"0\r\n\r\n"
AMBIGUOUS = {
    "both": POST + BOTH,
    "both, the other way about": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "both, on a question": b"GET /open HTTP/1.1\r\nHost: x\r\n" + BOTH,
    "both, about health": b"GET /health/live HTTP/1.1\r\nHost: x\r\n" + BOTH,
    "both, and a length of nought": POST + b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "both, in capitals": POST + b"CONTENT-LENGTH: 5\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n0\r\n\r\n",
    "both, to be kept alive": POST + b"Connection: keep-alive\r\n" + BOTH,
    "chunks in HTTP/1.0": POST.replace(b"1.1", b"1.0") + CHUNKED + b"0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    "two lengths in one line": POST + b"Content-Length: 5, 6\r\n\r\nhello",
    "a length with a sign": POST + b"Content-Length: +5\r\n\r\nhello",
    "a negative length": POST + b"Content-Length: -5\r\n\r\nhello",
    "a length in hexadecimal digits": POST + b"Content-Length: 0x5\r\n\r\nhello",
    "a length of many digits": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nhello",
    "a length that is a word": POST + b"Content-Length: five\r\n\r\nhello",
    "an empty length": POST + b"Content-Length:\r\n\r\nhello",
    "two codings": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a coding that nobody knows": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a tab in front of the coding": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "a chunk without a number": POST + CHUNKED + b"zz\r\nhello\r\n0\r\n\r\n",
    "a chunk with a sign": POST + CHUNKED + b"+5\r\nhello\r\n0\r\n\r\n",
    "a chunk in 0x": POST + CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
    "a chunk that is longer than it says": POST + CHUNKED + b"3\r\nhello\r\n0\r\n\r\n",
    "a chunk of a size without end": POST + CHUNKED + b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n",
    "a bad chunk behind an early answer": POST.replace(b"form", b"hasty") + CHUNKED + b"zz\r\n",
    "a bad chunk that nobody asked for": POST.replace(b"form", b"none") + CHUNKED + b"zz\r\n",
    "two hosts": b"GET /open HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    "no host": b"GET /open HTTP/1.1\r\n\r\n",
    "no version": b"GET /open\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("16030100fa010000f60303") + bytes(200),
    "a head without end": b"GET /open HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 100_000,
    "an address without end": b"GET /" + b"x" * 100_000,
    "a thousand headers": b"GET /open HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 20_000 + b"\r\n",
}  # fmt: skip


@pytest.mark.parametrize("kind", AMBIGUOUS)
async def test_what_has_no_certain_end_is_refused_and_nothing_behind_it_is_believed(
    quiet: None, face: Face, kind: str
) -> None:
    answer = await face.ask(AMBIGUOUS[kind] + SMUGGLED)
    hasty = kind == "a bad chunk behind an early answer"
    assert all(400 <= status < 500 or status == 501 for status in statuses(answer)) or hasty, answer
    assert face.asked in ([], ["hasty"] if hasty else [])


async def test_what_comes_piece_by_piece_is_judged_alike(quiet: None, face: Face) -> None:
    for kind in ("both", "two lengths", "a chunk without a number", "a bad chunk behind an early answer"):
        client = await face.connect(*(bytes([octet]) for octet in AMBIGUOUS[kind]), SMUGGLED)
        assert len(statuses(await client.rest())) <= 1
        client.close()
    assert "/open" not in face.asked


@pytest.mark.parametrize(
    "raw",
    [
        POST + b"Content-Length: 100\r\n\r\nhalf",
        POST + CHUNKED + b"5\r\nhal",
        POST.replace(b"form", b"hasty") + b"Content-Length: 100\r\n\r\nhalf",
        b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /open HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_who_leaves_in_the_middle_leaves_no_trace_in_the_log(quiet: None, face: Face, raw: bytes) -> None:
    before = connections_.OPEN._value.get()
    for how in (asyncio.StreamWriter.close, lambda writer: writer.transport.abort()):
        client = await face.connect(raw)
        await asyncio.sleep(0)
        how(client.writer)
    face.go_on.set()
    await until(lambda: connections_.OPEN._value.get() <= before)


PROGRAM = """
import asyncio, contextlib, os, resource, sys
from fastapi import FastAPI
from services.chassis.journal import configure
from services.chassis.service import main, run

port, directory = int(sys.argv[1]), sys.argv[2]
app = FastAPI()
held = []


def give_back():
    while held:
        os.close(held.pop())


@app.get("/use-up")
async def use_up():
    with contextlib.suppress(OSError):
        while True:
            held.append(os.open(os.devnull, os.O_RDONLY))
    asyncio.get_running_loop().call_later(2, give_back)


resource.setrlimit(resource.RLIMIT_NOFILE, (60, 60))
configure("info", "test")
main(lambda: run(app, port=port))
"""


async def test_without_descriptors_it_neither_spins_nor_fills_the_log(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "starved.py").write_text(PROGRAM)
    with (tmp_path / "output").open("wb") as output:
        process = popen([sys.executable, "-m", "starved", str(port), str(tmp_path)], cwd=tmp_path, stdout=output)

    async def ask(path: str) -> bytes:
        with contextlib.suppress(OSError):
            client = Client(*await asyncio.open_connection("127.0.0.1", port))
            await client.send(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            answer = await client.rest(30)
            client.close()
            return answer
        return b""

    async def used_up() -> bool:
        return b" 200 " in await ask("/use-up")

    try:
        await until(used_up, within=40)
        begun = _processor_time(process.pid)
        # They wait to be accepted until there are descriptors again, two seconds later.
        answers = await asyncio.gather(*(ask("/none") for _ in range(20)))
        assert [statuses(answer) for answer in answers] == [[404]] * 20
        assert _processor_time(process.pid) - begun < 1
    finally:
        process.terminate()
        await asyncio.to_thread(process.wait, 40)
    lines = [json.loads(line) for line in (tmp_path / "output").read_text().splitlines()]
    assert sum(line["event"] == "connections cannot be accepted" for line in lines) <= 2


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
