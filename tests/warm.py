"""
Processes of `python -m …` that start in a hundredth of the time: forked from a process that has imported everything.

A service imports for two seconds before it does anything, and the tests start some hundred of them. ``popen`` takes the
arguments of ``subprocess.Popen`` and gives what behaves like one. What runs is a process of its own with its own
environment, directory and output, to be killed at any instant; only the imports were made by its parent, and the
templates of mails were compiled by it. The tests of installed services, of ``deelname up``, of the demo and of the
images start theirs cold.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final, NoReturn, cast

from deploy.embedded import dies_with_its_parent
from deploy.local import THE_SERVICES
from services.notifications.rendering import templates

ROOT = Path(__file__).parents[1]
_LARGEST_REQUEST = 1 << 20
_LATE = (
    "anyio._backends._asyncio",
    "pydantic.v1",
    "services.chassis.tracing",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.auto",
)
"""What others import when a service starts to serve, and not when it is imported."""

Output = IO[bytes] | IO[str] | int | None


class Process:
    """What ``popen`` returns: the part of ``subprocess.Popen`` that Deelname uses, under the same names."""

    def __init__(self, pid: int, reap: Callable[[int], int]) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._reap = reap
        self._ended = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """How it ended; None while it runs."""
        if self.returncode is None and self._has_ended(0):
            self.returncode = self._reap(self.pid)
            os.close(self._ended)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """
        Wait for its end.

        Raises:
            subprocess.TimeoutExpired: it runs on after ``timeout`` seconds.
        """
        if self.returncode is None and not self._has_ended(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        code = self.poll()
        assert code is not None
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal; nothing happens when it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self.send_signal(signal.SIGKILL)

    def _has_ended(self, timeout: float | None) -> bool:
        return bool(select.select([self._ended], [], [], timeout)[0])


class Nursery:
    """The process that has imported everything, as the one that asks it for children sees it."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.warm", str(theirs.fileno())], cwd=ROOT, pass_fds=[theirs.fileno()]
            )
        atexit.register(self.close)

    def bear(
        self, *words: str, environment: Mapping[str, str], directory: str, session: bool, streams: Sequence[int]
    ) -> Process:
        """Fork a child that runs a module; ``streams`` are its standard input, output and error."""
        pid = self._ask(streams, words=words, environment=dict(environment), directory=directory, session=session)
        return Process(pid, self.reap)

    def reap(self, pid: int) -> int:
        """The exit code of a child that has ended, as ``subprocess`` counts: negative for a signal."""
        return self._ask([], reap=pid)

    def close(self) -> None:
        """End it; whoever it bore and still runs ends with it."""
        self._line.close()
        self._process.wait()

    def _ask(self, streams: Sequence[int], **request: Any) -> int:
        with self._lock:
            socket.send_fds(self._line, [json.dumps(request).encode()], streams)
            answer = self._line.recv(64)
        if not answer:
            raise RuntimeError("the process that the tests' services are forked from has ended")
        return int(answer)


@functools.cache
def _nursery() -> Nursery:
    return Nursery()


def popen(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | str | None = None,
    stdin: Output = None,
    stdout: Output = None,
    stderr: Output = None,
    start_new_session: bool = False,
    preexec_fn: Callable[[], None] | None = None,
) -> subprocess.Popen[bytes]:
    """
    Start ``python -m …`` as ``subprocess.Popen`` does, and sooner.

    Such a child ends with the tests' process in any case, so that ``preexec_fn`` is not called.

    Raises:
        ValueError: the command is another one.
    """
    interpreter, option, *words = map(str, command)
    if (interpreter, option) != (sys.executable, "-m"):
        raise ValueError(f"only python -m can be forked, not {interpreter} {option}")
    with contextlib.ExitStack() as opened:
        nothing = opened.enter_context(open(os.devnull, "r+b"))
        output = _number(stdout, nothing, 1)
        process = _nursery().bear(
            *words,
            environment=os.environ if env is None else env,
            directory=str(cwd or Path.cwd()),
            session=start_new_session,
            streams=(
                _number(stdin, nothing, 0),
                output,
                output if stderr == subprocess.STDOUT else _number(stderr, nothing, 2),
            ),
        )
    return cast("subprocess.Popen[bytes]", process)


def _number(stream: Output, nothing: IO[bytes], inherited: int) -> int:
    match stream:
        case None:
            return inherited
        case subprocess.DEVNULL:
            return nothing.fileno()
        case int():
            return stream
        case _:
            return stream.fileno()


SERVICES: Final = tuple(replace(service, popen=popen) for service in THE_SERVICES)
"""The three services for ``LocalSystem``."""


# In the process that is forked from --------------------------------------------------------------------------------


def _serve(line: socket.socket) -> str:
    """Import everything, then fork on demand until the tests are over. Returns in each child: the module to run."""
    for service in SERVICES:
        for part in ("app", "settings"):
            importlib.import_module(f"services.{service.name}.{part}")
    for module in _LATE:
        importlib.import_module(module)
    templates()
    gc.collect()
    gc.freeze()
    dies_with_this_process = dies_with_its_parent(signal.SIGKILL)
    while True:
        message, streams, _, _ = socket.recv_fds(line, _LARGEST_REQUEST, 3)
        if not message:
            sys.exit()
        request = json.loads(message)
        if "reap" in request:
            line.send(str(reap(request["reap"])).encode())
            continue
        if pid := os.fork():
            for stream in streams:
                os.close(stream)
            line.send(str(pid).encode())
            continue
        line.close()
        if dies_with_this_process:
            dies_with_this_process()
        return become(streams, **request)


def reap(pid: int) -> int:
    """The exit code of a child of this process that has ended."""
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def become(
    streams: Sequence[int],
    *,
    words: Sequence[str],
    environment: Mapping[str, str],
    directory: str,
    session: bool,
) -> str:
    """Take on what a new process is given: session, streams, directory, environment, words; the module to run."""
    if session:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = directory
    sys.argv = list(words)
    return words[0]


def run(module: str) -> NoReturn:
    """
    Run a module as ``python -m`` does, and end.

    Without the interpreter's own tidying at the end: it touches everything, and so copies all the memory that this
    process shares with the one that it was forked from.
    """
    code = 1
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        if isinstance(ended.code, int | None):
            code = ended.code or 0
        else:
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            if not stream.closed:
                stream.flush()
        os._exit(code)


if __name__ == "__main__":
    run(_serve(socket.socket(fileno=int(sys.argv[1]))))
