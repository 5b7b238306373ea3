"""Three hundred requests at once for twenty places, while places are given back."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from deploy.broker import ServerKind
from tests.system.world import Answer, Json, World, enrolment, organisation, person, programme, session, started

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

ID = "rush"
CAPACITY = 20
REQUESTS = 300
WITHDRAWALS = 25


@dataclass
class Rush:
    """What came of it."""

    world: World
    facts: list[Json] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    sent_by_partners: dict[str, str] = field(default_factory=dict)


def _asked(number: int) -> Json:
    # Every tenth is the person before, once more, in other letters: by another way, and at the same time.
    number -= number % 10 == 9
    return enrolment(ID, person("Noor de Wit", f"Person-{number}@People.example"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def rush(server: ServerKind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rush]:
    async with started(tmp_path_factory.mktemp("rush"), server, partners=("demo", "school")) as world:
        await world.staff.register(organisation("bisc"))
        await world.staff.publish(
            programme(ID, sessions=[session("only", 8)], capacity=CAPACITY, waiting_list={"policy": "in-order"})
        )
        told = Rush(world)
        confirmed: asyncio.Queue[str] = asyncio.Queue()
        http = asyncio.Semaphore(6)

        offered: set[str] = set()

        def has_a_place(enrolment: str) -> None:
            # Some are seen twice: in their outcome, and by whoever looks who has a place.
            if enrolment not in offered:
                offered.add(enrolment)
                confirmed.put_nowait(enrolment)

        async def note(answering: Awaitable[Answer]) -> None:
            answer = await answering
            told.answers.append(answer)
            if answer.body.get("status") == "confirmed":
                has_a_place(answer.body["enrolment"])

        async def by_web(number: int) -> Answer:
            async with http:
                return await world.web.enrol(_asked(number))

        async def by_partner(number: int) -> None:
            partner = list(world.partners.values())[number % 2]
            id_ = f"request-{number}"
            told.sent_by_partners[id_] = partner.name
            assert (await partner.enrol(id_, _asked(number))).certainty == "done"

        async def withdraw() -> None:
            for _ in range(WITHDRAWALS):
                await world.staff.do("do.registration.enrolment.withdraw", {"enrolment": await confirmed.get()})

        def ask(number: int) -> Awaitable[None]:
            match number % 3:
                case 0:
                    return note(world.staff.attempt("do.registration.enrolment.request", _asked(number)))
                case 1:
                    return note(by_web(number))
                case _:
                    return by_partner(number)

        # Partners' places are given back as well, once their outcomes say what they are called.
        async def partners_places() -> None:
            while True:
                for outcome in [each for partner in world.partners.values() for each in partner.outcomes]:
                    if outcome["data"].get("status") == "confirmed":
                        has_a_place(outcome["data"]["enrolment"])
                await asyncio.sleep(0.02)

        looking = asyncio.create_task(partners_places())
        withdrawing = asyncio.create_task(withdraw())
        await asyncio.gather(*(ask(number) for number in range(REQUESTS)))
        # Promoted people are told by mail only; once nobody new is confirmed, it is they who give places back.
        while not withdrawing.done():
            for view in await world.staff.enrolments(ID):
                if view["status"] == "confirmed" and confirmed.empty():
                    has_a_place(view["enrolment"])
            await asyncio.sleep(0.02)
        looking.cancel()
        await asyncio.gather(looking, withdrawing, return_exceptions=True)
        withdrawing.result()
        await world.settled()
        told.facts = [fact for fact in await world.staff.facts() if fact["subject"] == ID]
        yield told


async def test_everybody_has_an_answer_and_a_status(rush: Rush) -> None:
    assert {answer.certainty for answer in rush.answers} <= {"done", "refused"}
    refused = [answer for answer in rush.answers if answer.certainty == "refused"]
    assert all(answer.rules == {"already-enrolled"} for answer in refused)
    assert len(rush.answers) + len(rush.sent_by_partners) == REQUESTS
    for id_, name in rush.sent_by_partners.items():
        (outcome,) = rush.world.partners[name].answers(id_)
        assert outcome["type"] in ("outcome.accepted.v1", "outcome.refused.v1")
    views = await rush.world.staff.enrolments(ID)
    assert len(views) == REQUESTS
    assert {view["status"] for view in views} == {"confirmed", "waiting", "withdrawn", "refused"}


async def test_at_no_moment_had_more_people_a_place_than_there_are(rush: Rush) -> None:
    held: set[str] = set()
    most = 0
    for fact in rush.facts:
        if fact["type"] in ("enrolment.confirmed.v1", "enrolment.promoted.v1"):
            assert fact["data"]["enrolment"] not in held
            held.add(fact["data"]["enrolment"])
        elif fact["type"] == "enrolment.withdrawn.v1":
            held.discard(fact["data"]["enrolment"])
        most = max(most, len(held))
    assert most == CAPACITY
    standing = Counter(view["status"] for view in await rush.world.staff.enrolments(ID))
    assert standing["confirmed"] == CAPACITY == len(held)
    assert standing["withdrawn"] == WITHDRAWALS


async def test_whoever_waits_longest_is_promoted_first(rush: Rush) -> None:
    waiting: list[str] = []
    promoted = free = 0
    for fact in rush.facts:
        id_ = fact["data"].get("enrolment")
        if fact["type"] == "enrolment.waitlisted.v1":
            waiting.append(id_)
            assert fact["data"]["place"] == len(waiting)
        elif fact["type"] == "enrolment.withdrawn.v1":
            assert fact["data"]["before"] == "confirmed"
            free += 1
        elif fact["type"] == "enrolment.promoted.v1":
            assert waiting.pop(0) == id_
            assert fact["data"]["reason"]["nl"]
            promoted += 1
            free -= 1
        elif fact["type"] == "enrolment.confirmed.v1":
            assert not waiting, "somebody passed those who wait"
            free -= 1
    assert promoted > 0
    assert free == -CAPACITY
    views = await rush.world.staff.enrolments(ID)
    assert [view["enrolment"] for view in views if view["status"] == "waiting"] == waiting


async def test_nobody_is_in_it_twice(rush: Rush) -> None:
    entered = Counter(
        each["person"]
        for fact in rush.facts
        if fact["type"] in ("enrolment.confirmed.v1", "enrolment.waitlisted.v1")
        for each in fact["data"]["participants"]
    )
    withdrawn_first = {
        each["person"]
        for view in await rush.world.staff.enrolments(ID)
        if view["status"] == "withdrawn"
        for each in view["participants"]
    }
    # Whoever has left may come back; nobody else may come twice.
    assert {who for who, times in entered.items() if times > 1} <= withdrawn_first
    assert len(entered) == REQUESTS * 9 // 10


async def test_versions_and_positions_have_no_gap(rush: Rush) -> None:
    assert [fact["version"] for fact in rush.facts] == list(range(1, len(rush.facts) + 1))
    positions = [fact["position"] for fact in await rush.world.staff.facts()]
    assert positions == list(range(1, len(positions) + 1))


async def test_reports_and_mails_are_as_many_as_there_should_be(rush: Rush) -> None:
    standing = Counter(view["status"] for view in await rush.world.staff.enrolments(ID))
    report = await rush.world.staff.report(ID)
    assert {status: report["counts"][f"units_{status}"] for status in standing} == standing
    mails = rush.world.mails()
    assert len({mail.message_id for mail in mails}) == len(mails) == report["mails_sent"]
    assert report["mails_failed"] == 0
