"""A service ends when it is told to, whatever became of its broker, and nothing is lost by it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sqlite3
from collections.abc import Callable, Coroutine, Iterator
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import nats
import pytest

from deploy.broker import RunningBroker, prepare_broker
from deploy.embedded import EmbeddedBroker, free_port
from deploy.identities import REGISTRATION_INTAKE, TOPOLOGY_PARTNERS
from deploy.links import keep_link_keys
from services.chassis.service import FINISHED_WITHIN, until_told
from services.notifications.app import start as notifications
from services.notifications.settings import Settings as NotificationsSettings
from services.registration.app import start as registration
from services.registration.settings import Settings as RegistrationSettings
from services.reporting.app import start as reporting
from services.reporting.settings import Settings as ReportingSettings
from tests.chassis.conftest import until

SERVICES = ("registration", "notifications", "reporting")
Start = Callable[[asyncio.Event | None], Coroutine[Any, Any, None]]


def service(name: str, broker: RunningBroker) -> Start:
    """One of the three, in this process."""
    common = {
        "nats_url": broker.address,
        "nats_user": name,
        "nats_password": broker.passwords[name],
        "data": broker.directory / name,
        "http_port": free_port(),
    }
    linking = {"link_keys": keep_link_keys(broker.directory / "links.keys")}
    match name:
        case "registration":
            partners = {
                "partners_nats_url": broker.address,
                "partners_nats_user": REGISTRATION_INTAKE,
                "partners_nats_password": broker.passwords[REGISTRATION_INTAKE],
            }
            return lambda stop: registration(RegistrationSettings.model_validate(common | linking | partners), stop)
        case "notifications":
            more = {"transport": f"maildir:{broker.directory / 'mail'}", "sender": "Deelname <d@deelname.example>"}
            return lambda stop: notifications(NotificationsSettings.model_validate(common | linking | more), stop)
        case _:
            return lambda stop: reporting(ReportingSettings.model_validate(common), stop)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """One that is not running; it gives out again after 2 seconds what was not acknowledged."""
    broker = prepare_broker(tmp_path / "broker", ["demo"], port=free_port(), ack_wait=2.0)
    yield broker
    broker.kill()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Everything that the service has logged until now."""
    heard: list[str] = []

    def read() -> str:
        heard.append(capsys.readouterr().out)
        return "".join(heard)

    return read


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_whose_broker_never_was_there_ends_at_a_signal_and_says_so(
    name: str, broker: RunningBroker, said: Callable[[], str]
) -> None:
    start = service(name, broker)
    running = asyncio.create_task(until_told(lambda: start(None)))
    await until(lambda: "broker connection error" in said())

    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        await running

    assert "service stops before it has started" in said()
    database = broker.directory / name / f"{name}.db"
    assert database.exists()
    assert not database.with_name(f"{name}.db-wal").exists(), "it was closed in order"


@pytest.mark.parametrize("gone", ["killed", "mute"])
async def test_services_whose_broker_is_gone_end_soon_when_they_are_told_and_say_so(
    gone: str, broker: RunningBroker, said: Callable[[], str]
) -> None:
    broker.start()
    await broker.declare()
    stop = asyncio.Event()
    running = [asyncio.create_task(service(name, broker)(stop)) for name in SERVICES]
    await until(lambda: said().count("service started") == len(SERVICES))
    assert isinstance(broker.server, EmbeddedBroker)
    assert broker.server.process
    if gone == "killed":
        broker.kill()
    else:
        broker.server.process.send_signal(signal.SIGSTOP)

    begun = monotonic()
    stop.set()
    await asyncio.gather(*running)

    assert monotonic() - begun < FINISHED_WITHIN / 2
    # Registration has a second foot, in the partners' account.
    assert said().count("the broker is gone and does not hear that we stop") == len(SERVICES) + 1
    assert said().count("service stopped") == len(SERVICES)


async def test_registration_that_ends_while_its_broker_is_gone_answers_every_request_later(
    broker: RunningBroker,
) -> None:
    number = 300
    broker.start()
    await broker.declare()
    start = service("registration", broker)
    database = broker.directory / "registration" / "registration.db"
    demo = await nats.connect(broker.url("demo"), inbox_prefix=broker.inbox_prefix("demo").encode())
    stream = demo.jetstream()
    await asyncio.gather(*(stream.publish("intake.demo.enrolment.request", b"not json") for _ in range(number)))
    await demo.close()

    stop = asyncio.Event()
    running = asyncio.create_task(start(stop))
    await until(lambda: database.exists() and outcomes(database) > 0)
    broker.kill()
    begun = monotonic()
    stop.set()
    await running
    assert monotonic() - begun < FINISHED_WITHIN / 2

    broker.start()
    stop = asyncio.Event()
    running = asyncio.create_task(start(stop))
    owner = await nats.connect(
        broker.url(TOPOLOGY_PARTNERS), inbox_prefix=broker.inbox_prefix(TOPOLOGY_PARTNERS).encode()
    )

    async def all_answered() -> bool:
        waiting = (await owner.jsm().stream_info("INTAKE_DEMO")).state.messages
        answers = (await owner.jsm().stream_info("OUTCOMES")).state.messages
        return (waiting, answers) == (0, number)

    await until(all_answered)
    await owner.close()
    stop.set()
    await running
    assert outcomes(database) == number


def outcomes(database: Path) -> int:
    with (
        contextlib.suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection,
    ):
        return int(connection.execute("SELECT count(*) FROM outcomes").fetchone()[0])
    return 0
