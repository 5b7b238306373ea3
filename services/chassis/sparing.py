"""
A log that nobody can fill: of lines of one kind one is written at once, and after that the last of each minute.

It says how many were left out before it (``left_out``), and is written when its minute is over or the process ends,
whether or not another one follows.
"""

from __future__ import annotations

import logging
import re
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

MINUTE: Final = 60.0

_TELLING: Final = (
    "stream",
    "source",
    "partner",
    "queue",
    "client",
    "task",
    "work",
    "part",
    "subject",
    "route",
    "cap",
    "kind",
    "reason",
    "error",
)
"""Fields that make a line another one: what it is about, and why. Not which message, request or mail it was."""
_MOST_VARIATIONS: Final = 10
"""Kinds of one event at once; what else comes of it is one kind more. Strangers may have had a hand in a reason."""
_MOST_KINDS: Final = 1000
_LONGEST: Final = 100
_VARIES: Final = re.compile(r"0x[0-9a-fA-F]+|\d+")


@dataclass(slots=True)
class _Minute:
    """What happened of one kind since a line of it was written."""

    ends: float
    last: logging.LogRecord | None = None
    times: int = 0


class Sparing(logging.Handler):
    """
    Hands lines on to another handler, sparingly. Lines of level ``critical`` pass: a process writes them as it ends.

    A line that is kept keeps its traceback, and with it what the traceback refers to, for a minute at most.
    """

    def __init__(self, onto: logging.Handler, minute: float = MINUTE, now: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._onto = onto
        self._minute = minute
        self._now = now
        # In the order of their ends, since all last as long.
        self._minutes: OrderedDict[tuple[Hashable, Hashable], _Minute] = OrderedDict()
        self._variations: Counter[Hashable] = Counter()
        self._timer: threading.Timer | None = None
        self._ended = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write it, or keep it until its minute is over. The lock of this handler is held."""
        if record.levelno >= logging.CRITICAL or self._ended:
            self._onto.handle(record)
            return
        self.settle()
        kind = self._kind(record)
        minute = self._minutes.get(kind)
        if minute is None:
            self._begin(kind)
            self._onto.handle(record)
            return
        minute.last = _with_its_error(record)
        minute.times += 1
        if self._timer is None:
            self._wake_at(minute.ends)

    def settle(self) -> None:
        """Write what was kept and whose minute is over."""
        with self._locked():
            now = self._now()
            while self._minutes and (
                next(iter(self._minutes.values())).ends <= now or len(self._minutes) > _MOST_KINDS
            ):
                kind, minute = self._minutes.popitem(last=False)
                self._variations[kind[0]] -= 1
                if not self._variations[kind[0]]:
                    del self._variations[kind[0]]
                if self._tell(minute):
                    self._begin(kind)

    def flush(self) -> None:
        """Write all that was kept."""
        with self._locked():
            for minute in self._minutes.values():
                self._tell(minute)
            self._onto.flush()

    def close(self) -> None:
        """Write all that was kept, at the end of the process."""
        with self._locked():
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            self.flush()
            # Whoever still has something to say as the interpreter ends is heard at once.
            self._ended = True
        super().close()

    def _locked(self) -> Any:
        assert self.lock is not None  # noqa: S101
        return self.lock

    def _begin(self, kind: tuple[Hashable, Hashable]) -> None:
        self._minutes[kind] = _Minute(self._now() + self._minute)
        self._variations[kind[0]] += 1

    def _tell(self, minute: _Minute) -> bool:
        if minute.last is None:
            return False
        record, minute.last = minute.last, None
        record.left_out, minute.times = minute.times - 1, 0
        self._onto.handle(record)
        return True

    def _kind(self, record: logging.LogRecord) -> tuple[Hashable, Hashable]:
        event, variation = _description(record)
        known = (event, variation) in self._minutes
        return event, variation if known or self._variations[event] < _MOST_VARIATIONS else None

    def _wake_at(self, moment: float) -> None:
        self._timer = threading.Timer(max(0.0, moment - self._now()), self._wake)
        self._timer.daemon = True
        self._timer.start()

    def _wake(self) -> None:
        with self._locked():
            if self._timer is None:
                return
            self._timer = None
            self.settle()
            ends = next((minute.ends for minute in self._minutes.values() if minute.last is not None), None)
            if ends is not None:
                self._wake_at(ends)


def _description(record: logging.LogRecord) -> tuple[Hashable, Hashable]:
    """What a line is about, of which there are few, and what makes it another line about the same."""
    if isinstance(record.msg, dict):
        fields = record.msg
        varies = tuple(str(fields.get(name, ""))[:_LONGEST] for name in _TELLING)
        error = _error(fields.get("exc_info"))
        return (record.name, record.levelno, str(fields.get("event"))[:_LONGEST]), (varies, error)
    # A library's: many put what varies into the text, and some put everything through one line of code.
    first = str(record.msg)[:1000].partition("\n")[0][:_LONGEST]
    return (record.name, record.levelno, record.pathname, record.lineno), (
        _VARIES.sub("#", first),
        _error(record.exc_info),
    )


def _error(said: Any) -> str:
    error = sys.exc_info()[1] if said is True else said[1] if isinstance(said, tuple) else said
    return type(error).__name__ if isinstance(error, BaseException) else ""


def _with_its_error(record: logging.LogRecord) -> logging.LogRecord:
    """The same, to be written later: by then nobody knows any more which error was being handled."""
    if isinstance(record.msg, dict) and record.msg.get("exc_info") is True:
        record.msg["exc_info"] = sys.exc_info()
    return record


def left_out(_: Any, __: str, event: Any) -> Any:
    """A processor of structlog's formatter: how many lines of a kind were left out before this one."""
    number = getattr(event["_record"], "left_out", 0)
    return {**event, "left_out": number} if number else event
