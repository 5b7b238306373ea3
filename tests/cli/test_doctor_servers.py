"""The doctor before servers that lag; servers that are gone for real are in tests/deploy/test_cluster.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from cli.connection import Connection
from cli.doctor import servers
from cli.doctor.findings import Report
from cli.endpoints import Access
from contracts.servers import STREAMS_OF_ALL
from tests.conftest import Broker

LOOKS = 10
Lacks = dict[str, dict[str, int]]


def answers(lacks: Lacks) -> Iterable[bytes]:
    """Of three servers, the first of which leads each stream; by stream, what who lacks of it."""
    names = ("a", "b", "c")
    for name in names:
        streams = [
            {
                "name": stream,
                "cluster": {
                    "leader": "a",
                    "replicas": [
                        {"name": peer, "current": peer not in who, "lag": who.get(peer, 0)} for peer in names[1:]
                    ],
                },
            }
            for stream, who in lacks.items()
        ]
        meta = {"leader": "a", "cluster_size": 3, "replicas": [{"name": peer} for peer in names if peer != name]}
        data: dict[str, Any] = {"meta_cluster": meta, "account_details": [{"stream_detail": streams}]}
        yield json.dumps({"server": {"name": name}, "data": data}).encode()


@pytest.mark.parametrize(
    ("looks", "found"),
    [
        # Under load any copy lacks the newest for a moment.
        ([{"LOG": {"b": 1}}, {"LOG": {"c": 1}}], []),
        ([{"LOG": {}}], []),
        (
            [{"LOG": {"b": 9000, "c": 3}, "KV": {"b": 2}}, {"LOG": {"b": 7000}, "KV": {"b": 0}}],
            [("broker b", "it has not all of 2 streams: KV, LOG (7,000 missing).")],
        ),
    ],
)
async def test_a_copy_that_lags_at_every_look_is_named_and_no_other(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, looks: list[Lacks], found: list[tuple[str, str]]
) -> None:
    monkeypatch.setattr(servers, "_BETWEEN_LOOKS", 0.01)
    left = [*looks, *[looks[-1]] * LOOKS]
    client = Client()
    await client.connect(broker.url)

    async def answer(message: Msg) -> None:
        for each in answers(left.pop(0)):
            await client.publish(message.reply, each)

    await client.subscribe(STREAMS_OF_ALL, cb=answer)
    await client.flush()
    report = Report()

    def look() -> None:
        with Connection(Access("monitor", broker.url, "_INBOX_monitor")) as connection:
            servers.examine(report, connection, connection.run(streams(connection)))

    async def streams(connection: Connection) -> servers.Said:
        return await servers._all(await connection.client(), STREAMS_OF_ALL, {}, None)

    await asyncio.to_thread(look)
    await client.close()
    assert [(finding.part, finding.what) for finding in report.findings if finding.code == "copies-behind"] == found
    assert len(report.findings) == len(found)
