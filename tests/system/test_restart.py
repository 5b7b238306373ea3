"""Everything stopped in order and started again on the same directory."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from deploy.broker import ServerKind
from deploy.local import LocalSystem
from tests import warm
from tests.ports import free_ports
from tests.system.world import (
    SERVICES,
    Json,
    World,
    around,
    called,
    enrolment,
    organisation,
    person,
    programme,
    session,
    started,
    until,
)

pytestmark = pytest.mark.timeout(300)

ID = "lasting"


def asked(name: str) -> dict[str, object]:
    return enrolment(ID, person(called(name), f"{name}@people.example"))


async def everything(world: World) -> tuple[object, ...]:
    """What everybody would be told, and what lies in the mailboxes."""
    await world.settled()
    return (
        await world.staff.facts(),
        await world.staff.enrolments(ID),
        await world.staff.mails(),
        await world.staff.reports(),
        await world.staff.stream("LOG_REGISTRATION"),
        await world.staff.stream("LOG_NOTIFICATIONS"),
        sorted((path.name, path.read_bytes()) for path in (world.data / "mail/new").iterdir()),
    )


async def test_a_second_start_finds_everything_and_goes_on(tmp_path: Path, server: ServerKind) -> None:
    async with started(tmp_path, server) as world:
        await world.staff.register(organisation("bisc"))
        await world.staff.publish(programme(ID, sessions=[session("only", 8)], capacity=2, waiting_list={}))
        await world.partner.enrol("anna", asked("anna"))
        await world.partner.enrol("bram", asked("bram"))
        await world.partner.answer("bram")
        assert (await world.web.enrol(asked("carla"), key="carla-1")).body["expected"] == "waiting"
        before = await everything(world)
        outcomes = list(world.partner.outcomes)
        assert len(outcomes) == 2
        # Put down while registration is on its way out, or is gone already: to be answered after the next start.
        world.system.children["registration"].terminate()
        await world.partner.enrol("daan", asked("daan"))

    async with started(tmp_path, server, partners=("demo", "newcomer")) as world:
        # Whoever was answered before gets nothing new; what waited is answered now.
        daan = await world.partner.answer("daan")
        assert daan["data"]["status"] == "waiting"
        await world.settled()
        assert [outcome["data"]["request"] for outcome in world.partner.outcomes if outcome not in outcomes] == ["daan"]
        facts, *_, mails = await everything(world)
        assert isinstance(facts, list)
        assert isinstance(mails, list)
        assert isinstance(before[0], list)
        assert isinstance(before[1], list)
        assert isinstance(before[-1], list)
        assert facts[: len(before[0])] == before[0]
        assert len(facts) == len(before[0]) + 1
        assert set(before[-1]) < set(mails)
        assert len(mails) == len(before[-1]) + 1

        # The same requests again are answered as the first time; the ids are remembered.
        again = await world.web.enrol(asked("carla"), key="carla-1")
        assert (again.body["expected"], again.body["place"]) == ("waiting", 1)
        # A partner that is new today has its own ids, and no say in what another asked for.
        newcomer = world.partners["newcomer"]
        for number, (_, enrolled) in enumerate(sorted((view["source"], view["enrolment"]) for view in before[1])):
            await newcomer.send(f"steal-{number}", "enrolment.withdraw.v1", {"enrolment": enrolled})
            assert (await newcomer.answer(f"steal-{number}"))["data"]["problem"].endswith("not-found")
        await newcomer.send("steal", "enrolment.withdraw.v1", {"request": "anna"})
        assert (await newcomer.answer("steal"))["data"]["problem"].endswith("not-found")
        await world.partner.send("anna-leaves", "enrolment.withdraw.v1", {"request": "anna"})
        assert (await world.partner.answer("anna-leaves"))["type"] == "outcome.accepted.v1"
        await world.settled()
        standing = {
            view["participants"][0]["contact"]["name"]: view["status"] for view in await world.staff.enrolments(ID)
        }
        assert standing == {"Anna": "withdrawn", "Bram": "confirmed", "Carla": "confirmed", "Daan": "waiting"}
        assert len({mail.message_id for mail in world.mails()}) == len(world.mails())
        assert len(world.mails()) == len(mails) + 2 + 2  # goodbye and CANCEL to Anna, promotion and invitation to Carla
        assert all(child.backoff.pause == 0.5 for child in world.system.children.values())  # none died on the way


def start_process(data: Path, port_base: int, *, forked: bool) -> subprocess.Popen[bytes]:
    start: Callable[..., subprocess.Popen[bytes]] = warm.popen if forked else subprocess.Popen
    module = "tests.warm_up" if forked else "cli"
    command = [sys.executable, "-m", module, "up", "--data", str(data), "--port-base", str(port_base)]
    with (data.parent / "up.log").open("ab") as log:
        return start(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.asynccontextmanager
async def up(
    data: Path, port_base: int, *, forked: bool = False
) -> AsyncIterator[tuple[World, subprocess.Popen[bytes]]]:
    """What ``deelname up`` starts, and its process; leaving kills that with -9."""
    process = start_process(data, port_base, forked=forked)
    try:
        system = LocalSystem(data, port_base)

        async def not_ready() -> str:
            said = (data.parent / "up.log").read_text()
            assert process.poll() is None, said
            return "" if system.layout.endpoints.exists() else f"it has not started: {said}"

        await until(not_ready)
        system.endpoints = json.loads(system.layout.endpoints.read_text())
        async with around(system) as world:
            yield world, process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


async def test_a_system_whose_starter_is_killed_leaves_nothing_behind_that_hinders_the_next_start(
    tmp_path: Path,
) -> None:
    data, port_base = tmp_path / "data", free_ports()
    async with up(data, port_base) as (world, _):
        await world.staff.register(organisation("bisc"))
        await world.staff.publish(programme(ID, sessions=[session("only", 8)], capacity=2, waiting_list={}))
        await world.partner.enrol("anna", asked("anna"))
        await world.partner.answer("anna")
        assert (await world.web.enrol(asked("bram"))).certainty == "done"
        head = world.head("registration")
    # Gone with everything that it had started, by the kernel's hand; endpoints.json is still there and says nothing.
    (data / "endpoints.json").unlink()

    # Nothing differs here from the first start but what is found; everything was imported from cold once. Forked, it
    # would look for its ports before the broker has ended, which takes less long than a start of the tool.
    async def still_there() -> str:
        return ", ".join(f"port {port}" for port in range(port_base, port_base + 5) if _listens(port))

    await until(still_there)
    async with up(data, port_base, forked=True) as (world, _):
        await world.settled()
        assert [fact["position"] for fact in await world.staff.facts()] == list(range(1, head + 1))
        assert len(await world.staff.enrolments(ID)) == 2
        assert (await world.web.enrol(asked("carla"))).body["expected"] == "waiting"
        await world.settled()
        assert sorted(mail.to for mail in world.mails()) == sorted(
            f"{name}@people.example" for name in ("anna", "anna", "bram", "bram", "carla")
        )


@contextlib.asynccontextmanager
async def load(world: World) -> AsyncIterator[dict[str, Json]]:
    """
    People who enrol by three ways, one after another each; who gets no certain answer asks again with the same id.

    Yields what is known of each address: nothing while its answer is awaited.
    """
    known: dict[str, Json] = {}
    stop = asyncio.Event()

    async def enrol(way: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            name = f"{way}-{number}"
            known[f"{name}@people.example"] = {}
            known[f"{name}@people.example"] = await ask(way, name)
            # Some a second rather than hundreds: each is looked at afterwards.
            await asyncio.sleep(0.2)

    async def ask(way: str, name: str) -> Json:
        while True:
            if way == "staff":
                answer = await world.staff.attempt(
                    "do.registration.enrolment.request", asked(name) | {"id": name}, within=3
                )
            elif way == "web":
                answer = await world.web.enrol(asked(name), key=name)
            else:
                answer = await world.partner.enrol(name, asked(name))
            if answer.certainty == "done":
                return answer.body if way != "intake" else (await world.partner.answer(name))["data"]
            # Refusals that nobody can repeat would be a fault here: there is room for all.
            assert answer.certainty in {"failed", "unknown"}, answer
            await asyncio.sleep(0.05)

    people = [asyncio.create_task(enrol(way)) for way in ("staff", "web", "intake")]
    try:
        yield known
    finally:
        stop.set()
        await asyncio.gather(*people)


async def test_services_restarted_one_by_one_under_load_lose_no_command_and_mail_nobody_twice(
    tmp_path: Path, server: ServerKind
) -> None:
    async with started(tmp_path, server) as world:
        await world.staff.register(organisation("bisc"))
        await world.staff.publish(programme(ID, sessions=[session("only", 8)], waiting_list={}))
        async with load(world) as known:
            for service in SERVICES * 2:
                answered = sum(bool(answer) for answer in known.values())
                child = world.system.children[service]
                replaced = child.process
                child.terminate()

                async def not_replaced(service: str = service, replaced: object = replaced) -> str:
                    if world.system.children[service].process is replaced:
                        return f"the old {service} runs"
                    return await world.unready(service)

                await until(not_replaced)

                async def too_few(answered: int = answered) -> str:
                    return "" if sum(bool(answer) for answer in known.values()) > answered else "nobody was answered"

                await until(too_few)
        await world.settled()
        assert all(known.values())
        # Each asked at least once and is enrolled exactly once, whatever was lost on the way.
        facts = await world.staff.facts()
        assert Counter(fact["type"] for fact in facts)["enrolment.confirmed.v1"] == len(known)
        enrolled = [view["participants"][0]["contact"]["email"] for view in await world.staff.enrolments(ID)]
        assert sorted(enrolled) == sorted(known)
        assert [content for _, _, content in await world.staff.stream("LOG_REGISTRATION")] == facts
        assert world.rows("notifications", "SELECT status, count(*) FROM mails GROUP BY 1") == [
            ("sent", len(world.mails()))
        ]
        assert len({mail.message_id for mail in world.mails()}) == len(world.mails())
        assert sorted(mail.to for mail in world.mails()) == sorted([*known, *known])  # confirmation and invitation
