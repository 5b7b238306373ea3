"""Processes killed and a disk lost in the middle of work: what was promised still holds, as a history of it shows."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from deploy.broker import ServerKind
from tests.system.crowd import Crowd, Letters, check, mail_server, open_programmes
from tests.system.world import SERVICES, Json, World, started, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(400),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def letters() -> AsyncIterator[Letters]:
    async with mail_server() as letters:
        yield letters


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(letters: Letters, server: ServerKind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """A world whose mails leave by SMTP, with two programmes that fill up."""
    async with started(tmp_path_factory.mktemp("storm"), server, transport=f"smtp://127.0.0.1:{letters.port}") as world:
        await open_programmes(world)
        yield world


async def contacts(world: World) -> dict[str, Json]:
    """Whom the bucket knows, for everybody in the people table."""
    people = [row[0] for row in world.rows("registration", "SELECT person FROM people")]
    found = {}
    async with world.connected("registration") as reader:
        jetstream = reader.jetstream(timeout=10)
        for who in people:
            raw = await jetstream.get_last_msg("KV_contacts", f"$KV.contacts.{who}", direct=True)
            found[who] = json.loads(raw.data or b"null")
    return found


async def restarted(world: World, starts: int) -> None:
    """Wait until whoever keeps the broker alive has started it once more than so many times."""

    async def not_yet() -> str:
        return "" if world.system.broker.server.starts > starts else "no new broker"

    await until(not_yet)


async def test_a_broker_killed_in_the_middle_loses_nothing_that_it_or_anybody_acknowledged(
    world: World, letters: Letters
) -> None:
    async with Crowd(world, letters, "killed", 1) as crowd:
        for _ in range(2):
            await crowd.more(15)
            starts = world.system.broker.server.starts
            world.system.broker.kill()
            await restarted(world, starts)
        await crowd.more(15)
    await check(world, letters, crowd)


async def test_a_broker_that_loses_its_disk_is_filled_again_and_nobody_hears_twice(
    world: World, letters: Letters
) -> None:
    await world.settled()
    before = await world.staff.reports()
    mails_before = len(letters.mails)
    everybody = await contacts(world)
    outcomes = len(world.partner.outcomes)
    broker = world.system.broker
    starts = broker.server.starts
    broker.kill()
    # In one step: whoever keeps the broker alive starts it again within half a second.
    broker.store.rename(broker.store.with_name("lost"))
    await restarted(world, starts)
    await world.settled()
    shutil.rmtree(broker.store.with_name("lost"))

    assert await world.staff.reports() == before
    assert await contacts(world) == everybody
    assert len(letters.mails) == mails_before
    assert len(world.partner.outcomes) == outcomes
    async with Crowd(world, letters, "after", 2) as crowd:
        await crowd.more(15)
    await check(world, letters, crowd)


async def test_a_disk_lost_in_the_middle_of_work_costs_undecided_requests_alone(world: World, letters: Letters) -> None:
    broker = world.system.broker
    async with Crowd(world, letters, "flooded", 3) as crowd:
        await crowd.more(15)
        starts = broker.server.starts
        broker.kill()
        broker.store.rename(broker.store.with_name("lost"))
        await restarted(world, starts)
        await crowd.more(15)
    shutil.rmtree(broker.store.with_name("lost"))
    await check(world, letters, crowd, intake_may_be_lost=True)


async def test_services_killed_at_any_moment_lose_no_command_and_mail_nobody_twice(
    world: World, letters: Letters
) -> None:
    async with Crowd(world, letters, "shot", 4) as crowd:
        for victim in (*SERVICES, "registration"):
            await crowd.more(8)
            process = world.system.children[victim].process
            if victim == "notifications":
                # When the mail server has the mail and the service does not know it yet (RFC 1047).
                letters.meanwhile = functools.partial(world.kill, victim)
            else:
                world.kill(victim)

            async def back(victim: str = victim, process: Any = process) -> str:
                return "" if world.system.children[victim].process is not process else f"{victim} is not back"

            await until(back)
    await check(world, letters, crowd)
    uncertain = await world.staff.mails(status="uncertain")
    arrived = {mail.message_id for mail in letters.mails}
    assert any(mail["message_id"] in arrived for mail in uncertain)
