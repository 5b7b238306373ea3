"""A service's process: HTTP, brokers and endless tasks, started together and stopped in order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from faststream.nats import NatsBroker

from services.chassis.intake import finish_taking_in

_log = structlog.get_logger("chassis.service")

Endless = Callable[[], Coroutine[Any, Any, None]]
"""A task that ends by cancellation only."""

_SWITCH_INTERVAL = 0.0005
_COLLECT_AFTER = 20_000
_BETWEEN_CANCELLATIONS = 1.0
_DATE_LASTS = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class TaskEnded(RuntimeError):  # noqa: N818
    """A task that should run for ever came to its end."""


async def run(
    app: FastAPI | None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    brokers: Sequence[NatsBroker] = (),
    tasks: Mapping[str, Endless] | None = None,
    before_stop: Sequence[Callable[[], Awaitable[object]]] = (),
    after_stop: Sequence[Callable[[], Awaitable[object]]] = (),
    stop: asyncio.Event | None = None,
) -> None:
    """
    Run a service until SIGTERM or SIGINT, or until one of its parts fails.

    In order: tasks start, brokers start, HTTP listens. On the way out work queues are left once what was taken from
    them has been handled, brokers stop taking messages, ``before_stop`` is awaited (finish and answer what was taken),
    brokers and HTTP close, tasks are cancelled, ``after_stop`` is awaited.

    Args:
        app: the HTTP face, if there is one; it listens on ``host`` and ``port``.
        brokers: not yet started.
        tasks: relays, readers, ``periodic`` work, by name; one that raises or returns ends the service.
        before_stop: awaited while replies can still be sent.
        after_stop: closes connections and the database; awaited whatever happened.
        stop: set it to stop the service from inside, as a signal does.

    Raises:
        BaseExceptionGroup: of what made the service fail; ``main`` makes it an exit code.
    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in _SIGNALS:
        loop.add_signal_handler(each, stop.set)
    server = _Server(app, host, port) if app else None
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(_endless(name, task), name=name) for name, task in (tasks or {}).items()]
            for broker in brokers:
                await broker.start()
            serving = group.create_task(server.run_until(stop), name="http") if server else None
            _log.info("service started", tasks=sorted(tasks or {}), http=server.address if server else None)
            await stop.wait()
            _log.info("service stops")
            await asyncio.gather(*(finish_taking_in(broker) for broker in brokers))
            for broker in brokers:
                await asyncio.gather(*(subscriber.stop() for subscriber in broker.subscribers))
            for finish in before_stop:
                await finish()
            if serving is not None:
                await serving
            await _cancel(running)
    finally:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
        for broker in brokers:
            await _quietly("broker", broker.stop)
        for number, close in enumerate(after_stop, 1):
            await _quietly(f"after_stop {number}", close)
        if server is not None:
            server.release()
    _log.info("service stopped")


def periodic(every: float, work: Callable[[], Awaitable[object]]) -> Endless:
    """
    A task that awaits ``work`` at once and then every so many seconds after it was done.

    A failure is logged and the work is tried again the next time: it must not end the service.
    """

    async def repeat() -> None:
        while True:
            try:
                await work()
            except Exception:
                _log.exception("periodic work failed", work=getattr(work, "__qualname__", repr(work)))
            await asyncio.sleep(every)

    return repeat


def tune_interpreter() -> None:
    """Set the interpreter's switches for a process that is one service; benchmarks of services set them too."""
    # The event loop and the database's thread hand the interpreter to each other many times a batch; with Python's own
    # 5 ms each of these waits while the other computes, and a commit under load takes ten times as long.
    sys.setswitchinterval(_SWITCH_INTERVAL)
    # What was imported lives as long as the process, and most of what a message makes is gone with it: looking for
    # cycles among both after every 700 objects cost a twentieth of a command.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


def main(start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run ``start`` in an event loop and end the process: 0 after a stop, 1 after a failure, which is logged."""
    tune_interpreter()
    try:
        asyncio.run(start())
    except BaseException as error:
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise
        _log.critical("service failed", exc_info=error)
        sys.exit(1)


async def _endless(name: str, task: Endless) -> None:
    try:
        await task()
    except Exception:
        _log.critical("task failed", task=name, exc_info=True)
        raise
    raise TaskEnded(f"the task {name} ended, it should run for ever")


async def _cancel(tasks: Sequence[asyncio.Task[None]]) -> None:
    """
    Cancel until they have ended.

    Once is not enough: ``asyncio.wait_for``, which nats-py's requests wait with, loses a cancellation that comes
    together with the answer (bpo-37658), and work that is repeated for ever then goes on.
    """
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=_BETWEEN_CANCELLATIONS)


async def _quietly(what: str, close: Callable[[], Awaitable[object]]) -> None:
    """One part that fails to close must not keep the others open."""
    try:
        await close()
    except Exception:
        _log.exception("closing failed", part=what)


class _Server(uvicorn.Server):
    """uvicorn inside our loop: socket, signals and logging are ours."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        # uvicorn would end the process from inside when the port is taken; this raises OSError.
        self._socket = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.address = f"http://{host}:{self._socket.getsockname()[1]}"
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                # Its own reading of X-Forwarded-For believes whoever is on this machine; access.py reads our settings.
                proxy_headers=False,
                timeout_graceful_shutdown=5,
                lifespan="off",
                ws="none",
            )
        )
        self._ending = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone: they stop the whole service."""
        yield

    async def run_until(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set, then finish the requests under way."""
        serving = asyncio.create_task(self.serve([self._socket]))
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            self.should_exit = True
            self._ending.set()
        await serving

    async def main_loop(self) -> None:
        """
        Keep the header Date right until the end.

        uvicorn's own looks ten times a second whether it should end, which was a third of what an idle service costs.
        """
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DATE_LASTS):
                    await self._ending.wait()

    def release(self) -> None:
        """Close the socket, also when it was never served."""
        self._socket.close()
