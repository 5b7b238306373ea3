"""Ports for systems that tests start."""

from __future__ import annotations

import contextlib
import os
import random
import socket

_LOWEST, _A_WORKER, _WORKERS = 15_000, 4_000, 4


def free_ports(number: int = 5) -> int:
    """
    The first of so many neighbouring free ports, at most ten, that no other worker looks at.

    They lie below those that outgoing connections are given.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = _LOWEST + worker % _WORKERS * _A_WORKER
    while True:
        base = random.randrange(first, first + _A_WORKER, 10)
        with contextlib.ExitStack() as held:
            try:
                for port in range(base, base + number):
                    held.enter_context(socket.create_server(("127.0.0.1", port)))
            except OSError:
                continue
            return base
