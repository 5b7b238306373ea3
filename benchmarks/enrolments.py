"""
Enrolments per second to a committed reply, at 1, 64 and 256 in flight, beside a raw probe of the same durability.

The probe is the least that could promise as much: one nats-py subscription, the request read by the same model, the
rows that an enrolment leaves (fact, person, enrolment) in a group commit with ``synchronous=FULL`` in one hop to the
database's thread, the reply after the commit, and the fact on its way to a stream in atomic batches. It decides
nothing, looks nobody up, keeps no state, copies no contacts and has no framework; database, relay and connection are
the services' own, so that it gains by what they gain. Both are processes of their own behind the same broker with the
permissions of production, asked by the same client, in turn. ``of CPU`` compares the processor time of the
two servers a request, which a busy machine disturbs less than rates.

    python -m benchmarks.enrolments [--seconds 3] [--rounds 3] [--profile]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts.commands import RequestEnrolment
from contracts.subjects import command, fact_subject, log_stream
from deploy.broker import RunningBroker, start_broker
from deploy.embedded import free_port
from deploy.identities import REGISTRATION_INTAKE
from deploy.links import keep_link_keys
from services.chassis.broker import connect
from services.chassis.database import Database, insert_rows
from services.chassis.identity import new_id
from services.chassis.log import SCHEMA, Entry, SqliteLog
from services.chassis.relay import Relay

IN_FLIGHT = (1, 64, 256)
PROBE = command("notifications", "probe", "store")
"""The probe takes the place of notifications, which does not run here: it has a log to relay to."""
REQUEST = command("registration", "enrolment", "request")
_FACT = b"x" * 620


def main() -> None:
    """Run the comparison and print its table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=3.0, help="how long each measurement lasts")
    arguments.add_argument("--rounds", type=int, default=3, help="how often both are measured in turn")
    arguments.add_argument("--profile", action="store_true", help="profile registration and say what it does")
    arguments.add_argument("--probe", nargs=3, metavar=("URL", "PASSWORD", "DIRECTORY"), help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.probe:
        asyncio.run(_probe(*options.probe))
        return
    with tempfile.TemporaryDirectory() as directory, start_broker(Path(directory) / "nats", ["demo"]) as broker:
        profile = Path(directory) / "profile" if options.profile else None
        with (
            _registration(broker, Path(directory), profile) as service,
            _probe_process(broker, Path(directory)) as probe,
        ):
            asyncio.run(_compare(broker, options.seconds, options.rounds, service.pid, probe.pid))
        if profile:
            import pstats  # noqa: PLC0415  # only where it is asked for

            pstats.Stats(str(profile)).sort_stats("tottime").print_stats(35)


async def _compare(broker: RunningBroker, seconds: float, rounds: int, service: int, probe: int) -> None:
    connection = await nats.connect(broker.url("staff"), inbox_prefix=broker.inbox_prefix("staff").encode())
    await _prepare(connection)
    heading = f"{'a second':>9} {'p50 ms':>7} {'p99 ms':>7} {'CPU µs':>7}"
    print(f"{'':>9}  {'registration':^33}  {'probe':^33}")
    print(f"{'in flight':>9}  {heading}  {heading}  {'ratio':>5} {'of CPU':>6}")
    people = iter(range(10**9))
    for in_flight in IN_FLIGHT:
        ours, theirs = [], []
        for _ in range(rounds):
            theirs.append(await _load(connection, PROBE, in_flight, seconds, people, probe))
            ours.append(await _load(connection, REQUEST, in_flight, seconds, people, service))
        ratio = statistics.median(mine.rate / other.rate for mine, other in zip(ours, theirs, strict=True))
        cpu = statistics.median(other.cpu / mine.cpu for mine, other in zip(ours, theirs, strict=True))
        middle = (sorted(ours)[rounds // 2], sorted(theirs)[rounds // 2])
        columns = "  ".join(f"{one.rate:>9,.0f} {one.median:>7.2f} {one.slow:>7.2f} {one.cpu:>7.0f}" for one in middle)
        print(f"{in_flight:>9}  {columns}  {ratio:>5.2f} {cpu:>6.2f}", flush=True)
    await connection.close()


async def _prepare(connection: Client) -> None:
    contact = {"name": "Team", "email": "team@bench.example"}
    programme = {
        "id": "bench",
        "kind": "meeting",
        "title": {"nl": "Meting", "en": "Benchmark"},
        "description": {"nl": "Meting", "en": "Benchmark"},
        "organisers": ["bench"],
        "content_contact": contact,
        "enrolment_contact": contact,
    }
    organisation = {"id": "bench", "name": "Bench", "kind": "library", "province": "utrecht"}
    for entity, verb, body in (
        ("organisation", "register", {"organisations": [organisation]}),
        ("programme", "publish", {"programme": programme}),
    ):
        reply = await connection.request(command("registration", entity, verb), json.dumps(body).encode(), timeout=10)
        if reply.headers:
            raise SystemExit(reply.data.decode())


class Measured(NamedTuple):
    """Requests a second, median and 99th percentile in milliseconds, and the server's CPU microseconds a request."""

    rate: float
    median: float
    slow: float
    cpu: float


def _cpu_seconds(process: int) -> float:
    """User and system time of a process so far (proc(5), fields 14 and 15)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def _load(  # noqa: PLR0917  # the six things that a measurement is made of
    connection: Client, subject: str, in_flight: int, seconds: float, people: Iterator[int], server: int
) -> Measured:
    durations: list[float] = []
    end = time.perf_counter() + seconds

    async def ask() -> None:
        while (begun := time.perf_counter()) < end:
            who = next(people)
            person = {"name": "Noor de Wit", "email": f"person-{who}@bench.example"}
            body = json.dumps({"programme": "bench", "organisation": "bench", "participants": [{"person": person}]})
            reply = await connection.request(subject, body.encode(), timeout=30)
            if reply.headers:
                raise SystemExit(reply.data.decode())
            durations.append(time.perf_counter() - begun)

    cpu = _cpu_seconds(server)
    begun = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(in_flight)))
    rate = len(durations) / (time.perf_counter() - begun)
    quantiles = statistics.quantiles(durations, n=100)
    microseconds = (_cpu_seconds(server) - cpu) / len(durations) * 1e6
    return Measured(rate, quantiles[49] * 1000, quantiles[98] * 1000, microseconds)


@contextmanager
def _registration(broker: RunningBroker, directory: Path, profile: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    port = free_port()
    settings = {
        "NATS_URL": broker.address,
        "NATS_USER": "registration",
        "NATS_PASSWORD": broker.passwords["registration"],
        "DATA": str(directory / "registration"),
        "HTTP_PORT": str(port),
        "PARTNERS_NATS_URL": broker.address,
        "PARTNERS_NATS_USER": REGISTRATION_INTAKE,
        "PARTNERS_NATS_PASSWORD": broker.passwords[REGISTRATION_INTAKE],
        "LINK_KEYS": str(keep_link_keys(directory / "links.keys")),
        "LOG_LEVEL": "warning",
    }
    environment = os.environ | {f"DEELNAME_{name}": value for name, value in settings.items()}
    profiler = ["-m", "cProfile", "-o", str(profile)] if profile else []
    service = subprocess.Popen([sys.executable, *profiler, "-m", "services.registration"], env=environment)
    try:
        _wait_for(f"http://127.0.0.1:{port}/health/ready", service)
        yield service
    finally:
        service.terminate()
        service.wait(timeout=30)


def _wait_for(url: str, process: subprocess.Popen[Any]) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SystemExit("the service ended before it was ready; its log stands above")
        try:
            urllib.request.urlopen(url).close()  # noqa: S310  # our own address
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{url} did not answer 200")


@contextmanager
def _probe_process(broker: RunningBroker, directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    arguments = [broker.address, broker.passwords["notifications"], str(directory / "probe")]
    probe = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.enrolments", "--probe", *arguments], stdout=subprocess.PIPE
    )
    try:
        if probe.stdout is None or not probe.stdout.readline():
            raise SystemExit("the probe did not start")
        yield probe
    finally:
        probe.terminate()
        probe.wait(timeout=10)


_PROBE_TABLES = """
CREATE TABLE people (person TEXT PRIMARY KEY, address TEXT UNIQUE, name TEXT, email TEXT) WITHOUT ROWID;
CREATE TABLE enrolments (enrolment TEXT PRIMARY KEY, programme TEXT, source TEXT) WITHOUT ROWID;
"""


async def _probe(url: str, password: str, directory: str) -> None:
    folder = Path(directory)
    (folder / "migrations").mkdir(parents=True)
    (folder / "migrations" / "0001_log.sql").write_text(SCHEMA.format(table="log") + _PROBE_TABLES)
    database = await Database.open(folder / "probe.db", folder / "migrations")
    connection = await connect(url, "notifications", "notifications", password)
    log = SqliteLog()
    relay = Relay(connection, database, log, log_stream("notifications"))
    relaying = asyncio.create_task(relay.run())
    waiting: list[Msg] = []
    arrived = asyncio.Event()

    async def take(message: Msg) -> None:
        waiting.append(message)
        arrived.set()

    await connection.subscribe(PROBE, cb=take)
    await connection.flush()
    print("ready", flush=True)
    subject = fact_subject("notifications", "mail.sent.v1", "bench")
    position = 0
    while not relaying.done():
        await arrived.wait()
        arrived.clear()
        taken, waiting[:] = list(waiting), []
        facts, people, enrolments = [], [], []
        for message in taken:
            person = RequestEnrolment.model_validate_json(message.data).participants[0].person
            position += 1
            id_, enrolment, who = new_id(), new_id(), new_id()
            facts.append(Entry(position, "bench", position, subject, _FACT, id_))
            people.append((who, person.email, person.name, person.email))
            enrolments.append((enrolment, "bench", "probe"))

        def store(
            raw: sqlite3.Connection,
            facts: Sequence[Entry] = facts,
            people: Sequence[tuple[str, ...]] = people,
            enrolments: Sequence[tuple[str, ...]] = enrolments,
        ) -> None:
            log.append(raw, facts)
            insert_rows(raw, "INSERT INTO people VALUES", people)
            insert_rows(raw, "INSERT INTO enrolments VALUES", enrolments)

        await database.transact(store)
        relay.offer(facts)
        for message in taken:
            await connection.publish(message.reply, b'{"status":"confirmed"}')


if __name__ == "__main__":
    main()
