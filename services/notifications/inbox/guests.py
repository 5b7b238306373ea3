"""Who is connected, and who has to go when there are too many."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic


class NoRoom(Exception):  # noqa: N818
    """Nobody can be sent away: all that there is room for is ours to answer."""


@dataclass(eq=False, slots=True)
class Guest:
    """
    A connection.

    Attributes:
        source: where it comes from.
        since: since when we wait for a whole mail of it (``time.monotonic``).
        octets: how much of a message it has in memory.
        busy: whether it has said all, and waits for us.
        sent_away: whether it had to go.
    """

    task: asyncio.Task[None]
    source: str
    since: float = field(default_factory=monotonic)
    octets: int = 0
    busy: bool = False
    sent_away: bool = False

    def turn(self) -> None:
        """A new mail may begin."""
        self.since = monotonic()
        self.octets = 0
        self.busy = False


class Guests:
    """
    All connections, bounded in number and in what they have in memory.

    Where one too many comes, the one that has kept us waiting longest goes, of the source that has most: who holds
    connections takes places from himself. Whose message is whole is answered.

    Args:
        most: connections.
        memory: octets of all their messages.
    """

    def __init__(self, most: int, memory: int) -> None:
        self._most = most
        self._memory = memory
        self._present: set[Guest] = set()

    def enter(self, guest: Guest) -> None:
        """
        Let one in.

        Raises:
            NoRoom: there is no place for it.
        """
        if len(self._staying()) >= self._most:
            held = Counter(each.source for each in self._staying())
            self._send_away(max(self._waited_for(), key=lambda each: (held[each.source], -each.since), default=None))
        self._present.add(guest)

    def leave(self, guest: Guest) -> None:
        """One is gone."""
        self._present.discard(guest)

    def hold(self, guest: Guest, octets: int) -> None:
        """
        One has so many octets of a message in memory.

        Raises:
            NoRoom: there is no memory for them.
        """
        guest.octets = octets
        while sum(each.octets for each in self._staying()) > self._memory:
            largest = max(self._waited_for(), key=lambda each: (each.octets, -each.since), default=None)
            if largest is None or largest is guest:
                guest.octets = 0
                raise NoRoom
            self._send_away(largest)

    def _staying(self) -> list[Guest]:
        return [each for each in self._present if not each.sent_away]

    def _waited_for(self) -> list[Guest]:
        return [each for each in self._staying() if not each.busy]

    def _send_away(self, guest: Guest | None) -> None:
        if guest is None:
            raise NoRoom
        guest.sent_away = True
        guest.task.cancel()
