"""Where people's names and addresses go, and where they never go: looked up in the files themselves."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.broker import ServerKind
from tests.notifications.inbox.returned import person as person_writes
from tests.notifications.inbox.returned import postfix, reply
from tests.system.world import STRANGERS_WAIT, Json, World, enrolment, person, programme, session, started, until
from tests.system.world import organisation as an_organisation

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

ID = "quiet"
# Words that nothing else here could contain.
KEPT = person("Xanthippe Quevedo-Zwart", "xanthippe.quevedo@zwart-people.example")
WAITING = person("Ysbrand Wrzesniewski", "ysbrand@wrzesniewski-people.example", "en")
REFUSED = person("Zebulon Oxfordshaw", "zebulon@oxfordshaw-people.example")
MISTYPED = person("Quirijn Vlaskamper", "quirijn@vlaskamper-people.example")
ERASED = person("Wolfdietrich Umlauft", "wolfdietrich@umlauft-people.example")
COLLEAGUE = person("Oswaldine Krzysztofiak", "Wolfdietrich@umlauft-people.example")
"""Shares the mailbox of the one above."""
STRANGER = person("Thiemo Fjordhagen", "thiemo@fjordhagen-people.example")
"""Enrolled by nobody knows whom, and has yet to confirm it."""
EVERYBODY = (KEPT, WAITING, REFUSED, MISTYPED, ERASED, COLLEAGUE, STRANGER)
GONE = (ERASED, COLLEAGUE)


def traces(who: Json) -> set[bytes]:
    """What would give somebody away: the name, its parts, the address and its parts, in three spellings."""
    local, _, domain = who["email"].partition("@")
    words = {who["name"], *who["name"].split(), who["email"], local, domain, domain.removesuffix("-people.example")}
    return {spelt.encode() for word in words for spelt in (word, word.upper(), word.lower()) if len(word) > 3}


def found(files: Iterator[Path] | list[Path], people: tuple[Json, ...] = EVERYBODY) -> dict[str, set[bytes]]:
    """Which traces stand in which files."""
    given_away = {}
    for file in files:
        content = file.read_bytes()
        if hits := {trace for who in people for trace in traces(who) if trace in content}:
            given_away[file.name] = hits
    return given_away


def files(folder: Path, *patterns: str) -> list[Path]:
    """The files below a folder."""
    return [file for pattern in patterns or ("*",) for file in folder.rglob(pattern) if file.is_file()]


def stream_folder(world: World, name: str) -> Path:
    """Where the broker keeps a stream's messages."""
    (folder,) = [path for path in (world.data / "broker" / "store").rglob(name) if path.is_dir()]
    return folder


@dataclass
class Quiet:
    """A world in which people with rare names took part."""

    world: World

    async def view(self, who: Json) -> Json:
        (view,) = [
            view
            for view in await self.world.staff.enrolments(ID)
            if any((each.get("contact") or {}).get("name") == who["name"] for each in view["participants"])
        ]
        return view


