"""How long to wait for an answer of the broker before asking again."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

Result = TypeVar("Result")

_TIMES = 3
"""An answer may take so many times as long as the last one."""
_MORE = 1.3
"""Slowly, so that what is asked just before the end of an election does not outlast it by much."""


class Patience:
    """
    Short where answers come soon, long where they take long.

    While the servers of a cluster elect a leader nobody answers for a stream: a request of that moment is lost, and
    whoever waits for its answer stands still longer than the election lasts. It is for what may be asked twice.

    Args:
        shortest: seconds, at first and wherever answers come soon.
        longest: seconds, however long they take.
    """

    def __init__(self, shortest: float = 2.0, longest: float = 10.0) -> None:
        self._shortest = shortest
        self._longest = longest
        self.seconds = shortest

    async def wait(self, request: Callable[[float], Awaitable[Result]]) -> Result:
        """
        The result of ``request``, which is given the seconds that it may take.

        Raises:
            TimeoutError: as ``request`` does; the next one is given a third more time.
        """
        begun = monotonic()
        try:
            result = await request(self.seconds)
        except TimeoutError:
            self.seconds = min(_MORE * self.seconds, self._longest)
            raise
        self.seconds = min(max(_TIMES * (monotonic() - begun), self._shortest), self._longest)
        return result
