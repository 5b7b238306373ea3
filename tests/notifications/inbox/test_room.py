"""What anybody may send is bounded, and nobody's letter is pushed out by what others send."""

from __future__ import annotations

from base64 import b64decode
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.commands import DismissReceived
from contracts.queries import ReceivedMailQuestion
from services.chassis.metrics import REGISTRY
from services.notifications import store
from services.notifications.inbox import Inbox, Room, TryLater
from services.notifications.inbox.room import Refusals
from services.notifications.transport import Maildir
from tests.notifications.conftest import Service, at_once
from tests.notifications.inbox import returned
from tests.notifications.lives import START, Life, confirmed, occasion, session

TO = "deelname@deelname.example"


async def taken(inbox: Inbox, sender: str, words: str, to: str = TO) -> bool:
    try:
        return (await inbox.receive(returned.person(to, sender, words), to)).kind == "unknown"
    except TryLater:
        return False


def refused(share: str) -> float:
    return REGISTRY.get_sample_value("deelname_inbox_refused_mails_total", {"share": share}) or 0.0


async def paths(notifications: Service, directory: Path, *people: str) -> list[str]:
    """Envelope senders of mails that went out to these."""
    life = Life(session("kick-off", occasion("2023-06-20")))
    for number, person in enumerate(people):
        life.happens(confirmed(f"e{number}", person))
    await notifications.reads(life)
    transport = Maildir(directory / "mail")
    await transport.open()
    await notifications.sender(transport).send_due()
    return [
        next(notifications.return_paths.of(each.id) for each in life.mails if each.person == person)
        for person in people
    ]


async def test_who_writes_without_end_finds_no_room_and_others_do(notifications: Service, tmp_path: Path) -> None:
    (path,) = await paths(notifications, tmp_path, "noor")
    inbox = notifications.inbox_that_reads(at_once, room=Room(mails=40))
    before = Counter({share: refused(share) for share in ("sender", "strangers", "all")})
    assert [await taken(inbox, "flood@one.example", f"{number}") for number in range(6)] == [True] * 4 + [False] * 2
    assert await taken(inbox, "noor@bibliotheek.example", "A word.")
    # Whoever makes up senders takes what strangers have, and not what is about our mails.
    strangers = [await taken(inbox, f"{number}@many.example", "x") for number in range(40)]
    assert strangers == [True] * 25 + [False] * 15
    about_noor = [await taken(inbox, "noor@bibliotheek.example", f"{number}", path) for number in range(6)]
    assert about_noor == [True] * 4 + [False] * 2
    assert (await notifications.database.run(store.unread)).mails == 34
    now = Counter({share: refused(share) for share in ("sender", "strangers", "all")})
    assert now - before == Counter(sender=4, strangers=15)
    # It is said, for as long as it is news.
    assert "were not taken within the last hour: 19;" in await inbox.full()
    assert await inbox.waiting() == "how many mails wait for a person: 34"
    notifications.clock.forward(hours=2)
    assert await inbox.full() == ""


async def test_octets_are_bounded_as_numbers_are_and_one_large_mail_has_room(notifications: Service) -> None:
    inbox = notifications.inbox_that_reads(at_once, room=Room(octets=100_000))
    assert await taken(inbox, "a@one.example", "x" * 20_000)
    assert not await taken(inbox, "a@one.example", "y" * 100)
    assert await taken(inbox, "b@two.example", "x" * 9_000)
    assert not await taken(inbox, "b@two.example", "y" * 9_000)
    assert not await taken(inbox, "c@three.example", "x" * 60_000)


async def test_who_has_no_address_shares_with_all_who_have_none(notifications: Service) -> None:
    inbox = notifications.inbox_that_reads(at_once, room=Room(mails=20))
    nobody = [await taken(inbox, f"{number}@one.example, {number}@two.example", "x") for number in range(4)]
    assert nobody == [True, True, False, False]


