"""
``deelname up`` in a process that has imported the services already, and forks them where the tool starts them.

To be forked itself, by ``tests.warm.popen``; otherwise it does the same, later.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

from deploy import local
from tests.warm import Process, become, reap, run


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
    assert (stdin, command[1]) == (subprocess.DEVNULL, "-m")
    if pid := os.fork():
        return cast("subprocess.Popen[bytes]", Process(pid, reap))
    try:
        # The event loop's own ways with signals are not the child's.
        signal.set_wakeup_fd(-1)
        for sign in (signal.SIGINT, signal.SIGTERM):
            signal.signal(sign, signal.SIG_DFL)
        with open(os.devnull, "rb") as nothing:
            module = become(
                [os.dup(stream.fileno()) for stream in (nothing, stdout, stderr)],
                words=[str(word) for word in command[2:]],
                environment=env,
                directory=str(cwd),
                session=start_new_session,
            )
        if preexec_fn is not None:
            preexec_fn()
        run(module)
    except BaseException:
        traceback.print_exc()
    finally:
        # Nothing of the tool, on whose stack this stands, is to go on in the child.
        os._exit(1)


if __name__ == "__main__":
    services = tuple(replace(service, popen=fork) for service in local.THE_SERVICES)
    local.LocalSystem = functools.partial(local.LocalSystem, services=services)  # type: ignore[misc, assignment]
    sys.argv = ["deelname", *sys.argv[1:]]
    importlib.import_module("cli.__main__").main()
