"""
Mails per second from a fact to the mail server's answer, beside prebuilt mails over the same pool of connections.

The service reads facts from the broker, plans, looks contacts up, renders, stores the bytes, sends, stores the outcomes
and tells them; nothing is left out. The probes send the same bytes, ready in memory, through the same transport to the
same sink. One has the service's durability: a batch's bytes are on disk before the first of them goes out, its answers
after the last (two transactions for 64 mails, two batches under way). The other keeps nothing. The sink is a process of
its own that answers as fast as it can read and stores nothing.

    python -m benchmarks.mails [--enrolments 1000] [--rounds 3] [--connections 4] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import pstats
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple, cast

from nats.aio.client import Client

from contracts.subjects import CONTACTS
from deploy.broker import RunningBroker, start_broker
from services.chassis.broker import connect
from services.chassis.database import Database, insert_rows
from services.chassis.links import LinkKeys
from services.chassis.reader import Reader
from services.chassis.relay import Relay, publish_batch
from services.chassis.service import tune_interpreter
from services.notifications import store
from services.notifications.app import OWN_STREAM
from services.notifications.contacts import Contacts
from services.notifications.handlers import Planner
from services.notifications.letters import Address
from services.notifications.links import PersonalLinks
from services.notifications.rendering import Renderer
from services.notifications.return_path import ReturnPaths
from services.notifications.sender import BATCH, BATCHES_UNDER_WAY, Sender
from services.notifications.transport import Sent, Transport, parse_transport
from tests.notifications.lives import Life, confirmed, messages, occasion, session

SENDER = Address("Deelname", "deelname@deelname.example")
_BATCH = 500
_MAILS_IN_FLIGHT = 128
_KEEP = "INSERT INTO mails (ordinal, recipient, raw) VALUES"


def main() -> None:
    """Run the comparison and print its table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--enrolments", type=int, default=1000, help="each makes a confirmation and an invite")
    arguments.add_argument("--rounds", type=int, default=3, help="how often both are measured in turn")
    arguments.add_argument("--connections", type=int, default=4, help="to the sink")
    arguments.add_argument("--profile", action="store_true", help="profile the service once and say what it does")
    arguments.add_argument("--sink", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.sink:
        asyncio.run(_sink())
        return
    tune_interpreter()
    with (
        tempfile.TemporaryDirectory() as directory,
        start_broker(Path(directory) / "nats", ["demo"]) as broker,
        _sink_process() as port,
    ):
        url = f"smtp://127.0.0.1:{port}?connections={options.connections}"
        asyncio.run(_compare(broker, Path(directory), url, options))


async def _compare(broker: RunningBroker, directory: Path, url: str, options: argparse.Namespace) -> None:
    async with _connected(broker) as connection, _opened(url) as transport:
        service = await _Service.open(connection, directory / "notifications.db", transport)
        kept = await _keeping(directory)
        services, safe, probes, raws = [], [], [], list[bytes]()
        for _ in range(options.rounds):
            measured, raws = await _round(broker, service, options.enrolments)
            services.append(measured)
            safe.append(await _safe_probe(transport, kept, raws))
            probes.append(await _probe(transport, raws))
        print(
            f"{2 * options.enrolments} mails of {statistics.mean(map(len, raws)):,.0f} bytes on average,"
            f" {options.connections} connections, medians of {options.rounds} rounds"
        )
        print(f"{'':28} {'mails':>9} {'ratio':>6} {'CPU a mail':>12} {'ratio':>6}")
        for name, kind in (
            ("fact to answer", services),
            ("prebuilt, kept on disk", safe),
            ("prebuilt, nothing kept", probes),
        ):
            rate, cpu = (statistics.median(each[place] for each in kind) for place in (0, 1))
            # Each round by its own probe: what else the machine does changes from round to round.
            rates = statistics.median(ours.rate / its.rate for ours, its in zip(services, kind, strict=True))
            cpus = statistics.median(its.cpu / ours.cpu for ours, its in zip(services, kind, strict=True))
            print(f"{name:28} {rate:>7,.0f}/s {rates:>6.2f} {cpu:>10,.0f}µs {cpus:>6.2f}")
        await kept.close()
        if options.profile:
            profiler = cProfile.Profile()
            profiler.enable()
            await _round(broker, service, options.enrolments)
            profiler.disable()
            pstats.Stats(profiler).sort_stats("tottime").print_stats(40)
        await service.database.close()


class _Measured(NamedTuple):
    """Mails per second, and the microseconds that this process (not sink and broker) worked for each."""

    rate: float
    cpu: float


class _Stopwatch:
    def __init__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def read(self, mails: int) -> _Measured:
        wall, cpu = time.perf_counter() - self._started[0], time.process_time() - self._started[1]
        return _Measured(mails / wall, cpu / mails * 1e6)


class _Service:
    """The service without its HTTP face, from the reader to the relay."""

    def __init__(self, connection: Client, database: Database, transport: Transport, return_paths: ReturnPaths) -> None:
        self.database = database
        self.life = Life(session("kick-off", occasion("2023-06-20", venue="Bibliotheek Gouda")))
        self.published = 0
        self.relay = Relay(connection, database, store.LOG, OWN_STREAM)
        self.sender = Sender(
            database,
            transport=transport,
            contacts=Contacts(connection),
            renderer=Renderer(SENDER, "https://deelname.example"),
            clock=self._clock,
            state=lambda: self.planner.state,
            envelope_from=return_paths.of,
            links=PersonalLinks(LinkKeys({"k1": bytes(32)}), "https://deelname.example"),
            appended=self.relay.offer,
        )
        self.planner = Planner(database, self._clock, self.sender.wake)
        self.reader = Reader(connection, store.FACTS, position=self.planner.position, apply=self.planner.apply)

    @classmethod
    async def open(cls, connection: Client, path: Path, transport: Transport) -> _Service:
        database = await Database.open(path, store.MIGRATIONS)
        return_paths = ReturnPaths(SENDER.mailbox, await database.run(store.key))
        service = cls(connection, database, transport, return_paths)
        await service.planner.load()
        return service

    def _clock(self) -> datetime:
        return self.life.time

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(each.run()) for each in (self.reader, self.sender, self.relay)]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _round(broker: RunningBroker, service: _Service, enrolments: int) -> tuple[_Measured, list[bytes]]:
    """Mails per second from the start of the reader until every outcome is stored, and the bytes that went out."""
    database = service.database
    before = await database.run(store.LOG.head)
    await _publish(broker, service, enrolments)
    stopwatch = _Stopwatch()
    async with service.running():
        # Our log grows by one fact a mail.
        while await database.run(store.LOG.head) < before + 2 * enrolments:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        measured = stopwatch.read(2 * enrolments)
    raws = await database.run(
        lambda raw: [
            bytes(row[0])
            for row in raw.execute("SELECT raw FROM archive ORDER BY ordinal DESC LIMIT ?", (2 * enrolments,))
        ]
    )
    return measured, raws


