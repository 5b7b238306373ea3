"""A reader that is behind, from the broker to what the operator is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from nats.aio.client import Client

from cli.doctor import examine
from cli.endpoints import Endpoints
from deploy.embedded import free_port
from services.chassis.database import Database
from services.chassis.guard import Guard
from services.chassis.health import Health
from services.chassis.reader import Message, Reader
from services.chassis.relay import publish_batch
from services.chassis.service import run
from services.chassis.web import application
from tests.chassis.conftest import STREAM

MOST = 5


async def test_a_reader_that_is_too_far_behind_is_named_with_what_to_do(
    connection: Client, database: Database, stream: str
) -> None:
    """Each of its facts takes it as long as we want."""
    let_go = asyncio.Event()
    position = 0

    async def apply(messages: Sequence[Message]) -> None:
        nonlocal position
        await let_go.wait()
        position = messages[-1].position

    async def where() -> int:
        return position

    reader = Reader(connection, STREAM, position=where, apply=apply)
    health = Health(database, readers={STREAM: reader}, most_lag=MOST)
    port, stop = free_port(), asyncio.Event()
    face = application("Reporting", "1", "Counts.", health, Guard())
    service = asyncio.create_task(run(face, port=port, tasks={"reader": reader.run}, stop=stop))

    async def found() -> dict[str, str]:
        addresses = {"reporting": f"http://127.0.0.1:{port}"}
        report = await asyncio.to_thread(examine, Endpoints("here", {}), addresses, free=0)
        return {f.code: f"{f.part}: {f.what} {f.remedy} {f.runbook}" for f in report.findings}

    try:
        async with asyncio.timeout(30):
            await publish_batch(connection, [(f"log.test.{number}", b"{}", {}) for number in range(20)])
            while "is 20 facts behind" not in (words := (await found()).get("reader-not-following", "")):  # noqa: ASYNC110 - it is asked over HTTP
                await asyncio.sleep(0.05)
            assert words.startswith(
                f"reporting: it does not keep up with the stream {STREAM}: is 20 facts behind, more than 5"
            )
            assert "it goes on by itself where it stopped" in words
            assert words.endswith("#a-reader-is-behind")
            let_go.set()
            while await found():  # noqa: ASYNC110 - likewise
                await asyncio.sleep(0.05)
    finally:
        let_go.set()
        stop.set()
        await service


@pytest.mark.parametrize(("behind", "ready"), [(MOST, True), (MOST + 1, False)])
async def test_as_much_as_is_allowed_is_ready(database: Database, behind: int, ready: bool) -> None:
    class Behind:
        following, lag, position, complaint = True, behind, 1, ""

    assert (await Health(database, readers={STREAM: Behind()}, most_lag=MOST).report())[0] is ready
