"""From a stranger's request to a place: the mail that asks, its link, and where neither that nor typed words go."""

from __future__ import annotations

import asyncio
import http.client
import re
from base64 import b64encode
from urllib.parse import urlsplit

import pytest

from tests.system.world import STRANGERS_WAIT, Mail, World, enrolment, organisation, person, programme, session, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

LINK = re.compile(r"http://127\.0\.0\.1:\d+/confirm/([A-Za-z0-9._-]+)")
TYPED = "Gefeliciteerd Prijswinnaar"


def words(mail: Mail) -> str:
    """Everything that a mail says, decoded."""
    parts = [str(part.get_content()) for part in mail.message.walk() if not part.is_multipart()]
    return "\n".join([*(f"{name}: {value}" for name, value in mail.message.items()), *parts])


async def publish(world: World, id_: str) -> None:
    await world.staff.register(organisation("bisc", "support-organisation"))
    await world.staff.publish(programme(id_, sessions=[session("kick-off", 8)], confirmation=STRANGERS_WAIT))


async def mails_to(world: World, address: str, number: int) -> list[Mail]:
    """The mails to an address, once there are so many."""

    async def missing() -> str:
        found = sum(each.to == address for each in world.mails())
        return "" if found >= number else f"{found} of {number} mails to {address}"

    await until(missing)
    return [each for each in world.mails() if each.to == address]


async def press(link: str) -> int:
    """Press the button of the page that a link leads to."""
    parts = urlsplit(link)

    def send() -> int:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        try:
            connection.request("POST", parts.path)
            return connection.getresponse().status
        finally:
            connection.close()

    return await asyncio.to_thread(send)


async def test_a_stranger_is_asked_confirms_and_takes_part_and_the_link_is_nowhere_but_in_the_mail(
    world: World,
) -> None:
    await publish(world, "vraag")
    stranger = person(TYPED, "noor@stranger.example")
    assert (await world.web.enrol(enrolment("vraag", stranger))).certainty == "done"
    (asked,) = await mails_to(world, "noor@stranger.example", 1)
    said = words(asked)
    assert TYPED.split()[1] not in said
    link = LINK.search(said)
    assert link is not None
    assert await press(link[0]) == 200
    mails = await mails_to(world, "noor@stranger.example", 3)
    assert [each.method for each in mails].count("REQUEST") == 1
    assert sum(TYPED in words(each) for each in mails) == 2, "whoever confirmed is called by name"
    await world.settled()
    token = link[1].encode()
    spelt = {token, b64encode(token)[:40], token[-43:]}
    held = [
        file.relative_to(world.data)
        for file in world.data.rglob("*")
        if file.is_file() and file.parts[len(world.data.parts)] != "mail" and any(s in file.read_bytes() for s in spelt)
    ]
    assert held == [], "neither in a log, nor in a stream, nor in a database"


async def test_naming_somebody_again_says_so_to_nobody_else_and_once_a_day(world: World) -> None:
    await publish(world, "nogmaals")
    await world.staff.do(
        "do.registration.enrolment.request", enrolment("nogmaals", person("Sam Baker", "sam@b.example"))
    )
    await mails_to(world, "sam@b.example", 2)
    for _ in range(3):
        asked = enrolment("nogmaals", person("Sam Baker", "sam@b.example"), person("Ans Nieuw", "ans@stranger.example"))
        assert (await world.web.enrol(asked)).certainty == "done"
    # A maildir has no order.
    assert sum("Je hebt al een plek" in words(each) for each in await mails_to(world, "sam@b.example", 3)) == 1
    await mails_to(world, "ans@stranger.example", 1)
    await world.settled()
    assert len(await mails_to(world, "sam@b.example", 3)) == 3
    assert "sam@" not in words((await mails_to(world, "ans@stranger.example", 1))[0])


async def test_a_flood_about_one_mailbox_is_a_handful_of_mails_and_delays_nobody(world: World) -> None:
    for number in range(5):
        await publish(world, f"vloed-{number}")
    for number in range(60):
        typed = person(TYPED, f"v.ictim+{number}@gmail.com" if number % 2 else "victim@googlemail.com")
        await world.web.enrol(enrolment(f"vloed-{number % 5}", typed))
    await world.staff.do("do.registration.enrolment.request", enrolment("vloed-0", person("Eva Smit", "eva@b.example")))
    await mails_to(world, "eva@b.example", 2)
    await world.settled()
    victim = [each for each in world.mails() if "ictim" in each.to]
    assert 1 <= len(victim) <= 12
    assert not any(TYPED in words(each) for each in victim)
