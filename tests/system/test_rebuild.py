"""Reports folded again from the first fact on a system that goes on working."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.system.world import World, enrolment, organisation, person, programme, session, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

ID = "counted"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def counted(world: World) -> AsyncIterator[World]:
    await world.staff.register(organisation("bisc"), organisation("bieb"))
    await world.staff.publish(programme(ID, sessions=[session("only", 8)], capacity=10, waiting_list={}))
    for number in range(15):
        await enrol(world, number)
    await world.settled()
    yield world


async def enrol(world: World, number: int) -> None:
    asked = enrolment(ID, person("Noor de Wit", f"person-{number}@people.example"), organisation_id="bieb")
    await world.staff.do("do.registration.enrolment.request", asked)


async def test_the_same_reports_come_out_and_nobody_is_mailed_again(counted: World) -> None:
    before, mails = await counted.staff.reports(), sorted(path.name for path in (counted.data / "mail/new").iterdir())
    first = await counted.staff.do("do.reporting.report.rebuild")
    second = await counted.staff.do("do.reporting.report.rebuild")
    assert (first["identical"], second["identical"]) == (True, True)
    assert first["digest"] == second["digest"]
    assert first["facts"] == counted.head("registration") + counted.head("notifications")
    await counted.settled()
    assert await counted.staff.reports() == before
    assert sorted(path.name for path in (counted.data / "mail/new").iterdir()) == mails


async def test_what_happens_during_a_rebuild_is_counted_once(counted: World) -> None:
    numbers = range(100, 130)
    enrolling = asyncio.gather(*(enrol(counted, number) for number in numbers))
    rebuilt = await counted.staff.do("do.reporting.report.rebuild")
    await enrolling
    assert rebuilt["digest"]
    await counted.settled()
    counts = (await counted.staff.report(ID))["counts"]
    assert (counts["units_confirmed"], counts["units_waiting"]) == (10, 5 + len(numbers))
    before = await counted.staff.reports()
    assert (await counted.staff.do("do.reporting.report.rebuild"))["identical"]
    assert await counted.staff.reports() == before


async def test_a_reporting_database_that_is_lost_comes_back_from_the_log(counted: World) -> None:
    await counted.settled()
    before = await counted.staff.reports()
    digest = (await counted.staff.do("do.reporting.report.rebuild"))["digest"]
    process = counted.system.children["reporting"].process
    counted.kill("reporting")
    for file in (counted.data / "reporting").glob("reporting.db*"):
        file.unlink()

    async def gone() -> str:
        return "reporting is not back" if counted.system.children["reporting"].process is process else ""

    await until(gone)
    await counted.settled()
    assert await counted.staff.reports() == before
    again = await counted.staff.do("do.reporting.report.rebuild")
    assert (again["identical"], again["digest"]) == (True, digest)
