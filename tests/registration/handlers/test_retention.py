"""Who is let go, and when, through the writer and on a real database."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.commands import AddParticipant, ChangeParticipant, WithdrawParticipant, WithdrawProgramme
from contracts.enrolment import ParticipantRequest, Person
from contracts.programme import WaitingList
from contracts.queries import PeopleExpiringQuestion
from services.registration.batch import Batch
from services.registration.domain.retention import Terms
from services.registration.handlers import enrolments, programmes, retention
from services.registration.handlers.retention import Retention
from services.registration.store import Answer, terms
from tests.conftest import NOW
from tests.registration.conftest import Desk, asking
from tests.registration.domain.given import SESSION, programme

TERMS = Terms(people=timedelta(days=400), others=timedelta(days=30))
END = datetime(2023, 4, 13, 14, 0, tzinfo=UTC)
UNDATED = SESSION.model_copy(update={"start": None, "end": None})
MOMENT = timedelta(microseconds=1)


def local(text: str) -> datetime:
    """A local time in Amsterdam, as programmes have it."""
    return datetime.fromisoformat(text)


@pytest.fixture
def keeping(desk: Desk) -> Retention:
    return Retention(desk.writer, lambda: desk.now, TERMS)


async def known(desk: Desk) -> set[str]:
    """The addresses that the people table holds."""
    rows = await desk.database.run(lambda raw: raw.execute("SELECT email FROM people").fetchall())
    return {email.partition("@")[0] for (email,) in rows}


async def erasures(desk: Desk) -> list[dict[str, Any]]:
    rows = await desk.database.run(
        lambda raw: raw.execute("SELECT body FROM log WHERE instr(body, 'person.erased.v1')").fetchall()
    )
    return [json.loads(body)["data"] for (body,) in rows]


async def test_who_took_part_is_let_go_when_the_programmes_term_has_passed(desk: Desk, keeping: Retention) -> None:
    await desk.open()
    _, answer = await desk.request("noor@x.example")
    (noor,) = (await desk.state()).enrolments[answer["enrolment"]].participants

    await keeping.let_go(END + timedelta(days=400) - MOMENT)
    assert await known(desk) == {"noor"}
    await keeping.let_go(END + timedelta(days=400))
    assert await known(desk) == set()

    assert await erasures(desk) == [{"person": noor.person, "cause": "term-passed"}]
    # What was counted stays counted.
    assert (await desk.state()).enrolments[answer["enrolment"]].status == "confirmed"


async def test_who_was_refused_or_withdrew_is_let_go_sooner(desk: Desk, keeping: Retention) -> None:
    await desk.open(capacity=1, waiting_list=WaitingList())
    await desk.request("noor@x.example")
    _, waits = await desk.request("sam@x.example")
    _, left = await desk.request("eva@x.example")
    await desk.request("liv@x.example", organisation="nergens")
    await desk.withdraw(left["enrolment"])

    await keeping.let_go(NOW + timedelta(days=30))
    assert await known(desk) == {"noor", "sam"}
    await keeping.let_go(END + timedelta(days=400))
    assert await known(desk) == set()
    # It is over: how many waited in vain stays as it was.
    assert (await desk.state()).enrolments[waits["enrolment"]].status == "waiting"


async def test_nobody_waits_on_after_having_been_let_go_for_what_may_still_begin(
    desk: Desk, keeping: Retention
) -> None:
    await desk.open(capacity=1, waiting_list=WaitingList(), sessions=(UNDATED,), closes=local("2023-03-10T12:00"))
    await desk.request("noor@x.example")
    _, waits = await desk.request("sam@x.example")
    await keeping.let_go(NOW + timedelta(days=500))
    assert await known(desk) == set()
    assert (await desk.state()).enrolments[waits["enrolment"]].status == "withdrawn"


async def test_a_programme_may_have_a_shorter_term(desk: Desk, keeping: Retention) -> None:
    await desk.open(keep_people_days=7)
    await desk.request("noor@x.example")
    await keeping.let_go(END + timedelta(days=7) - MOMENT)
    assert await known(desk) == {"noor"}
    await desk.publish(programme(keep_people_days=2))
    await keeping.let_go(END + timedelta(days=2))
    assert await known(desk) == set()


async def test_nobody_is_let_go_while_an_end_is_not_known(desk: Desk, keeping: Retention) -> None:
    await desk.open(sessions=(UNDATED,))
    await desk.request("noor@x.example")
    await keeping.let_go(NOW + timedelta(days=4000))
    assert await known(desk) == {"noor"}
    # Then a date is known, and later it is another one.
    await desk.publish(programme(sessions=(SESSION,)))
    moved = SESSION.model_copy(update={"start": local("2023-05-13T14:00"), "end": local("2023-05-13T16:00")})
    await desk.publish(programme(sessions=(moved,)))
    await keeping.let_go(END + timedelta(days=429))
    assert await known(desk) == {"noor"}
    await keeping.let_go(END + timedelta(days=430))
    assert await known(desk) == set()


async def test_a_withdrawn_programmes_term_runs_from_its_withdrawal(desk: Desk, keeping: Retention) -> None:

    await desk.open(sessions=(UNDATED,))
    await desk.request("noor@x.example")
    await desk.ask(programmes.withdraw(WithdrawProgramme(programme="ontmoeting"), desk.now))
    await keeping.let_go(NOW + timedelta(days=400) - MOMENT)
    assert await known(desk) == {"noor"}
    await keeping.let_go(NOW + timedelta(days=400))
    assert await known(desk) == set()


async def test_who_came_again_is_known_for_longer(desk: Desk, keeping: Retention) -> None:
    await desk.open()
    await desk.request("noor@x.example")
    again = programme(sessions=(UNDATED,)).model_copy(update={"id": "nog-eens"})
    await desk.publish(again)
    await keeping.let_go(NOW)  # the fold has read so far
    await desk.request("noor@x.example", programme="nog-eens")
    await keeping.let_go(END + timedelta(days=4000))
    assert await known(desk) == {"noor"}


async def test_who_comes_back_in_the_same_transaction_is_not_let_go(desk: Desk) -> None:
    """The request is decided and not yet written when the one who asked is about to be erased."""
    await desk.open()
    await desk.request("noor@x.example")
    await desk.publish(programme(sessions=(UNDATED,)).model_copy(update={"id": "nog-eens"}))
    (noor,) = await desk.database.run(lambda raw: [row[0] for row in raw.execute("SELECT person FROM people")])

    request = enrolments.request(asking("noor@x.example", programme="nog-eens"), desk.arrival())

    def both(batch: Batch) -> Answer:
        assert request(batch).status == 200
        return retention._erase(batch, [noor], END + timedelta(days=4000), TERMS)

    assert (await desk.writer.perform(both)).body == b"0"
    assert await known(desk) == {"noor"}


async def test_who_comes_after_having_been_let_go_is_somebody_new(desk: Desk, keeping: Retention) -> None:
    await desk.open()
    _, first = await desk.request("noor@x.example")
    await keeping.let_go(END + timedelta(days=400))
    await desk.publish(programme(sessions=(UNDATED,)).model_copy(update={"id": "nog-eens"}))
    _, second = await desk.request("noor@x.example", programme="nog-eens")
    (was,) = (await desk.state()).enrolments[first["enrolment"]].participants
    (is_,) = (await desk.state("nog-eens")).enrolments[second["enrolment"]].participants
    assert was.person != is_.person


async def test_people_who_join_are_replaced_or_leave_are_followed(desk: Desk, keeping: Retention) -> None:

    await desk.open()
    _, made = await desk.request("noor@x.example", "sam@x.example")
    about = {"enrolment": made["enrolment"]}
    joining = ParticipantRequest(person=Person(name="Eva", email="eva@x.example"))
    await desk.ask(enrolments.add_participant(AddParticipant(**about, participant=joining), joining, desk.arrival()))
    liv = Person(name="Liv", email="liv@x.example")
    change = ChangeParticipant(**about, email="sam@x.example", replacement=liv)
    replace = enrolments.change_participant(change, desk.arrival(), who=change, seat=None, role=None, replacement=liv)
    await desk.ask(replace)
    leave = WithdrawParticipant(**about, email="noor@x.example")
    await desk.ask(enrolments.withdraw_participant(leave, desk.arrival(), who=leave))

    await keeping.let_go(NOW + timedelta(days=30))
    assert await known(desk) == {"eva", "liv"}
    await keeping.let_go(END + timedelta(days=400))
    assert await known(desk) == set()


async def test_many_are_let_go_a_few_at_a_time(desk: Desk, keeping: Retention, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "FACTS_AT_ONCE", 7)
    monkeypatch.setattr(retention, "PEOPLE_AT_ONCE", 4)
    monkeypatch.setattr(retention, "GO_AT_ONCE", 3)
    await desk.open()
    for number in range(20):
        await desk.request(f"p{number}@x.example")
    await keeping.let_go(END + timedelta(days=400))
    assert await known(desk) == set()
    assert len(await erasures(desk)) == 20
    # A second look, as after a restart, finds nothing more to do.
    before = await desk.log()
    await Retention(desk.writer, lambda: desk.now, TERMS).let_go(END + timedelta(days=500))
    assert await desk.log() == before


async def test_it_looks_once_an_hour_of_the_services_clock(desk: Desk, keeping: Retention) -> None:
    await desk.open()
    await desk.request("noor@x.example", organisation="nergens")
    await keeping.look()
    desk.now += timedelta(days=30)
    await keeping.look()
    assert await known(desk) == set()


async def test_staff_see_who_will_be_let_go_and_when(desk: Desk, keeping: Retention) -> None:
    await desk.open()
    await desk.request("noor@x.example")
    await desk.request("liv@x.example", organisation="nergens")
    await desk.publish(programme(sessions=(UNDATED,)).model_copy(update={"id": "ooit"}))
    await desk.request("sam@x.example", programme="ooit")

    soon = await keeping.expiring(PeopleExpiringQuestion(within_days=30))
    assert [(one.contact and one.contact.email, one.until) for one in soon.people] == [
        ("liv@x.example", NOW + timedelta(days=30))
    ]
    assert (soon.total, soon.undecided) == (1, 1)
    later = await keeping.expiring(PeopleExpiringQuestion(within_days=1000, limit=1))
    assert (len(later.people), later.total) == (1, 2)
    assert later.people[0].programmes == ("ontmoeting",)


async def test_what_was_said_for_a_programme_goes_with_its_own_term_and_with_the_person(
    desk: Desk, keeping: Retention
) -> None:
    lunch = SESSION.model_copy(update={"lunch": True})
    await desk.open(sessions=(lunch,))
    await desk.request("noor@x.example")
    await desk.request("sam@x.example")
    ids = await desk.database.run(lambda raw: dict(raw.execute("SELECT email, person FROM people").fetchall()))

    def tell(raw: Any) -> None:
        for person in ids.values():
            terms.say(raw, person, "ontmoeting", "diet", "geen noten")

    await desk.database.transact(tell)
    await desk.erase("sam@x.example")
    assert await desk.count("particulars") == 1
    await keeping.let_go(datetime(2023, 4, 13, 22, 0, tzinfo=UTC) - MOMENT)
    assert await desk.count("particulars") == 1
    await keeping.let_go(datetime(2023, 4, 13, 22, 0, tzinfo=UTC))
    assert await desk.count("particulars") == 0
    assert await known(desk) == {"noor"}
