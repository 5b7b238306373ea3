"""
Disks that are full, really: what cannot be stored is refused or waits, everybody says what is wrong, and with room
again it all goes on by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest
import pytest_asyncio

from cli.doctor import RUNBOOK
from deploy.embedded import EmbeddedBroker
from deploy.local import ServiceCommand
from tests import warm
from tests.system.test_doctor import diagnosed
from tests.system.world import (
    SERVICES,
    Json,
    World,
    called,
    enrolment,
    organisation,
    person,
    programme,
    session,
    started,
    until,
)

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.root]

REQUEST = "do.registration.enrolment.request"
ON_SMALL_DISKS = tuple(
    ServiceCommand(name, (sys.executable, "-m", "tests.system.small_disk", f"services.{name}"), popen=warm.popen)
    for name in SERVICES
)


def fill(ballast: Path, leave: int = 0) -> None:
    """Leave so many bytes on the disk of this file."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    os.truncate(ballast, ballast.stat().st_size - leave)


class Disks:
    """The disk of each service, seen through its process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.processes = {name: self._process(name) for name in SERVICES}

    def _process(self, service: str) -> int:
        process = self._world.system.children[service].process
        assert process is not None
        return process.pid

    def unchanged(self) -> bool:
        """Whether every service is the process that it was."""
        return self.processes == {name: self._process(name) for name in SERVICES}

    def _directory(self, service: str) -> Path:
        return Path(f"/proc/{self.processes[service]}/root{self._world.data / service}")

    def fill(self, *services: str, leave: int = 0) -> None:
        """Leave so many bytes."""
        for service in services:
            fill(self._directory(service) / "ballast", leave)

    def clear(self) -> None:
        """Make room again."""
        for service in SERVICES:
            (self._directory(service) / "ballast").unlink(missing_ok=True)

    def bytes_of(self, service: str) -> bytes:
        """Everything that is on the disk."""
        return b"".join(file.read_bytes() for file in self._directory(service).glob("*.db*"))


@contextlib.contextmanager
def small_disk_for_a_broker(store: Path) -> Iterator[None]:
    """One that outlives the broker's process; it is mounted where everybody sees it, and taken away again."""
    store.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", store], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", store], check=True)


@pytest.fixture(scope="module")
def lines() -> list[str]:
    """What the person at the terminal was told."""
    return []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory, lines: list[str]) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("small")
    async with contextlib.AsyncExitStack() as parts:
        parts.enter_context(small_disk_for_a_broker(directory / "broker" / "store"))
        world = await parts.enter_async_context(
            started(directory, EmbeddedBroker, services=ON_SMALL_DISKS, say=lines.append)
        )
        await world.staff.register(organisation("bisc"))
        await world.staff.publish(vol())
        yield world


async def until_all_is_well(world: World) -> None:
    async def ill() -> str:
        return "".join([await world.unready(service) for service in SERVICES])

    await until(ill)


async def until_counted(world: World, people: int) -> None:
    """Wait until so many have their two mails, and reports count them."""

    async def missing() -> str:
        counted = (await world.staff.report("vol"))["counts"]["people_confirmed"]
        return "" if (len(world.mails()), counted) == (2 * people, people) else f"{counted}, {len(world.mails())} mails"

    await until(missing)


async def says(world: World, service: str, *words: str) -> None:
    """Wait until a service says that it is not ready, and why."""

    async def well() -> str:
        said = await world.unready(service)
        return "" if said and all(each in said for each in words) else f"{service}: {said or 'is ready'}"

    await until(well, within=30)


def vol() -> Json:
    """A programme where a web form's request is decided at once."""
    return programme("vol", sessions=[session("only", 6)])


def somebody(number: int) -> Json:
    """What one of many people asks for."""
    return asked_by(f"number-{number:03}")


def asked_by(name: str) -> Json:
    return enrolment("vol", person(called(name), f"{name}@people.example"))


async def test_what_a_full_disk_keeps_from_being_read_is_mailed_and_counted_once_there_is_room(world: World) -> None:
    disks = Disks(world)
    disks.fill("notifications", "reporting")
    assert (await world.staff.attempt(REQUEST, asked_by("noor"))).certainty == "done"
    for service in ("notifications", "reporting"):
        await says(world, service, '"database":"cannot be written: the disk is full"', "cannot be stored")
    assert not world.mails()
    assert (await world.staff.report("vol"))["counts"]["people_confirmed"] == 0

    disks.clear()
    await until_counted(world, 1)
    await until_all_is_well(world)
    assert disks.unchanged()


