"""
``deelname demo``: five programmes from 2017 to 2023 in less than a minute.

The services' clock is a file. The runner moves it from moment to moment, lets staff publish and lets another process
(``partner.py``), which knows only the wire contract, send what a partner sent. Before each move it waits until every
fact has been mailed about, as it would have been in the days between.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from cli import private
from cli.endpoints import read
from cli.output import Output
from deploy.demo import summary
from deploy.demo.checking import Result, answer_in_words, missed
from deploy.demo.desk import StaffDesk
from deploy.demo.samples import HERE, ORGANISATIONS, Sample, samples
from deploy.local import LocalSystem

PARTNER = "demo"
SETTLED_WITHIN = 60.0
"""Seconds that the services may take to deal with what happened at one moment."""
_LOOK_EVERY = 0.04
_MARK = ".deelname-demo"
_AFTERWARDS = timedelta(hours=1)


class DemoFailed(RuntimeError):  # noqa: N818 - it reads as what happened
    """The demo could not go on; the message says why."""


def run(data: Path, port_base: int, *, once: bool, output: Output) -> list[str]:
    """
    Run the demo; unless ``once``, keep the system running until Ctrl-C.

    Returns:
        What did not happen as expected, one sentence each; empty when all did.

    Raises:
        deploy.local.DidNotStart: a part of the system did not start.
        DemoFailed: the directory is not the demo's, or a service or the partner stopped answering.
    """
    return asyncio.run(_run(data.absolute(), port_base, once=once, output=output))


def beginning() -> datetime:
    """The instant at which the clock of whoever is told the samples starts."""
    return samples()[0].begins - timedelta(days=1)


def tell(endpoints: Path, clock: Path) -> list[str]:
    """
    Tell the samples to a system that runs already, empty, on the clock in this file.

    Returns:
        What did not happen as expected, as ``run`` does.

    Raises:
        DemoFailed: a service or the partner stopped answering.
    """
    return asyncio.run(_tell(endpoints, clock, Output(as_json=False, language="en")))


async def _tell(endpoints: Path, clock: Path, output: Output) -> list[str]:
    desk = StaffDesk(read(endpoints))
    try:
        results = await _Story(samples(), desk, Clock(clock), endpoints, output).tell()
    finally:
        with contextlib.suppress(Exception):
            await desk.close()
    return _missed(results)


def _missed(results: list[Result]) -> list[str]:
    return [f"{result.sample.programme}: {line}" for result in results for line in missed(result)]


async def _run(data: Path, port_base: int, *, once: bool, output: Output) -> list[str]:
    asked, told = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, asked.set)
    demo = asyncio.create_task(_demo(data, port_base, once=once, output=output, asked=asked, told=told))
    stop = asyncio.create_task(asked.wait())
    try:
        await asyncio.wait({demo, stop}, return_when=asyncio.FIRST_COMPLETED)
        if not told.is_set() and not demo.done():
            demo.cancel()
        try:
            return await demo
        except asyncio.CancelledError:
            return ["it was interrupted before its end"]
    finally:
        stop.cancel()
        await asyncio.gather(demo, stop, return_exceptions=True)
        for sign in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(sign)


async def _demo(
    data: Path, port_base: int, *, once: bool, output: Output, asked: asyncio.Event, told: asyncio.Event
) -> list[str]:
    everything = samples()
    _clear(data)
    begun = time.monotonic()
    clock = Clock(data / "now")
    clock.set(beginning())
    system = LocalSystem(data, port_base, now=str(clock.path), partners=(PARTNER,), tokens=True, say=output.note)
    with output.notes.status("Starting the broker and the services…"):
        await system.start()
    try:
        desk = StaffDesk(read(system.layout.endpoints))
        try:
            results = await _Story(everything, desk, clock, system.layout.endpoints, output).tell()
        finally:
            with contextlib.suppress(Exception):
                await desk.close()
        failures = _missed(results)
        summary.show(
            output,
            results,
            failures=failures,
            once=once,
            endpoints=system.endpoints,
            file=system.layout.endpoints,
            seconds=time.monotonic() - begun,
            now=clock.moment,
        )
        # From here on a signal asks the system to stop and cuts nothing short.
        told.set()
        if not once:
            output.note("The system keeps running. Ctrl-C stops it.", "bold")
            await asked.wait()
        return failures
    finally:
        with output.notes.status("Stopping…"):
            await system.stop()


class Clock:
    """The file that tells the services what time it is; it never goes back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.moment = datetime.min.replace(tzinfo=UTC)

    def set(self, moment: datetime) -> None:
        """Put the clock to this moment, unless it is past it."""
        self.moment = max(moment, self.moment)
        private.write(self.path, f"{self.moment.isoformat()}\n")