async def returned(world: World, who: Json) -> None:
    """A bounce, an answer to the invitation and a question come back, and an address is taken out by hand."""
    address, staff = who["email"], world.staff

    async def receive(mail: bytes, recipient: str) -> str:
        handed = {"raw": b64encode(mail).decode(), "recipient": recipient}
        kind: str = (await staff.do("do.notifications.mail.receive", handed))["kind"]
        return kind

    mails = [each for each in world.mails() if each.to == address]
    invite = next(each for each in mails if each.calendar)
    uid, sequence, _ = invite.item
    stamp = invite.event["DTSTAMP"].dt.strftime("%Y%m%dT%H%M%SZ")
    answer = reply(uid, address, "TENTATIVE", sequence=sequence, stamp=stamp)
    assert await receive(answer, "deelname@deelname.example") == "reply"
    # An address that nobody knows, and two more names of somebody whose mail comes from elsewhere.
    elsewhere = reply(uid, f"private-{address}", sequence=sequence + 1, stamp=stamp)
    assert await receive(elsewhere, "deelname@deelname.example") == "unknown"
    question = person_writes("deelname@deelname.example", f'"{who["name"]}" <{address}>', f"Groet, {who['name']}")
    assert await receive(question, "deelname@deelname.example") in ("unknown", "automatic")
    path = str(invite.message["Return-Path"]).strip("<>")
    bounce = postfix(path, address, diagnostic=f"550 5.1.1 <{address}>: {who['name']} does not work here")
    assert await receive(bounce, path) == "bounce"
    # Once more by hand, after somebody lifted it; the reason is what a colleague typed.
    assert (await staff.do("do.notifications.suppression.lift", {"email": address}))["changed"] == 1
    assert (await staff.do("do.notifications.suppression.add", {"email": address, "reason": "asked"}))["changed"] == 1


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def quiet(server: ServerKind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Quiet]:
    async with started(tmp_path_factory.mktemp("quiet"), server) as world:
        staff, partner, web = world.staff, world.partner, world.web
        await staff.register(an_organisation("bisc"), an_organisation("bieb"))
        rules: Json = {
            "capacity": 2,
            "waiting_list": {},
            "eligible": {"kinds": ["library"]},
            "confirmation": STRANGERS_WAIT,
        }
        await staff.publish(programme(ID, sessions=[session("only", 6)], **rules))
        await partner.enrol("kept", enrolment(ID, KEPT, organisation_id="bieb"))
        await partner.answer("kept")
        erased = enrolment(ID, ERASED, organisation_id="bieb") | {"id": "k-1"}
        assert (await staff.attempt("do.registration.enrolment.request", erased)).certainty == "done"
        assert (await web.enrol(enrolment(ID, STRANGER, organisation_id="bieb"), key="k-2")).certainty == "done"
        waiting = await staff.attempt(
            "do.registration.enrolment.request", enrolment(ID, WAITING, organisation_id="bieb") | {"id": "w-1"}
        )
        assert waiting.body["status"] == "waiting"
        for key, who in {"refused": REFUSED, "colleague": COLLEAGUE}.items():
            await partner.enrol(key, enrolment(ID, who))
            await partner.answer(key)
        # Requests that break off half way, each where a value might be quoted back.
        broken = enrolment(ID, MISTYPED | {"language": MISTYPED["name"]}, organisation_id="bieb")
        await partner.enrol("mistyped", broken)
        await partner.answer("mistyped")
        assert (await web.enrol(broken)).certainty == "refused"
        assert (await staff.attempt("do.registration.enrolment.request", broken)).certainty == "refused"
        nameless = {"person": MISTYPED["email"]}
        assert (await staff.attempt("do.registration.person.correct", nameless)).certainty == "refused"
        assert (await staff.attempt("ask.registration.person.export", {"email": MISTYPED["email"]})).body
        await world.settled()
        await returned(world, KEPT)
        await returned(world, ERASED)
        await world.settled()
        # A crash's traceback and a rebuild may not quote anybody either.
        assert (await staff.do("do.reporting.report.rebuild"))["identical"]
        await world.settled()
        yield Quiet(world)


async def test_the_search_finds_what_is_there(quiet: Quiet) -> None:
    """Names are in the people table and in the contacts, so that a search that finds nothing elsewhere means it."""
    for folder in (quiet.world.data / "registration", stream_folder(quiet.world, "KV_contacts")):
        hits = set().union(*found(files(folder)).values())
        for who in (KEPT, WAITING, REFUSED, ERASED):
            assert who["email"].encode() in hits
            assert who["name"].encode() in hits


@pytest.mark.parametrize("stream", ["LOG_REGISTRATION", "LOG_NOTIFICATIONS"])
async def test_no_byte_of_anybody_is_in_the_log_streams(quiet: Quiet, stream: str) -> None:
    folder = stream_folder(quiet.world, stream)
    blocks = files(folder, "*.blk")
    assert b"enrolment" in b"".join(block.read_bytes() for block in blocks)
    assert found(files(folder)) == {}


async def test_no_byte_of_anybody_is_in_the_outcomes(quiet: Quiet) -> None:
    assert found(files(stream_folder(quiet.world, "OUTCOMES"))) == {}


async def test_no_byte_of_anybody_is_in_reporting(quiet: Quiet) -> None:
    databases = files(quiet.world.data / "reporting")
    assert {"reporting.db", "reporting.db-wal"} & {file.name for file in databases}
    assert found(databases) == {}


async def test_no_byte_of_anybody_is_in_a_log_file(quiet: Quiet) -> None:
    logs = files(quiet.world.data / "logs")
    assert {f"{name}.log" for name in ("nats", "registration", "notifications", "reporting")} <= {
        file.name for file in logs
    }
    assert found(logs) == {}


