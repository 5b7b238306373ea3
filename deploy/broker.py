"""
A broker for one machine, with the accounts and permissions of production: for the local mode, tests and benchmarks.

``start_broker(directory, partners)`` is all that a test or a benchmark needs::

    with start_broker(tmp_path, ["demo"]) as broker:
        connection = await nats.connect(broker.url("demo"), inbox_prefix=broker.inbox_prefix("demo").encode())
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

from cli import private
from cli.reading import kept
from deploy.configuration import Broker, Password, render
from deploy.embedded import EmbeddedBroker, free_port
from deploy.identities import TOPOLOGY, TOPOLOGY_PARTNERS, Access, access
from deploy.streams import ACK_WAIT
from deploy.topology import Changes, declare_at


class Server(Protocol):
    """The nats-server behind a broker, however it runs: ``EmbeddedBroker``, or the tests' one in a container."""

    listens_on: ClassVar[str]
    """The address that its configuration names; clients come by 127.0.0.1 whatever it is."""

    configuration: Path
    port: int
    log: Path
    starts: int
    """How often it has been started."""

    def __init__(self, configuration: Path, port: int, log: Path, monitoring_port: int | None = None) -> None:
        """A server that does not run yet."""

    @property
    def runs(self) -> bool:
        """Whether it is there at this moment. Asked many times a second."""

    def start(self, timeout: float = ...) -> None:
        """As ``EmbeddedBroker.start``, also after ``stop`` and ``kill``."""

    def reload(self, timeout: float = ...) -> None:
        """As ``EmbeddedBroker.reload``."""

    def stop(self) -> None:
        """End it in order. Harmless when it does not run."""

    def kill(self) -> None:
        """End it as a power cut would. Harmless when it does not run."""


ServerKind = type[Server]


@dataclass
class RunningBroker:
    """A nats-server that runs and has every stream; leaving the ``with`` block stops it."""

    access: Access
    passwords: Mapping[str, str]
    server: Server
    directory: Path
    ack_wait: float = ACK_WAIT

    @property
    def port(self) -> int:
        """The port on loopback that clients connect to."""
        return self.server.port

    @property
    def store(self) -> Path:
        """The folder with the streams' files."""
        return self.directory / "store"

    @property
    def address(self) -> str:
        """Where it listens, without any credential."""
        return f"nats://127.0.0.1:{self.port}"

    def url(self, name: str) -> str:
        """
        Where to connect as this identity, with its password.

        Raises:
            KeyError: no identity has this name.
        """
        return f"nats://{name}:{self.passwords[name]}@127.0.0.1:{self.port}"

    def inbox_prefix(self, name: str) -> str:
        """The inbox prefix that this identity has to connect with."""
        return self.access.identity(name).inbox_prefix

    async def declare(self) -> Changes:
        """Declare the streams, bucket and consumers, again if need be (after the store was lost)."""
        return await declare_at(
            self.url(TOPOLOGY), self.url(TOPOLOGY_PARTNERS), self.access.partners, ack_wait=self.ack_wait
        )

    def start(self) -> None:
        """Start the server again after ``stop`` or ``kill``, on the same store."""
        self.server.start()

    def stop(self) -> None:
        """End the server in order."""
        self.server.stop()

    def kill(self) -> None:
        """End the server as a power cut would."""
        self.server.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.stop()


def prepare_broker(
    directory: Path,
    partners: Iterable[str],
    *,
    port: int,
    monitoring_port: int | None = None,
    log: Path | None = None,
    server: ServerKind = EmbeddedBroker,
    ack_wait: float = ACK_WAIT,
) -> RunningBroker:
    """
    Write the configuration and the passwords of a broker under ``directory`` without starting it.

    Passwords are made at random once and kept in ``directory/passwords.json``, readable by its owner alone. Partners
    may come and go between starts.

    Raises:
        InvalidPartner: see ``identities.access``.
    """
    table = access(partners)
    private.folder(directory)
    passwords = _passwords(directory / "passwords.json", [identity.name for identity in table.identities])
    configuration = directory / "nats.conf"
    text = render(
        table,
        {name: Password(value) for name, value in passwords.items()},
        Broker(
            store=directory / "store",
            host=server.listens_on,
            port=port,
            monitoring_port=monitoring_port,
            monitoring_host=server.listens_on,
        ),
    )
    private.write(configuration, text)
    process = server(configuration, port, log or directory / "nats.log", monitoring_port)
    return RunningBroker(table, passwords, process, directory, ack_wait)


async def start_broker_async(
    directory: Path,
    partners: Iterable[str] = ("demo",),
    *,
    port: int | None = None,
    monitoring_port: int | None = None,
    server: ServerKind = EmbeddedBroker,
) -> RunningBroker:
    """``start_broker`` from within an event loop."""
    broker = prepare_broker(
        directory,
        partners,
        port=free_port() if port is None else port,
        monitoring_port=monitoring_port,
        server=server,
    )
    broker.start()
    try:
        await broker.declare()
    except BaseException:
        broker.stop()
        raise
    return broker


def start_broker(
    directory: Path,
    partners: Iterable[str] = ("demo",),
    *,
    port: int | None = None,
    monitoring_port: int | None = None,
) -> RunningBroker:
    """
    Start a broker with all its state under ``directory`` and declare the topology; a free port if none is given.

    Raises:
        BrokerDidNotStart: the server ended or its port is taken; the message ends with its log.
        TopologyConflict: the store holds streams that cannot be brought to what is declared.
    """
    return asyncio.run(start_broker_async(directory, partners, port=port, monitoring_port=monitoring_port))


def _passwords(path: Path, names: Iterable[str]) -> dict[str, str]:
    known = kept(path)
    passwords = {**known, **{name: secrets.token_urlsafe(24) for name in names if name not in known}}
    if passwords != known:
        private.write(path, json.dumps(passwords, indent=2) + "\n")
    return {name: passwords[name] for name in names}
