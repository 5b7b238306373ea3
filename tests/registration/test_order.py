"""Registration killed, down or slow: which partner asks first is first, and who asks in time is in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sqlite3
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from contracts.programme import TeamRule
from tests.registration.domain.given import IN_ORDER, SEATS, programme
from tests.registration.system import NOW, PARTNERS, Partner, System, event, partner, running_system, wish

pytestmark = pytest.mark.timeout(180)

SOON = 2.0
"""Seconds after the start: the broker alone would wait for 30."""
BEGUN = datetime.fromisoformat(NOW)


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    directory = tmp_path_factory.mktemp("order")
    clock = directory / "now"
    clock.write_text(NOW)
    with running_system(directory, now=str(clock)) as system:
        yield system


@pytest.fixture(autouse=True)
def present(system: System) -> None:
    """Each test begins on the same day, with registration at work."""
    set_clock(system, BEGUN)
    if system.process is None or system.process.poll() is not None:
        system.start()
    changed = (system.directory / "now").stat().st_mtime
    with contextlib.closing(sqlite3.connect(f"file:{system.database}?mode=ro", uri=True)) as database:
        while (
            datetime.fromisoformat(database.execute("SELECT max(since) FROM clock").fetchone()[0]).timestamp()
            < changed - 0.001
        ):
            system.wait(0.01)


def local(moment: datetime) -> datetime:
    return moment.astimezone(ZoneInfo("Europe/Amsterdam")).replace(tzinfo=None)


def set_clock(system: System, moment: datetime) -> None:
    # A file's time is as coarse as the kernel's tick: what was stored before must be older than that.
    time.sleep(0.02)
    (system.directory / "now").write_text(moment.isoformat())


@contextlib.asynccontextmanager
async def partners(system: System) -> AsyncIterator[list[Partner]]:
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(partner(system, name)) for name in PARTNERS]


@contextlib.contextmanager
def unable_to_store(system: System) -> Iterator[None]:
    """Registration takes in what comes, and can decide nothing of it."""
    with contextlib.closing(sqlite3.connect(system.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


async def asks(who: Partner, name: str, id_: str) -> str:
    """Ask for a place; the broker has acknowledged it when this returns."""
    await who.send(event(id_, wish(name, f"{id_}@x.example"), source=who.name))
    return id_


async def said(system: System, words: str, since: int) -> None:
    """Wait until registration's journal has these words behind its first so many octets."""
    deadline = monotonic() + 20
    while words.encode() not in system.journal.read_bytes()[since:]:
        assert monotonic() < deadline, words
        await asyncio.sleep(0.05)


async def noticed(system: System, moment: datetime) -> None:
    """Wait until registration has looked at its clock when that showed a moment, or a later one."""
    deadline = monotonic() + 20
    with contextlib.closing(sqlite3.connect(f"file:{system.database}?mode=ro", uri=True)) as database:
        while datetime.fromisoformat(database.execute("SELECT moment FROM latest").fetchone()[0]) < moment:
            assert monotonic() < deadline
            await asyncio.sleep(0.05)


async def handed_out(system: System, source: str, number: int) -> None:
    """Wait until registration has been handed so many messages that it has not answered for."""
    stream = f"INTAKE_{source.upper().replace('-', '_')}"
    async with system.client("topology_partners") as connection:
        deadline = monotonic() + 20
        while (await connection.jsm().consumer_info(stream, "registration")).num_ack_pending < number:
            assert monotonic() < deadline, "the service takes nothing in"


def arrivals(system: System, name: str) -> list[dict[str, Any]]:
    """What became of requests for a place in a programme, in the order of decisions."""
    with contextlib.closing(sqlite3.connect(f"file:{system.database}?mode=ro", uri=True)) as database:
        rows = database.execute("SELECT body FROM log WHERE programme = ? ORDER BY version", (name,)).fetchall()
    facts = [json.loads(body) for (body,) in rows]
    made = ("enrolment.confirmed.v1", "enrolment.waitlisted.v1", "enrolment.refused.v1")
    return [fact for fact in facts if fact["type"] in made]


def decided(system: System, name: str) -> list[str]:
    """Whose requests for a place in a programme were decided, in the order of decisions."""
    return [fact["causationid"] for fact in arrivals(system, name)]


