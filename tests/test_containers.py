"""The two ways in which tests run a broker can do the same, and a container is as closed as in production."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import nats
import pytest
from nats.js.errors import NotFoundError

from deploy.broker import RunningBroker, ServerKind, prepare_broker, start_broker_async
from deploy.embedded import BrokerDidNotStart, BrokerRefused, EmbeddedBroker
from deploy.topology import connect
from tests import containers, machine
from tests.base_images import NATS
from tests.containers import ContainerBroker, NoEngine
from tests.deploy.conftest import visit
from tests.ports import free_ports

KINDS = [
    pytest.param(EmbeddedBroker, id="embedded"),
    pytest.param(ContainerBroker, id="container", marks=pytest.mark.engine),
]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> ServerKind:
    found: ServerKind = request.param
    return found


@pytest.fixture
async def broker(kind: ServerKind, tmp_path: Path) -> AsyncIterator[RunningBroker]:
    port = free_ports(2)
    started = await start_broker_async(tmp_path, ["demo"], port=port, monitoring_port=port + 1, server=kind)
    yield started
    started.stop()


async def send(broker: RunningBroker) -> int:
    async with visit(broker, "demo") as partner:
        return (await partner.connection.jetstream().publish("intake.demo.enrolment.request", b"{}")).seq


async def has_ended(broker: RunningBroker) -> None:
    deadline = time.monotonic() + 10
    while broker.server.runs:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_it_has_productions_streams_and_lets_nobody_do_what_is_not_theirs(broker: RunningBroker) -> None:
    async with visit(broker, "demo") as partner:
        assert await partner.is_refused("log.registration.p.enrolment.confirmed")
    with pytest.raises(nats.errors.Error):
        await connect(broker.address, "_INBOX_nobody")
    assert await send(broker) == 1
    assert {path.name for path in broker.store.rglob("INTAKE_DEMO")} == {"INTAKE_DEMO"}


async def test_what_it_acknowledged_survives_a_kill_and_is_gone_with_its_disk(broker: RunningBroker) -> None:
    assert await send(broker) == 1
    broker.kill()
    assert not broker.server.runs
    broker.start()
    assert broker.server.runs
    assert await send(broker) == 2
    broker.kill()
    shutil.rmtree(broker.store)
    broker.start()
    async with visit(broker, "topology_partners") as owner:
        with pytest.raises(NotFoundError):
            await owner.connection.jsm().stream_info("INTAKE_DEMO")
    assert broker.server.starts == 3


async def test_it_starts_again_after_a_stop_and_leaves_its_log(broker: RunningBroker) -> None:
    broker.stop()
    assert not broker.server.runs
    assert "Server is ready" in broker.server.log.read_text()
    broker.stop()
    broker.start()
    assert await send(broker) == 1


async def test_it_reads_its_configuration_again_or_says_why_not(broker: RunningBroker, kind: ServerKind) -> None:
    partners, port = ["demo", "newcomer"], broker.port
    changed = prepare_broker(broker.directory, partners, port=port, monitoring_port=port + 1, server=kind)
    broker.server.reload()
    async with visit(changed, "newcomer") as newcomer:
        assert newcomer.connection.is_connected
    broker.server.configuration.write_text("accounts { A { users: [ }")
    with pytest.raises(BrokerRefused, match="Failed to reload"):
        broker.server.reload()
    assert broker.server.runs


async def test_a_configuration_that_it_refuses_is_told_with_its_reason(kind: ServerKind, tmp_path: Path) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text("accounts { A { users: [ }")
    server = kind(broken, free_ports(1), tmp_path / "broken.log", None)
    with pytest.raises(BrokerDidNotStart, match="Parse error"):
        server.start()
    assert not server.runs


@pytest.mark.engine
async def test_the_container_is_open_on_loopback_alone_and_has_no_privileges(tmp_path: Path) -> None:
    port = free_ports(2)
    broker = await start_broker_async(tmp_path, ["demo"], port=port, monitoring_port=port + 1, server=ContainerBroker)
    try:
        assert isinstance(broker.server, ContainerBroker)
        attributes = broker.server.attributes
        published = {
            each["HostIp"] for ports in attributes["NetworkSettings"]["Ports"].values() for each in ports or ()
        }
        assert published == {"127.0.0.1"}
        limits = attributes["HostConfig"]
        assert (limits["ReadonlyRootfs"], limits["CapDrop"], limits["Privileged"]) == (True, ["ALL"], False)
    finally:
        broker.stop()


@pytest.mark.engine
async def test_the_containers_of_a_run_that_was_killed_are_swept_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_process", lambda: 2**22 + 1)  # no process has a number as high as this
    broker = await start_broker_async(tmp_path, port=free_ports(1), server=ContainerBroker)
    monkeypatch.undo()
    other = await start_broker_async(tmp_path / "other", port=free_ports(1), server=ContainerBroker)
    containers.sweep()
    await has_ended(broker)
    assert other.server.runs
    other.stop()


@pytest.mark.engine
def test_what_a_killed_compose_test_left_is_swept_and_what_runs_is_not() -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    label = "com.docker.compose.project"
    theirs, ours = f"deelname-test-{ended.pid}", f"deelname-test-{os.getpid()}"
    with containers.docker() as client:
        made = [
            make(f"{project}-sweep", labels={label: project})
            for project in (theirs, ours)
            for make in (client.volumes.create, client.networks.create)
        ]
        left = client.containers.create(NATS, labels={label: theirs}, volumes=[f"{theirs}-sweep:/data"])
        try:
            containers.sweep()
            assert left.id not in {each.id for each in client.containers.list(all=True, ignore_removed=True)}
            there = {each.name for each in [*client.volumes.list(), *client.networks.list()]}
            assert [each.name in there for each in made] == [False, False, True, True]
        finally:
            for each in made[2:]:
                each.remove()


def test_an_engine_that_is_not_there_is_told_by_its_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path / 'docker.sock'}")
    with pytest.raises(NoEngine, match=r"no Docker engine at unix://.*docker.sock"):
        containers.engine()
    monkeypatch.setenv("DOCKER_HOST", "tcp://engine.example:2376")
    with pytest.raises(NoEngine, match="not on this machine"):
        containers.engine()


ROOT = Path(__file__).parents[1]
INNER = """
import pytest

