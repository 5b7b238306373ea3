"""
Reads mails in a process of its own, one at a time.

Whatever stands in a mail, it takes the service neither its event loop, nor its threads, nor its interpreter's lock, nor
its memory. The process starts with the first mail, ends when none has come for a while, and is started again when it
ended by itself. A mail over which it ends is tried once more by a fresh one, and then left to a person.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import structlog
from pydantic import TypeAdapter

from services.chassis import metrics
from services.notifications.incoming.content import Read, Unclear
from services.notifications.incoming.speaking import (
    ADDRESSES,
    LARGEST_ANSWER,
    LENGTH,
    LONGEST_WAIT,
    OUT_OF_MEMORY,
    READ,
    READ_OF_NOBODY,
    READ_OF_SOMEBODY,
    READY,
)

_log = structlog.get_logger("notifications.reader")

_READ = TypeAdapter(Read)
_LETTERS = {None: READ, True: READ_OF_NOBODY, False: READ_OF_SOMEBODY}
_STARTS_WITHIN = 30.0
_ENDS_WITHIN = 5.0
_IDLE = 60.0
_PIECE = 64 * 1024
_AGAIN_AFTER = 30.0
_WAITS_LONG = 300.0
_NEEDED = ("LD_LIBRARY_PATH", "PYTHONHOME")

_ENDS = metrics.counter("deelname_mail_reader_ends", "How often the process that reads mails ended over one.", ["why"])


class ReaderUnavailable(Exception):  # noqa: N818
    """Nobody can read a mail at this moment; whoever has it keeps it and comes again."""


class _Ended(Exception):  # noqa: N818
    """The process ended over a mail; the words say why, for staff."""

    def __init__(self, why: str, words: str) -> None:
        super().__init__(words)
        self.why = why


class MailReader:
    """
    What reads mails.

    Args:
        command: starts the process.
        patience: seconds by the clock that a mail may take.
    """

    def __init__(self, command: Sequence[str] | None = None, *, patience: float = LONGEST_WAIT) -> None:
        self._command = command or (sys.executable, "-P", "-m", "services.notifications.incoming")
        self._patience = patience
        self._process: Process | None = None
        self._ending: set[asyncio.Task[int]] = set()
        self._turn = asyncio.Lock()
        self._waiting: dict[object, float] = {}
        self._tired: asyncio.TimerHandle | None = None
        self._fault = ""
        self._failed = asyncio.Event()

    @property
    def trouble(self) -> str:
        """Why mails are not read; "" while they are."""
        if self._fault:
            return self._fault
        waited = monotonic() - min(self._waiting.values(), default=monotonic())
        if waited > _WAITS_LONG:
            return f"a mail that came in has waited for {waited / 60:.0f} minutes to be read"
        return ""

    @property
    def waiting(self) -> int:
        """How many mails wait to be read, or are being read."""
        return len(self._waiting)

    async def read(self, raw: bytes, null_sender: bool | None = None) -> Read:
        """
        What a mail says.

        Args:
            null_sender: whether its envelope says that nobody sent it; None where no envelope is known.

        Raises:
            ReaderUnavailable: the process cannot be started.
        """
        mark = object()
        self._waiting[mark] = monotonic()
        try:
            async with self._turn:
                return await self._read(_LETTERS[null_sender], raw)
        finally:
            del self._waiting[mark]

    async def run(self) -> None:
        """For ever: where the process could not be started, see whether it can now, so that the trouble goes away."""
        while True:
            await self._failed.wait()
            await asyncio.sleep(_AGAIN_AFTER)
            async with self._turn:
                with contextlib.suppress(ReaderUnavailable):
                    await self._running()

    async def close(self) -> None:
        """End the process, whatever it does."""
        self._drop()
        if self._ending:
            await asyncio.wait(self._ending, timeout=_ENDS_WITHIN)

    # One mail ---------------------------------------------------------------------------------------------------------

    async def _read(self, letter: bytes, raw: bytes) -> Read:
        try:
            try:
                return await self._ask(letter, raw)
            except _Ended as ended:
                if ended.why == "time":
                    raise
                # It may have been somebody else's doing: another process took the memory, or the operator ended it.
                return await self._ask(letter, raw)
        except _Ended as ended:
            words = str(ended)
        # Erasing a person has to find it also when nobody could read it.
        mentioned: frozenset[str] = frozenset()
        with contextlib.suppress(_Ended):
            mentioned = (await self._ask(ADDRESSES, raw)).mentioned
        return Read(Unclear(f"it was not read: {words}"), (), mentioned)

    async def _ask(self, letter: bytes, raw: bytes) -> Read:
        process = await self._running()
        try:
            async with asyncio.timeout(self._patience):
                answer = await _answer(process, letter, raw)
            return _READ.validate_json(answer)
        except (TimeoutError, ConnectionError, EOFError, ValueError) as error:
            ended = await self._ended(process, error)
        except BaseException:
            # Whoever asked is gone, and the answer would be taken for that to the next mail.
            self._drop()
            raise
        finally:
            self._rest()
        _ENDS.labels(ended.why).inc()
        _log.warning("the process that reads mails ended over one", reason=ended.why, octets=len(raw))
        raise ended

    async def _ended(self, process: Process, error: Exception) -> _Ended:
        if isinstance(error, EOFError | ConnectionError):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ENDS_WITHIN):
                    await process.wait()
        code = process.returncode
        self._drop()
        if isinstance(error, TimeoutError) or code == -signal.SIGXCPU:
            return _Ended("time", "reading it took too long")
        if code == OUT_OF_MEMORY:
            return _Ended("memory", "reading it took too much memory")
        return _Ended("failure", "the program that reads mails failed over it")

    # The process ------------------------------------------------------------------------------------------------------

    async def _running(self) -> Process:
        """
        The process, which can read.

        Raises:
            ReaderUnavailable: it cannot be started.
        """
        if self._tired is not None:
            self._tired.cancel()
            self._tired = None
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._drop()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=_environment()
            )
            async with asyncio.timeout(_STARTS_WITHIN):
                if await _heard(self._process) != READY:
                    raise EOFError
        except (OSError, EOFError, TimeoutError, ValueError) as error:
            code = self._process.returncode if self._process else None
            self._drop()
            reason = type(error).__name__ if code is None else f"it ended with {code}"
            if not self._fault:
                _log.error("the process that reads mails does not start, mails wait", reason=reason)
            self._fault = f"the process that reads mails does not start ({reason})"
            self._failed.set()
            raise ReaderUnavailable(self._fault) from None
        except BaseException:
            self._drop()
            raise
        if self._fault:
            _log.info("the process that reads mails starts again")
        self._fault = ""
        self._failed.clear()
        return self._process

    def _rest(self) -> None:
        if self._process is not None:
            self._tired = asyncio.get_running_loop().call_later(_IDLE, self._drop)

    def _drop(self) -> None:
        """End the process and go on; what is left of it is waited for beside."""
        if self._tired is not None:
            self._tired.cancel()
            self._tired = None
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        task = asyncio.create_task(process.wait())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _environment() -> dict[str, str]:
    """Where our code is, and nothing else: a process that strangers' mails reach has no use for a password."""
    found = [str(Path(each).absolute()) for each in sys.path]
    kept = {name: os.environ[name] for name in _NEEDED if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(found), "PYTHONDONTWRITEBYTECODE": "1", "LC_ALL": "C.UTF-8"}


async def _answer(process: Process, letter: bytes, raw: bytes) -> bytes:
    assert process.stdin is not None  # noqa: S101  (narrows for the type checker: it is a pipe)
    process.stdin.write(letter + LENGTH.pack(len(raw)))
    for begin in range(0, len(raw), _PIECE):
        process.stdin.write(raw[begin : begin + _PIECE])
        await process.stdin.drain()
    await process.stdin.drain()
    return await _heard(process)


async def _heard(process: Process) -> bytes:
    assert process.stdout is not None  # noqa: S101  (likewise)
    (length,) = LENGTH.unpack(await process.stdout.readexactly(LENGTH.size))
    if length > LARGEST_ANSWER:
        raise ValueError("it says more than there is to say about a mail")
    return await process.stdout.readexactly(length)