class _Story:
    """What happens, in the order in which it happened."""

    def __init__(
        self, everything: tuple[Sample, ...], desk: StaffDesk, clock: Clock, endpoints: Path, output: Output
    ) -> None:
        self._samples = everything
        self._desk = desk
        self._clock = clock
        self._endpoints = endpoints
        self._output = output
        self._answers: dict[Path, list[str]] = {sample.requests: [] for sample in everything}
        self._published: set[str] = set()

    async def tell(self) -> list[Result]:
        acts = sorted(
            ((act.at, sample, name) for sample in self._samples for act in sample.staff for name in act.publish),
            key=lambda act: act[0],
        )
        messages = sum(len(sample.expected.answers) for sample in self._samples)
        with self._output.progress() as progress:
            bar = progress.add_task("Loading the registry", total=len(acts) + messages + 1)
            registered = await self._desk.load_organisations(ORGANISATIONS)
            self._say(progress, bar, f"staff    {registered.registered} organisations are in the registry")
            async with _partner(self._endpoints, [sample.requests for sample in self._samples]) as partner:
                while (about := await partner.next()) or acts:
                    due = datetime.fromisoformat(about["time"]) if about else None
                    while acts and (due is None or acts[0][0] <= due):
                        at, sample, name = acts.pop(0)
                        await self._move_to(at)
                        published = await self._desk.publish(sample.directory / name)
                        if published.id == sample.programme:
                            self._published.add(sample.programme)
                        facts = ", ".join(published.facts) or "nothing changed"
                        self._say(progress, bar, f"staff    {published.id}: {facts}")
                    if about and due:
                        await self._move_to(due)
                        answer = answer_in_words(await partner.go())
                        self._answers[Path(about["file"])].append(answer)
                        name = about["id"] or f"line {about['line']} of {Path(about['file']).parent.name}"
                        self._say(progress, bar, f"partner  {name}: {answer}")
            progress.update(bar, description="Waiting for the last mails and counts")
            await _until(self._desk.uncounted, "the services did not catch up")
        self._clock.set(self._clock.moment + _AFTERWARDS)
        return [await self._result(sample) for sample in self._samples]

    async def _move_to(self, moment: datetime) -> None:
        await _until(self._desk.unmailed, "notifications did not catch up")
        while (deadline := await self._next_deadline()) and deadline <= moment:
            self._clock.set(deadline)
            await _until(self._nothing_overdue, "a team whose deadline has passed still has its place")
            await _until(self._desk.unmailed, "notifications did not catch up")
        self._clock.set(moment)

    async def _next_deadline(self) -> datetime | None:
        return min(await self._desk.deadlines(sorted(self._published)), default=None)

    async def _nothing_overdue(self) -> str:
        deadline = await self._next_deadline()
        return f"it passed at {deadline}" if deadline and deadline <= self._clock.moment else ""

    async def _result(self, sample: Sample) -> Result:
        return Result(
            sample,
            tuple(self._answers[sample.requests]),
            await self._desk.enrolments(sample.programme),
            await self._desk.facts(sample.programme),
            await self._desk.report(sample.programme),
        )

    def _say(self, progress: Progress, bar: TaskID, text: str) -> None:
        day = self._clock.moment
        self._output.note(f"{day.day:>2} {day:%b %Y}  {text}", "red" if "refused" in text else "")
        progress.update(bar, advance=1, description=f"{day:%B %Y}")


async def _until(unfinished: Callable[[], Awaitable[str]], complaint: str) -> None:
    deadline = time.monotonic() + SETTLED_WITHIN
    while why := await unfinished():
        if time.monotonic() > deadline:
            raise DemoFailed(f"After {SETTLED_WITHIN:.0f} s {complaint}: {why}.")
        await asyncio.sleep(_LOOK_EVERY)


class _Partner:
    """The other process: it announces a message, waits for 'go', and tells the answer that it got."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def next(self) -> dict[str, Any] | None:
        """The message that it wants to send next; None when it has sent all."""
        line = await self._line()
        return line["about_to_send"] if line else None

    async def go(self) -> dict[str, Any] | None:
        """Let it send; the outcome that it got, None where none came in time."""
        if self._process.stdin is None:
            raise DemoFailed("the partner does not listen")
        self._process.stdin.write(b"go\n")
        await self._process.stdin.drain()
        line = await self._line()
        if line is None:
            raise DemoFailed("the partner ended while it waited for an outcome")
        outcome: dict[str, Any] | None = line["outcome"]
        return outcome

    async def _line(self) -> dict[str, Any] | None:
        if self._process.stdout is None:
            raise DemoFailed("the partner does not speak")
        line = await self._process.stdout.readline()
        if line:
            found: dict[str, Any] = json.loads(line)
            return found
        if code := await self._process.wait():
            raise DemoFailed(f"the partner's process ended with code {code}; what it said stands above")
        return None


@contextlib.asynccontextmanager
async def _partner(endpoints: Path, files: list[Path]) -> AsyncIterator[_Partner]:
    command = [sys.executable, str(HERE / "partner.py"), "--step", str(endpoints), PARTNER, *map(str, files)]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        # Nothing of Deelname can be imported there: the partner stands on the wire contract alone.
        cwd=HERE,
        env={key: value for key, value in os.environ.items() if not key.startswith(("DEELNAME_", "PYTHONPATH"))},
        start_new_session=True,
    )
    try:
        yield _Partner(process)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()


def _clear(data: Path) -> None:
    """An empty directory for the demo: what an earlier demo left there goes, what is not a demo's stays."""
    try:
        _empty(data)
    except OSError as error:
        raise DemoFailed(f"{error.filename or data} cannot be used: {error.strerror}. Choose another --data.") from None


def _empty(data: Path) -> None:
    if data.exists() and any(data.iterdir()):
        if not (data / _MARK).is_file():
            raise DemoFailed(f"{data} holds something that no demo put there. Choose another directory with --data.")
        if (data / "lock").exists():
            with (data / "lock").open("a+", encoding="utf-8") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    raise DemoFailed(f"A demo runs on {data} already. Stop it, or choose another --data.") from None
        shutil.rmtree(data)
    private.folder(data)
    private.write(data / _MARK, "Made by 'deelname demo'; the next demo removes this directory.\n")
