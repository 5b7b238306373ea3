"""A backup made while people enrol, and systems elsewhere that go on from it."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy.broker import ServerKind
from tests.system.world import World, enrolment, organisation, person, programme, session, started
from tests.tool import invoke

pytestmark = pytest.mark.timeout(300)

ID = "kept"


@contextlib.asynccontextmanager
async def crowd(world: World) -> AsyncIterator[None]:
    """People who enrol by three ways, one after another each, without end."""
    stop = asyncio.Event()

    async def enrol(way: str) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            asked = enrolment(ID, person("Noor de Wit", f"{way}-{number}@crowd.example"))
            if way == "staff":
                await world.staff.do("do.registration.enrolment.request", asked)
            elif way == "web":
                assert (await world.web.enrol(asked)).certainty == "done"
            else:
                await world.partner.enrol(f"{way}-{number}", asked)
                await world.partner.answer(f"{way}-{number}")

    people = [asyncio.create_task(enrol(way)) for way in ("staff", "web", "intake")]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*people)


async def deelname(*words: object) -> Any:
    outcome = await asyncio.to_thread(invoke, *words, "--json")
    assert outcome.code == 0, outcome.said
    return outcome.json


def sent(world: World) -> dict[str, bytes]:
    """The mails in the mailboxes by Message-ID."""
    return {mail.message_id: mail.message.as_bytes() for mail in world.mails()}


async def told_of(world: World) -> list[tuple[str, str, str]]:
    """Who was told of what: the mails that went out, each by person, purpose and what it is about."""
    return sorted(
        (mail["person"], mail["purpose"], f"{mail.get('enrolment')} {mail.get('session')}")
        for mail in await world.staff.mails(status="sent")
    )


async def go_on(world: World) -> None:
    """Somebody enrols, and is mailed."""
    before = len(world.mails())
    await world.partner.enrol("newcomer", enrolment(ID, person("Noor", "noor@later.example")))
    assert (await world.partner.answer("newcomer"))["type"] == "outcome.accepted.v1"
    await world.settled()
    assert {mail.to for mail in world.mails()[before:]} | {mail.to for mail in world.mails()} >= {"noor@later.example"}


async def test_a_backup_under_load_is_of_one_piece_and_one_at_rest_is_the_whole(
    tmp_path: Path, server: ServerKind
) -> None:
    busy, rest = tmp_path / "busy", tmp_path / "rest"
    async with started(tmp_path / "first", server) as world:
        endpoints = world.data / "endpoints.json"
        await world.staff.register(organisation("bisc"))
        await world.staff.publish(programme(ID, sessions=[session("only", 8)], capacity=40, waiting_list={}))
        async with crowd(world):
            while world.head("registration") < 12:  # noqa: ASYNC110  # a table cannot be awaited
                await asyncio.sleep(0.05)
            manifest = await deelname("backup", busy, "--endpoints", endpoints)
            # What is copied later is ahead, and by what came meanwhile.
            head = manifest["services"]["registration"]["positions"]["LOG_REGISTRATION"]
            while world.head("registration") < head + 6:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        await world.settled()
        await deelname("backup", rest, "--endpoints", endpoints)
        facts, reports, mails = await world.staff.facts(), await world.staff.reports(), sent(world)
        told, listed = await told_of(world), await world.staff.mails()
        assert not list((world.data / "registration").glob("copies/*"))

    again = tmp_path / "again"
    await deelname("restore", rest, "--data", again)
    async with started(again, server) as world:
        await world.settled()
        assert await world.staff.facts() == facts
        assert await world.staff.reports() == reports
        assert await world.staff.mails() == listed
        assert sent(world) == {}
        assert (await world.staff.do("do.reporting.report.rebuild"))["identical"]
        await go_on(world)
        assert len(await world.staff.facts()) == len(facts) + 1

    before = tmp_path / "before"
    await deelname("restore", busy, "--data", before)
    async with started(before, server) as world:
        await world.settled()
        assert await world.staff.facts() == facts[:head]
        # Nobody whom the first system has mailed, before the backup or after, is mailed by this one.
        assert sent(world) == {}
        assert set(await told_of(world)) <= set(told)
        # What may have gone out since waits for a person to decide, and is all that is missing.
        doubtful = await world.staff.mails(status="uncertain")
        assert {(mail["person"], mail["purpose"]) for mail in doubtful} | {row[:2] for row in await told_of(world)} == {
            row[:2] for row in told if row[0] in json.dumps(facts[:head])
        }
        assert (await world.staff.do("do.reporting.report.rebuild"))["identical"]
        await go_on(world)
        assert set(sent(world)) & set(mails) == set()


async def test_what_the_broker_knows_beyond_a_restored_backup_comes_back(tmp_path: Path, server: ServerKind) -> None:
    """The databases are lost, the broker's disk is not: nobody is mailed twice, nothing that was said is taken back."""
    data = tmp_path / "data"
    noor = enrolment(ID, person("Noor", "noor@people.example"))
    async with started(data, server) as world:
        await world.staff.register(organisation("bisc"))
        await world.staff.publish(programme(ID, sessions=[session("only", 8)], capacity=3, waiting_list={}))
        for name in ("anna", "bert"):
            await world.staff.do("do.registration.enrolment.request", enrolment(ID, person(name, f"{name}@p.example")))
        await world.settled()
        await deelname("backup", tmp_path / "backup", "--endpoints", data / "endpoints.json")

        await world.partner.enrol("n-1", noor)
        first = await world.partner.answer("n-1")
        assert (await world.web.enrol(enrolment(ID, person("Sam", "sam@people.example")))).certainty == "done"
        await world.staff.do("do.registration.person.correct", {"email": "anna@p.example", "new_email": "a@p.example"})
        await world.staff.do("do.registration.person.erase", {"email": "bert@p.example"})
        token = await world.staff.do("do.registration.token.create", {"name": "board", "role": "viewer"})
        await world.settled()
        facts, reports, told = await world.staff.facts(), await world.staff.reports(), await told_of(world)
        enrolments, out = await world.staff.enrolments(ID), sent(world)
        outcomes = world.rows("registration", "SELECT position, programme, version, id FROM outcomes ORDER BY position")

    said = await deelname("restore", tmp_path / "backup", "--data", data, "--force")
    assert said["reads_back"]
    async with started(data, server) as world:
        await world.settled()
        assert await world.staff.facts() == facts
        assert await world.staff.reports() == reports
        assert await world.staff.enrolments(ID) == enrolments
        rows = world.rows("registration", "SELECT position, programme, version, id FROM outcomes ORDER BY position")
        assert rows == outcomes
        # Nobody is mailed again, and of each mail it is known what became of it.
        assert sent(world) == out
        assert await told_of(world) == told
        assert await world.staff.mails(status="uncertain") == []
        # Who people are: the newcomers, the corrected address, and nobody who was erased since.
        known = {address for (address,) in world.rows("registration", "SELECT email FROM people")}
        assert known == {"noor@people.example", "sam@people.example", "a@p.example"}
        assert token["account"] in {
            row["account"] for row in (await world.staff.do("ask.registration.token.list"))["tokens"]
        }
        # The same request again is the same request.
        await world.partner.enrol("n-1", noor)
        again = await world.partner.answer("n-1")
        assert again["data"] == first["data"] | {"sequence": again["data"]["sequence"]}
        assert len(await world.staff.facts()) == len(facts)
        # What goes out about a session that people were told of after the backup is newer than that.
        await world.staff.publish(programme(ID, sessions=[session("only", 9)], capacity=3, waiting_list={}))
        await world.settled()
        invites = sorted(mail.item for mail in world.mails() if mail.calendar and mail.to == "noor@people.example")
        assert [(uid, sequence) for uid, sequence, _ in invites] == [(invites[0][0], 0), (invites[0][0], 1)]
        await go_on(world)
        assert (await world.staff.do("do.reporting.report.rebuild"))["identical"]


