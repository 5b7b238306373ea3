"""Three nats-servers on loopback, as ``deelname broker configure --node …`` writes them: nkeys, TLS, TLS in between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.embedded import EmbeddedBroker
from deploy.production.copies import declare_all, until_whole
from deploy.production.deployment import Node
from deploy.production.directory import Directory
from deploy.streams import ACK_WAIT
from tests.ports import free_ports

NAMES = ("a", "b", "c")


class Cluster:
    """A deployment's servers as processes, three or one, each to be killed and started again by its name."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.nodes: dict[str, EmbeddedBroker] = {
            node.name: EmbeddedBroker(directory.broker / node.file, node.port, directory.path / f"nats-{node.name}.log")
            for node in directory.read().nodes
        } or {
            "deelname": EmbeddedBroker(
                directory.broker / "nats.conf", directory.read().port, directory.path / "nats.log"
            )
        }

    def start(self) -> None:
        """Start all; a server alone says that it is ready before it has found the others."""
        for node in self.nodes.values():
            node.start()

    async def declared(self, within: float = 60, ack_wait: float = ACK_WAIT) -> None:
        """Declare everything as soon as the servers have found one another, and wait until all have it."""
        await declare_all(self.directory, within, ack_wait)
        await until_whole(self.directory, within)


def configured(path: Path, partners: tuple[str, ...] = ("demo",), **chosen: Any) -> Directory:
    """A deployment of three servers on free ports of loopback, unless other ``nodes`` are chosen."""
    base = free_ports(6)
    nodes = [
        Node(name=name, host="localhost", port=base + 2 * number, routes_port=base + 2 * number + 1)
        for number, name in enumerate(NAMES)
    ]
    made = Directory(path)
    made.configure(
        {
            "public_url": "https://deelname.example.org",
            "nodes": nodes,
            "partners": partners,
            "host": "127.0.0.1",
            "monitoring_port": None,
            "store": str(path / "store"),
            **chosen,
        }
    )
    return made


@contextlib.contextmanager
def running(directory: Directory) -> Iterator[Cluster]:
    """The servers of a deployment, killed at the end: what they keep is the test's."""
    cluster = Cluster(directory)
    try:
        cluster.start()
        yield cluster
    finally:
        for node in cluster.nodes.values():
            node.kill()
