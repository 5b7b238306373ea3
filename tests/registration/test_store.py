"""What registration keeps, and what it forgets for good."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from sqlite3 import Connection

import pytest

from contracts.base import same_address
from contracts.facts import NO_PROGRAMME, EnrolmentConfirmed
from services.registration import store
from services.registration.store import moments, strangers
from tests.registration.conftest import Desk, desk_at
from tests.registration.domain.given import programme

NAME, ADDRESS = "Wilhelmina Zonnebloemstra", "w.zonnebloemstra@bibliotheek-zeist.example"


async def test_programmes_are_listed_by_id_without_the_registry(desk: Desk) -> None:
    assert await desk.database.run(store.programmes) == []
    await desk.register()
    assert await desk.database.run(store.programmes) == []
    for id_ in ("zomer", "anders", "midden"):
        await desk.publish(programme().model_copy(update={"id": id_}))
    assert await desk.database.run(store.programmes) == ["anders", "midden", "zomer"]


async def test_listing_programmes_does_not_read_every_fact(desk: Desk) -> None:
    """The public page asks for the list, on the thread that writes."""
    await desk.open()
    insert = (
        "WITH RECURSIVE n (i) AS (SELECT 100 UNION ALL SELECT i + 1 FROM n WHERE i < 20100)"
        " INSERT INTO log SELECT i, 'groot', i, 's', i, x'7b7d' FROM n"
    )
    await desk.database.run(lambda raw: raw.execute(insert))
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1

    await desk.database.run(lambda raw: raw.set_progress_handler(count, 1))
    assert await desk.database.run(store.programmes) == ["groot", "ontmoeting"]
    await desk.database.run(lambda raw: raw.set_progress_handler(None, 1))
    assert steps < 500


async def test_facts_are_read_of_all_or_of_one_programme(desk: Desk) -> None:
    await desk.open()
    everything = await desk.database.run(lambda raw: store.facts(raw, 0, 100))
    assert len(everything) == 4
    assert len(await desk.database.run(lambda raw: store.facts(raw, 2, 1))) == 1
    assert await desk.database.run(lambda raw: store.facts(raw, 0, 9, "ontmoeting")) == everything[3:]
    assert len(await desk.database.run(lambda raw: store.facts(raw, 0, 9, NO_PROGRAMME))) == 3


async def test_the_facts_about_an_enrolment_are_its_own(desk: Desk) -> None:
    await desk.open()
    _, first = await desk.request("noor@x.example")
    await desk.request("sam@x.example")
    await desk.withdraw(first["enrolment"])
    found = await desk.database.run(lambda raw: store.facts_about(raw, "ontmoeting", first["enrolment"]))
    assert [fact.type for fact in found] == ["enrolment.confirmed.v1", "enrolment.withdrawn.v1"]
    assert isinstance(found[0].data, EnrolmentConfirmed)


@pytest.mark.parametrize("spelling", ["noor@x.example", " NOOR@X.example ", "Noor@x.Example"])
async def test_an_address_is_the_same_whatever_its_case_and_spaces(desk: Desk, spelling: str) -> None:
    await desk.open()
    await desk.request("Noor@x.example")
    people = await desk.database.run(lambda raw: store.people_at(raw, same_address(spelling)))
    assert len(people) == 1


async def test_deadlines_are_compared_as_moments_whatever_their_zone(desk: Desk) -> None:
    now = datetime(2023, 3, 2, 12, 0, tzinfo=UTC)
    east = timezone(timedelta(hours=5))
    await desk.database.run(lambda raw: store.set_deadline(raw, "a", "p", now.astimezone(east)))
    early = now - timedelta(microseconds=1)
    assert await desk.database.run(lambda raw: store.programmes_with_passed_deadlines(raw, early)) == []
    assert await desk.database.run(lambda raw: store.programmes_with_passed_deadlines(raw, now.astimezone(east))) == [
        "p"
    ]
    await desk.database.run(lambda raw: store.forget_deadlines(raw, "p"))
    assert await desk.database.run(lambda raw: store.programmes_with_passed_deadlines(raw, now)) == []


async def test_a_delivery_is_new_once_and_again_when_the_stream_was_made_anew(desk: Desk) -> None:
    stored = datetime(2023, 3, 2, tzinfo=UTC)
    for expected in (False, True):
        assert await desk.database.run(lambda raw: store.delivered(raw, "demo", 1, stored)) is expected
    later = stored + timedelta(days=1)
    assert await desk.database.run(lambda raw: store.delivered(raw, "demo", 1, later)) is False
    assert await desk.database.run(lambda raw: store.delivered(raw, "other", 1, stored)) is False


def bytes_on_disk(path: Path) -> bytes:
    """All that SQLite keeps: the file and what it has not written into it yet."""
    return b"".join(file.read_bytes() for file in sorted(path.parent.glob(f"{path.name}*")))


async def test_no_byte_of_an_erased_person_stays_in_the_file(database_path: Path) -> None:
    async with desk_at(database_path) as desk:
        await desk.open()
        for number in range(200):
            await desk.request(f"ander-{number}@x.example")
        await desk.request(ADDRESS.upper())
        await desk.correct(ADDRESS, new_name=NAME)
        await desk.correct(ADDRESS, new_name="Iemand Anders")
        assert ADDRESS.encode() in bytes_on_disk(database_path)
        # What was corrected is forgotten as well.
        assert NAME.encode() not in bytes_on_disk(database_path)
        status, answer = await desk.erase(ADDRESS)
        assert (status, answer["result"]) == (200, "erased")
        left = bytes_on_disk(database_path).lower()
        for trace in (NAME, ADDRESS, "Iemand Anders", "zonnebloemstra"):
            assert trace.lower().encode() not in left
        assert b"ander-7@x.example" in left
        assert (await desk.stored()).confirmed == 200


async def test_the_log_never_holds_a_name_or_an_address(desk: Desk) -> None:
    await desk.open(capacity=1)
    await desk.request(ADDRESS)
    await desk.request(ADDRESS.upper(), id="k1")
    await desk.correct(ADDRESS, new_name=NAME)
    rows = await desk.database.run(lambda raw: raw.execute("SELECT * FROM log").fetchall())
    rows += await desk.database.run(lambda raw: raw.execute("SELECT * FROM requests").fetchall())
    text = repr(rows).lower()
    assert "zonnebloemstra" not in text
    assert "noor" not in text


async def test_answers_to_strangers_are_forgotten_when_their_time_is_up_and_others_never(desk: Desk) -> None:
    """Strangers can make up ids without end."""
    then = datetime(2023, 4, 1, 9, 14, tzinfo=UTC)
    answer = store.Answer(202, b"{}")

    def remember(raw: Connection) -> None:
        for id_, until in (("ours", None), ("now", then), ("later", then + timedelta(seconds=1))):
            store.remember_answer(raw, "web", id_, b"", answer, until=until)

    await desk.database.transact(remember)
    assert await desk.database.transact(lambda raw: strangers.forget(raw, then)) == 1
    left = await desk.database.run(lambda raw: raw.execute("SELECT id FROM requests ORDER BY id").fetchall())
    assert left == [("later",), ("ours",)]


async def test_what_was_handed_out_again_is_counted_until_the_first_of_it_was_answered(desk: Desk) -> None:
    async def times(source: str, floor: int) -> int:
        return await desk.database.transact(lambda raw: moments.handed_out(raw, source, floor))

    assert [await times("demo", 7) for _ in range(4)] == [1, 2, 3, 4]
    assert await times("school-x", 7) == 1
    assert [await times("demo", 8), await times("demo", 8)] == [1, 2]
    # A stream that was made anew counts from one.
    assert await times("demo", 0) == 1