async def test_a_full_disk_of_registration_refuses_what_cannot_be_stored_and_keeps_what_waits(world: World) -> None:
    disks = Disks(world)
    disks.fill("registration")
    await says(world, "registration", '"database":"cannot be written: the disk is full"')
    finding = await diagnosed(world, "database-not-writable")
    assert finding["what"] == "cannot be written: the disk is full."
    assert (finding["part"], finding["runbook"]) == ("registration", f"{RUNBOOK}#disk-full")
    by_staff, by_form = asked_by("sam") | {"id": "once"}, asked_by("eva")
    for answer in (await world.staff.attempt(REQUEST, by_staff), await world.web.enrol(by_form, "once")):
        assert answer.certainty == "failed"
        assert answer.body["detail"].startswith("The request could not be stored and has had no effect. Send it again")
    await world.partner.enrol("waits", asked_by("tim"))
    assert len(await world.staff.enrolments("vol")) == 1, "questions are answered"

    disks.clear()
    assert (await world.partner.answer("waits"))["type"] == "outcome.accepted.v1"
    assert (await world.staff.attempt(REQUEST, by_staff)).certainty == "done"
    assert (await world.web.enrol(by_form, "once")).certainty == "done"
    await until_counted(world, 4)
    await until_all_is_well(world)
    facts = await world.staff.facts()
    assert [fact["position"] for fact in facts] == list(range(1, len(facts) + 1))
    assert Counter(fact["type"] for fact in facts)["enrolment.confirmed.v1"] == 4
    assert len(world.partner.answers("waits")) == 1
    assert disks.unchanged()


async def test_who_is_erased_when_there_is_hardly_room_is_forgotten_once_there_is(world: World) -> None:
    """The deletion has room, what empties the write-ahead log after it has not."""
    disks = Disks(world)
    await world.staff.register(*(organisation(f"library-{number}") for number in range(600)))
    disks.fill("registration", leave=256 * 1024)
    erased = await world.staff.attempt("do.registration.person.erase", {"email": "noor@people.example"})
    assert erased.certainty == "done"
    assert b"noor@people.example" in disks.bytes_of("registration")

    disks.clear()

    async def remembered() -> str:
        return "somebody is" if b"noor@people.example" in disks.bytes_of("registration") else ""

    await until(remembered)
    assert disks.unchanged()


async def not_storing(world: World, service: str) -> str:
    """What a service's metrics say of the broker's servers."""
    address = urlsplit(world.system.endpoints["http"][service])
    page = await asyncio.to_thread(lambda: urlopen(f"http://{address.netloc}/metrics").read().decode())
    (line,) = [line for line in page.splitlines() if line.startswith("deelname_broker_servers_not_storing ")]
    return str(line.split()[1])


async def test_a_broker_that_met_a_full_disk_is_started_again_once_there_is_room_and_has_lost_nothing(
    world: World, lines: list[str]
) -> None:
    """The streams would take nothing more, also when there is room; and nobody but the broker's own health says it."""
    disks = Disks(world)
    starts = world.system.broker.server.starts
    ballast = world.system.broker.store / "ballast"
    fill(ballast)
    # A fact that the last page of no file has room for.
    await world.staff.publish(programme("large") | {"description": {"nl": "x" * 9000, "en": "x" * 9000}})
    assert (await world.web.enrol(asked_by("guus"))).certainty == "done"
    acknowledged = []
    world.partner.patience = 1.0
    for number in range(200):
        # Until the last page is full: what is acknowledged here has to be answered later.
        if (await world.partner.enrol(f"on-the-brink-{number}", somebody(number))).certainty != "done":
            break
        acknowledged.append(f"on-the-brink-{number}")
    for service in ("registration", "notifications"):
        await says(world, service, '"broker":"the broker cannot store', "no space left on device", "started again")
        assert await not_storing(world, service) == "1.0"
    await says(world, "registration", "relays/LOG_REGISTRATION")
    finding = await diagnosed(world, "broker-store-failed")
    assert "no space left on device" in finding["what"]
    assert "start the broker again" in finding["remedy"]
    assert finding["runbook"] == f"{RUNBOOK}#disk-full"

    async def untold() -> str:
        return "" if told(lines, "disk is full") else str(lines)

    await until(untold)
    assert world.system.broker.server.starts == starts, "it would meet the same disk again"

    world.partner.patience = 10.0
    ballast.unlink()
    await until_all_is_well(world)
    assert world.system.broker.server.starts == starts + 1
    assert [len(told(lines, words)) for words in ("disk is full", "room again", "the broker ended")] == [1, 1, 0]
    assert disks.unchanged()
    for request in acknowledged:
        assert (await world.partner.answer(request))["type"] == "outcome.accepted.v1"
    assert (await world.partner.enrol("afterwards", asked_by("anna"))).certainty == "done"
    await world.partner.answer("afterwards")
    assert await not_storing(world, "registration") == "0.0"

    async def not_mailed() -> str:
        missing = [
            to for to in ("guus", "anna") if sum(mail.to == f"{to}@people.example" for mail in world.mails()) != 2
        ]
        return f"{missing} have no mails" if missing else ""

    await until(not_mailed)


def told(lines: list[str], words: str) -> list[str]:
    """What the person at the terminal was told about this."""
    return [line for line in lines if words in line]
