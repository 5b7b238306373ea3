"""What every test may ask for: a real broker, a directory for a database, a clock that stands still."""

from __future__ import annotations

import gc
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, settings
from nats.aio.client import Client
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from deploy.embedded import EmbeddedBroker, free_port
from services.chassis.broker import connect
from services.chassis.clock import Clock

# How long an example takes says something about the machine's other work, and nothing about the code.
settings.register_profile("deelname", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("deelname")

pytest_plugins = ("tests.machine", "tests.tool")

NOW = datetime(2023, 3, 2, 9, 14, tzinfo=UTC)


def pytest_configure() -> None:
    """Show log lines plainly, because structlog's default draws every local variable; collect garbage less often."""
    # As services do: looking through all that was imported and collected, again and again, took a tenth of the time.
    gc.set_threshold(50_000, 20, 100)
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
        ]
    )


SHARING = ("tests/cli/", "tests/system/test_openapi.py")
"""What speaks to the one system that ``running`` starts."""


class TogetherByFile(LoadFileScheduling):  # type: ignore[misc] # it is untyped
    """A file's tests stay on one worker, and so do the files that share a system: it would run idle on the others."""

    def _split_scope(self, nodeid: str) -> str:
        return SHARING[0] if nodeid.startswith(SHARING) else str(super()._split_scope(nodeid))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Hand out tests to workers by ``TogetherByFile``."""
    return TogetherByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what may take longest, so that no worker is left alone with it at the end."""
    items.sort(key=_longest, reverse=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What is there now stays to the end: garbage is looked for in what comes after it."""
    gc.collect()
    gc.freeze()


def _longest(item: pytest.Item) -> float:
    marker = item.get_closest_marker("timeout")
    return float(marker.args[0]) if marker else 0.0


class Broker(EmbeddedBroker):
    """An embedded nats-server with JetStream under its own directory, made to be killed, restarted and wiped."""

    def __init__(self, directory: Path) -> None:
        port = free_port()
        directory.mkdir(parents=True, exist_ok=True)
        self.store = directory / "jetstream"
        configuration = directory / "nats.conf"
        configuration.write_text(
            f'listen: "127.0.0.1:{port}"\n'
            "jetstream {\n"
            f"  store_dir: {json.dumps(str(self.store))}\n"
            "  sync_interval: always\n"
            "}\n"
        )
        super().__init__(configuration, port, directory / "nats.log")

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    def restart(self) -> None:
        """SIGKILL, then start again on the same port and store."""
        self.kill()
        self.start()

    def wipe(self) -> None:
        """SIGKILL, lose the disk, and start again on the same port."""
        self.kill()
        shutil.rmtree(self.store)
        self.start()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker of the test's own, free to be killed."""
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
async def connection(broker: Broker) -> AsyncIterator[Client]:
    """A client of the test's own broker, with the options that services use."""
    connection = await connect(broker.url, "test")
    yield connection
    await connection.close()


@pytest.fixture
def database_path(tmp_path: Path) -> Path:
    """Where a test's database goes."""
    return tmp_path / "database" / "service.db"


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still at ``NOW``."""
    return lambda: NOW
