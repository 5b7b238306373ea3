"""Child processes that are kept alive: started, watched, started again when they die, ended in order."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGKILL

from cli import private
from deploy.embedded import dies_with_its_parent

FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
STEADY_AFTER = 60.0
"""A child that ran this many seconds has got over its trouble: the next pause is the first one again."""
_LARGEST_LOG = 16 * 1024 * 1024


@dataclass
class Backoff:
    """How long to wait before a child is started again, in seconds: doubled for each death soon after a start."""

    pause: float = FIRST_PAUSE

    def after_death(self, lived: float) -> float:
        """The pause that is due after a child lived for ``lived`` seconds."""
        if lived >= STEADY_AFTER:
            self.pause = FIRST_PAUSE
        due = self.pause
        self.pause = min(self.pause * 2, LONGEST_PAUSE)
        return due


@dataclass
class Child:
    """
    One process of ours, with its output in a log file. It is killed by the kernel when we are gone, however we went.

    SIGKILL rather than SIGTERM there: whoever is orphaned may not linger, and nothing of Deelname loses by it what it
    has answered.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    log: Path
    popen: Callable[..., subprocess.Popen[bytes]] = subprocess.Popen
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    started: float = field(default=0.0, init=False)
    backoff: Backoff = field(default_factory=Backoff, init=False)
    _start_of_log: int = field(default=0, init=False)

    def start(self) -> None:
        """Start it; its output goes to the end of its log."""
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
            self.log.replace(self.log.with_name(self.log.name + ".old"))
        with private.appended(self.log) as output:
            self._start_of_log = output.tell()
            self.process = self.popen(
                self.command,
                env=dict(self.environment),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C on the terminal is for us: we end our children in order.
                start_new_session=True,
                preexec_fn=dies_with_its_parent(SIGKILL),
            )
        self.started = time.monotonic()

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it runs or was never started."""
        return self.process.poll() if self.process else None

    def tail(self, lines: int = 25) -> str:
        """The last lines that it wrote since it was last started."""
        with self.log.open("rb") as log:
            log.seek(self._start_of_log)
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def terminate(self) -> None:
        """Ask it to end (SIGTERM) without waiting."""
        if self.process and self.process.poll() is None:
            self.process.terminate()

    def wait(self, timeout: float) -> bool:
        """Wait for its end, and kill it when ``timeout`` seconds were not enough. False when it had to be killed."""
        if self.process is None:
            return True
        try:
            self.process.wait(timeout=max(timeout, 0))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return False
        return True
