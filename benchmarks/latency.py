"""
From an enrolment to its mail and to the report: median and 99th percentile in milliseconds, beside a raw chain.

The whole system runs as in the demo: a broker with the permissions of production and three processes; enrolments come
at a steady pace, the mail is there when the SMTP sink has taken its last byte, the report when it counts the enrolment
(it is asked again as soon as it has answered). The probe is the same chain of hops in one process without a thought in
between: commit a row, relay it to a stream, read it from there, commit a row, hand a ready mail to the same sink; and,
for the report, the second commit.

    python -m benchmarks.latency [--enrolments 300] [--pace 20]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import nats
from nats.aio.client import Client

from contracts.queries import ProgrammeReport
from contracts.subjects import command, fact_subject, log_stream, query
from deploy.broker import start_broker_async
from deploy.embedded import free_port
from deploy.local import LocalSystem
from services.chassis.broker import connect
from services.chassis.database import Database
from services.chassis.identity import new_id
from services.chassis.log import SCHEMA, Entry, SqliteLog
from services.chassis.reader import POSITIONS_SCHEMA, Message, Reader, load_position, save_position
from services.chassis.relay import Relay
from services.notifications.transport import parse_transport

_CONTACT = {"name": "Team", "email": "team@bench.example"}
_PROGRAMME = {
    "id": "bench",
    "kind": "meeting",
    "title": {"nl": "Meting", "en": "Benchmark"},
    "description": {"nl": "Meting", "en": "Benchmark"},
    "organisers": ["bench"],
    "content_contact": _CONTACT,
    "enrolment_contact": _CONTACT,
}


def main() -> None:
    """Run both and print their table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--enrolments", type=int, default=300, help="how many")
    arguments.add_argument("--pace", type=float, default=20.0, help="how many a second")
    options = arguments.parse_args()
    asyncio.run(_compare(options.enrolments, options.pace))


async def _compare(enrolments: int, pace: float) -> None:
    sink = _Sink()
    server = await asyncio.get_running_loop().create_server(sink.connection, "127.0.0.1", 0)
    transport = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}?connections=4"
    with tempfile.TemporaryDirectory() as directory:
        probe = await _probe(Path(directory) / "probe", transport, sink, enrolments, pace)
        sink.taken.clear()
        system = await _system(Path(directory) / "system", transport, sink, enrolments, pace)
    server.close()
    print(f"{enrolments} enrolments, {pace:.0f} a second")
    print(f"{'':>20} {'system p50':>11} {'p99':>8} {'raw p50':>9} {'p99':>8} {'ratio p50':>10}")
    for what in ("committed reply", "mail taken", "counted in report"):
        (middle, slow), (raw, slow_raw) = _percentiles(system[what]), _percentiles(probe[what])
        print(f"{what:>20} {middle:>9.1f}ms {slow:>6.1f}ms {raw:>7.1f}ms {slow_raw:>6.1f}ms {raw / middle:>10.2f}")


def _percentiles(seconds: Sequence[float]) -> tuple[float, float]:
    quantiles = statistics.quantiles(seconds, n=100)
    return quantiles[49] * 1000, quantiles[98] * 1000


