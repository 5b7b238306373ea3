"""
``deelname up`` in a process that has imported the services already, and forks them where the tool starts them.

To be forked itself, by ``tests.warm``; otherwise it does the same, later.
"""

from __future__ import annotations

import functools
import importlib
import os
import runpy
import select
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

from deploy import local


class Forked:
    """A child of this process: the part of ``subprocess.Popen`` that ``deploy.local`` uses."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """
        Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it runs on after ``timeout`` seconds.
        """
        if self.poll() is None and not select.select([self._ended], [], [], timeout)[0]:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def terminate(self) -> None:
        """Ask it to end."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


def fork(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path,
    stdin: int,
    stdout: IO[bytes],
    stderr: IO[bytes],
    start_new_session: bool,
    preexec_fn: Callable[[], None] | None,
) -> subprocess.Popen[bytes]:
    """Run ``python -m …`` in a child, with what ``subprocess.Popen`` would give it."""
    assert (stdin, start_new_session, command[1]) == (subprocess.DEVNULL, True, "-m")
    if pid := os.fork():
        return cast("subprocess.Popen[bytes]", Forked(pid))
    code = 1
    try:
        _become(env, cwd, stdout, stderr)
        if preexec_fn is not None:
            preexec_fn()
        sys.argv = [str(word) for word in command[2:]]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        # Nothing of the tool, on whose stack this stands, is to go on in the child.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become(env: Mapping[str, str], cwd: Path, stdout: IO[bytes], stderr: IO[bytes]) -> None:
    signal.set_wakeup_fd(-1)
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.SIG_DFL)
    os.setsid()
    with open(os.devnull, "rb") as nothing:
        for number, stream in enumerate((nothing, stdout, stderr)):
            os.dup2(stream.fileno(), number)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)


if __name__ == "__main__":
    services = tuple(replace(service, popen=fork) for service in local.THE_SERVICES)
    local.LocalSystem = functools.partial(local.LocalSystem, services=services)  # type: ignore[misc, assignment]
    sys.argv = ["deelname", *sys.argv[1:]]
    importlib.import_module("cli.__main__").main()
