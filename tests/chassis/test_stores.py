"""What the broker's servers say of their disks, told as one; the servers' answers are a client's here."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.chassis import stores
from services.chassis.stores import HEALTH_OF_ALL, Stores

FULL = "JetStream stream 'PARTNERS > INTAKE_DEMO' write error: write /data/1.blk: no space left on device"
OTHERWISE = "JetStream stream 'APP > KV_contacts' could not be recovered"
Say = Callable[..., Awaitable[None]]


@pytest.fixture
async def servers(connection: Client, monkeypatch: pytest.MonkeyPatch) -> Say:
    """So many servers, each with what is wrong with it; to be called again when that changes."""
    monkeypatch.setattr(stores, "_MORE_ANSWERS_WITHIN", 0.1)
    monkeypatch.setattr(stores, "_ANSWERS_WITHIN", 0.2)
    answers: list[bytes] = []

    async def answer(message: Msg) -> None:
        for each in answers:
            await connection.publish(message.reply, each)

    async def say(*errors: str, raw: bytes | None = None) -> None:
        answers[:] = [
            json.dumps({"server": {"name": f"nats-{number}"}, "data": {"status": "x", "error": error}}).encode()
            for number, error in enumerate(errors)
        ] + ([raw] if raw is not None else [])

    await connection.subscribe(HEALTH_OF_ALL, cb=answer)
    return say


async def failed(found: Stores) -> float:
    (gauge,) = await found.measure()
    return gauge.value


@pytest.mark.parametrize(
    ("errors", "not_storing", "of_use"),
    [
        (("",), 0, True),
        ((FULL,), 1, False),
        ((OTHERWISE,), 0, True),
        (("", "", FULL), 1, True),
        (("", FULL, FULL), 2, False),
        (("", FULL), 1, False),
    ],
)
async def test_a_broker_is_of_no_use_when_no_more_than_half_of_its_servers_store(
    connection: Client, servers: Say, errors: tuple[str, ...], not_storing: int, of_use: bool
) -> None:
    found = Stores(connection)
    await servers(*errors)
    await found.look()
    assert await failed(found) == not_storing
    trouble = await found.trouble()
    assert (trouble == "") is of_use
    assert of_use or ("no space left on device" in trouble and "started again" in trouble)


async def test_a_server_that_was_started_again_is_accused_no_longer(connection: Client, servers: Say) -> None:
    found = Stores(connection)
    await servers(FULL)
    await found.look()
    assert await found.trouble()
    await servers("")
    await found.look()
    assert (await found.trouble(), await failed(found)) == ("", 0)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"server":{"name":"a"},"data":null}', b"\xff" * 100])
async def test_what_is_no_servers_answer_accuses_nobody(connection: Client, servers: Say, raw: bytes) -> None:
    found = Stores(connection)
    await servers(raw=raw)
    await found.look()
    assert await found.trouble() == ""


async def test_a_broker_that_never_answers_is_asked_once_a_minute_and_not_accused(
    connection: Client, servers: Say
) -> None:
    """It has the configuration of the last release, and complains of each question."""
    found = Stores(connection)
    await found.look()
    await servers(FULL)
    await found.look()
    assert await found.trouble() == ""


async def test_a_broker_that_is_gone_for_a_while_is_asked_again_at_once(connection: Client, servers: Say) -> None:
    found = Stores(connection)
    await servers(FULL)
    await found.look()
    await servers()
    await found.look()
    assert await found.trouble() == ""
    await servers(FULL)
    await found.look()
    assert await found.trouble()


async def test_what_a_server_says_is_told_in_bounds(connection: Client, servers: Say) -> None:
    found = Stores(connection)
    await servers(FULL + "x" * 100_000)
    await found.look()
    assert len(await found.trouble()) < 1000