async def test_a_person_that_is_erased_is_gone_and_the_place_is_given_on(quiet: Quiet) -> None:
    world, staff = quiet.world, quiet.world.staff
    view = await quiet.view(ERASED)
    (who,) = [each["person"] for each in view["participants"]]
    (before, waits) = (await staff.report(ID), await quiet.view(WAITING))
    for each in GONE:
        assert found(files(world.data / "notifications"), (each,)) != {}
    for table in ("received", "bounces", "answers", "suppressed"):
        assert world.rows("notifications", f"SELECT 1 FROM {table}"), f"nothing came back: {table}"
    # What the broker and the database have kept in passing is there to be forgotten too.
    await staff.do("do.registration.person.correct", {"person": who, "new_name": "Wolfdietrich Umlauft-Zwart"})
    await world.settled()

    ambiguous = await staff.attempt("do.registration.person.erase", {"email": ERASED["email"]})
    assert ambiguous.body["type"] == "urn:deelname:problem:ambiguous"
    everybody = {"email": ERASED["email"], "everybody": True}
    erased = await staff.do("do.registration.person.erase", everybody)
    assert (erased["result"], len(erased["people"]), who in erased["people"]) == ("erased", 2, True)
    assert erased["copies_until"]
    await world.settled()

    for each in erased["people"]:
        for table in ("people", "particulars"):
            assert world.rows("registration", f"SELECT * FROM {table} WHERE person = '{each}'") == []
    refused = await staff.attempt("ask.registration.person.export", {"person": who})
    assert refused.certainty == "refused"
    assert (await staff.do("ask.notifications.person.export", {"person": who}))["messages"] == []
    views = {view["enrolment"]: view for view in await staff.enrolments(ID)}
    (now,) = [view for view in views.values() if view["participants"][0]["person"] == who]
    # The programme has not begun: the place goes to who waits, and the report counts it as any other withdrawal.
    assert (now["status"], views[waits["enrolment"]]["status"]) == ("withdrawn", "confirmed")
    after = (await staff.report(ID))["counts"]
    assert after["people_confirmed"] == before["counts"]["people_confirmed"]
    assert (after["people_waiting"], after["people_withdrawn"]) == (0, 1)
    assert "contact" not in now["participants"][0] or now["participants"][0]["contact"] is None


async def test_no_byte_of_who_was_erased_is_left_in_any_file(quiet: Quiet) -> None:
    """
    Not in free pages either, nor in a write-ahead log, nor in what the broker has let go of.

    Mails that arrived are their recipients'; the maildir here is a mailbox, which stands for all of them.
    """
    arrived = quiet.world.data / "mail"

    async def left() -> str:
        held = [file for file in files(quiet.world.data) if not file.is_relative_to(arrived)]
        assert {"registration.db", "notifications.db", "1.blk", "nats.log"} <= {file.name for file in held}
        try:
            return str(found(held, GONE) or "")
        except FileNotFoundError as error:
            return f"{error.filename} was written anew meanwhile"

    await until(left, within=20)


async def test_what_came_back_is_known_in_the_log_by_its_kind_and_by_ids_alone(quiet: Quiet) -> None:
    types = {body["type"] for _, _, body in await quiet.world.staff.stream("LOG_NOTIFICATIONS")}
    assert {"mail.bounced.v1", "invitation.answered.v1"} <= types


async def test_what_came_back_of_who_was_erased_is_gone_and_of_others_is_kept(quiet: Quiet) -> None:
    world = quiet.world
    gone = {fact["data"]["person"] for fact in await world.staff.facts() if fact["type"] == "person.erased.v1"}
    assert len(gone) == 2
    kept = (await quiet.view(KEPT))["participants"][0]["person"]
    for table in ("answers", "suppressed"):
        whose = {row[0] for row in world.rows("notifications", f"SELECT person FROM {table}")}
        assert (gone & whose, kept in whose) == (set(), True), table
    raw = b"".join(row[0] for row in world.rows("notifications", "SELECT raw FROM received WHERE raw IS NOT NULL"))
    assert KEPT["email"].encode() in raw


async def test_the_contacts_hold_no_word_of_who_was_erased(quiet: Quiet) -> None:
    gone = [fact["data"]["person"] for fact in await quiet.world.staff.facts() if fact["type"] == "person.erased.v1"]
    async with quiet.world.connected("notifications") as reader:
        answers = await reader.subscribe(inbox := reader.new_inbox())
        question = json.dumps({"multi_last": [f"$KV.contacts.{who}" for who in gone]}).encode()
        await reader.publish("$JS.API.DIRECT.GET.KV_contacts", question, reply=inbox)
        for _ in gone:
            left = await answers.next_msg(timeout=10)
            assert (left.data, (left.headers or {})["KV-Operation"]) == (b"", "PURGE")


async def test_who_was_not_erased_is_still_known(quiet: Quiet) -> None:
    exported = await quiet.world.staff.do("ask.registration.person.export", {"email": KEPT["email"].upper()})
    assert exported["contact"]["name"] == KEPT["name"]
