"""What a service says of the broker's servers: a client answers here, real ones in tests/deploy/test_cluster.py."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts.servers import STREAMS_OF_ALL
from services.chassis import cluster
from services.chassis.cluster import Cluster

NAMES = ("a", "b", "c")
Say = Callable[..., Awaitable[None]]


@pytest.fixture
async def servers(connection: Client, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Those of three servers that answer; to be called again when that changes."""
    monkeypatch.setattr(cluster, "_ANSWERS_WITHIN", 0.2)
    there: list[str] = []

    async def answer(message: Msg) -> None:
        for name in there:
            meta = {"leader": "a", "cluster_size": 3, "replicas": [{"name": peer} for peer in NAMES if peer != name]}
            body = {"server": {"name": name}, "data": {"meta_cluster": meta}}
            await connection.publish(message.reply, json.dumps(body).encode())

    async def say(*names: str) -> None:
        there[:] = names

    await connection.subscribe(STREAMS_OF_ALL, cb=answer)
    return say


async def counted(found: Cluster) -> tuple[float, ...]:
    return tuple([gauge.value for gauge in await found.measure()][:2])


async def test_a_server_that_dies_is_named_and_counted_until_it_is_back(connection: Client, servers: Say) -> None:
    found = Cluster(connection)
    for there, remark, numbers in (
        (NAMES, "", (3, 0)),
        (("a", "c"), "1 of the 3 servers of the broker does not answer: b", (3, 1)),
        ((), "", (3, 3)),
        (NAMES, "", (3, 0)),
    ):
        await servers(*there)
        await found.look()
        assert (await found.remark(), await counted(found)) == (remark, numbers)


async def test_a_broker_that_does_not_let_us_ask_is_not_measured(connection: Client, servers: Say) -> None:
    """Its configuration is of the last release: that none is missing would be a lie."""
    found = Cluster(connection)
    await found.look()
    assert (await found.remark(), await counted(found)) == ("", ())
