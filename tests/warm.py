"""
Processes of `python -m …` that start in a hundredth of the time: forked from a process that has imported everything.

A service imports for two seconds before it does anything, and the tests start some hundred of them. ``popen`` takes the
arguments of ``subprocess.Popen`` and gives what behaves like one. What runs is a process of its own with its own
environment, directory and output, to be killed at any instant; only the imports were made by its parent, and what
reads facts and writes mails was prepared by it. The tests of installed services, of ``deelname up``, of the demo and
of the images start theirs cold.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
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
import tempfile
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Final, NoReturn, cast

from contracts.facts import prepare
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
    """
    The process that has imported everything, as one that asks it for children sees it.

    All workers of a test run share one, which the first of them starts and which ends after the last.
    """

    def __init__(self) -> None:
        self._line = _connected()
        self._lock = threading.Lock()
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
        """Ask for no more; whoever it bore for us and still runs is killed."""
        self._line.close()

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


def _connected() -> socket.socket:
    """A line to the process of this test run, which is started when nobody has yet."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    address = Path(tempfile.gettempdir()) / f"deelname-nursery-{run}"
    line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with _alone(address):
        try:
            line.connect(str(address))
        except (FileNotFoundError, ConnectionRefusedError):
            address.unlink(missing_ok=True)
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
                listening.bind(str(address))
                listening.listen()
                command = [sys.executable, "-m", "tests.warm", str(listening.fileno()), str(address)]
                process = subprocess.Popen(command, cwd=ROOT, pass_fds=[listening.fileno()])
            # Nobody waits for it: it may outlive us.
            process.returncode = 0
            line.connect(str(address))
    return line


@contextlib.contextmanager
def _alone(address: Path) -> Iterator[None]:
    """Nobody else starts or ends the process at this address meanwhile."""
    path = address.with_name(f"{address.name}.lock")
    while True:
        with path.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Whoever ended the process while we waited has removed the file, and others have made a new one.
            if os.fstat(lock.fileno()).st_nlink:
                yield
                return


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


def _serve(listening: socket.socket, address: Path) -> str:
    """Import everything, then fork on demand until the tests are over. Returns in each child: the module to run."""
    for service in SERVICES:
        for part in ("app", "settings"):
            importlib.import_module(f"services.{service.name}.{part}")
    for module in _LATE:
        importlib.import_module(module)
    templates()
    prepare()
    gc.collect()
    gc.freeze()
    dies_with_this_process = dies_with_its_parent(signal.SIGKILL)
    borne: dict[socket.socket, set[int]] = {}
    while True:
        for line in select.select([listening, *borne], [], [])[0]:
            if line is listening:
                borne[listening.accept()[0]] = set()
                continue
            message, streams = _received(line)
            if not message:
                _end(borne.pop(line))
                line.close()
                if not borne:
                    _end_unless_asked(listening, address)
                continue
            request = json.loads(message)
            if "reap" in request:
                borne[line].discard(request["reap"])
                answer = reap(request["reap"])
            elif answer := os.fork():
                borne[line].add(answer)
                for stream in streams:
                    os.close(stream)
            else:
                for each in (listening, *borne):
                    each.close()
                if dies_with_this_process:
                    dies_with_this_process()
                return become(streams, **request)
            with contextlib.suppress(OSError):
                line.send(str(answer).encode())


def _received(line: socket.socket) -> tuple[bytes, list[int]]:
    """A request with what came along; nothing when whoever asked is gone."""
    try:
        message, streams, _, _ = socket.recv_fds(line, _LARGEST_REQUEST, 3)
    except OSError:
        return b"", []
    return message, streams


def _end(children: Iterable[int]) -> None:
    for pid in children:
        os.kill(pid, signal.SIGKILL)
        reap(pid)


def _end_unless_asked(listening: socket.socket, address: Path) -> None:
    with _alone(address):
        if not select.select([listening], [], [], 0)[0]:
            address.unlink(missing_ok=True)
            address.with_name(f"{address.name}.lock").unlink(missing_ok=True)
            sys.exit()


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
    run(_serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2])))