async def test_what_somebody_dealt_with_waits_no_more_makes_room_and_is_forgotten(notifications: Service) -> None:
    inbox = notifications.inbox_that_reads(at_once, room=Room(mails=10))
    raw = returned.person(TO, "noor@bibliotheek.example", "Zeldzaam woord")
    number = (await inbox.receive(raw, TO)).received
    assert not await taken(inbox, "noor@bibliotheek.example", "Nog een")
    assert (await notifications.postbox.dismiss(DismissReceived(received=(number, 999)))).changed == 1
    assert (await notifications.postbox.dismiss(DismissReceived(received=(number,)))).changed == 0
    assert await notifications.database.run(store.unread) == (0, 0)
    assert await notifications.database.run(store.oldest_unread) is None
    # A copy that comes late does not wait anew; that it came is known.
    assert (await inbox.receive(raw, TO)).received == number
    assert await notifications.database.run(store.unread) == (0, 0)
    assert await taken(inbox, "noor@bibliotheek.example", "Nog een")
    await notifications.database.forget()
    await notifications.database.run(lambda raw: raw.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    left = b"".join(each.read_bytes() for each in notifications.database.path.parent.glob("*.db*"))
    assert b"Zeldzaam" not in left


async def test_room_is_counted_right_whatever_goes_by_itself_or_with_a_person(
    notifications: Service, tmp_path: Path
) -> None:
    noor, sam = await paths(notifications, tmp_path, "noor", "sam")
    for path in (noor, sam, TO, TO):
        await taken(notifications.inbox, "noor@bibliotheek.example", path + str(notifications.clock()), path)
        notifications.clock.forward(days=1)
    await notifications.database.transact(lambda raw: store.erase(raw, "noor"))
    rows = await notifications.database.run(lambda raw: raw.execute("SELECT share, mails FROM unread").fetchall())
    shares = dict(rows)
    kept = await notifications.database.run(lambda raw: store.received(raw, 100, unread=True))
    assert shares.pop("all") == len(kept)
    assert shares.pop("strangers") == len([each for each in kept if each.mail is None])
    assert sum(shares.values()) == len(kept)
    await notifications.database.transact(lambda raw: store.forget_old_received(raw, notifications.clock()))
    left = await notifications.database.run(lambda raw: raw.execute("SELECT * FROM unread ORDER BY share").fetchall())
    assert left == [("all", 0, 0), ("strangers", 0, 0)]


async def test_a_mail_of_any_size_is_read_in_pieces(notifications: Service) -> None:
    raw = b"From: a@b.example\r\n\r\n" + bytes(range(256)) * 80_000
    number = await notifications.database.transact(
        lambda connection: store.keep(
            connection,
            digest="d",
            kind="unknown",
            note="it was not read: it has more than 10000000 octets",
            mail=None,
            raw=raw,
            mentioned=(),
            now=notifications.clock(),
        )
    )
    found = b""
    while True:
        piece = await notifications.postbox.message(ReceivedMailQuestion(received=number, begin=len(found)))
        assert piece.size == len(raw) > 20_000_000
        if not piece.raw:
            break
        found += b64decode(piece.raw)
    assert found == raw
    beyond = await notifications.postbox.message(ReceivedMailQuestion(received=number, begin=2**31))
    assert beyond.raw == ""


def test_what_was_refused_is_told_for_an_hour_by_the_widest_of_what_was_full() -> None:
    refusals = Refusals()
    assert refusals.told(START) == ""
    refusals.note("sender", START)
    assert "hour: 1;" in refusals.told(START)
    assert refusals.told(START).endswith("for one sender")
    refusals.note("strangers", START + timedelta(minutes=30))
    assert refusals.told(START + timedelta(minutes=59)).endswith("for strangers")
    assert "hour: 1;" in refusals.told(START + timedelta(minutes=61))
    assert refusals.told(START + timedelta(hours=3)) == ""


@given(st.integers(10, 10_000), st.integers(0, 10_000), st.integers(0, 10_000))
def test_no_share_ever_holds_more_than_its_part(most: int, held: int, size: int) -> None:
    room = Room(mails=most, octets=most)
    for parts in ((1, 10), (3, 4), (1, 1)):
        if room._takes(store.Unread(held, held), size, parts) and held:
            assert held + size <= most * parts[0] / parts[1]
            assert held + 1 <= most * parts[0] / parts[1]


@pytest.mark.parametrize("room", [Room(mails=10), Room(octets=10)])
async def test_all_that_there_is_room_for_is_never_exceeded(notifications: Service, room: Room) -> None:
    inbox = notifications.inbox_that_reads(at_once, room=room)
    for number in range(30):
        await taken(inbox, f"{number}@one.example", "x")
    unread = await notifications.database.run(store.unread)
    assert unread.mails <= (room.mails if room.mails == 10 else 1)