@pytest.mark.engine
def test_with_an_engine(): pass

def test_the_broker(server): print("it is", server.__name__)
"""


def outcome_of(folder: Path, **environment: str) -> str:
    """What a run of pytest in a process of its own says, told that there is an engine or none."""
    (folder / "test_inner.py").write_text(INNER)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = engine\n")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("DEELNAME_TEST", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-s", "-p", "tests.machine", "-p", "no:cacheprovider", str(folder)],
        env=inherited | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"} | environment,
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return done.stdout + done.stderr


def test_without_an_engine_brokers_are_embedded_and_what_was_left_out_is_said_loudly(tmp_path: Path) -> None:
    said = outcome_of(tmp_path, **{machine.NO_ENGINE: "no Docker engine at all"})
    assert "broker of the system tests: an embedded nats-server" in said
    assert "it is EmbeddedBroker" in said
    assert "1 passed, 1 skipped" in said
    assert "NOT TESTED: 1 test that needs engine was left out, because no Docker engine at all." in said


def test_with_an_engine_brokers_are_containers_unless_somebody_says_otherwise(tmp_path: Path) -> None:
    said = outcome_of(tmp_path, **{machine.ENGINE: "Docker 27"})
    assert f"broker of the system tests: a container of {NATS}, Docker 27" in said
    assert "it is ContainerBroker" in said
    assert "2 passed" in said
    said = outcome_of(tmp_path, **{machine.ENGINE: "Docker 27", "DEELNAME_TEST_BROKER": "embedded"})
    assert "it is EmbeddedBroker" in said
    assert "2 passed" in said


def test_where_an_engine_is_required_a_test_without_one_fails(tmp_path: Path) -> None:
    said = outcome_of(tmp_path, **{machine.NO_ENGINE: "it sleeps", "DEELNAME_TESTS_REQUIRE": "engine,root"})
    assert "required, but it sleeps" in said
    assert "1 passed, 1 error" in said
    nowhere = {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock", "DEELNAME_TEST_BROKER": "container"}
    assert "DEELNAME_TEST_BROKER=container, but no Docker engine at" in outcome_of(tmp_path, **nowhere)
