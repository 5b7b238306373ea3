"""A broker that is kept of use: started again when it ended, and when it stores nothing more though it could."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path

import nats.errors

from deploy.broker import RunningBroker
from deploy.embedded import BrokerDidNotStart
from deploy.local.processes import Backoff
from deploy.topology import TopologyConflict

ENOUGH_ROOM = 64 * 1024 * 1024
"""Bytes; on a disk of less than twenty times that a twentieth of it."""
LOOK_AT_STORE_EVERY = 2.0
_DISK_WAS_FULL = "no space left on device"


class KeptBroker:
    """
    Looks after a broker that was started.

    Args:
        broker: ours; no other one is ever ended.
        health: what its monitoring says is wrong with it, "" when nothing is.
        say: takes one line for the person at the terminal.
    """

    def __init__(self, broker: RunningBroker, health: Callable[[], str], say: Callable[[str], None]) -> None:
        self._broker = broker
        self._health = health
        self._say = say
        self._backoff = Backoff()
        self._started = time.monotonic()
        self._undeclared = self._ending = False
        self._due: float | None = None
        self._told_of_full_disk = False

    async def look(self) -> None:
        """Start it again if it has ended, later each time it ends soon after its start; call it again and again."""
        now = time.monotonic()
        runs = self._broker.server.runs
        if self._ending or (runs and not self._undeclared):
            return
        if self._due is None:
            pause = self._pause(now)
            if not runs:
                self._say(f"the broker ended, see {self._broker.server.log}; started again in {pause:g} s")
        elif now >= self._due:
            self._due = None
            try:
                if not runs:
                    self._started = now
                    # Its disk may be empty; until everything is declared again it is of no use to anybody.
                    self._undeclared = True
                    self._broker.start()
                await self._broker.declare()
                self._undeclared = False
            except (BrokerDidNotStart, TopologyConflict, nats.errors.Error, OSError) as error:
                self._say(f"the broker: {error}")

    async def look_at_store(self) -> None:
        """
        End it when a stream met a full disk and there is room again: until it is started again it does not try.

        While the disk is full it stays: what needs no room it still does, and it would meet the same disk again. Other
        errors of a disk stay too; that it can be written again nobody knows before a person has looked.
        """
        server = self._broker.server
        if not server.runs or _DISK_WAS_FULL not in await asyncio.to_thread(self._health):
            self._told_of_full_disk = False
        elif not has_room(self._broker.store):
            if not self._told_of_full_disk:
                self._say("the broker's disk is full: it stores nothing more, and is started again once there is room")
            self._told_of_full_disk = True
        elif self._due is None and not self._undeclared:
            pause = self._pause(time.monotonic())
            self._say(f"the broker met a full disk; there is room again, and it is started again in {pause:g} s")
            self._ending = True
            try:
                await asyncio.to_thread(self._broker.stop)
            finally:
                self._ending = False

    def _pause(self, now: float) -> float:
        pause = self._backoff.after_death(now - self._started)
        self._due = now + pause
        return pause


def has_room(folder: Path) -> bool:
    """Whether a full disk has room again: so much that it is not full again with the next few messages."""
    try:
        disk = os.statvfs(folder)
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize >= min(ENOUGH_ROOM, disk.f_blocks * disk.f_frsize / 20)
