"""Changes that would mail many people need a confirmation."""

from __future__ import annotations

from typing import Any

from contracts.commands import PublishProgramme, WithdrawProgramme
from contracts.programme import Programme
from services.registration.handlers import digest, programmes
from services.registration.work import Key
from tests.registration.conftest import Desk
from tests.registration.domain.given import SESSION, programme
from tests.registration.domain.test_telling import moved

MOVED = programme(sessions=(moved(SESSION, 1),))


async def publish(desk: Desk, definition: Programme, **more: Any) -> tuple[int, dict[str, Any]]:
    body = PublishProgramme(programme=definition, **more)
    key = Key("staff", body.id, digest(body, "PublishProgramme")) if body.id else None
    return await desk.ask(programmes.publish(body, desk.now, 2), key)


async def test_a_change_that_would_mail_many_is_done_once_it_is_confirmed(desk: Desk) -> None:
    await desk.open()
    await desk.request("noor@x.example", "sam@x.example")
    await desk.request("eva@x.example")
    before = await desk.log()

    status, problem = await publish(desk, MOVED)
    assert (status, problem["type"]) == (409, "urn:deelname:problem:needs-confirmation")
    assert problem["detail"].startswith("This would mail 3 people in 2 enrolments.")
    assert [fault["detail"] for fault in problem["errors"]] == ["session.moved (bijeenkomst): 3 people"]
    assert await desk.log() == before

    status, answer = await publish(desk, MOVED, confirmed=True)
    assert (status, answer["facts"]) == (200, ["session.moved.v1"])


async def test_a_question_is_not_the_answer_for_ever(desk: Desk) -> None:
    """The same id, confirmed, is done; done, it is answered the same whether it says confirmed or not."""
    await desk.open()
    await desk.request("noor@x.example", "sam@x.example", "eva@x.example")
    assert (await publish(desk, MOVED, id="change-1"))[0] == 409
    assert (await publish(desk, MOVED, id="change-1"))[0] == 409
    done = await publish(desk, MOVED, id="change-1", confirmed=True)
    assert done[0] == 200
    after = await desk.log()
    assert await publish(desk, MOVED, id="change-1") == done
    assert await publish(desk, MOVED, id="change-1", confirmed=True) == done
    assert await desk.log() == after
    status, problem = await publish(desk, programme(), id="change-1", confirmed=True)
    assert (status, problem["type"]) == (409, "urn:deelname:problem:id-reused")


async def test_a_change_that_mails_few_or_nobody_needs_none(desk: Desk) -> None:
    await desk.open()
    await desk.request("noor@x.example", "sam@x.example")
    assert (await publish(desk, MOVED))[0] == 200
    await desk.request("eva@x.example")
    words = MOVED.model_copy(update={"page": "https://x.example/"})
    assert (await publish(desk, words))[0] == 200
    assert (await publish(desk, words))[1]["facts"] == []


async def test_withdrawing_what_many_are_in_needs_one(desk: Desk) -> None:
    await desk.open()
    await desk.request("noor@x.example", "sam@x.example", "eva@x.example")
    body = WithdrawProgramme(programme="ontmoeting")
    status, problem = await desk.ask(programmes.withdraw(body, desk.now, 2))
    assert (status, problem["errors"][0]["detail"]) == (409, "programme.withdrawn: 3 people")
    assert not (await desk.state()).withdrawn
    confirmed = body.model_copy(update={"confirmed": True})
    assert (await desk.ask(programmes.withdraw(confirmed, desk.now, 2)))[0] == 200
    # Withdrawn already: nobody hears of it again.
    assert (await desk.ask(programmes.withdraw(body, desk.now, 2)))[0] == 200
