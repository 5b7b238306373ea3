"""Group commit: all or nothing for what shares a transaction, and never a fault of one on the shoulders of others."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.registration import store, writer
from services.registration.batch import Batch
from services.registration.handlers import enrolments
from services.registration.store import Answer
from services.registration.work import Key, Work
from services.registration.writer import Writer
from tests.registration.conftest import Desk, asking, desk_at, rules_of, told, working
from tests.registration.domain.given import IN_ORDER

Address = Callable[[], str]


def a_request(desk: Desk, email: str) -> Work:
    return enrolments.request(asking(email), desk.arrival())


async def together(
    desk: Desk, works: list[Work], keys: list[Key | None] | None = None
) -> list[tuple[int, dict[str, Any]]]:
    """Have pieces of work done in one batch: submitted before the writer can take the first."""
    keys = keys or [None] * len(works)
    answers = await asyncio.gather(*(desk.writer.perform(work, key) for work, key in zip(works, keys, strict=True)))
    return [told(answer) for answer in answers]


def poison(_batch: Batch) -> Answer:
    raise KeyError("of its own making")


async def whole(desk: Desk) -> None:
    """Memory and database agree, and the log has no gaps."""
    assert await desk.state() == await desk.stored()
    log = await desk.log()
    assert [position for position, _, _ in log] == list(range(1, len(log) + 1))
    for programme in {programme for _, programme, _ in log}:
        versions = [version for _, of, version in log if of == programme]
        assert versions == list(range(1, len(versions) + 1))


async def test_what_is_answered_is_on_disk_and_memory_is_its_fold(desk: Desk, address: Address) -> None:
    await desk.open(capacity=5, waiting_list=IN_ORDER)
    answers = await together(desk, [a_request(desk, address()) for _ in range(20)])
    assert [answer["status"] for _, answer in answers] == ["confirmed"] * 5 + ["waiting"] * 15
    assert [answer.get("place") for _, answer in answers[5:]] == list(range(1, 16))
    await whole(desk)


async def test_a_restart_finds_everything_as_it_was(database_path: Path, address: Address) -> None:
    async with desk_at(database_path) as desk:
        await desk.open(capacity=2, waiting_list=IN_ORDER, prices=[{"amount": "12.50"}])
        _, first = await desk.request(address(), address())
        await desk.request(address(), organisation="bibliotheek-zeist")
        await desk.withdraw(first["enrolment"])
        before = await desk.state()
    async with desk_at(database_path) as desk:
        assert await desk.state() == before
        assert before.confirmed == 1
        await desk.request(address())
        await whole(desk)


async def test_a_batch_shares_one_transaction(desk: Desk, address: Address) -> None:
    await desk.open()
    begun: list[str] = []
    await desk.database.run(lambda raw: raw.set_trace_callback(begun.append))
    await together(desk, [a_request(desk, address()) for _ in range(100)])
    await desk.database.run(lambda raw: raw.set_trace_callback(None))
    assert begun.count("COMMIT") == 1


async def test_more_than_fit_into_a_batch_are_all_answered(desk: Desk, address: Address) -> None:
    await desk.open()
    answers = await together(desk, [a_request(desk, address()) for _ in range(writer.LARGEST_BATCH + 10)])
    assert {status for status, _ in answers} == {200}
    await whole(desk)


class TestPoison:
    """Work that raises is our fault, and nobody else's."""

    async def test_fails_alone(self, desk: Desk, address: Address) -> None:
        await desk.open(capacity=10)
        works = [a_request(desk, address()) for _ in range(20)]
        works[7] = poison
        answers = await together(desk, works)
        assert [status for status, _ in answers] == [200] * 7 + [500] + [200] * 3 + [409] * 9
        assert answers[7][1]["type"].endswith(":unexpected")
        assert "of its own making" not in str(answers[7][1])
        await whole(desk)

    async def test_leaves_nothing_of_what_it_began(self, desk: Desk, address: Address) -> None:
        await desk.open(capacity=10)
        began = a_request(desk, address())

        def begins_and_fails(batch: Batch) -> Answer:
            began(batch)
            batch.add_outcome("demo", "outcome.demo.accepted", "o1", b"{}")
            raise ValueError("half way")

        before = await desk.count("people")
        answers = await together(desk, [a_request(desk, address()), begins_and_fails, a_request(desk, address())])
        assert [status for status, _ in answers] == [200, 500, 200]
        assert (await desk.state()).confirmed == 2
        assert await desk.count("people") == before + 2
        assert await desk.count("enrolments") == 2
        assert await desk.count("outcomes") == 0
        await whole(desk)

    async def test_may_be_a_row_that_the_database_does_not_take(self, desk: Desk, address: Address) -> None:
        await desk.open()

        def same_enrolment_twice(batch: Batch) -> Answer:
            for _ in range(2):
                batch.add_enrolment("twice", "ontmoeting", "staff", None)
            return Answer(200, b"{}")

        answers = await together(desk, [a_request(desk, address()), same_enrolment_twice, a_request(desk, address())])
        assert [status for status, _ in answers] == [200, 500, 200]
        await whole(desk)

    async def test_alone_in_its_batch_is_told_so_too(self, desk: Desk) -> None:
        assert (await desk.ask(poison))[0] == 500

    async def test_is_not_remembered_under_its_id(self, desk: Desk) -> None:
        key = Key("staff", "k1", b"digest")
        assert (await desk.ask(poison, key))[0] == 500
        assert (await desk.ask(lambda _batch: Answer(200, b"{}"), key))[0] == 200

    async def test_many_of_them_cost_one_more_transaction(self, desk: Desk, address: Address) -> None:
        await desk.open()
        said: list[str] = []
        await desk.database.run(lambda raw: raw.set_trace_callback(said.append))
        works = [poison if number % 2 else a_request(desk, address()) for number in range(60)]
        answers = await together(desk, works)
        await desk.database.run(lambda raw: raw.set_trace_callback(None))
        assert [status for status, _ in answers] == [200, 500] * 30
        assert said.count("BEGIN IMMEDIATE") == 2
        await whole(desk)


