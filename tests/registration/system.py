"""Registration as a process of its own, at a broker with the accounts of production."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from contracts import subjects
from contracts.problem import ERROR_CODE_HEADER
from contracts.programme import Programme
from deploy.broker import RunningBroker, start_broker
from deploy.embedded import free_port
from deploy.identities import PARTNERS as PARTNERS_ACCOUNT
from deploy.identities import REGISTRATION_INTAKE, TOPOLOGY_PARTNERS
from deploy.links import keep_link_keys
from deploy.streams import streams_of
from services.chassis.links import Link, LinkKeys
from tests.registration.conftest import ORGANISATIONS
from tests.registration.domain.given import programme
from tests.warm import popen

PARTNERS = ("demo", "school-x")
NOW = "2023-03-02T09:14:00Z"
_PATIENCE = 30.0


@dataclass
class System:
    """The broker and the service; what the service says goes to ``journal``."""

    broker: RunningBroker
    directory: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    now: str = NOW
    """What the service's clock is set by."""

    @property
    def journal(self) -> Path:
        return self.directory / "journal"

    @property
    def database(self) -> Path:
        return self.directory / "data" / "registration.db"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start the service, and return when it is ready."""
        settings = {
            "NATS_URL": self.broker.address,
            "NATS_USER": "registration",
            "NATS_PASSWORD": self.broker.passwords["registration"],
            "DATA": str(self.directory / "data"),
            "HTTP_PORT": str(self.port),
            "PARTNERS_NATS_URL": self.broker.address,
            "PARTNERS_NATS_USER": REGISTRATION_INTAKE,
            "PARTNERS_NATS_PASSWORD": self.broker.passwords[REGISTRATION_INTAKE],
            "LINK_KEYS": str(keep_link_keys(self.directory / "links.keys")),
            "NOW": self.now,
            "PUBLIC_A_MINUTE": "0",
            "PUBLIC_MAILS_A_SOURCE_AND_HOUR": "0",
        }
        environment = os.environ | {f"DEELNAME_{name}": value for name, value in settings.items()}
        with self.journal.open("ab") as journal:
            self.process = popen(
                [sys.executable, "-m", "services.registration"], env=environment, stdout=journal, stderr=journal
            )
        deadline = monotonic() + _PATIENCE
        while self.get("/health/ready")[0] != 200:
            assert self.process.poll() is None, self.journal.read_text()
            assert monotonic() < deadline, self.journal.read_text()
            self.wait(0.05)

    def wait(self, seconds: float) -> None:
        """Give the process a moment, or notice that it has ended."""
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)

    def stop(self) -> int:
        """End it as an operator would; its exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def get(self, path: str) -> tuple[int, Any]:
        """The status and the body of an answer over HTTP; 0 if nobody answers."""
        return self.call("GET", path)

    def post(self, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        return self.call("POST", path, body, **headers)

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        status, _, document = self.exchange(method, path, body, **headers)
        return status, document

    def exchange(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        """The status, the headers and the body of an answer over HTTP."""
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named.setdefault("content-type", "application/json")
        request = urllib.request.Request(self.http + path, data, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers, json.loads(error.read() or b"null")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return 0, {}, None

    @contextlib.asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[Client]:
        """A connection as one identity."""

        async def quiet(_error: Exception) -> None: ...

        connection = await nats.connect(
            self.broker.url(name),
            inbox_prefix=self.broker.inbox_prefix(name).encode(),
            reconnect_time_wait=0.1,
            max_reconnect_attempts=-1,
            error_cb=quiet,
        )
        try:
            yield connection
        finally:
            await connection.close()

    async def redeliver_soon(self) -> None:
        """Have the broker give what was not acknowledged to the next reader after 2 seconds instead of 30."""
        async with self.client(TOPOLOGY_PARTNERS) as connection:
            for stream in streams_of(PARTNERS_ACCOUNT, PARTNERS):
                for consumer in stream.consumers if stream.name.startswith("INTAKE_") else ():
                    await connection.jsm().add_consumer(stream.name, replace(consumer, ack_wait=2.0))

    @contextlib.asynccontextmanager
    async def staff(self) -> AsyncIterator[Callable[[str, Any], Awaitable[tuple[int, Any]]]]:
        """Asks ``do.registration.…`` and ``ask.registration.…`` by their last words: status and answer."""
        async with self.client("staff") as connection:

            async def ask(words: str, body: Any) -> tuple[int, Any]:
                message = await connection.request(f"{words}", json.dumps(body).encode(), timeout=10)
                status = int((message.headers or {}).get(ERROR_CODE_HEADER, "200"))
                return status, json.loads(message.data or b"null")

            yield ask

    async def open(self, id_: str, **rules: Any) -> None:
        """Publish a programme."""
        await self.publish(programme(**rules).model_copy(update={"id": id_}))

    async def publish(self, definition: Programme) -> None:
        async with self.staff() as ask:
            registry = {"organisations": [one.model_dump(mode="json") for one in ORGANISATIONS]}
            assert (await ask("do.registration.organisation.register", registry))[0] == 200
            body = {"programme": definition.model_dump(mode="json", exclude_none=True)}
            status, answer = await ask("do.registration.programme.publish", body)
            assert status == 200, answer

    def link(self, programme: str, person: str, **changes: Any) -> str:
        """The path in the mail that asks somebody to confirm."""
        now = datetime.fromisoformat(NOW)
        said = {"issued": now, "expires": now + timedelta(days=2)} | changes
        keys = LinkKeys.read(self.directory / "links.keys")
        return f"/confirm/{keys.made(Link('confirm', person, programme, **said))}"

    def make_known(self, email: str) -> None:
        """Have somebody confirm from an address: from then on strangers' bounds are not theirs."""
        asyncio.run(self.open("kennismaking"))
        assert self.post("/api/enrolments", wish("kennismaking", email))[0] == 202
        (stands,) = asyncio.run(self.enrolments("kennismaking"))
        link = self.link("kennismaking", stands["participants"][0]["person"])
        with urllib.request.urlopen(urllib.request.Request(self.http + link, method="POST"), timeout=10) as page:
            assert page.status == 200

    async def enrolments(self, programme: str) -> list[dict[str, Any]]:
        async with self.staff() as ask:
            status, answer = await ask("ask.registration.enrolment.list", {"programme": programme})
            assert status == 200, answer
            return list(answer["enrolments"])


@dataclass
class Partner:
    """Another system: knows the wire contract, and nothing else."""

    name: str
    connection: Client
    read: JetStreamContext.PullSubscription

    async def send(self, body: bytes, kind: str = "enrolment.request") -> int:
        """Put bytes into the intake; the number that the stream gave them."""
        stream = self.connection.jetstream(timeout=5)
        return (await stream.publish(f"intake.{self.name}.{kind}", body)).seq

    async def outcomes(self, number: int, within: float = 25.0) -> list[dict[str, Any]]:
        """The next outcomes; fails if there are fewer, or one more."""
        found = await self._fetch(number, within)
        assert len(found) == number, f"{len(found)} outcomes of {number}"
        assert not await self._fetch(1, 0.3), "an outcome too many"
        return found

    async def take_all(self) -> None:
        """Take whatever is there, however much it is."""
        while await self._fetch(100, 0.5):
            pass

    async def _fetch(self, number: int, within: float) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        deadline = monotonic() + within
        while len(found) < number and monotonic() < deadline:
            left = max(0.1, min(1.0, deadline - monotonic()))
            with contextlib.suppress(NatsError, TimeoutError, asyncio.TimeoutError):
                for message in await self.read.fetch(min(100, number - len(found)), timeout=left):
                    await message.ack_sync(timeout=2)
                    found.append(json.loads(message.data))
        return found


@contextlib.asynccontextmanager
async def partner(system: System, name: str = "demo") -> AsyncIterator[Partner]:
    """A partner's connection."""
    async with system.client(name) as connection:
        read = await connection.jetstream(timeout=5).pull_subscribe_bind(consumer=name, stream=subjects.OUTCOMES_STREAM)
        yield Partner(name, connection, read)


def event(id_: str, data: Any, type_: str = "enrolment.request.v1", source: str = "demo") -> bytes:
    """An intake message as its sender writes it."""
    return json.dumps(
        {"specversion": "1.0", "id": id_, "source": source, "type": type_, "time": "2023-03-02T09:14:00Z", "data": data}
    ).encode()


def wish(programme: str, *emails: str, name: str = "Noor de Wit", **more: Any) -> dict[str, Any]:
    """The data of an enrolment request."""
    people: Sequence[dict[str, Any]] = [{"person": {"name": name, "email": email}} for email in emails]
    return {"programme": programme, "participants": people, **more}


@contextlib.contextmanager
def running_system(directory: Path, **settings: Any) -> Iterator[System]:
    """A system that runs; left, everything of it has ended."""
    with start_broker(directory / "broker", PARTNERS) as broker:
        system = System(broker, directory, **settings)
        try:
            system.start()
            yield system
        finally:
            if system.process is not None and system.process.poll() is None:
                system.kill()