async def _system(directory: Path, transport: str, sink: _Sink, enrolments: int, pace: float) -> dict[str, list[float]]:
    async with LocalSystem(directory, free_port() // 10 * 10, transport=transport, say=lambda _line: None) as system:
        access = system.endpoints["nats"]["staff"]
        connection = await nats.connect(access["url"], inbox_prefix=access["inbox_prefix"].encode())
        organisation = {"id": "bench", "name": "Bench", "kind": "library"}
        await _ask(connection, command("registration", "organisation", "register"), {"organisations": [organisation]})
        await _ask(connection, command("registration", "programme", "publish"), {"programme": _PROGRAMME})
        begun: list[float] = []
        replied: list[float] = []
        counted: list[float] = []
        counting = asyncio.create_task(_count(connection, counted, enrolments))
        started = time.perf_counter()
        for number in range(enrolments):
            await asyncio.sleep(max(0.0, started + number / pace - time.perf_counter()))
            person = {"name": "Noor de Wit", "email": f"{number}@bench.example"}
            begun.append(time.perf_counter())
            await _ask(
                connection,
                command("registration", "enrolment", "request"),
                {"programme": "bench", "organisation": "bench", "participants": [{"person": person}]},
            )
            replied.append(time.perf_counter())
        await counting
        await sink.has(enrolments)
        await connection.close()
        mailed = [sink.taken[f"{number}@bench.example"] for number in range(enrolments)]
        return _durations(begun, replied, mailed, counted)


def _durations(
    begun: Sequence[float], replied: Sequence[float], mailed: Sequence[float], counted: Sequence[float]
) -> dict[str, list[float]]:
    ends = {"committed reply": replied, "mail taken": mailed, "counted in report": counted}
    return {what: [end - start for start, end in zip(begun, times, strict=True)] for what, times in ends.items()}


async def _ask(connection: Client, subject: str, body: object) -> bytes:
    reply = await connection.request(subject, json.dumps(body).encode(), timeout=30)
    if reply.headers:
        raise SystemExit(reply.data.decode())
    return bytes(reply.data)


async def _count(connection: Client, counted: list[float], enrolments: int) -> None:
    while len(counted) < enrolments:
        reply = await connection.request(query("reporting", "programme", "get"), b'{"programme":"bench"}', timeout=30)
        if reply.headers:
            await asyncio.sleep(0.01)  # the programme has not reached the report yet
            continue
        confirmed = ProgrammeReport.model_validate_json(reply.data).counts.units_confirmed
        counted += [time.perf_counter()] * (confirmed - len(counted))


async def _probe(
    directory: Path, transport_url: str, sink: _Sink, enrolments: int, pace: float
) -> dict[str, list[float]]:
    log, stream = SqliteLog(), log_stream("notifications")
    subject = fact_subject("notifications", "mail.sent.v1", "bench")
    transport = parse_transport(transport_url)
    await transport.open()
    databases = []
    for name, schema in (("first", SCHEMA.format(table="log")), ("second", POSITIONS_SCHEMA)):
        migrations = directory / name / "migrations"
        migrations.mkdir(parents=True)
        (migrations / "0001_first.sql").write_text(schema)
        databases.append(await Database.open(directory / name / "probe.db", migrations))
    first, second = databases
    stored: dict[int, float] = {}
    tasks: set[asyncio.Task[object]] = set()
    with await start_broker_async(directory / "nats", ["demo"]) as broker:
        writing = await connect(broker.url("notifications"), "notifications")
        reading = await connect(broker.url("reporting"), "reporting")
        relay = Relay(writing, first, log, stream)

        async def position() -> int:
            return await second.run(lambda raw: load_position(raw, stream))

        async def apply(messages: Sequence[Message]) -> None:
            await second.transact(lambda raw: save_position(raw, stream, messages[-1].position))
            for message in messages:
                stored[message.position] = time.perf_counter()
                to = f"{message.position}@bench.example"
                mail = b"Subject: ready\r\n\r\n" + b"x" * 18_000 + b"\r\n"
                sending = asyncio.create_task(transport.deliver("a@bench.example", to, mail, f"<{message.position}@b>"))
                tasks.add(sending)

        reader = Reader(reading, stream, position=position, apply=apply)
        running = [asyncio.create_task(part.run()) for part in (relay, reader)]
        begun: list[float] = []
        replied: list[float] = []
        started = time.perf_counter()
        for number in range(1, enrolments + 1):
            await asyncio.sleep(max(0.0, started + number / pace - time.perf_counter()))
            begun.append(time.perf_counter())
            entry = Entry(number, "bench", number, subject, b"x" * 620, new_id())

            def append(raw: sqlite3.Connection, entry: Entry = entry) -> None:
                log.append(raw, [entry])

            await first.transact(append)
            replied.append(time.perf_counter())
            relay.wake()
        await sink.has(enrolments)
        await asyncio.gather(*tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await writing.close()
        await reading.close()
    await transport.close()
    for database in databases:
        await database.close()
    numbers = range(1, enrolments + 1)
    mailed = [sink.taken[f"{number}@bench.example"] for number in numbers]
    return _durations(begun, replied, mailed, [stored[number] for number in numbers])


class _Sink:
    """Takes every mail and remembers when the first one for each recipient was there."""

    def __init__(self) -> None:
        self.taken: dict[str, float] = {}
        self._arrived = asyncio.Event()

    def take(self, recipient: str) -> None:
        """A mail is here."""
        self.taken.setdefault(recipient, time.perf_counter())
        self._arrived.set()

    def connection(self) -> asyncio.Protocol:
        """A new connection's protocol."""
        return _Talk(self)

    async def has(self, mails: int) -> None:
        """Wait until so many recipients have been written to."""
        while len(self.taken) < mails:
            self._arrived.clear()
            await self._arrived.wait()


class _Talk(asyncio.Protocol):
    def __init__(self, sink: _Sink) -> None:
        self._sink = sink
        self._buffer = bytearray()
        self._recipient = ""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n.\r\n" if self._in_data else b"\r\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + (5 if self._in_data else 2)]
            if self._in_data:
                self._sink.take(self._recipient)
                self._in_data = False
                self._transport.write(b"250 taken\r\n")
                continue
            word = line[:4].upper()
            self._in_data = word == b"DATA"
            if match := re.match(rb"RCPT TO:<([^>]*)>", line, re.IGNORECASE):
                self._recipient = match[1].decode()
            self._transport.write({b"DATA": b"354 go on\r\n", b"EHLO": b"250 sink\r\n"}.get(word, b"250 ok\r\n"))


if __name__ == "__main__":
    main()
