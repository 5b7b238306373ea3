"""Messages that cannot be understood, or should not be: each has its outcome, and nobody stands still for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.system.world import Json, World, enrolment, organisation, person, programme, session, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

ID = "poisoned"
REQUEST = "intake.demo.enrolment.request"
FORGED = "Victim\r\nBcc: spy@evil.example\r\nX-Forged: yes"


def envelope(
    id_: object, asked: Json, type_: str = "enrolment.request.v1", source: str = "demo", **more: object
) -> Json:
    return {
        "specversion": "1.0",
        "id": id_,
        "source": source,
        "type": type_,
        "time": "2023-03-02T09:14:00Z",
        "data": asked,
        **more,
    }


def asking(number: int, name: str = "Somebody Sound", address: str | None = None) -> Json:
    return enrolment(ID, person(name, address or f"sound-{number}@people.example"))


async def put(world: World, document: Json | bytes, subject: str = REQUEST) -> int:
    """Send, and return the message's number in the partner's stream."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    stored = await world.partner.put(subject, body)
    assert stored.certainty == "done"
    number: int = stored.body["sequence"]
    return number


class Poisoned:
    """A world that was sent poison, with something sound before and behind each piece."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.numbers: dict[str, int] = {}

    def outcome(self, name: str) -> Json:
        """The one outcome of a piece of poison."""
        (found,) = [
            outcome
            for outcome in self.world.partner.outcomes
            if outcome["type"] == "outcome.refused.v1" and outcome["data"]["sequence"] == self.numbers[name]
        ]
        return found


DEEP = b'{"id":"deep","type":"enrolment.request.v1","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
POISON: dict[str, tuple[Json | bytes, str]] = {
    "not-json": (b"\x00\xffthis is not JSON", "not-json"),
    "empty": (b"", "not-json"),
    "no-object": (b"[1, 2, 3]", "not-json"),
    "nested": (DEEP, "not-json"),
    "unknown-type": (envelope("unknown", asking(0), "enrolment.celebrate.v1"), "unknown-type"),
    "type-of-nothing": (envelope("nothing", asking(0), "") | {"type": None}, "unknown-type"),
    "later-version": (envelope("later", asking(0), "enrolment.request.v9"), "unknown-type"),
    "too-large": (envelope("large", asking(0) | {"padding": "x" * 300_000}), "too-large"),
    "no-id": (envelope(None, asking(0)), "invalid"),
    "forged-name": (envelope("forged", asking(0, FORGED, "victim@people.example")), "invalid"),
    "forged-address": (envelope("forged-too", asking(0, address=f"a@people.example{FORGED[6:]}")), "invalid"),
    "no-people": (envelope("nobody", {"programme": ID, "participants": []}), "invalid"),
    "another's-source": (envelope("stolen", asking(0), source="school"), "wrong-source"),
    "lone-surrogate": (json.dumps(envelope("half", asking(0, "Half \ud800 name"))).encode(), "invalid"),
    "duplicate-id": (envelope("sound-0", asking(0, "Somebody Else", "else@people.example")), "id-reused"),
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def poisoned(world: World) -> AsyncIterator[Poisoned]:
    await world.staff.register(organisation("bisc"))
    await world.staff.publish(programme(ID, sessions=[session("only", 8)]))
    told = Poisoned(world)
    await put(world, envelope("sound-0", asking(0)))
    for number, (name, (document, _)) in enumerate(POISON.items(), 1):
        told.numbers[name] = await put(world, document)
        await put(world, envelope(f"sound-{number}", asking(number)))
    told.numbers["wrong-subject"] = await put(world, envelope("astray", asking(0)), "intake.demo.of.something.else")
    await world.settled()
    for number in range(len(POISON) + 1):
        await world.partner.answer(f"sound-{number}")
    yield told


@pytest.mark.parametrize("name", [*POISON, "wrong-subject"])
async def test_each_piece_has_one_refusal_that_says_what_is_wrong(poisoned: Poisoned, name: str) -> None:
    outcome = poisoned.outcome(name)
    assert outcome["type"] == "outcome.refused.v1"
    expected = "wrong-subject" if name == "wrong-subject" else POISON[name][1]
    assert outcome["data"]["problem"].rsplit(":", 1)[-1] == expected
    assert outcome["data"]["errors"]


async def test_what_was_sound_was_decided_once_each(poisoned: Poisoned) -> None:
    accepted = [outcome for outcome in poisoned.world.partner.outcomes if outcome["type"] == "outcome.accepted.v1"]
    assert sorted(outcome["data"]["request"] for outcome in accepted) == sorted(
        f"sound-{number}" for number in range(len(POISON) + 1)
    )
    assert len(poisoned.world.partner.outcomes) == 2 * len(POISON) + 2
    views = await poisoned.world.staff.enrolments(ID)
    assert {view["status"] for view in views} == {"confirmed"}
    assert len(views) == len(POISON) + 1


async def test_no_mail_has_a_header_or_a_recipient_that_a_name_put_there(poisoned: Poisoned) -> None:
    mails = poisoned.world.mails()
    assert {mail.to for mail in mails} == {f"sound-{number}@people.example" for number in range(len(POISON) + 1)}
    for mail in mails:
        assert mail.message["Bcc"] is None
        assert mail.message["X-Forged"] is None
    files = (poisoned.world.data / "mail").rglob("*.eml")
    assert not any(b"evil.example" in file.read_bytes() or b"victim" in file.read_bytes() for file in files)


async def test_staff_and_web_forms_are_refused_the_same_and_go_on(poisoned: Poisoned) -> None:
    world = poisoned.world
    forged = asking(0, FORGED, "victim@people.example")
    assert (await world.web.enrol(forged)).certainty == "refused"
    request = "do.registration.enrolment.request"
    assert (await world.staff.attempt(request, forged)).certainty == "refused"
    for garbage in (b"\xff", b"[]", b"null", b"{" * 1000, b'{"programme": 1e999}'):
        raw = await world.staff.connection.request(request, garbage, timeout=30)
        assert (raw.headers or {})["Nats-Service-Error-Code"] == "422"
    assert (await world.web.enrol(asking(101))).certainty == "done"
    assert (await world.staff.attempt(request, asking(102))).certainty == "done"


async def test_the_same_message_again_has_the_same_answer_and_one_effect(poisoned: Poisoned) -> None:
    world = poisoned.world
    first = await world.partner.answer("sound-1")
    await put(world, envelope("sound-1", asking(1), time="2023-03-03T10:00:00Z"))
    again = await world.partner.answer("sound-1", 2)
    assert again["data"] == first["data"] | {"sequence": again["data"]["sequence"]}
    assert again["data"]["sequence"] > first["data"]["sequence"]
    assert again["id"] != first["id"]


async def test_a_flood_of_what_cannot_be_read_has_an_answer_each_and_does_not_fill_the_log(poisoned: Poisoned) -> None:
    world = poisoned.world
    journal = world.data / "logs" / "registration.log"
    size, answered = journal.stat().st_size, len(world.partner.outcomes)
    await asyncio.gather(*(put(world, b"no JSON, number %d" % number) for number in range(500)))

    async def unanswered() -> str:
        missing = 500 - (len(world.partner.outcomes) - answered)
        return f"{missing} have no outcome" if missing else ""

    await until(unanswered)
    with journal.open("rb") as log:
        log.seek(size)
        refused = [line for line in log if b'"a message was refused"' in line]
    # One a minute, and the flood takes no minutes.
    assert len(refused) <= 3


async def test_every_service_is_well_afterwards(poisoned: Poisoned) -> None:
    await poisoned.world.settled()
    assert all(child.exit_code is None for child in poisoned.world.system.children.values())
    assert all(child.backoff.pause == 0.5 for child in poisoned.world.system.children.values())  # none ever died
