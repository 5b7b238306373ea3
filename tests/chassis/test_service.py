from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from fastapi import FastAPI
from faststream.nats import NatsBroker
from nats.errors import ConnectionClosedError
from nats.errors import TimeoutError as NatsTimeout
from structlog.testing import capture_logs

from deploy.embedded import free_port
from services.chassis.broker import connect
from services.chassis.service import TaskEnded, periodic, run
from tests.chassis.conftest import until
from tests.conftest import Broker
from tests.warm import popen

PROGRAM = """
import asyncio
import sys
from pathlib import Path

import structlog
from pydantic import BaseModel

from services.chassis.broker import faststream_broker
from services.chassis.commands import Route, serve
from services.chassis.database import Database
from services.chassis.health import Health
from services.chassis.journal import configure
from services.chassis.service import main, run
from services.chassis.web import application

url, port, directory, mode = sys.argv[1:]


async def start() -> None:
    migrations = Path(directory) / "migrations"
    migrations.mkdir()
    database = await Database.open(Path(directory) / "service.db", migrations)
    broker = faststream_broker(url, "service")
    held = []

    def take(call):
        held.append(call)
        structlog.get_logger("test").info("request taken")

    serve(broker, [Route("do.test.thing.request", BaseModel, None, take, "Ask.")])

    async def fail() -> None:
        await asyncio.sleep(0 if mode == "fail" else 3600)
        raise RuntimeError("the task broke")

    async def answer_what_was_taken() -> None:
        for call in held:
            call.reply(b"done")

    try:
        await run(
            application("Test", "1", "A service.", Health(database)),
            port=int(port),
            brokers=[broker],
            tasks={"endless": fail},
            before_stop=[answer_what_was_taken],
        )
    finally:
        await database.close()


configure("info", "test")
main(start)
"""


def _start(broker: Broker, port: int, directory: Path, mode: str) -> subprocess.Popen[bytes]:
    directory.mkdir()
    (directory / "program.py").write_text(PROGRAM)
    command = [sys.executable, "-m", "program", broker.url, str(port), str(directory), mode]
    with (directory / "output").open("wb") as output:
        return popen(command, cwd=directory, stdout=output)


def _ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def _lines(process: subprocess.Popen[bytes], directory: Path) -> list[dict[str, object]]:
    await asyncio.to_thread(process.wait, 40)
    return [json.loads(line) for line in (directory / "output").read_text().splitlines()]


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT])
async def test_a_service_stops_in_order_and_answers_what_it_took(
    broker: Broker, tmp_path: Path, signal_: signal.Signals
) -> None:
    port = free_port()
    process = _start(broker, port, tmp_path / "service", "run")
    await until(lambda: asyncio.to_thread(_ready, port), within=40)
    connection = await connect(broker.url, "client")
    request = asyncio.create_task(connection.request("do.test.thing.request", b"{}", timeout=10))
    # A request that comes later finds nobody, and rightly so.
    output = tmp_path / "service" / "output"
    await until(lambda: "request taken" in output.read_text())
    process.send_signal(signal_)
    assert (await request).data == b"done"
    lines = await _lines(process, tmp_path / "service")
    assert process.returncode == 0
    assert [line["event"] for line in lines if str(line["event"]).startswith("service ")] == [
        "service started",
        "service stops",
        "service stopped",
    ]
    assert all(line["service"] == "test" for line in lines)
    await connection.close()


async def test_a_task_that_dies_ends_the_process_with_a_clear_line(broker: Broker, tmp_path: Path) -> None:
    process = _start(broker, free_port(), tmp_path / "service", "fail")
    lines = await _lines(process, tmp_path / "service")
    assert process.returncode == 1
    [line] = [line for line in lines if line["event"] == "task failed"]
    assert line["task"] == "endless"
    assert line["level"] == "critical"
    assert "the task broke" in json.dumps(line["exception"])


async def test_a_task_that_returns_ends_the_service() -> None:
    async def returns() -> None:
        return None

    with pytest.raises(ExceptionGroup) as failure:
        await run(None, tasks={"short": returns})
    assert failure.group_contains(TaskEnded, match="short")


async def test_whatever_fails_every_broker_is_left() -> None:
    left: list[str] = []

    class Leaving(NatsBroker):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        async def start(self) -> None: ...

        async def stop(self, *_reason: object) -> None:
            left.append(self.name)
            raise OSError("cannot close")

    async def fails() -> None:
        raise RuntimeError("broken")

    with pytest.raises(ExceptionGroup) as failure:
        await run(None, tasks={"fails": fails}, brokers=[Leaving("first"), Leaving("second")])
    assert failure.group_contains(RuntimeError, match="broken")
    assert left == ["first", "second"]


async def test_a_taken_port_is_an_error_and_not_a_silent_exit() -> None:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    with pytest.raises(OSError, match=r"(?i)in use"):
        await run(FastAPI(), port=port)
    server.close()


async def test_periodic_work_goes_on_after_a_failure() -> None:
    times = 0
    stop = asyncio.Event()

    async def work() -> None:
        nonlocal times
        times += 1
        if times == 3:
            stop.set()
        raise RuntimeError("this time")

    async with asyncio.timeout(5):
        await run(None, tasks={"work": periodic(0.01, work)}, stop=stop)
    assert times >= 3


@pytest.mark.parametrize("error", [NatsTimeout(), TimeoutError(), ConnectionClosedError()], ids=["nats", "own", "gone"])
async def test_periodic_work_that_the_broker_does_not_answer_is_no_fault_of_ours(
    error: Exception,
) -> None:
    stop = asyncio.Event()

    async def work() -> None:
        stop.set()
        raise error

    with capture_logs() as told:
        async with asyncio.timeout(5):
            await run(None, tasks={"work": periodic(3600, work)}, stop=stop)
    (line,) = (line for line in told if "periodic" in line["event"])
    assert (line["log_level"], line["event"]) == ("warning", "periodic work waits for the broker")
    assert "exc_info" not in line
    assert line["reason"]


def test_signals_are_ours_again_after_a_run() -> None:
    before = signal.getsignal(signal.SIGTERM)
    stop = asyncio.Event()
    stop.set()
    asyncio.run(run(None, stop=stop))
    assert signal.getsignal(signal.SIGTERM) == before


async def test_work_that_loses_its_cancellation_does_not_keep_a_service_from_stopping() -> None:
    stop = asyncio.Event()
    lost = []

    async def ask() -> None:
        stop.set()
        try:
            await asyncio.Future()
        except asyncio.CancelledError:
            # As asyncio.wait_for does when the answer comes together with the cancellation.
            lost.append(True)

    async with asyncio.timeout(10):
        await run(None, tasks={"ask": periodic(3600, ask)}, stop=stop)
    assert lost == [True]
