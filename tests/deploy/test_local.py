"""The system on one machine, with stand-ins for the services: started, watched, killed, started again."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest

from deploy.identities import SERVICES
from deploy.local import DidNotStart, LocalSystem, ServiceCommand
from deploy.local.processes import FIRST_PAUSE, LONGEST_PAUSE, STEADY_AFTER, Backoff
from deploy.topology import Changes
from tests import warm
from tests.ports import free_ports

STAND_IN = Path(__file__).parent / "stand_in_service.py"
STAND_INS = tuple(
    ServiceCommand(name, (sys.executable, "-m", "tests.deploy.stand_in_service"), warm.popen) for name in SERVICES
)
"""Forked: what the kernel does to real children is shown by ``TestEnding``, which starts them."""


@pytest.fixture
def port_base() -> int:
    """Five neighbouring ports that nothing listens on at this moment, and that no other worker looks at."""
    return free_ports()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


async def until(condition: Callable[[], bool], within: float = 15.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it did not come about in time"
        await asyncio.sleep(0.02)


def is_alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def starts(data: Path, service: str) -> list[int]:
    file = data / service / "starts"
    return [int(line) for line in file.read_text().split()] if file.exists() else []


def told(data: Path, service: str) -> dict[str, str]:
    result: dict[str, str] = json.loads((data / service / "told.json").read_text())
    return result


@pytest.fixture
def lines() -> list[str]:
    """What the person at the terminal was told."""
    return []


@pytest.fixture
def system(tmp_path: Path, port_base: int, lines: list[str]) -> LocalSystem:
    return LocalSystem(tmp_path / "system", port_base, services=STAND_INS, say=lines.append)


@pytest.fixture
async def running(system: LocalSystem) -> AsyncIterator[LocalSystem]:
    async with system:
        yield system


class TestRunning:
    async def test_it_tells_a_client_in_any_language_where_everything_is(
        self, running: LocalSystem, port_base: int
    ) -> None:
        data = running.layout.data
        written: dict[str, Any] = json.loads((data / "endpoints.json").read_text())

        assert written == running.endpoints
        assert {"demo", "staff", *SERVICES} <= written["nats"].keys()
        assert written["nats"]["demo"]["inbox_prefix"] == "_INBOX_demo"
        assert written["nats"]["demo"]["url"].startswith("nats://demo:")
        assert written["http"] == {
            "registration": f"http://127.0.0.1:{port_base + 2}",
            "notifications": f"http://127.0.0.1:{port_base + 3}",
            "reporting": f"http://127.0.0.1:{port_base + 4}",
        }
        assert written["mail"] == str(data / "mail")
        assert (data / "endpoints.json").stat().st_mode & 0o077 == 0
        partner = await nats.connect(
            written["nats"]["demo"]["url"], inbox_prefix=written["nats"]["demo"]["inbox_prefix"].encode()
        )
        assert (await partner.jetstream().publish("intake.demo.enrolment.request", b"{}")).stream == "INTAKE_DEMO"
        await partner.close()

    async def test_each_service_is_told_what_it_needs_and_no_more(self, running: LocalSystem, port_base: int) -> None:
        data = running.layout.data
        common = {"NATS_URL", "NATS_USER", "NATS_PASSWORD", "NATS_NAME", "DATA", "HTTP_HOST", "HTTP_PORT", "LOG_LEVEL"}
        common |= {"PUBLIC_A_MINUTE"}

        assert told(data, "reporting").keys() == common
        own = {"TRANSPORT", "SENDER", "PUBLIC_URL", "INBOX", "HOLD", "LINK_KEYS"}
        own |= {"MAILS_A_MINUTE_AND_DOMAIN", "MAILS_A_PROGRAMME_AND_HOUR", "UNCONFIRMED_MAILS_A_DOMAIN_AND_HOUR"}
        assert told(data, "notifications").keys() == common | own
        assert told(data, "notifications")["TRANSPORT"] == f"maildir:{data / 'mail'}"
        assert told(data, "registration")["PARTNERS"] == "demo"
        assert told(data, "registration")["LINK_KEYS"] == told(data, "notifications")["LINK_KEYS"]
        assert told(data, "registration")["LINK_KEYS"] == str(running.layout.link_keys)
        assert running.layout.link_keys.stat().st_mode & 0o077 == 0
        assert told(data, "registration")["HTTP_PORT"] == str(port_base + 2)
        passwords = {told(data, service)["NATS_PASSWORD"] for service in SERVICES}
        assert len(passwords) == 3

    async def test_a_service_that_dies_is_started_again_and_the_terminal_says_so(
        self, running: LocalSystem, lines: list[str]
    ) -> None:
        data = running.layout.data
        (victim,) = starts(data, "reporting")
        os.kill(victim, signal.SIGKILL)

        await until(lambda: len(starts(data, "reporting")) == 2)

        assert any("reporting ended with code -9" in line for line in lines)
        assert len(starts(data, "registration")) == 1

    async def test_what_cannot_be_told_to_anybody_ends_nothing(self, tmp_path: Path, port_base: int) -> None:
        """The terminal may be a file on a disk that is full."""

        def full(_line: str) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        async with LocalSystem(tmp_path / "system", port_base, services=STAND_INS, say=full) as system:
            for number in (2, 3):
                os.kill(starts(system.layout.data, "reporting")[-1], signal.SIGKILL)
                await until(lambda number=number: len(starts(system.layout.data, "reporting")) == number)  # type: ignore[misc]

    async def test_a_service_that_could_not_be_started_is_started_later(
        self, running: LocalSystem, lines: list[str]
    ) -> None:
        """Its log cannot be opened, as on a disk without room for another file."""
        child = running.children["reporting"]
        right, child.log = child.log, running.layout.data / "gone" / "reporting.log"
        (victim,) = starts(running.layout.data, "reporting")
        os.kill(victim, signal.SIGKILL)
        await until(lambda: any("reporting cannot be started" in line for line in lines))
        child.log = right
        await until(lambda: len(starts(running.layout.data, "reporting")) == 2)

    async def test_a_broker_that_dies_is_started_again_with_what_it_held(
        self, running: LocalSystem, lines: list[str]
    ) -> None:
        demo = running.endpoints["nats"]["demo"]
        partner = await nats.connect(demo["url"], inbox_prefix=demo["inbox_prefix"].encode())
        first = await partner.jetstream().publish("intake.demo.enrolment.request", b"{}")
        await partner.close()
        running.broker.kill()

        await until(lambda: running.broker.server.starts == 2)

        partner = await nats.connect(demo["url"], inbox_prefix=demo["inbox_prefix"].encode())
        second = await partner.jetstream().publish("intake.demo.enrolment.request", b"{}")
        await partner.close()
        assert second.seq == first.seq + 1
        assert any("the broker ended" in line for line in lines)

    async def test_streams_that_could_not_be_declared_after_a_crash_are_declared_later(
        self, running: LocalSystem, lines: list[str]
    ) -> None:
        """Nobody else declares them: a broker with an empty disk would stay of no use."""
        declare, attempts, declared = running.broker.declare, 0, asyncio.Event()

        async def declare_at_the_third_attempt() -> Changes:
            nonlocal attempts
            attempts += 1
            if attempts < 3:
                raise nats.errors.TimeoutError
            changes = await declare()
            declared.set()
            return changes

        running.broker.declare = declare_at_the_third_attempt  # type: ignore[method-assign]
        running.broker.kill()
        running.broker.store.rename(running.broker.store.with_name("lost"))

        await until(declared.is_set)
        demo = running.endpoints["nats"]["demo"]
        partner = await nats.connect(demo["url"], inbox_prefix=demo["inbox_prefix"].encode())
        stored = await partner.jetstream(timeout=10).publish("intake.demo.enrolment.request", b"{}")
        await partner.close()
        assert stored.seq == 1
        assert sum("the broker ended" in line for line in lines) == 1

    async def test_it_stops_also_when_a_cancellation_gets_lost_while_streams_are_declared(
        self, running: LocalSystem
    ) -> None:
        """Python 3.11's wait_for, which nats-py uses, does that."""
        declaring = asyncio.Event()

        async def declare_and_lose_the_first_cancellation() -> Changes:
            declaring.set()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            await asyncio.Event().wait()
            return Changes()

        running.broker.declare = declare_and_lose_the_first_cancellation  # type: ignore[method-assign]
        running.broker.kill()
        await until(declaring.is_set)
        async with asyncio.timeout(20):
            await running.stop()
        assert _is_free(running.ports.broker)

    async def test_a_second_start_on_the_same_directory_is_refused_and_disturbs_nothing(
        self, running: LocalSystem
    ) -> None:
        second = LocalSystem(running.layout.data, running.ports.base + 100, services=STAND_INS)
        with pytest.raises(DidNotStart, match=f"already runs.*process {os.getpid()}"):
            await second.start()
        assert running.layout.endpoints.exists()
        assert all(child.exit_code is None for child in running.children.values())


