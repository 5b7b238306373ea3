"""What a service says while it starts, and that whoever looks can tell a long start from one that hangs."""

from __future__ import annotations

import asyncio
import http.client
import json
from pathlib import Path

import pytest

from deploy.embedded import free_port
from services.chassis.database import Database
from services.chassis.health import Health
from services.chassis.opening import STUCK_AFTER, Opening, Progress
from services.chassis.service import run
from services.chassis.web import application

LONG = """
CREATE TABLE numbers (number INTEGER);
INSERT INTO numbers WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 700000)
    SELECT n FROM counted;
"""


async def get(port: int, path: str) -> tuple[int, bytes]:
    def ask() -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    return await asyncio.to_thread(ask)


class Machine:
    """A clock, and what the process has used of processors."""

    def __init__(self) -> None:
        self.now = self.used = 0.0
        self.progress = Progress(lambda: self.now, lambda: self.used)

    def passes(self, seconds: float, busy: float) -> bool:
        """Whether the start is found to hang at one of the looks, one every five seconds."""
        found = False
        for _ in range(int(seconds / 5)):
            self.now += 5
            self.used += 5 * busy
            found = self.progress.stuck or found
        return found


@pytest.mark.parametrize(
    ("seconds", "busy", "hangs"),
    [
        (STUCK_AFTER - 5, 0.0, False),
        (STUCK_AFTER + 5, 0.0, True),
        # The answers to those who look take something too.
        (STUCK_AFTER + 5, 0.001, True),
        (3600, 0.02, False),
        (3600, 1.0, False),
    ],
)
def test_a_start_hangs_when_it_does_nothing_for_long(seconds: float, busy: float, hangs: bool) -> None:
    assert Machine().passes(seconds, busy) is hangs


def test_a_start_that_worked_for_an_hour_and_then_does_nothing_hangs_as_soon_as_any() -> None:
    machine = Machine()
    assert not machine.passes(3600, 0.5)
    assert machine.passes(STUCK_AFTER + 5, 0.0)


def test_who_waits_for_the_broker_never_hangs() -> None:
    """To begin again would not bring the broker back."""
    machine = Machine()
    machine.progress.wait()
    assert not machine.passes(24 * 3600, 0.0)


async def test_a_database_that_is_migrated_for_long_is_told_of_and_the_face_follows_on_the_same_port(
    tmp_path: Path,
) -> None:
    port, stop = free_port(), asyncio.Event()
    migrations = tmp_path / "migrations"
    migrations.mkdir()
    (migrations / "0001_long.sql").write_text(LONG)
    async with Opening("test", "127.0.0.1", port) as opening:
        database = asyncio.create_task(Database.open(tmp_path / "test.db", migrations))
        seen = [await get(port, path) for path in ("/health/live", "/health/ready", "/health/serving", "/metrics", "/")]
        assert not database.done(), "the migration is to last longer than the answers"
        assert [status for status, _ in seen] == [200, 503, 503, 200, 503]
        assert json.loads(seen[0][1]) == {"status": "starting", "doing": "opens its database"}
        assert json.loads(seen[1][1])["reasons"] == {"start": "it starts: it opens its database"}
        assert b"deelname_ready 0.0" in seen[3][1]
        assert json.loads(seen[4][1])["status"] == 503

        opened = await database

        async def no_broker() -> str:
            return "the broker does not answer"

        face = application("Test", "1", "A face.", Health(opened, checks={"broker": no_broker}))
        service = asyncio.create_task(run(face, opening=opening, stop=stop))
        async with asyncio.timeout(20):
            while (await get(port, "/openapi.json"))[0] != 200:
                pass
        assert (await get(port, "/health/live"))[1] == b'{"status":"alive"}'
        # Whoever sends people here asks for no more than the face needs; others hear what does not work.
        assert [(await get(port, f"/health/{path}"))[0] for path in ("serving", "ready")] == [200, 503]
        stop.set()
        await service
        await opened.close()
    with pytest.raises(ConnectionRefusedError):
        await get(port, "/health/live")


async def test_a_face_whose_database_does_not_answer_serves_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.chassis.health._DATABASE_TIMEOUT", 0.05)

    class Silent:
        path = Path("nowhere")

        async def check_writable(self) -> None:
            await asyncio.Event().wait()

    assert "does not answer" in await Health(Silent()).serving()


async def test_a_start_that_fails_leaves_the_port() -> None:
    port = free_port()

    async def start() -> None:
        async with Opening("test", "127.0.0.1", port):
            assert (await get(port, "/health/live"))[0] == 200
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await start()
    with pytest.raises(ConnectionRefusedError):
        await get(port, "/health/live")