async def _probe(transport: Transport, raws: list[bytes]) -> _Measured:
    """Mails per second, ready-made, over the same pool."""
    waiting = iter(raws)

    async def work() -> None:
        for raw in waiting:
            outcome = await transport.deliver(SENDER.mailbox, "noor@bibliotheek.example", raw, "<x@deelname.example>")
            if not isinstance(outcome, Sent):
                raise TypeError(f"the sink did not take a mail: {outcome}")

    stopwatch = _Stopwatch()
    await asyncio.gather(*(work() for _ in range(_MAILS_IN_FLIGHT)))
    return stopwatch.read(len(raws))


async def _keeping(directory: Path) -> Database:
    """A database with one table, for mails and what became of them."""
    migrations = directory / "probe"
    migrations.mkdir()
    (migrations / "0001_mails.sql").write_text(
        "CREATE TABLE mails (ordinal INTEGER PRIMARY KEY, recipient TEXT NOT NULL, raw BLOB NOT NULL, answer TEXT);"
    )
    return await Database.open(directory / "probe.db", migrations)


async def _safe_probe(transport: Transport, database: Database, raws: list[bytes]) -> _Measured:
    """Mails per second, ready-made, over the same pool, with bytes and answers kept as safely as the service does."""
    (first,) = await database.run(lambda raw: raw.execute("SELECT count(*) FROM mails").fetchone())
    waiting = iter([(first + begin, raws[begin : begin + BATCH]) for begin in range(0, len(raws), BATCH)])

    async def deliver(raw: bytes) -> str:
        outcome = await transport.deliver(SENDER.mailbox, "noor@bibliotheek.example", raw, "<x@deelname.example>")
        if not isinstance(outcome, Sent):
            raise TypeError(f"the sink did not take a mail: {outcome}")
        return str(outcome.reply)

    async def work() -> None:
        for begin, batch in waiting:
            rows = [(begin + place, "noor@bibliotheek.example", raw) for place, raw in enumerate(batch)]
            await database.transact(partial(insert_rows, into=_KEEP, rows=rows))
            answers = [
                (answer, begin + place)
                for place, answer in enumerate(await asyncio.gather(*(deliver(raw) for raw in batch)))
            ]
            await database.transact(partial(_note, answers=answers))

    stopwatch = _Stopwatch()
    await asyncio.gather(*(work() for _ in range(BATCHES_UNDER_WAY)))
    return stopwatch.read(len(raws))


