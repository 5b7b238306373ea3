"""When a broker of ours is started again, and when it is left alone; system/ shows it on disks that are full."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from deploy.broker import RunningBroker
from deploy.local import kept_broker
from deploy.local.kept_broker import ENOUGH_ROOM, KeptBroker, has_room

FULL = '503: {"error":"JetStream stream \'APP > KV_contacts\' write error: write 1.blk: no space left on device"}'
BROKEN = FULL.replace("no space left on device", "input/output error")


@dataclass
class Looked:
    """A broker of ours whose health and disk are what a test says they are."""

    kept: KeptBroker
    broker: RunningBroker
    lines: list[str]
    health: list[str]
    room: list[bool]

    async def until_started(self, times: int) -> None:
        """Look as the system does."""
        async with asyncio.timeout(20):
            while self.broker.server.starts < times:
                await self.kept.look()
                await asyncio.sleep(0.01)


@pytest.fixture
def looked(own_broker: RunningBroker, monkeypatch: pytest.MonkeyPatch) -> Looked:
    lines: list[str] = []
    health, room = [""], [True]
    monkeypatch.setattr(kept_broker, "has_room", lambda _folder: room[0])
    return Looked(KeptBroker(own_broker, lambda: health[0], lines.append), own_broker, lines, health, room)


async def test_a_broker_stays_while_its_disk_is_full_and_that_is_told_once(looked: Looked) -> None:
    looked.health[0], looked.room[0] = FULL, False
    for _ in range(5):
        await looked.kept.look_at_store()
        await looked.kept.look()
    assert (looked.broker.server.runs, looked.broker.server.starts) == (True, 1)
    assert looked.lines == [
        "the broker's disk is full: it stores nothing more, and is started again once there is room"
    ]


async def test_with_room_again_it_is_started_again_and_one_line_says_so(looked: Looked) -> None:
    looked.health[0] = FULL
    await looked.kept.look_at_store()
    assert not looked.broker.server.runs
    looked.health[0] = ""
    await looked.until_started(2)
    await looked.kept.look_at_store()
    assert looked.lines == ["the broker met a full disk; there is room again, and it is started again in 0.5 s"]


async def test_a_disk_that_fills_again_and_again_has_it_started_again_later_each_time(looked: Looked) -> None:
    looked.health[0] = FULL
    for starts in (2, 3):
        await looked.kept.look_at_store()
        await looked.until_started(starts)
    assert [line.rpartition(" in ")[2] for line in looked.lines] == ["0.5 s", "1 s"]


@pytest.mark.parametrize("said", ["", "nothing answered: timed out", BROKEN])
async def test_what_is_no_full_disk_ends_nobody(looked: Looked, said: str) -> None:
    """That a broken disk can be written again only a person can know."""
    looked.health[0] = said
    await looked.kept.look_at_store()
    await looked.kept.look()
    assert looked.broker.server.runs
    assert looked.lines == []


async def test_nobody_starts_it_before_it_has_ended_in_order(looked: Looked, monkeypatch: pytest.MonkeyPatch) -> None:
    looked.health[0] = FULL
    stop = looked.broker.stop

    def stop_slowly() -> None:
        stop()
        time.sleep(0.7)  # longer than the pause

    monkeypatch.setattr(looked.broker, "stop", stop_slowly)
    ending = asyncio.create_task(looked.kept.look_at_store())
    while not ending.done():
        await looked.kept.look()
        assert looked.broker.server.starts == 1
        await asyncio.sleep(0.01)
    await looked.until_started(2)


class Disk(NamedTuple):
    """What statvfs tells."""

    f_frsize: int
    f_blocks: int
    f_bavail: int


@pytest.mark.parametrize(
    ("size", "free", "enough"),
    [
        (2**40, ENOUGH_ROOM, True),
        (2**40, ENOUGH_ROOM - 4096, False),
        (16 * 2**20, 2**20, True),
        (16 * 2**20, 2**19, False),
        (2**40, 0, False),
    ],
)
def test_there_is_room_again_when_it_is_not_gone_with_the_next_few_messages(
    monkeypatch: pytest.MonkeyPatch, size: int, free: int, enough: bool
) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _folder: Disk(4096, size // 4096, free // 4096))
    assert has_room(Path("/store")) is enough


def test_a_store_that_is_gone_has_no_room(tmp_path: Path) -> None:
    assert not has_room(tmp_path / "gone")
