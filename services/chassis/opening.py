"""
The HTTP face of a service from its first moment: what it says while the service starts, and is handed over afterwards.

A start may take long for good reasons: a large database is copied and migrated, a log is folded, a broker is waited
for. Who looks from outside has to tell that from one that hangs, or it is killed and begins again, for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Self, TypeVar

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from contracts.problem import Problem, problem_type
from services.chassis import metrics
from services.chassis.connections import Admission
from services.chassis.problems import problem_response
from services.chassis.serving import Server

Result = TypeVar("Result")

STUCK_AFTER: Final = 120.0
"""Seconds in which a start that has done nothing is taken for one that hangs."""
_BUSY: Final = 0.01
"""The share of one processor that counts as doing something; to answer probes takes a tenth of it at most."""

_DATABASE, _BROKER = "opens its database", "waits for the broker, or reads what it knows"


class Progress:
    """
    Whether a start gets on, by the processor time that the process takes: nothing long is done without any.

    Args:
        clock: seconds that only grow.
        used: seconds of processors that the process has taken.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, used: Callable[[], float] = time.process_time
    ) -> None:
        self._clock = clock
        self._used = used
        self.doing = _DATABASE
        self._waits = False
        self._begin()

    def wait(self) -> None:
        """From here on others are waited for: however long they take, to begin again would not help."""
        self.doing, self._waits = _BROKER, True

    @property
    def stuck(self) -> bool:
        """Whether it has done nothing for ``STUCK_AFTER`` although nobody is waited for."""
        passed, used = self._clock() - self._since, self._used() - self._used_then
        if self._waits or used >= _BUSY * max(passed, 1.0):
            self._begin()
            return False
        return passed >= STUCK_AFTER

    def _begin(self) -> None:
        self._since, self._used_then = self._clock(), self._used()


class Opening:
    """
    A service's face; an asynchronous context manager within which the service starts and then runs.

    Args:
        service: whose.
        host: where it listens.
        port: and on which port; 0 is any.
        admission: who may have how many connections.
    """

    def __init__(self, service: str, host: str, port: int, admission: Admission | None = None) -> None:
        self.progress = Progress()
        self._service = service
        self._face: ASGIApp = self._starting
        self._server = Server(self._route, host, port, admission or Admission())
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._server.run_until(self._ending), name="http")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError, Exception):
                # What made it fail was told by whoever served with it.
                await self._task
        self.release()

    @property
    def address(self) -> str:
        """Where it listens, as a URL."""
        return self._server.address

    async def waiting_for(self, broker: Awaitable[Result]) -> Result:
        """What the broker gives; from here on the start takes as long as it takes."""
        self.progress.wait()
        return await broker

    async def serve(self, app: FastAPI, stop: asyncio.Event) -> None:
        """Answer with ``app`` until ``stop`` is set, then finish the requests under way."""
        if self._task is None:
            await self.__aenter__()
        assert self._task is not None  # noqa: S101
        self._face = app
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({self._task, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self._ending.set()
        await self._task

    def release(self) -> None:
        """See ``Server.release``."""
        self._server.release()

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._face(scope, receive, send)

    async def _starting(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await (await self._say(Request(scope)))(scope, receive, send)

    async def _say(self, request: Request) -> Response:
        path = request.url.path
        if path == "/health/live":
            stuck = self.progress.stuck
            said = {"status": "stuck" if stuck else "starting", "doing": self.progress.doing}
            return JSONResponse(said, 503 if stuck else 200)
        if path in ("/health/ready", "/health/serving"):
            reasons = {"start": f"it starts: it {self.progress.doing}"}
            return JSONResponse({"status": "starting", "service": self._service, "reasons": reasons}, 503)
        if path == "/metrics":
            return metrics.while_starting(request)
        return problem_response(
            Problem(
                type=problem_type("starting"),
                title="The service is starting. De dienst start op.",
                status=503,
                detail="Try again in a moment. Probeer het over een ogenblik opnieuw.",
            ),
            {"Retry-After": "5"},
        )