def _note(connection: sqlite3.Connection, answers: Sequence[tuple[str, int]]) -> None:
    connection.executemany("UPDATE mails SET answer = ? WHERE ordinal = ?", answers)


async def _publish(broker: RunningBroker, service: _Service, enrolments: int) -> None:
    """More people, each in an enrolment of one."""
    life = service.life
    numbers = range(len(life.facts), len(life.facts) + enrolments)
    for number in numbers:
        life.happens(confirmed(f"e{number}", f"person-{number}"))
    people = [(f"$KV.{CONTACTS}.person-{number}", _person(number), dict[str, str]()) for number in numbers]
    facts = [(each.subject, each.body, dict[str, str]()) for each in messages(life.facts)[service.published :]]
    service.published += len(facts)
    connection = await connect(broker.url("registration"), "registration")
    for items in (people, facts):
        for start in range(0, len(items), _BATCH):
            await publish_batch(connection, items[start : start + _BATCH])
    await connection.close()


def _person(number: int) -> bytes:
    return f'{{"name":"Noor de Wit","email":"noor{number}@bibliotheek.example","language":"nl"}}'.encode()


@asynccontextmanager
async def _connected(broker: RunningBroker) -> AsyncIterator[Client]:
    connection = await connect(broker.url("notifications"), "notifications")
    yield connection
    await connection.close()


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Transport]:
    transport = parse_transport(url)
    await transport.open()
    yield transport
    await transport.close()


# The sink ------------------------------------------------------------------------------------------------------------

_REPLIES = {
    b"EHLO": b"250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 50000000\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}


class _Sink(asyncio.Protocol):
    """Says yes to everything and keeps nothing; as fast as a mail server in Python gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._buffer = bytearray()
        self._in_data = False
        self._transport.write(b"220 sink\r\n")

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        replies = []
        while buffer:
            if self._in_data:
                end = buffer.find(b"\r\n.\r\n")
                if end < 0:
                    break
                del buffer[: end + 5]
                self._in_data = False
                replies.append(b"250 taken\r\n")
                continue
            end = buffer.find(b"\r\n")
            if end < 0:
                break
            word = bytes(buffer[:4]).upper()
            del buffer[: end + 2]
            self._in_data = word == b"DATA"
            replies.append(_REPLIES.get(word, b"250 ok\r\n"))
        if replies:
            self._transport.write(b"".join(replies))


async def _sink() -> None:
    server = await asyncio.get_running_loop().create_server(_Sink, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def _sink_process() -> Iterator[int]:
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.mails", "--sink"], stdout=subprocess.PIPE, text=True)
    try:
        yield int(cast("IO[str]", process.stdout).readline())
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    main()