async def test_a_restore_refuses_what_is_there_and_moves_it_aside_on_request(
    tmp_path: Path, server: ServerKind
) -> None:
    data = tmp_path / "data"
    async with started(data, server) as world:
        await world.staff.register(organisation("bisc"))
        await world.staff.publish(programme(ID, sessions=[session("only", 8)]))
        await deelname("backup", tmp_path / "backup", "--endpoints", data / "endpoints.json")
        refused = await asyncio.to_thread(invoke, "restore", tmp_path / "backup", "--data", data, "--force")
        assert refused.code == 1
        assert "runs" in refused.said
        await world.staff.do("do.registration.programme.withdraw", {"programme": ID})
        await world.settled()

    refused = await asyncio.to_thread(invoke, "restore", tmp_path / "backup", "--data", data)
    assert refused.code == 1
    assert "exists already" in refused.said
    one = ("--service", "registration", "--forget-newer")
    refused = await asyncio.to_thread(invoke, "restore", tmp_path / "backup", "--data", data / "registration", *one)
    assert (refused.code, "empty store" in refused.said) == (2, True)
    await deelname("restore", tmp_path / "backup", "--data", data, "--force", "--forget-newer")
    async with started(data, server) as world:
        await world.settled()
        assert [fact["type"] for fact in await world.staff.facts()] == [
            "organisation.registered.v1",
            "programme.published.v1",
        ]
        (replaced,) = (data / "registration").glob("replaced-*/registration.db")
        assert replaced.stat().st_size
