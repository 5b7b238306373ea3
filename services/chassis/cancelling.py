"""Ending tasks that may lose a cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


async def cancel(tasks: Iterable[asyncio.Task[Any]], every: float) -> None:
    """
    Cancel until they have ended, again after so many seconds each time.

    Once is not enough: ``asyncio.wait_for``, which nats-py's requests wait with, loses a cancellation that comes
    together with the answer (bpo-37658), and work that is repeated for ever then goes on.
    """
    left = {task for task in tasks if not task.done()}
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=every)
