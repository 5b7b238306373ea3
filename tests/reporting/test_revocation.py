"""A token that is revoked while reporting is cut off from the broker: it is not let in for longer than was set."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from contracts.facts import TokenCreated, TokenRevoked
from deploy.embedded import free_port
from services.chassis.access import digest
from services.reporting.app import start
from services.reporting.settings import Settings
from tests.chassis.conftest import until
from tests.chassis.proxy import Proxy
from tests.conftest import Broker
from tests.plausible import fact
from tests.reporting.conftest import make_streams, publish

STALE_AFTER = 3


class Face:
    """Reporting's HTTP face."""

    def __init__(self) -> None:
        self.port = free_port()

    async def asks(self, token: str) -> tuple[int, Any, str | None]:
        """What a token gets: status, body, and after how many seconds to come again."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/programmes", headers={"authorization": f"Bearer deelname_{token}"}
        )

        def ask() -> tuple[int, Any, str | None]:
            try:
                with urllib.request.urlopen(request, timeout=10) as answer:
                    return answer.status, json.loads(answer.read()), None
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, json.loads(error.read()), error.headers["retry-after"]

        return await asyncio.to_thread(ask)

    async def says(self, token: str, status: int) -> bool:
        """Whether it gets this status."""
        return (await self.asks(token))[0] == status


@pytest.fixture
async def line(broker: Broker) -> AsyncIterator[Proxy]:
    """What lies between reporting and the broker."""
    async with Proxy(broker.port).open() as proxy:
        yield proxy


@pytest.fixture
async def face(connection: Client, line: Proxy, tmp_path: Path) -> AsyncIterator[Face]:
    await make_streams(connection)
    face, stop = Face(), asyncio.Event()
    settings = Settings.model_validate(
        {
            "nats_url": line.url,
            "data": tmp_path / "data",
            "http_port": face.port,
            "tokens_stale_after": f"PT{STALE_AFTER}S",
        }
    )
    running = asyncio.create_task(start(settings, stop))
    yield face
    stop.set()
    await running


async def test_cut_off_nobody_is_let_in_by_a_token_until_it_is_known_which_were_revoked(
    face: Face, line: Proxy, connection: Client
) -> None:
    for number, account in enumerate(("kept", "revoked"), 1):
        made = TokenCreated(account=account, digest=digest("secret"), role="viewer")
        await publish(connection, [fact(made, "_", position=number)])
    for account in ("kept", "revoked"):
        await until(lambda account=account: face.says(f"{account}_secret", 200))  # type: ignore[misc]

    line.hold()
    await publish(connection, [fact(TokenRevoked(account="revoked"), "_", position=3)])
    assert (await face.asks("revoked_secret"))[0] == 200, "a short gap locks nobody out"
    begun = asyncio.get_running_loop().time()
    await until(lambda: face.says("revoked_secret", 503))
    assert asyncio.get_running_loop().time() - begun < STALE_AFTER + 2
    status, problem, wait = await face.asks("kept_secret")
    assert (status, problem["status"], wait) == (503, 503, "5")
    assert "revoked" in problem["detail"]
    assert "/health/ready" in problem["detail"]
    assert await face.says("kept_wrong", 401), "of what is nobody's nothing needs to be known"

    line.release()
    await until(lambda: face.says("kept_secret", 200))
    assert await face.says("revoked_secret", 401)