async def all_decided(system: System, name: str, asked: Sequence[str], within: float = 40) -> list[str]:
    deadline = monotonic() + within
    while set(found := decided(system, name)) != set(asked):
        assert monotonic() < deadline, f"{len(found)} of {len(asked)} were decided"
        await asyncio.sleep(0.02)
    return found


async def test_what_was_handed_to_a_killed_service_is_decided_before_anything_newer(system: System) -> None:
    await system.open("eerst", capacity=10, waiting_list=IN_ORDER)
    async with partners(system) as (demo, school):
        with unable_to_store(system):
            older = [await asks(demo, "eerst", f"older-{number}") for number in range(20)]
            await handed_out(system, "demo", 1)
            system.kill()
        newer = [await asks(demo, "eerst", f"newer-{number}") for number in range(20)]
        others = [await asks(school, "eerst", f"other-{number}") for number in range(5)]
        await asyncio.to_thread(system.start)
        found = await all_decided(system, "eerst", older + newer + others, within=SOON)
        await demo.take_all()
        await school.take_all()
    assert [id_ for id_ in found if id_ not in others] == older + newer
    assert found[:10] == older[:10]


async def test_through_kills_under_load_decisions_keep_the_order_of_acknowledgements(system: System) -> None:
    await system.open("storm", capacity=50, waiting_list=IN_ORDER)
    sent: dict[str, list[str]] = {name: [] for name in PARTNERS}
    done = asyncio.Event()

    async def keep_asking(who: Partner) -> None:
        while not done.is_set():
            sent[who.name].append(await asks(who, "storm", f"{who.name}-{len(sent[who.name])}"))

    async with partners(system) as both:
        asking = [asyncio.create_task(keep_asking(who)) for who in both]
        for _ in range(4):
            before = len(decided(system, "storm"))
            while len(decided(system, "storm")) < before + 30:  # noqa: ASYNC110
                await asyncio.sleep(random.uniform(0, 0.02))
            system.kill()
            await asyncio.to_thread(system.start)
        done.set()
        await asyncio.gather(*asking)
        found = await all_decided(system, "storm", [id_ for ids in sent.values() for id_ in ids])
        for who in both:
            await who.take_all()
    assert len(found) == len(set(found)) > 200
    for name, ids in sent.items():
        assert [id_ for id_ in found if id_ in set(ids)] == ids, name
    assert [fact["type"] for fact in arrivals(system, "storm")] == [
        *["enrolment.confirmed.v1"] * 50,
        *["enrolment.waitlisted.v1"] * (len(found) - 50),
    ]


async def test_what_came_while_nothing_could_be_stored_is_decided_in_order(system: System) -> None:
    await system.open("vol", capacity=5, waiting_list=IN_ORDER)
    async with partner(system) as demo:
        begun = system.journal.stat().st_size
        with unable_to_store(system):
            ids = [await asks(demo, "vol", f"slow-{number}") for number in range(30)]
            await handed_out(system, "demo", 1)
            # SQLite waits for five seconds before it gives up, and the writer tells everybody to try again.
            await said(system, "a batch could not be stored", begun)
        assert await all_decided(system, "vol", ids) == ids
        await demo.take_all()


async def test_partners_that_wait_together_are_decided_by_the_moment_at_which_each_was_stored(system: System) -> None:
    await system.open("samen", capacity=150, waiting_list=IN_ORDER)
    async with partners(system) as (demo, school):
        system.kill()
        early = [await asks(demo, "samen", f"early-{number}") for number in range(150)]
        # What was stored within a second of one another is decided in any order.
        await asyncio.sleep(1.2)
        late = [await asks(school, "samen", f"late-{number}") for number in range(5)]
        await asyncio.to_thread(system.start)
        found = await all_decided(system, "samen", early + late)
        await demo.take_all()
        await school.take_all()
    assert found == early + late


