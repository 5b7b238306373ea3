"""
Everything on one machine by one command: the broker, its streams and the three services as three processes.

The broker has the accounts and permissions of production. All state is under one directory, all ports are on loopback,
and nothing that was started here outlives the process that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Self

import nats.errors

from cli import private
from cli.connection import Connection
from cli.endpoints import Access
from cli.failure import Failure
from cli.token import header
from contracts.problem import ProblemError
from deploy.broker import RunningBroker, ServerKind, prepare_broker
from deploy.embedded import BrokerDidNotStart, EmbeddedBroker
from deploy.identities import SERVICES
from deploy.links import keep_link_keys
from deploy.local.kept_broker import LOOK_AT_STORE_EVERY, KeptBroker
from deploy.local.processes import Child
from deploy.local.settings import Layout, Ports, endpoints, environment
from deploy.local.tokens import local_tokens
from deploy.streams import ACK_WAIT
from deploy.topology import TopologyConflict

READY_WITHIN = 60.0
"""Seconds that a service may take from its start to being ready."""
STOPPED_WITHIN = 20.0
"""Seconds that the services together may take to end what they have in hand."""
_LOOK_EVERY = 0.1
NO_HEADERS: Mapping[str, str] = {}


class DidNotStart(RuntimeError):  # noqa: N818 - it reads as what happened
    """The system could not start; the message says what to do about it. Whatever had been started is stopped."""


@dataclass(frozen=True, slots=True)
class ServiceCommand:
    """A service, the command that starts it, and who does that; what it needs to know is in its environment."""

    name: str
    command: tuple[str, ...]
    popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen


THE_SERVICES = tuple(ServiceCommand(name, (sys.executable, "-m", f"services.{name}")) for name in SERVICES)


class LocalSystem:
    """
    The whole system under ``data``, on five ports from ``port_base``: broker, its monitoring, then one HTTP port each.

    ``async with LocalSystem(…) as system:`` starts it and stops it; inside, ``system.endpoints`` is what stands in
    ``endpoints.json``, and services that die are started again.

    Args:
        data: where all state goes; created when absent.
        port_base: the first of five neighbouring ports on loopback.
        now: None for the wall clock; an ISO instant, from which all services run on and which is then also in the
            file ``data/now``, to be changed at any time; or the path of such a file.
        partners: who may send requests, by name.
        transport: how mail leaves, as DEELNAME_TRANSPORT takes it; None files it under ``data/mail``.
        services: what to start; other commands in place of the real services for those who test this class.
        tokens: whether the staff is given tokens for HTTP, which then stand in ``endpoints.json``.
        ack_wait: seconds after which a request or an outcome that somebody took and did not acknowledge is handed out
            again.
        server: how the broker runs: as a child process, unless somebody has another way.
        say: takes one line for the person at the terminal.
    """

    def __init__(
        self,
        data: Path,
        port_base: int,
        *,
        now: str | None = None,
        partners: Sequence[str] = ("demo",),
        transport: str | None = None,
        services: Sequence[ServiceCommand] = THE_SERVICES,
        tokens: bool = False,
        ack_wait: float = ACK_WAIT,
        server: ServerKind = EmbeddedBroker,
        say: Callable[[str], None] = print,
    ) -> None:
        self.layout = Layout(data.absolute())
        self.ports = Ports(port_base)
        self.partners = tuple(partners)
        self.endpoints: dict[str, Any] = {}
        self._now = now
        self._transport = transport
        self._services = tuple(services)
        self._tokens = tokens
        self._ack_wait = ack_wait
        self._server = server
        self._tell = say
        self._broker: RunningBroker | None = None
        self._children: list[Child] = []
        self._due: dict[str, float] = {}
        self._watches: list[asyncio.Task[None]] = []
        self._lock: BinaryIO | None = None

    @property
    def children(self) -> Mapping[str, Child]:
        """The services' processes by name."""
        return {child.name: child for child in self._children}

    @property
    def broker(self) -> RunningBroker:
        """
        The broker.

        Raises:
            RuntimeError: the system was not started.
        """
        if self._broker is None:
            raise RuntimeError("the system was not started")
        return self._broker

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> dict[str, Any]:
        """
        Start everything, wait until each service is ready, and write ``endpoints.json``. Returns what is in it.

        Raises:
            DidNotStart: another start has this directory, a port is taken, or a part ended or was not ready in time.
            InvalidPartner: a partner's name cannot be one.
        """
        try:
            self._take_directory()
            self._check_ports()
            keep_link_keys(self.layout.link_keys)
            kept = await self._start_broker()
            clock = self._clock_file()
            self._children = [self._child(service, clock) for service in self._services]
            for child in self._children:
                child.start()
            await asyncio.gather(*(self._ready(child) for child in self._children))
            self.endpoints = endpoints(
                broker=self.broker,
                ports=self.ports,
                layout=self.layout,
                clock=clock,
                transport=self._transport,
                tokens=await self._make_tokens() if self._tokens else {},
            )
            private.write(self.layout.endpoints, json.dumps(self.endpoints, indent=2, ensure_ascii=False) + "\n")
        except BaseException:
            await self.stop()
            raise
        self._watches = [asyncio.create_task(each) for each in (self._keep_alive(kept), _keep_storing(kept))]
        return self.endpoints

    async def stop(self) -> None:
        """Stop in order: the services, then the broker. Harmless when nothing runs."""
        watches, self._watches = self._watches, []
        for watch in watches:
            while not watch.done():
                # While the broker's streams are being declared, wait_for of Python 3.11 may lose a cancellation.
                watch.cancel()
                await asyncio.wait({watch}, timeout=1)
            with contextlib.suppress(asyncio.CancelledError):
                watch.result()
        if self._lock is None:
            return
        self.layout.endpoints.unlink(missing_ok=True)
        for child in self._children:
            child.terminate()
        deadline = time.monotonic() + STOPPED_WITHIN
        for child in self._children:
            if not await asyncio.to_thread(child.wait, deadline - time.monotonic()):
                self._say(f"{child.name} did not end within {STOPPED_WITHIN:.0f} s and was killed")
        if self._broker:
            await asyncio.to_thread(self._broker.stop)
        self._children, self._due = [], {}
        self._lock.close()
        self._lock = None

    def _take_directory(self) -> None:
        try:
            self.layout.create()
            lock = private.appended(self.layout.lock)
        except OSError as error:
            raise DidNotStart(
                f"{error.filename or self.layout.data} cannot be used: {error.strerror}. Choose another directory"
                " with --data, or have this one be yours."
            ) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().decode().strip() or "unknown"
            lock.close()
            raise DidNotStart(
                f"Deelname already runs on {self.layout.data} (process {holder}). Stop it, or choose another directory."
            ) from None
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())
        lock.flush()
        self._lock = lock
        self.layout.endpoints.unlink(missing_ok=True)

    def _check_ports(self) -> None:
        taken = [f"{port} (for {purpose})" for port, purpose in self.ports.purposes().items() if _is_taken(port)]
        if taken:
            raise DidNotStart(f"Taken by another program: port {', '.join(taken)}. Choose another --port-base.")

    async def _start_broker(self) -> KeptBroker:
        self._broker = prepare_broker(
            self.layout.broker,
            self.partners,
            port=self.ports.broker,
            monitoring_port=self.ports.monitoring,
            log=self.layout.log("nats"),
            server=self._server,
            ack_wait=self._ack_wait,
        )
        kept = KeptBroker(self._broker, self._health_of_broker, self._say)
        try:
            self._broker.start()
            changes = await self._broker.declare()
        except (BrokerDidNotStart, TopologyConflict, nats.errors.Error) as error:
            raise DidNotStart(str(error)) from error
        for name in changes.undeclared:
            self._say(f"the broker also has {name}, which nobody here uses any more; it is left alone")
        return kept

    def _child(self, service: ServiceCommand, clock: Path | None) -> Child:
        return Child(
            name=service.name,
            command=service.command,
            environment=environment(
                service.name,
                broker=self.broker,
                ports=self.ports,
                layout=self.layout,
                clock=clock,
                transport=self._transport,
                partners=self.partners,
            ),
            directory=self.layout.database(service.name),
            log=self.layout.log(service.name),
            popen=service.popen,
        )

    def _clock_file(self) -> Path | None:
        """One file for all services, so that whoever moves the clock moves it for all."""
        if self._now is None:
            return None
        given = Path(self._now)
        if given.is_file():
            return given.absolute()
        private.write(self.layout.clock, f"{self._now}\n")
        return self.layout.clock

    async def _ready(self, child: Child) -> None:
        """Wait until the service says that it is ready."""
        deadline = child.started + READY_WITHIN
        last = "nothing answered"
        while time.monotonic() < deadline:
            if child.exit_code is not None:
                raise DidNotStart(
                    f"{child.name} ended with code {child.exit_code} before it was ready."
                    f" Its log {child.log} ends:\n{child.tail()}"
                )
            last = await asyncio.to_thread(_readiness, self.ports.http(child.name))
            if last == "":
                return
            await asyncio.sleep(0.05)
        raise DidNotStart(
            f"{child.name} was not ready within {READY_WITHIN:.0f} s ({last})."
            f" Its log {child.log} ends:\n{child.tail()}"
        )

    async def _make_tokens(self) -> dict[str, str]:
        """
        What the staff is let in by over HTTP, once reporting knows of it too.

        Raises:
            DidNotStart: a token could not be made, or reporting did not hear of it.
        """
        access = Access("staff", self.broker.url("staff"), self.broker.inbox_prefix("staff"))
        staff = Connection(access)
        try:
            made = await local_tokens(staff, self.layout.tokens)
        except (Failure, ProblemError) as error:
            raise DidNotStart(f"The staff's tokens cannot be made: {error}") from error
        finally:
            with contextlib.suppress(Failure):
                await (await staff.client()).close()
        for role, token in made.items():
            private.write(self.layout.header(role), header(token))
        deadline = time.monotonic() + READY_WITHIN
        for token in made.values():
            while said := await asyncio.to_thread(_lets_in, self.ports.http("reporting"), token):
                if time.monotonic() > deadline:
                    raise DidNotStart(f"reporting does not take the staff's tokens: {said}")
                await asyncio.sleep(0.05)
        return made

    async def _keep_alive(self, kept: KeptBroker) -> None:
        """Start again what died, later each time it dies soon after its start."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            now = time.monotonic()
            await kept.look()
            for child in self._children:
                code = child.exit_code
                if code is None:
                    continue
                if child.name not in self._due:
                    pause = child.backoff.after_death(now - child.started)
                    self._due[child.name] = now + pause
                    self._say(f"{child.name} ended with code {code}, see {child.log}; started again in {pause:g} s")
                elif now >= self._due[child.name]:
                    del self._due[child.name]
                    try:
                        child.start()
                    except OSError as error:
                        # Of its log on a full disk, for instance: it is still dead, and so its turn comes again.
                        self._say(f"{child.name} cannot be started: {error}")

    def _health_of_broker(self) -> str:
        return _get(self.ports.monitoring, "/healthz")

    def _say(self, line: str) -> None:
        """Where our own output goes may be full as well, or gone: that must not end what keeps the system alive."""
        with contextlib.suppress(OSError):
            self._tell(line)


async def _keep_storing(kept: KeptBroker) -> None:
    """Beside the other watch: a broker that says nothing for a while must not keep services from being started."""
    while True:
        await asyncio.sleep(LOOK_AT_STORE_EVERY)
        await kept.look_at_store()


def _is_taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
        return False


def _readiness(port: int) -> str:
    """Empty when the service on this port is ready, otherwise what it said instead."""
    return _get(port, "/health/ready")


def _lets_in(port: int, token: str) -> str:
    """Empty when reporting on this port takes this token, otherwise what it said instead."""
    return _get(port, "/api/programmes", {"Authorization": f"Bearer {token}"})


def _get(port: int, path: str, headers: Mapping[str, str] = NO_HEADERS) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        body = answer.read(500).decode(errors="replace")
        return "" if answer.status == http.HTTPStatus.OK else f"{answer.status}: {body}"
    except (OSError, http.client.HTTPException) as error:
        return f"nothing answered: {error}"
    finally:
        connection.close()


async def serve(system: LocalSystem, ready: Callable[[LocalSystem], None] | None = None) -> None:
    """
    Start, call ``ready``, and run until SIGINT or SIGTERM; then stop in order. A second signal changes nothing.

    Raises:
        DidNotStart: see ``LocalSystem.start``.
    """
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, asked.set)
    waiting = asyncio.create_task(asked.wait())
    starting = asyncio.create_task(system.start())
    try:
        await asyncio.wait({waiting, starting}, return_when=asyncio.FIRST_COMPLETED)
        if asked.is_set():
            return
        starting.result()
        if ready:
            ready(system)
        await waiting
    finally:
        for task in (starting, waiting):
            task.cancel()
        await asyncio.gather(starting, waiting, return_exceptions=True)
        await system.stop()
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(sign)


def run(system: LocalSystem, ready: Callable[[LocalSystem], None] | None = None) -> None:
    """``serve`` for callers without an event loop: ``deelname up``."""
    asyncio.run(serve(system, ready))
