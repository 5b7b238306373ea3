"""
The connections that strangers have to us: how many, and for how long each may leave something unfinished.

Nothing here touches a socket. Whoever accepts (serving.py) asks to admit, says how far each connection is, and hands
over how one is ended.
"""

from __future__ import annotations

import resource
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic
from typing import Final

from services.chassis import metrics
from services.chassis.sources import source_of

MOST_OF_A_SOURCE: Final = 50
"""Connections of one source at once."""
MOST: Final = 1000
"""Connections of all at once, where the process may open twice as many descriptors."""

_MOST_DESCRIPTORS: Final = 65_536

OPEN = metrics.gauge("deelname_http_connections", "Connections that are open.")
CLOSED = metrics.counter(
    "deelname_http_connections_closed", "Connections that were refused or cut off, by what was too much.", ["reason"]
)


class Phase(Enum):
    """
    How far a connection's request is: what metrics call its being too long, and how many seconds it may last.

    No byte begins a phase anew: what trickles in is as late as what does not come.
    """

    WAITING = ("idle", 10.0)
    """Nothing of a request has come."""
    HEAD = ("head", 10.0)
    """Its first byte has come, and not yet its last header."""
    BODY = ("body", 40.0)
    """Its body is read; web.py answers sooner than this (``BODY_WITHIN``), unless nobody reads it."""
    ANSWERING = ("answering", None)
    """It is whole, and we are at work."""
    TAKING = ("answer", 60.0)
    """Its answer is there, and the client has not taken all of it."""
    REST = ("rest", 5.0)
    """It was answered before its body was whole, and the rest is thrown away."""

    def __init__(self, reason: str, lasts: float | None) -> None:
        self.reason = reason
        self.lasts = lasts


@dataclass(slots=True, eq=False)
class Connection:
    """One of them; what its transport can do and say is known once it has been set up."""

    source: str | None
    """None for the proxy in front, whose connections are those of many."""
    since: float
    phase: Phase = Phase.WAITING
    ended: bool = False
    abort: Callable[[], object] = lambda: None
    is_closing: Callable[[], bool] = lambda: False
    unsent: Callable[[], int] = lambda: 0
    """Octets that wait to be taken."""


@dataclass(frozen=True, slots=True)
class Admission:
    """How many each may have: ``of_a_source`` (nought: no limit), but for those who stand for many by ``is_proxy``."""

    of_a_source: int = MOST_OF_A_SOURCE
    is_proxy: Callable[[str], bool] = lambda _address: False


@dataclass(slots=True)
class _Source:
    open: int = 0
    unfinished: OrderedDict[Connection, None] = field(default_factory=OrderedDict)


class Connections:
    """
    Those that are open.

    Where a source has as many as it may have, and where there are as many as we can have, the oldest one that is not
    being answered goes, so that the next may come in; where all are being answered, the next may not.
    """

    def __init__(self, admission: Admission, most: int = MOST, now: Callable[[], float] = monotonic) -> None:
        self._admission = admission
        self._most = most
        self._now = now
        self._everyone: set[Connection] = set()
        self._sources: dict[str | None, _Source] = {}
        # In the order of their becoming unfinished.
        self._unfinished: OrderedDict[Connection, None] = OrderedDict()

    def admit(self, address: str) -> Connection | None:
        """A connection that has come; None if it may not stay."""
        source = None if self._admission.is_proxy(address) else source_of(address)
        theirs = self._sources.get(source)
        most = self._admission.of_a_source
        if (
            source is not None
            and theirs is not None
            and 0 < most <= theirs.open
            and not self._end_oldest(theirs.unfinished, "source")
        ):
            return None
        if len(self._everyone) >= self._most and not self._end_oldest(self._unfinished, "total"):
            return None
        connection = Connection(source, self._now())
        theirs = self._sources.setdefault(source, _Source())
        theirs.open += 1
        self._everyone.add(connection)
        self._unfinished[connection] = theirs.unfinished[connection] = None
        OPEN.set(len(self._everyone))
        return connection

    def make_room(self) -> None:
        """End the oldest that is unfinished: the process has no descriptor left."""
        self._end_oldest(self._unfinished, "descriptors")

    def enter(self, connection: Connection, phase: Phase) -> None:
        """It has come so far."""
        if connection.ended or phase is connection.phase:
            return
        connection.phase, connection.since = phase, self._now()
        theirs = self._sources[connection.source]
        for unfinished in (self._unfinished, theirs.unfinished):
            if phase is Phase.ANSWERING:
                unfinished.pop(connection, None)
            else:
                # Whoever goes on with the same request keeps its place in the queue of those that go.
                unfinished.setdefault(connection)
                if phase is Phase.WAITING:
                    unfinished.move_to_end(connection)

    def left(self, connection: Connection) -> None:
        """It is closed, by whomever."""
        if connection.ended:
            return
        connection.ended = True
        theirs = self._sources[connection.source]
        theirs.open -= 1
        self._everyone.discard(connection)
        self._unfinished.pop(connection, None)
        theirs.unfinished.pop(connection, None)
        if not theirs.open:
            del self._sources[connection.source]
        OPEN.set(len(self._everyone))

    def end_overdue(self) -> None:
        """End those that have left something unfinished for too long; to be called every second."""
        now = self._now()
        for connection in list(self._unfinished):
            if connection.phase is Phase.TAKING and not connection.unsent():
                self.enter(connection, Phase.WAITING)
            lasts = connection.phase.lasts
            if lasts is not None and now - connection.since >= lasts:
                self._end(connection, connection.phase.reason)

    def end_all(self) -> None:
        """End every one."""
        for connection in list(self._everyone):
            self.left(connection)
            connection.abort()

    def _end_oldest(self, unfinished: OrderedDict[Connection, None], reason: str) -> bool:
        oldest = next(iter(unfinished), None)
        if oldest is None:
            CLOSED.labels(f"{reason}_refused").inc()
            return False
        self._end(oldest, reason)
        return True

    def _end(self, connection: Connection, reason: str) -> None:
        CLOSED.labels(reason).inc()
        self.left(connection)
        connection.abort()


def most_connections() -> int:
    """
    How many connections the process can have beside its own: to the broker, its database, files and logs.

    It may open as many descriptors as the system lets it from now on, and strangers get half of them at most.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return min(MOST, allowed // 2)