class TestStarting:
    async def test_a_second_start_finds_everything_again(self, system: LocalSystem) -> None:
        async with system:
            before, keys = system.endpoints, system.layout.link_keys.read_bytes()
            demo = before["nats"]["demo"]
            partner = await nats.connect(demo["url"], inbox_prefix=demo["inbox_prefix"].encode())
            first = await partner.jetstream().publish("intake.demo.enrolment.request", b"{}")
            await partner.close()
        async with system:
            assert system.endpoints == before
            assert system.layout.link_keys.read_bytes() == keys
            partner = await nats.connect(demo["url"], inbox_prefix=demo["inbox_prefix"].encode())
            second = await partner.jetstream().publish("intake.demo.enrolment.request", b"{}")
            await partner.close()
            assert second.seq == first.seq + 1

    @pytest.mark.parametrize(
        ("offset", "purpose"), [(0, "the broker"), (1, "monitoring"), (3, "the web pages of notifications")]
    )
    async def test_a_taken_port_is_named_with_its_purpose(
        self, system: LocalSystem, port_base: int, offset: int, purpose: str
    ) -> None:
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            other.bind(("127.0.0.1", port_base + offset))
            other.listen()
            with pytest.raises(DidNotStart, match=f"port {port_base + offset} .*{purpose}"):
                await system.start()
        assert starts(system.layout.data, "registration") == []

    async def test_a_service_that_ends_at_once_is_shown_with_the_end_of_its_log_and_all_others_are_stopped(
        self, system: LocalSystem, port_base: int
    ) -> None:
        folder = system.layout.database("notifications")
        folder.mkdir(parents=True)
        (folder / "fails").write_text("70")

        with pytest.raises(DidNotStart, match=r"(?s)notifications ended with code 70.*newer than the code"):
            await system.start()

        assert not system.layout.endpoints.exists()
        assert all(_is_free(port_base + offset) for offset in range(5))
        assert not any(is_alive(pid) for service in SERVICES for pid in starts(system.layout.data, service))

        (folder / "fails").unlink()
        async with system:
            assert system.layout.endpoints.exists()

    async def test_the_services_share_a_clock_that_can_be_moved(
        self, tmp_path: Path, port_base: int, lines: list[str]
    ) -> None:
        system = LocalSystem(tmp_path, port_base, now="2023-03-02T09:00:00Z", services=STAND_INS, say=lines.append)
        async with system:
            assert {told(tmp_path, service)["NOW"] for service in SERVICES} == {system.endpoints["now"]}
            assert system.endpoints["now"] == str(system.layout.clock)
            assert system.layout.clock.read_text().strip() == "2023-03-02T09:00:00Z"

    async def test_settings_of_the_terminal_do_not_leak_into_the_services(
        self, system: LocalSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DEELNAME_NOW", "1999-01-01T00:00:00Z")
        monkeypatch.setenv("DEELNAME_TRANSPORT", "smtp://example.com")
        async with system:
            assert "NOW" not in told(system.layout.data, "registration")
            assert told(system.layout.data, "notifications")["TRANSPORT"].startswith("maildir:")


STARTER = """
import sys
from pathlib import Path
from deploy.local import DidNotStart, LocalSystem, ServiceCommand, run
data, port, stand_in = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
services = [ServiceCommand(name, (sys.executable, stand_in)) for name in ("registration", "notifications", "reporting")]
run(LocalSystem(data, port, services=services), ready=lambda system: print("ready", flush=True))
"""


class TestEnding:
    @pytest.fixture
    def starter(self, tmp_path: Path, port_base: int) -> Iterator[subprocess.Popen[str]]:
        """A process of its own that runs the system, when it has said that it is ready."""
        with subprocess.Popen(
            [sys.executable, "-c", STARTER, str(tmp_path / "system"), str(port_base), str(STAND_IN)],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
            process.kill()

    def _children(self, data: Path) -> list[int]:
        return [pid for service in SERVICES for pid in starts(data, service)]

    @pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
    async def test_everything_ends_in_order_when_asked(
        self, starter: subprocess.Popen[str], tmp_path: Path, port_base: int, sign: signal.Signals
    ) -> None:
        data = tmp_path / "system"
        starter.send_signal(sign)

        assert await asyncio.to_thread(starter.wait, 20) == 0
        assert [(data / service / "ended").read_text() for service in SERVICES] == ["in order"] * 3
        assert not any(is_alive(pid) for pid in self._children(data))
        assert _is_free(port_base)
        assert not (data / "endpoints.json").exists()

    async def test_no_orphan_is_left_when_it_is_killed_itself(
        self, starter: subprocess.Popen[str], tmp_path: Path, port_base: int
    ) -> None:
        data = tmp_path / "system"
        children = self._children(data)
        assert len(children) == 3
        assert all(is_alive(pid) for pid in children)
        starter.kill()
        starter.wait()

        await until(lambda: not any(is_alive(pid) for pid in children))
        await until(lambda: _is_free(port_base))
        system = LocalSystem(data, port_base, services=STAND_INS)
        async with system:
            assert system.layout.endpoints.exists()


class TestBackoff:
    def test_doubles_with_each_early_death_up_to_half_a_minute(self) -> None:
        backoff = Backoff()
        assert [backoff.after_death(1.0) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE]

    def test_begins_anew_after_a_steady_run(self) -> None:
        backoff = Backoff()
        for _ in range(5):
            backoff.after_death(1.0)
        assert backoff.after_death(STEADY_AFTER) == FIRST_PAUSE
