"""The broker of compose.yaml on a small disk that fills up: with room again it goes on, and nobody lent a hand."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.composed import TAG, Stack, healthy, outside, run, started
from tests.system.test_full_disk import asked_by, somebody, vol
from tests.system.world import organisation, until

pytestmark = [pytest.mark.asyncio, pytest.mark.engine, pytest.mark.timeout(1500)]

SMALL_DISK = """
services: {}
volumes:
  streams:
    driver_opts: { type: tmpfs, device: tmpfs, o: "size=16m,uid=10001,gid=10001,mode=0700" }
"""


@pytest.fixture
def stack(images: dict[str, int], tmp_path: Path) -> Iterator[Stack]:
    override = tmp_path / "small.yaml"
    override.write_text(SMALL_DISK)
    with started("nats", "registration", override=override) as stack:
        yield stack


@pytest.fixture
def beside(stack: Stack) -> Iterator[str]:
    """A container that holds the broker's disk, which would be gone with the last one that has it."""
    volume = f"{stack.project}_streams:/data"
    options = ("--detach", "--rm", "--network", "none", "--label", f"com.docker.compose.project={stack.project}")
    name = run("docker", "run", *options, "-v", volume, f"deelname-tools:{TAG}", "sleep", "infinity").strip()
    yield name
    run("docker", "rm", "--force", name)


async def test_nats_server_is_ended_when_there_is_room_again_and_not_before(
    stack: Stack, beside: str, tmp_path: Path
) -> None:
    def inspected() -> tuple[int, str]:
        found = stack.inspect("nats")
        return int(found["RestartCount"]), str(found["State"]["Health"]["Status"])

    async def broker_is(health: str, starts_again: int) -> None:
        async def is_not() -> str:
            found = await asyncio.to_thread(inspected)
            return "" if found == (starts_again, health) else f"the broker is {found}"

        await until(is_not)

    await healthy(stack, "registration")
    await broker_is("healthy", 0)
    async with outside(stack, tmp_path / "before") as people:
        await people.staff.register(organisation("bisc"))
        await people.staff.publish(vol())
        fill = "cat /dev/zero >/data/ballast 2>/dev/null; df /data | tail -n 1"
        assert "100%" in await asyncio.to_thread(run, "docker", "exec", beside, "sh", "-c", fill)
        acknowledged: list[str] = []
        people.partner.patience = 2.0
        while True:
            request = f"on-the-brink-{len(acknowledged)}"
            if (await people.partner.enrol(request, somebody(len(acknowledged)))).certainty != "done":
                break
            acknowledged.append(request)

        async def well() -> str:
            status, body = await asyncio.to_thread(stack.get, "registration", "/health/ready")
            return "" if status == 503 and b"the broker cannot store" in body else f"{status} {body!r}"

        await until(well)
        # It would meet the same disk again.
        await broker_is("unhealthy", 0)
        known = people.partner.outcomes
    await asyncio.to_thread(run, "docker", "exec", beside, "rm", "/data/ballast")
    await broker_is("healthy", 1)
    async with outside(stack, tmp_path / "after") as people:
        assert (await people.partner.enrol("afterwards", asked_by("anna"))).certainty == "done"
        people.partner.outcomes[:0] = known
        for request in (*acknowledged, "afterwards"):
            assert (await people.partner.answer(request))["type"] == "outcome.accepted.v1"
        # One that was read and could not be acknowledged comes again, under the same id.
        answered = Counter(
            request for request, _id in {(each["data"]["request"], each["id"]) for each in people.partner.outcomes}
        )
        assert [request for request in acknowledged if answered[request] != 1] == []
        await healthy(stack, "registration")
