"""
The last release of one service beside today's others, each way round, and then that service upgraded in place.

A release is deployed service by service, on a broker that is configured for both. So a programme's whole life passes
through each mixture, with everything in it that today's services say and the old one does not know.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from deploy.broker import ServerKind
from tests import warm
from tests.notifications.inbox import returned
from tests.system.last_release import service_of_last_release, unpack
from tests.system.world import (
    SERVICES,
    Json,
    World,
    day,
    enrolment,
    organisation,
    person,
    programme,
    session,
    started,
    until,
)

pytestmark = pytest.mark.timeout(180)

ID, LATER = "life", "afterwards"
ANNA, BRAM, CARLA, DAAN, ELS = (
    person(name, f"{name.lower()}@people.example") for name in ("Anna", "Bram", "Carla", "Daan", "Els")
)


@pytest.fixture(scope="module")
def old_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unpack(tmp_path_factory.mktemp("last-release"))


@pytest.mark.parametrize("old", SERVICES)
async def test_a_service_of_the_last_release_works_among_todays_and_is_upgraded_in_place(
    old: str, old_tree: Path, tmp_path: Path, server: ServerKind
) -> None:
    services = [service_of_last_release(old, old_tree) if service.name == old else service for service in warm.SERVICES]
    async with started(tmp_path, server, services=services) as world:
        asked = await live(world, old)
        before = await everything(world)

        await upgrade(world, old)
        await until(lambda: uncounted(world))
        after = await everything(world)
        assert after["facts"] == before["facts"]
        assert after["streams"] == before["streams"]
        assert after["mails"] == before["mails"]
        assert without(after["report"], LATELY) == without(before["report"], LATELY)
        await until(lambda: still_rebuilding(world))
        assert (await world.staff.do("do.reporting.report.rebuild"))["identical"]
        await live_on(world, asked)
        assert all(child.backoff.pause <= 1.0 for child in world.system.children.values())  # but for the upgrade


async def live(world: World, old: str) -> Json:
    """The programme's life, with what only today's services can say where the service that says it is today's."""
    staff, partner = world.staff, world.partner
    await staff.register(organisation("bisc", "support-organisation"), organisation("bieb-a"))
    keep: Json = {} if old == "registration" else {"keep_people_days": 30}
    lunch: Json = {} if old == "registration" else {"diet": "no nuts"}
    first, second = session("first", 8), session("second", 9)

    def definition(*sessions: Json) -> Json:
        made = programme(ID, sessions=sessions, capacity=2, waiting_list={"policy": "in-order"}, **keep)
        if old == "registration":
            # It asks nobody to confirm, and does not know the word.
            del made["enrolment"]["confirmation"]
        return made

    await staff.publish(definition(first, second))
    await partner.enrol("anna", enrolment(ID, ANNA, organisation_id="bieb-a"))
    assert (await partner.answer("anna"))["data"]["status"] == "confirmed"
    asked = enrolment(ID, BRAM) | {"id": "bram"}
    asked["participants"][0] |= lunch
    assert (await staff.do("do.registration.enrolment.request", asked))["status"] == "confirmed"
    assert (await world.web.enrol(enrolment(ID, CARLA))).body["place"] == 1
    await partner.enrol("daan", enrolment(ID, DAAN, organisation_id="bieb-a"))
    assert (await partner.answer("daan"))["data"]["place"] == 2
    await world.settled()

    await partner.send("anna-leaves", "enrolment.withdraw.v1", {"request": "anna"})
    assert (await partner.answer("anna-leaves"))["type"] == "outcome.accepted.v1"
    await world.settled()
    if old != "notifications":
        await hear_from(world, BRAM)

    moved = first | {"start": f"{day(10)}T10:00", "end": f"{day(10)}T11:30"}
    await staff.publish(definition(moved, second))
    await world.settled()
    await staff.do("do.registration.person.correct", {"email": BRAM["email"], "new_email": "bram@elsewhere.example"})
    await staff.do("do.registration.person.erase", {"email": CARLA["email"]})
    await world.settled()
    await staff.do("do.registration.programme.withdraw", {"programme": ID})
    await world.settled()
    await check(world, old)
    return asked


async def hear_from(world: World, who: Json) -> None:
    """A full mailbox, and an answer to an invitation: facts that the last release has no name for."""
    mail = next(mail for mail in world.mails() if mail.to == who["email"] and mail.calendar)
    organiser = "deelname@deelname.example"
    for raw in (
        returned.exchange(organiser, mail.to, status="5.2.2", message_id=mail.message_id),
        returned.reply(str(mail.event["UID"]), mail.to, "TENTATIVE"),
    ):
        understood = await world.staff.do("do.notifications.mail.receive", {"raw": base64.b64encode(raw).decode()})
        assert understood["kind"] in {"bounce", "reply"}, understood
    await world.settled()


