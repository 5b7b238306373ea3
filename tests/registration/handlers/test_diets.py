"""What people do not eat: kept beside the log, for the lunch alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from contracts.commands import AddParticipant, ChangeParticipant
from contracts.enrolment import ParticipantRequest, Person
from contracts.queries import PersonQuestion, ProgrammeQuestion
from services.registration.handlers import enrolments, queries
from tests.registration.conftest import Desk
from tests.registration.domain.given import SESSION

LUNCH = SESSION.model_copy(update={"lunch": True})
DIET = "geen hazelnoten"


def eats(name: str, diet: str | None) -> ParticipantRequest:
    return ParticipantRequest(person=Person(name=name.title(), email=f"{name}@x.example"), diet=diet)


async def lunches(desk: Desk) -> list[dict[str, Any]]:
    question = ProgrammeQuestion(programme="ontmoeting")
    answer = await desk.writer.read(lambda batch: queries.lunch_list(batch, question, desk.now))
    return list(json.loads(answer.body)["lunches"])


async def test_staff_see_who_of_those_with_a_place_eats_what(desk: Desk) -> None:
    await desk.open(sessions=(LUNCH,), capacity=3)
    _, made = await desk.request(eats("noor", DIET), eats("sam", None))
    joining = eats("eva", "vegetarisch")
    add = AddParticipant(enrolment=made["enrolment"], participant=joining)
    assert (await desk.ask(enrolments.add_participant(add, joining, desk.arrival())))[0] == 200

    (lunch,) = await lunches(desk)
    assert (lunch["session"], lunch["people"]) == ("bijeenkomst", 3)
    assert {one["name"]: one["diet"] for one in lunch["diets"]} == {"Noor": DIET, "Eva": "vegetarisch"}
    export = await desk.writer.read(lambda batch: queries.person_export(batch, PersonQuestion(email="noor@x.example")))
    assert json.loads(export.body)["diets"] == {"ontmoeting": DIET}
    desk.now = datetime(2023, 4, 13, 14, 0, tzinfo=UTC)
    assert await lunches(desk) == []


async def test_staff_can_say_later_what_somebody_or_who_replaces_them_does_not_eat(desk: Desk) -> None:
    await desk.open(sessions=(LUNCH,), capacity=3)
    _, made = await desk.request(eats("noor", DIET), eats("sam", None))

    async def change(email: str, diet: str, replacement: Person | None = None) -> None:
        who = ChangeParticipant(enrolment=made["enrolment"], email=email)
        work = enrolments.change_participant(
            who, desk.arrival(), who=who, seat=None, role=None, replacement=replacement, diet=diet
        )
        assert (await desk.ask(work))[0] == 200

    await change("noor@x.example", "geen noten")
    await change("sam@x.example", "geen vlees", Person(name="Eva", email="eva@x.example"))
    (lunch,) = await lunches(desk)
    assert {one["name"]: one["diet"] for one in lunch["diets"]} == {"Noor": "geen noten", "Eva": "geen vlees"}


async def test_no_fact_and_no_answer_says_it(desk: Desk) -> None:
    await desk.open(sessions=(LUNCH,))
    await desk.request(eats("noor", DIET), id="r-1")
    tables = await desk.database.run(
        lambda raw: [
            table
            for (table,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            if any(DIET in str(row).replace("\\\\", "") for row in raw.execute(f"SELECT * FROM {table}").fetchall())
        ]
    )
    assert tables == ["particulars"]


async def test_it_is_not_kept_where_nobody_eats_or_nobody_comes(desk: Desk) -> None:
    await desk.open(sessions=(SESSION,))
    await desk.request(eats("noor", DIET))
    assert await desk.count("particulars") == 0
    await desk.open(sessions=(LUNCH,))
    await desk.request(eats("sam", DIET), organisation="nergens")
    assert await desk.count("particulars") == 0
