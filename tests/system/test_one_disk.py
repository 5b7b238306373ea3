"""
The whole system on one disk that is full, as where `deelname up` runs: the broker, the databases, the logs, the mailbox
and what is told to the terminal. With room again it goes on by itself.
"""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import EmbeddedBroker
from tests.system.test_full_disk import asked_by, fill, not_storing, somebody, vol
from tests.system.world import SERVICES, World, organisation, started, until

pytestmark = [pytest.mark.asyncio, pytest.mark.root]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small disk."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", "--lazy", tmp_path], check=True)


async def requests_that_the_broker_took(world: World) -> list[str]:
    """Send until one is not acknowledged."""
    taken: list[str] = []
    world.partner.patience = 1.0
    while (await world.partner.enrol(f"on-the-brink-{len(taken)}", somebody(len(taken)))).certainty == "done":
        taken.append(f"on-the-brink-{len(taken)}")
    world.partner.patience = 10.0
    return taken


async def test_everything_goes_on_by_itself_and_answers_each_acknowledged_request_once(disk: Path) -> None:
    told = disk / "up.log"

    def say(line: str) -> None:
        with told.open("a", encoding="utf-8") as file:
            print(line, file=file, flush=True)

    async with started(disk / "data", EmbeddedBroker, say=say) as world:
        await world.staff.register(organisation("bisc"))
        await world.staff.publish(vol())
        # No page of the log that is written by the line has room left, whatever is said.
        with told.open("a", encoding="utf-8") as file:
            file.write("x" * (4096 - told.stat().st_size % 4096))
        fill(disk / "ballast")
        taken = await requests_that_the_broker_took(world)

        async def well() -> str:
            said = [await world.unready(service) for service in ("registration", "notifications")]
            return "" if all("the broker cannot store" in each for each in said) else f"{said}"

        await until(well)
        assert await not_storing(world, "registration") == "1.0"
        world.kill("reporting")

        (disk / "ballast").unlink()

        async def ill() -> str:
            return "".join([await world.unready(service) for service in SERVICES])

        await until(ill)
        for request in taken:
            assert (await world.partner.answer(request))["type"] == "outcome.accepted.v1"
        assert (await world.web.enrol(asked_by("anna"))).certainty == "done"
        await world.settled()
        assert Counter(outcome["data"]["request"] for outcome in world.partner.outcomes) == Counter(taken)
        facts = await world.staff.facts()
        assert [fact["position"] for fact in facts] == list(range(1, len(facts) + 1))
        confirmed = sum(fact["type"] == "enrolment.confirmed.v1" for fact in facts)
        assert confirmed >= len(taken) + 1
        assert (await world.staff.report("vol"))["counts"]["people_confirmed"] == confirmed
        for each in world.mails():
            assert each.message["Subject"], "a mail that met the full disk is whole"