async def check(world: World, old: str) -> None:
    """Nothing is lost on the way: every fact is in its stream, everybody was mailed, everything is counted."""
    facts = await world.staff.facts()
    assert [fact["position"] for fact in facts] == list(range(1, len(facts) + 1))
    assert [content for _, _, content in await world.staff.stream("LOG_REGISTRATION")] == facts
    mails = await world.staff.mails(programme=ID)
    unsent = [mail for mail in mails if mail["status"] not in {"sent", "dropped"}]
    # The one that came back, where today's notifications understood that.
    assert [(mail["purpose"], mail["status"]) for mail in unsent] == [("invite", "failed")] * (old != "notifications")
    purposes = Counter(mail["purpose"] for mail in mails if mail["status"] != "dropped")
    # Whose address was corrected is told there what still holds, where today's say that and hear it.
    told_again = int(old not in {"registration", "notifications"})
    assert purposes["confirmation"] - told_again == purposes["waiting"] == 2
    assert purposes["promotion"] >= 1
    assert purposes["withdrawn"] >= 1
    assert purposes["session-moved"] >= 1
    assert purposes["programme-cancelled"] >= 1
    assert len({mail.message_id for mail in world.mails()}) == len(world.mails()) == sum(purposes.values())
    types = Counter(fact["type"] for fact in facts)
    report = await world.staff.report(ID)
    assert {row["purpose"]: row["sent"] for row in report["mails"]} == purposes
    (row,) = (await world.staff.do("ask.reporting.programme.list"))["programmes"]
    standing = Counter(view["status"] for view in await world.staff.enrolments(ID))
    assert {name.removeprefix("units_"): n for name, n in row["counts"].items() if n and "units" in name} == standing
    assert types["enrolment.confirmed.v1"] + types["enrolment.waitlisted.v1"] == standing.total() == 4
    # What only today's registration says was said, and whoever had no word for it went on.
    assert ("keep_people_days" in json.dumps(facts)) == (old != "registration")


async def everything(world: World) -> dict[str, Any]:
    """What there is to lose."""
    return {
        "facts": await world.staff.facts(),
        "streams": [await world.staff.stream(name) for name in ("LOG_REGISTRATION", "LOG_NOTIFICATIONS")],
        "mails": sorted(path.name for path in (world.data / "mail/new").iterdir()),
        "report": await world.staff.report(ID),
    }


LATELY = frozenset(
    {"mails_bounced", "bounced", "mails_uncertain", "uncertain", "answers", "pending", "lapsed", "closed"}
    | {f"{what}_{status}" for what in ("units", "people") for status in ("pending", "lapsed")}
)
"""What the last release's reports did not say."""


def without(answer: Any, keys: frozenset[str]) -> Any:
    if isinstance(answer, dict):
        return {key: without(value, keys) for key, value in answer.items() if key not in keys}
    return [without(each, keys) for each in answer] if isinstance(answer, list) else answer


async def uncounted(world: World) -> str:
    """What today's reporting has not yet made up for that the last release passed over."""
    known = {mail["mail"] for mail in await world.staff.mails(programme=ID)}
    came_back = [
        content
        for _, subject, content in await world.staff.stream("LOG_NOTIFICATIONS")
        if subject.endswith(".bounced") and content["data"]["mail"] in known
    ]
    counted = (await world.staff.report(ID)).get("mails_bounced")
    return "" if counted == len(came_back) else f"{counted} bounces are counted of {len(came_back)}"


async def still_rebuilding(world: World) -> str:
    """What it counts anew by itself has taken its place a moment before it has ended."""
    answer = await world.staff.attempt("do.reporting.report.rebuild")
    return answer.body["detail"] if answer.body.get("type") == "urn:deelname:problem:rebuild-running" else ""


async def upgrade(world: World, service: str) -> None:
    """Stop it and start today's on what it left, as whoever deploys does."""
    child = world.system.children[service]
    (today,) = [today for today in warm.SERVICES if today.name == service]
    child.command, child.popen = today.command, today.popen
    replaced = child.process
    child.terminate()

    async def old_one_runs() -> str:
        return f"the old {service} runs" if child.process is replaced else await world.unready(service)

    await until(old_one_runs)
    await world.settled()


async def live_on(world: World, asked: Json) -> None:
    """After the upgrade everybody is served as before."""
    mails = len(world.mails())
    await world.staff.publish(programme(LATER, sessions=[session("only", 8)], capacity=1, waiting_list={}))
    await world.partner.enrol("els", enrolment(LATER, ELS))
    assert (await world.partner.answer("els"))["data"]["status"] == "confirmed"
    # The same request as before the upgrade is answered as then.
    assert (await world.staff.do("do.registration.enrolment.request", asked))["status"] == "confirmed"
    await world.settled()
    assert (await world.staff.report(LATER))["mails_sent"] == 2
    assert len(world.mails()) == mails + 2
