"""A service's process: HTTP, brokers and endless tasks, started together and stopped in order."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from time import monotonic
from typing import Any

import structlog
from fastapi import FastAPI
from faststream.nats import NatsBroker
from nats.errors import Error as NatsError

from services.chassis.cancelling import cancel
from services.chassis.encryption import NotLetIn
from services.chassis.intake import finish_taking_in
from services.chassis.opening import Opening

_log = structlog.get_logger("chassis.service")

Endless = Callable[[], Coroutine[Any, Any, None]]
"""A task that ends by cancellation only."""

_SWITCH_INTERVAL = 0.0005
_COLLECT_AFTER = 20_000
_BETWEEN_CANCELLATIONS = 1.0
_SIGNALS = (signal.SIGTERM, signal.SIGINT)

FINISHED_WITHIN = 10.0
"""
Seconds that a service which was told to stop gives what is under way. What it can't finish was not acknowledged or not
answered: it comes again. With the closing of what it has open (``broker.CLOSED_WITHIN``) that is less than
supervisors wait: ``deelname up`` 20 seconds, containers 30.
"""
_AT_LEAST = 1.0
"""Seconds for each step of that, whatever those before it took."""


class TaskEnded(RuntimeError):  # noqa: N818
    """A task that should run for ever came to its end."""


async def run(
    app: FastAPI | None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    opening: Opening | None = None,
    brokers: Sequence[NatsBroker] = (),
    tasks: Mapping[str, Endless] | None = None,
    before_stop: Sequence[Callable[[], Awaitable[object]]] = (),
    stop: asyncio.Event | None = None,
) -> None:
    """
    Run a service until SIGTERM or SIGINT, or until one of its parts fails.

    In order: tasks start, brokers start, HTTP answers. On the way out work queues are left once what was taken from
    them has been handled, brokers stop taking messages, ``before_stop`` is awaited (finish and answer what was taken),
    brokers and HTTP close, tasks are cancelled. What is under way is not waited for beyond ``FINISHED_WITHIN``, and a
    broker that is gone not at all; what is cut off is logged.

    Args:
        app: the HTTP face, if there is one.
        host: where it listens, with ``port``, unless there is an opening.
        opening: what has answered in its place until now.
        brokers: not yet started.
        tasks: relays, readers, ``periodic`` work, by name; one that raises or returns ends the service.
        before_stop: awaited while replies can still be sent.
        stop: set it to stop the service from inside, as a signal does.

    Raises:
        BaseExceptionGroup: of what made the service fail; ``main`` makes it an exit code.
    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in _SIGNALS:
        loop.add_signal_handler(each, stop.set)
    server = opening or (Opening("", host, port) if app else None)
    try:
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(_endless(name, task), name=name) for name, task in (tasks or {}).items()]
            if await _started(brokers, stop):
                serving = group.create_task(server.serve(app, stop), name="http") if server and app else None
                _log.info("service started", tasks=sorted(tasks or {}), http=server.address if server else None)
                await stop.wait()
                _log.info("service stops")
                await _finish(brokers, before_stop)
                if serving is not None:
                    await serving
            await cancel(running, _BETWEEN_CANCELLATIONS)
    finally:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
        await asyncio.gather(*map(_stopped, brokers))
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
            except (NatsError, TimeoutError) as error:
                _log.warning(
                    "periodic work waits for the broker",
                    work=getattr(work, "__qualname__", repr(work)),
                    reason=str(error) or type(error).__name__,
                )
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
        asyncio.run(until_told(start))
    except BaseException as error:
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise
        if isinstance(error, NotLetIn):
            # What is wrong stands in words, and not in our code.
            _log.critical("the broker does not let us in", reason=str(error))
        else:
            _log.critical("service failed", exc_info=error)
        sys.exit(1)


async def until_told(start: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """
    Run ``start``, and have signals end it also when it has not come as far as ``run``: while it waits for its broker.

    Whatever it has open it closes as it is cancelled.
    """
    task = asyncio.create_task(start())
    told = asyncio.Event()
    telling = asyncio.create_task(told.wait())
    loop = asyncio.get_running_loop()
    for each in _SIGNALS:
        loop.add_signal_handler(each, told.set)
    await asyncio.wait({task, telling}, return_when=asyncio.FIRST_COMPLETED)
    if told.is_set() and not task.done():
        _log.info("service stops before it has started")
        await cancel([task], _BETWEEN_CANCELLATIONS)
        await asyncio.gather(task, return_exceptions=True)
        _log.info("service stopped")
        return
    telling.cancel()
    await task


async def _started(brokers: Sequence[NatsBroker], stop: asyncio.Event) -> bool:
    """Start them, which waits for a broker that is not there; False when the service was stopped meanwhile."""

    async def start() -> None:
        for broker in brokers:
            await broker.start()

    starting, stopping = asyncio.create_task(start()), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            await starting
            return True
        _log.info("service stops before it has started")
        return False
    finally:
        await cancel([starting, stopping], _BETWEEN_CANCELLATIONS)


async def _finish(brokers: Sequence[NatsBroker], before_stop: Sequence[Callable[[], Awaitable[object]]]) -> None:
    """Have everything that was taken finished and answered, as far as there is time."""
    deadline = monotonic() + FINISHED_WITHIN

    async def take_nothing_more() -> None:
        await asyncio.gather(*(subscriber.stop() for broker in brokers for subscriber in broker.subscribers))

    async def finish() -> None:
        for work in before_stop:
            await work()

    async def leave_queues() -> None:
        # What is handled there waits for the writer that ``before_stop`` finishes, so it may not take all the time.
        await asyncio.gather(*(finish_taking_in(broker, FINISHED_WITHIN / 2) for broker in brokers))

    for name, part in (("queues", leave_queues), ("subscriptions", take_nothing_more), ("work", finish)):
        task = asyncio.create_task(part())
        try:
            await asyncio.wait({task}, timeout=max(_AT_LEAST, deadline - monotonic()))
            if task.done():
                await task
            else:
                _log.warning("not waiting any longer for what is under way", part=name, seconds=FINISHED_WITHIN)
        finally:
            await cancel([task], _BETWEEN_CANCELLATIONS)


async def _endless(name: str, task: Endless) -> None:
    try:
        await task()
    except Exception:
        _log.critical("task failed", task=name, exc_info=True)
        raise
    raise TaskEnded(f"the task {name} ended, it should run for ever")


async def _stopped(broker: NatsBroker) -> None:
    """One that fails to stop must not keep the others from it."""
    try:
        await broker.stop()
    except Exception:
        _log.exception("a broker's client failed to stop")