class TestStorageThatFails:
    """Everybody is told to try again, nothing has happened, and all goes on when the cause is gone."""

    async def _all_try_again(self, desk: Desk, address: Address) -> None:
        before = await desk.log()
        people = await desk.count("people")
        answers = await together(desk, [a_request(desk, address()) for _ in range(10)])
        assert [(status, answer["type"]) for status, answer in answers] == [
            (503, "urn:deelname:problem:try-again")
        ] * 10
        assert await desk.log() == before
        assert await desk.count("people") == people

    async def _all_well(self, desk: Desk, address: Address) -> None:
        answers = await together(desk, [a_request(desk, address()) for _ in range(10)])
        assert {status for status, _ in answers} == {200}
        await whole(desk)

    async def test_because_a_trigger_refuses(self, desk: Desk, address: Address) -> None:
        await desk.open()
        refuse = "CREATE TRIGGER refuse BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'no'); END"
        await desk.database.run(lambda raw: raw.execute(refuse))
        await self._all_try_again(desk, address)
        await desk.database.run(lambda raw: raw.execute("DROP TRIGGER refuse"))
        await self._all_well(desk, address)

    async def test_because_the_disk_is_full(self, desk: Desk, address: Address) -> None:
        await desk.open()

        def fill(raw: sqlite3.Connection) -> None:
            (pages,) = raw.execute("PRAGMA page_count").fetchone()
            raw.execute(f"PRAGMA max_page_count = {pages}")

        await desk.database.run(fill)
        works = [a_request(desk, address()) for _ in range(500)]
        answers = await together(desk, works)
        assert {status for status, _ in answers} == {503}
        assert (await desk.state()).confirmed == 0
        await desk.database.run(lambda raw: raw.execute("PRAGMA max_page_count = 1000000"))
        await self._all_well(desk, address)

    async def test_because_the_commit_fails(self, desk: Desk, address: Address) -> None:
        """A foreign key that is looked at when everything has been decided and written."""
        await desk.open()

        def break_commits(raw: sqlite3.Connection) -> None:
            raw.execute("CREATE TABLE a (id PRIMARY KEY)")
            raw.execute("CREATE TABLE b (id REFERENCES a DEFERRABLE INITIALLY DEFERRED)")
            raw.execute("CREATE TRIGGER fail AFTER INSERT ON log BEGIN INSERT INTO b VALUES (1); END")

        await desk.database.run(break_commits)
        await self._all_try_again(desk, address)
        assert (await desk.state()).confirmed == 0
        await desk.database.run(lambda raw: raw.execute("DROP TRIGGER fail"))
        await self._all_well(desk, address)

    async def test_because_it_may_only_be_read(self, desk: Desk, address: Address) -> None:
        await desk.open()
        await desk.database.run(lambda raw: raw.execute("PRAGMA query_only = ON"))
        await self._all_try_again(desk, address)
        await desk.database.run(lambda raw: raw.execute("PRAGMA query_only = OFF"))
        await self._all_well(desk, address)

    async def test_because_somebody_holds_it_costs_one_wait_and_not_one_a_request(
        self, desk: Desk, address: Address, database_path: Path
    ) -> None:
        await desk.open()
        await desk.database.run(lambda raw: raw.execute("PRAGMA busy_timeout = 200"))
        other = sqlite3.connect(database_path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        begun = asyncio.get_running_loop().time()
        await self._all_try_again(desk, address)
        assert asyncio.get_running_loop().time() - begun < 1.5
        other.execute("ROLLBACK")
        other.close()
        await self._all_well(desk, address)


class TestIds:
    """The same id and content gets the same answer, for ever, and nothing happens twice."""

    async def test_again(self, desk: Desk) -> None:
        await desk.open(capacity=1, waiting_list=IN_ORDER)
        first = await desk.request("noor@x.example", id="k1")
        log = await desk.log()
        assert await desk.request("noor@x.example", id="k1") == first
        assert await desk.log() == log

    async def test_again_with_other_content_is_refused(self, desk: Desk) -> None:
        await desk.open()
        await desk.request("noor@x.example", id="k1")
        status, problem = await desk.request("sam@x.example", id="k1")
        assert (status, problem["type"]) == (409, "urn:deelname:problem:id-reused")
        assert (await desk.state()).confirmed == 1

    async def test_in_one_batch(self, desk: Desk) -> None:
        await desk.open()
        keys = [
            Key("staff", "k1", b"one"),
            Key("staff", "k1", b"one"),
            Key("staff", "k1", b"other"),
            Key("demo", "k1", b"x"),
        ]
        works = [a_request(desk, f"{name}@x.example") for name in ("noor", "noor", "sam", "eva")]
        first, again, other, elsewhere = await together(desk, works, list(keys))
        assert again == first
        assert (other[0], elsewhere[0]) == (409, 200)
        assert (await desk.state()).confirmed == 2

    async def test_of_a_refusal_gets_the_refusal_again(self, desk: Desk) -> None:
        await desk.open(capacity=1)
        _, first = await desk.request("noor@x.example")
        refusal = await desk.request("sam@x.example", id="k2")
        assert rules_of(refusal[1]) == ["full"]
        await desk.withdraw(first["enrolment"])
        assert await desk.request("sam@x.example", id="k2") == refusal

    async def test_survives_a_restart(self, database_path: Path) -> None:
        async with desk_at(database_path) as desk:
            await desk.open()
            first = await desk.request("noor@x.example", id="k1")
        async with desk_at(database_path) as desk:
            assert await desk.request("noor@x.example", id="k1") == first


class TestTwoWriters:
    """Two processes on one database by mistake: slower, and never wrong."""

    async def test_interleaved_leave_no_gap_and_lose_nothing(self, database_path: Path, address: Address) -> None:
        async with desk_at(database_path) as one, desk_at(database_path) as two:
            await one.open(capacity=7)
            answers = []
            for _ in range(5):
                answers += [await one.request(address()), await two.request(address())]
            assert [status for status, _ in answers] == [200] * 7 + [409] * 3
            # The one that wrote last; the other learns of it when it writes next.
            await whole(two)
            assert (await one.stored()).confirmed == 7

    async def test_a_conflict_that_does_not_end_is_told_as_try_again(self, desk: Desk, address: Address) -> None:
        await desk.open()

        def behind_our_back(batch: Batch) -> Answer:
            entry = store.LOG.read(batch.connection, 0, 1)[0]
            head = store.LOG.head(batch.connection)
            answer = a_request(desk, address())(batch)
            batch.connection.execute(
                "INSERT INTO log (position, programme, version, subject, id, body) VALUES (?, 'other', ?, 's', 'i', ?)",
                (head + 1, head + 1, entry.body),
            )
            return answer

        assert (await desk.ask(behind_our_back))[0] == 503
        await whole(desk)


async def test_an_answer_that_cannot_be_given_keeps_nobody_from_theirs(desk: Desk, address: Address) -> None:
    await desk.open()

    def hung_up(_answer: Answer) -> None:
        raise ConnectionResetError

    desk.writer.submit(a_request(desk, address()), hung_up)
    assert (await desk.request(address()))[0] == 200
    assert (await desk.state()).confirmed == 2


async def test_who_comes_behind_too_many_is_told_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_WAITING", 5)
    monkeypatch.setattr(writer, "LARGEST_BATCH", 10)
    answers = await together(desk, [lambda _batch: Answer(200, b"{}")] * 30)
    assert [status for status, _ in answers] == [200] * 15 + [503] * 15


async def test_two_hundred_at_once_for_ten_places_is_ten(desk: Desk, address: Address) -> None:
    await desk.open(capacity=10)
    answers = await together(desk, [a_request(desk, address()) for _ in range(200)])
    assert [status for status, _ in answers].count(200) == 10
    assert (await desk.stored()).confirmed == 10


async def test_finishing_answers_everybody_first(desk: Desk, address: Address) -> None:
    await desk.open()
    answers: list[Answer] = []

    def then(answer: Answer) -> None:
        answers.append(answer)

    for _ in range(10):
        desk.writer.submit(a_request(desk, address()), then)
    await desk.writer.finish()
    assert [answer.status for answer in answers] == [200] * 10


async def test_questions_are_answered_between_batches(database_path: Path) -> None:
    """A question never sees half a batch: it runs on the same thread, before or after."""
    async with desk_at(database_path) as desk:
        await desk.open()
        seen: list[int] = []

        def look(batch: Batch) -> Answer:
            seen.append(batch.programme("ontmoeting").confirmed)
            return Answer(204, b"")

        works = [a_request(desk, f"p{number}@x.example") for number in range(50)]
        await asyncio.gather(together(desk, works), *(desk.writer.read(look) for _ in range(20)))
        assert set(seen) <= {0, 50}


async def test_a_writer_that_is_cancelled_ends(desk: Desk) -> None:
    other = Writer(desk.database)
    async with working(other):
        await other.finish()
