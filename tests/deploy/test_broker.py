"""The broker of one machine: partners come and go without a restart, and its store outlives a power cut."""

from __future__ import annotations

import asyncio
import subprocess
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from deploy.broker import RunningBroker, prepare_broker, start_broker_async
from deploy.embedded import BrokerDidNotStart, BrokerRefused, EmbeddedBroker
from tests.deploy.conftest import PARTNERS, visit


async def until(condition: Callable[[], Awaitable[bool]], within: float = 10.0) -> None:
    deadline = time.monotonic() + within
    while not await condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.05)


def with_partners(broker: RunningBroker, *partners: str) -> RunningBroker:
    """The same server, told to read a configuration with these partners."""
    changed = prepare_broker(broker.directory, partners, port=broker.port)
    broker.server.reload()
    return RunningBroker(changed.access, changed.passwords, broker.server, broker.directory)


async def test_a_partner_is_added_by_a_reload_while_others_stay_connected(own_broker: RunningBroker) -> None:
    async with visit(own_broker, "demo") as demo:
        changed = with_partners(own_broker, *PARTNERS, "newcomer")
        changes = await changed.declare()

        assert set(changes.created) == {"INTAKE_NEWCOMER", "INTAKE_NEWCOMER/registration", "OUTCOMES/newcomer"}
        async with visit(changed, "newcomer") as newcomer:
            sent = await newcomer.connection.jetstream().publish("intake.newcomer.enrolment.request", b"{}")
            assert sent.stream == "INTAKE_NEWCOMER"
        async with visit(changed, "registration_intake") as intake:
            queue = await intake.connection.jetstream().pull_subscribe_bind("registration", stream="INTAKE_NEWCOMER")
            assert [message.data for message in await queue.fetch(1, timeout=5)] == [b"{}"]
        await demo.connection.jetstream().publish("intake.demo.enrolment.request", b"{}")


async def test_a_partner_that_is_removed_is_thrown_out_and_its_requests_stay(own_broker: RunningBroker) -> None:
    async with visit(own_broker, "school-x") as leaver:
        await leaver.connection.jetstream().publish("intake.school-x.enrolment.request", b"{}")
        changed = with_partners(own_broker, "demo")

        async def is_out() -> bool:
            return leaver.connection.is_closed

        await until(is_out)
    assert set((await changed.declare()).undeclared) == {"INTAKE_SCHOOL_X", "OUTCOMES/school-x"}
    async with visit(changed, "topology_partners") as owner:
        assert (await owner.connection.jsm().stream_info("INTAKE_SCHOOL_X")).state.messages == 1


async def test_what_was_acknowledged_is_there_after_a_kill(own_broker: RunningBroker) -> None:
    async with visit(own_broker, "demo") as partner:
        for _ in range(20):
            await partner.connection.jetstream().publish("intake.demo.enrolment.request", b"{}")
        own_broker.kill()
    own_broker.start()
    async with visit(own_broker, "topology_partners") as owner:
        assert (await owner.connection.jsm().stream_info("INTAKE_DEMO")).state.messages == 20


async def test_a_taken_port_is_told_by_the_servers_own_log(own_broker: RunningBroker) -> None:
    with pytest.raises(BrokerDidNotStart, match="address already in use"):
        await start_broker_async(own_broker.directory / "other", port=own_broker.port)


def test_a_configuration_that_the_server_refuses_is_told_with_its_reason(own_broker: RunningBroker) -> None:
    broken = own_broker.directory / "broken.conf"
    broken.write_text("accounts { A { users: [ }")
    with pytest.raises(BrokerDidNotStart, match="Parse error"):
        EmbeddedBroker(broken, 1, own_broker.directory / "broken.log").start()


async def test_a_configuration_that_cannot_be_taken_over_leaves_the_server_as_it_was(own_broker: RunningBroker) -> None:
    own_broker.server.configuration.write_text("accounts { A { users: [ }")
    with pytest.raises(BrokerRefused, match="Failed to reload"):
        own_broker.server.reload()
    async with visit(own_broker, "demo") as partner:
        await partner.connection.jetstream().publish("intake.demo.enrolment.request", b"{}")


def test_a_broker_that_a_worker_thread_started_outlives_the_thread(own_broker: RunningBroker) -> None:
    """Linux counts a thread as the parent: a child told to die with its parent would die with it."""
    own_broker.kill()
    starter = threading.Thread(target=own_broker.start)
    starter.start()
    starter.join()

    assert isinstance(own_broker.server, EmbeddedBroker)
    process = own_broker.server.process
    assert process is not None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
