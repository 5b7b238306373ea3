"""People whose term has passed are gone by themselves: looked up in the files themselves."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from deploy.local import LocalSystem
from tests import warm
from tests.ports import free_ports
from tests.system.test_privacy import files, found
from tests.system.world import around, enrolment, organisation, person, programme, session, until

pytestmark = pytest.mark.timeout(180)

GOES = person("Quintijn Xylander-Dwars", "quintijn@dwars-people.example")
REFUSED = person("Zwaantje Yperman", "zwaantje@yperman-people.example", "en")
STAYS = person("Xaviera Kwaadgras", "xaviera@kwaadgras-people.example")


async def test_who_took_part_is_gone_when_the_term_has_passed_and_who_comes_again_is_not(tmp_path: Path) -> None:
    begun = datetime.now(UTC)
    system = LocalSystem(tmp_path, free_ports(), partners=("demo",), now=begun.isoformat(), services=warm.SERVICES)
    async with system, around(system) as world:
        staff, partner = world.staff, world.partner
        await staff.register(organisation("bisc"), organisation("bieb"))
        short = programme("short", sessions=[session("only", 6)], keep_people_days=7, eligible={"kinds": ["library"]})
        await staff.publish(short)
        undated = {key: value for key, value in session("later", 9).items() if key not in ("start", "end")}
        await staff.publish(programme("later", sessions=[undated]))
        await partner.enrol("goes", enrolment("short", GOES, organisation_id="bieb"))
        await partner.enrol("refused", enrolment("short", REFUSED))
        await partner.enrol("stays", enrolment("short", STAYS, organisation_id="bieb"))
        await partner.enrol("again", enrolment("later", STAYS, organisation_id="bieb"))
        for id_ in ("goes", "refused", "stays", "again"):
            await partner.answer(id_)
        await world.settled()
        everybody = (GOES, REFUSED, STAYS)
        for service in ("registration", "notifications"):
            hits = set().union(*found(files(world.data / service), everybody).values())
            assert {who["email"].encode() for who in everybody} <= hits
        expiring = await staff.do("ask.registration.person.expiring", {"within_days": 60})
        assert [one["contact"]["name"] for one in expiring["people"]] == [REFUSED["name"], GOES["name"]]
        assert (expiring["total"], expiring["undecided"]) == (2, 1)
        before = await staff.report("short")

        # Seven weeks on: the session was last week.
        system.layout.clock.write_text(f"{(begun + timedelta(weeks=7, days=2)).isoformat()}\n")

        async def left() -> str:
            gone = (GOES, REFUSED)
            return str(
                {s: hit for s in ("registration", "notifications") if (hit := found(files(world.data / s), gone))} or ""
            )

        await until(left, within=60)
        await world.settled()
        erased = [fact for fact in await staff.facts() if fact["type"] == "person.erased.v1"]
        assert [fact["data"]["cause"] for fact in erased] == ["term-passed"] * 2
        exported = await staff.do("ask.registration.person.export", {"email": STAYS["email"]})
        assert exported["contact"]["name"] == STAYS["name"]
        # What was counted stays counted, and nothing was said of anybody on the way.
        assert (await staff.report("short"))["counts"] == before["counts"]
        assert found(files(world.data / "logs"), everybody) == {}
        assert found(files(world.data / "reporting"), everybody) == {}
