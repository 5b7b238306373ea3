"""What a name and an address may be is the same by form, HTTP, NATS, a partner's stream and the tool."""

from __future__ import annotations

import asyncio
import html
import json
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from cli.failure import Failure
from cli.people import read_participant
from contracts.problem import ProblemError
from deploy.links import keep_link_keys
from services.registration.settings import Settings
from tests.registration.conftest import Desk
from tests.registration.system import System, event, partner, running_system

NAMES = {
    "Noor de Wit": "Noor de Wit",
    " \u200bNoor de Wit\u202c": "Noor de Wit",
    "علی‌رضا محمدی": "علی‌رضا محمدی",
    "Noor\u00adde Wit": "Character 5 cannot stand here: SOFT HYPHEN, U+00AD.",
    "Noor 06 12": "A name has no digits in a row.",
    "x" * 81: "A name has at most 80 characters.",
}
ADDRESSES = {
    "noor{n}@v.example": "noor{n}@v.example",
    "\u202anoor{n}@V.example\u202c": "noor{n}@v.example",
    "noor{n}@v.example\u200b": "noor{n}@v.example",
    "noor{n}@bücher.example": "noor{n}@xn--bcher-kva.example",
    "a" * 65 + "@v.example": "At most 64 characters can stand before the @.",
    "no\u200bor@v.example": "Character 3 cannot stand here: ZERO WIDTH SPACE, U+200B.",
    "noor@localhost": "What stands after the @ is no host that mail can go to",
    "zoë@v.example": "Before the @ only letters from a to z without accents can stand here, not ë",
}
CASES = [("name", *case) for case in NAMES.items()] + [("email", *case) for case in ADDRESSES.items()]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("doors")) as system:
        asyncio.run(system.open("deuren", confirmation={"needed": "never"}))
        yield system


def somebody(number: int, field: str, typed: str) -> dict[str, str]:
    return {"name": "Noor de Wit", "email": f"other{number}@v.example"} | {field: typed.replace("{n}", f"{number}")}


def by_form(system: System, person: dict[str, str]) -> str | None:
    """What the page says is wrong; None where it took the form."""
    typed = urlencode({"language": "en", **person}).encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    request = urllib.request.Request(f"{system.http}/programmes/deuren/enrolments?lang=en", typed, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as page:
            assert page.status == 202
            return None
    except urllib.error.HTTPError as error:
        with error:
            return html.unescape(error.read().decode())


def by_http(system: System, person: dict[str, str]) -> str | None:
    status, said = system.post("/api/enrolments", {"programme": "deuren", "participants": [{"person": person}]})
    return None if status == 202 else json.dumps(said, ensure_ascii=False)


def by_nats(system: System, person: dict[str, str]) -> str | None:
    async def ask() -> tuple[int, Any]:
        async with system.staff() as staff:
            body = {"programme": "deuren", "participants": [{"person": person}]}
            return await staff("do.registration.enrolment.request", body)

    status, said = asyncio.run(ask())
    return None if status == 200 else json.dumps(said, ensure_ascii=False)


def by_partner(system: System, person: dict[str, str]) -> str | None:
    async def send() -> dict[str, Any]:
        async with partner(system) as demo:
            data = {"programme": "deuren", "participants": [{"person": person}]}
            await demo.send(event(f"d-{os.urandom(8).hex()}", data))
            (outcome,) = await demo.outcomes(1)
            return outcome

    outcome = asyncio.run(send())
    return None if outcome["type"] == "outcome.accepted.v1" else json.dumps(outcome, ensure_ascii=False)


def by_tool(system: System, person: dict[str, str]) -> str | None:
    try:
        read = read_participant(f"{person['name']} <{person['email']}>")
    except Failure as failure:
        return failure.what
    return by_nats(system, read.person.model_dump(mode="json"))


DOORS = (by_form, by_http, by_nats, by_partner, by_tool)


@pytest.mark.parametrize(("field", "typed", "said"), CASES)
def test_every_door_takes_the_same_and_says_the_same(system: System, field: str, typed: str, said: str) -> None:
    taken = typed.strip("\u200b\u202a\u202c ").casefold() == said.casefold() or "xn--" in said
    for number, door in enumerate(DOORS, CASES.index((field, typed, said)) * len(DOORS)):
        person = somebody(number, field, typed)
        answer = door(system, person)
        if not taken:
            assert answer is not None, door
            assert said[1:].removesuffix(".") in answer, (door, answer)
            continue
        assert answer is None, (door, answer)
        wanted = somebody(number, field, said)
        kept = [each["contact"] for one in asyncio.run(system.enrolments("deuren")) for each in one["participants"]]
        assert any(each["name"] == wanted["name"] and each["email"] == wanted["email"] for each in kept), door


async def test_letters_beyond_ascii_are_taken_where_the_mail_server_takes_them(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEELNAME_SMTPUTF8", "yes")
    keys = keep_link_keys(tmp_path / "links.keys")
    assert Settings.model_validate({"nats_url": "nats://x", "data": tmp_path, "link_keys": keys}).smtputf8 is True
    await desk.open()
    with pytest.raises(ProblemError) as refused:
        await desk.request("zoë@v.example")
    (fault,) = refused.value.problem.errors
    assert fault.field == "participants.0.person.email"
    assert (fault.detail_nl or "").startswith("Vóór de @ kunnen hier alleen letters")
    desk.smtputf8 = True
    assert (await desk.request("zoë@v.example"))[0] == 200