async def test_who_asked_before_closing_is_in_although_it_was_decided_after_it(system: System) -> None:
    closes = BEGUN + timedelta(hours=1)
    await system.open("sluit", closes=local(closes))
    async with partner(system) as demo:
        system.kill()
        await asks(demo, "sluit", "in-time")
        set_clock(system, closes + timedelta(hours=1))
        await asks(demo, "sluit", "too-late")
        await asyncio.to_thread(system.start)
        outcomes = {one["data"]["request"]: one["data"] for one in await demo.outcomes(2)}
        assert outcomes["in-time"]["status"] == "confirmed"
        assert [error["rule"] for error in outcomes["too-late"]["errors"]] == ["closed"]
        # The answer stands, whatever the clock says when it is asked for again.
        await asks(demo, "sluit", "in-time")
        (again,) = await demo.outcomes(1)
        assert again["data"] | {"sequence": 0} == outcomes["in-time"] | {"sequence": 0}


async def test_who_asked_before_opening_is_refused_although_it_was_decided_after_it(system: System) -> None:
    opens = BEGUN + timedelta(hours=1)
    await system.open("opent", opens=local(opens))
    async with partner(system) as demo:
        system.kill()
        await asks(demo, "opent", "too-early")
        set_clock(system, opens + timedelta(hours=1))
        await asyncio.to_thread(system.start)
        (outcome,) = await demo.outcomes(1)
        assert [error["rule"] for error in outcome["data"]["errors"]] == ["not-open-yet"]


async def test_a_team_that_was_completed_in_time_keeps_its_place_and_one_that_was_not_makes_room(
    system: System,
) -> None:
    team = TeamRule(seats=SEATS[1:], complete_within_days=2)
    definition = programme(team=team, capacity=2, waiting_list=IN_ORDER).model_copy(update={"id": "teams"})
    await system.publish(definition)

    def seated(name: str, seat: str) -> dict[str, Any]:
        role = {"basis": "taalhuis"}.get(seat)
        return {"person": {"name": "Noor de Wit", "email": f"{name}-{seat}@x.example"}, "seat": seat, "role": role}

    def asking(name: str, *seats: str) -> bytes:
        data = {"programme": "teams", "participants": [seated(name, seat) for seat in seats]}
        return event(name, json.loads(json.dumps(data, default=str)))

    async with partner(system) as demo:
        for name, seats in (("a", ["basis"]), ("b", ["basis"]), ("c", ["basis", "manager"])):
            await demo.send(asking(name, *seats))
        first = {one["data"]["request"]: one["data"]["status"] for one in await demo.outcomes(3)}
        assert first == {"a": "confirmed", "b": "confirmed", "c": "waiting"}
        system.kill()
        added = {"request": "a", "participant": seated("a", "manager")}
        await demo.send(event("a-2", added, "participant.add.v1"), "participant.add")
        set_clock(system, BEGUN + timedelta(days=4))
        late = {"request": "b", "participant": seated("b", "manager")}
        await demo.send(event("b-2", late, "participant.add.v1"), "participant.add")
        await demo.send(asking("d", "basis", "manager"))
        await asyncio.to_thread(system.start)
        outcomes = {one["data"]["request"]: one["data"] for one in await demo.outcomes(3)}
    assert outcomes["a-2"]["missing"] == []
    assert outcomes["b-2"]["problem"] == "rejected"
    assert outcomes["d"]["status"] == "waiting"
    status = [one["status"] for one in await system.enrolments("teams")]
    assert status == ["confirmed", "withdrawn", "confirmed", "waiting"]


@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
async def test_after_a_clock_that_went_back_requests_are_judged_by_the_right_time(
    system: System, restarted: bool
) -> None:
    name = f"terug-{restarted}".lower()
    closes = BEGUN + timedelta(hours=1)
    await system.open(name, closes=local(closes))
    async with partner(system) as demo:
        set_clock(system, closes + timedelta(days=300))
        await asks(demo, name, f"{name}-late")
        (late,) = await demo.outcomes(1)
        assert [error["rule"] for error in late["data"]["errors"]] == ["closed"]
        if restarted:
            # Perhaps before it ever looked: what it wrote shows it.
            system.kill()
        else:
            await noticed(system, closes + timedelta(days=300))
        begun = system.journal.stat().st_size
        set_clock(system, BEGUN)
        if restarted:
            await asyncio.to_thread(system.start)
        await said(system, "the clock went back", begun)
        await asks(demo, name, f"{name}-in-time")
        (outcome,) = await demo.outcomes(1)
    assert outcome["data"]["status"] == "confirmed"
    assert system.get("/health/ready")[1]["clock"] == "set"
