"""Changes that would mail many people need a confirmation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from contracts.base import Title
from contracts.commands import CloseProgramme, PublishProgramme, WithdrawProgramme
from contracts.enrolment import ParticipantRequest, Person
from contracts.programme import Programme, TeamRule
from services.registration.handlers import programmes
from services.registration.handlers.repetition import digest
from services.registration.work import Key
from tests.registration.conftest import Desk
from tests.registration.domain.given import IN_ORDER, NOW, SEATS, SESSION, programme, track
from tests.registration.domain.test_telling import moved

SECOND = moved(SESSION, 7).model_copy(update={"id": "tweede", "title": Title(nl="Tweede", en="Second")})
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
    (fault,) = problem["errors"]
    assert fault["rule"] == "mails"
    assert fault["detail"] == (
        "‘Meeting’ (bijeenkomst) on Thursday 13 April 2023 at 14:00 (Amsterdam time) "
        "becomes ‘Meeting’ (bijeenkomst) on Friday 14 April 2023 at 14:00 (Amsterdam time): "
        "3 people are mailed the new time."
    )
    assert fault["detail_nl"].endswith(": 3 personen krijgen mail over de nieuwe tijd.")
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
    assert (status, problem["errors"][0]["detail"]) == (409, "The programme is cancelled: 3 people are mailed of that.")
    assert not (await desk.state()).withdrawn
    confirmed = body.model_copy(update={"confirmed": True})
    assert (await desk.ask(programmes.withdraw(confirmed, desk.now, 2)))[0] == 200
    # Withdrawn already: nobody hears of it again.
    assert (await desk.ask(programmes.withdraw(body, desk.now, 2)))[0] == 200


async def slip(desk: Desk, definition: Programme, rule: str) -> dict[str, Any]:
    """A question although one person is concerned; nothing has changed, and a yes does it."""
    before = await desk.log()
    status, problem = await publish(desk, definition)
    assert (status, problem["type"]) == (409, "urn:deelname:problem:needs-confirmation")
    assert problem["errors"][0]["rule"] == rule
    assert "told that it is off" in problem["errors"][0]["detail"]
    assert "niet doorgaat" in problem["errors"][0]["detail_nl"]
    assert "'confirmed'" in problem["detail"]
    assert await desk.log() == before
    assert (await publish(desk, definition, confirmed=True))[0] == 200
    first: dict[str, Any] = problem["errors"][0]
    return first


async def test_who_cancels_a_session_that_somebody_has_is_asked_however_few_they_are(desk: Desk) -> None:
    await desk.open(sessions=(SESSION, SECOND))
    # Nobody has it yet: there is nothing to ask.
    assert (await publish(desk, programme(sessions=(SESSION,))))[0] == 200
    assert (await publish(desk, programme(sessions=(SESSION, SECOND))))[0] == 200
    await desk.request("noor@x.example")
    fault = await slip(desk, programme(sessions=(SESSION,)), "session-off")
    assert fault["detail"].startswith(
        "‘Second’ (tweede) on Thursday 20 April 2023 at 14:00 (Amsterdam time) is no longer in the definition"
    )


async def test_who_puts_a_session_into_the_past_is_asked(desk: Desk) -> None:
    await desk.open()
    await desk.request("noor@x.example")
    fault = await slip(desk, programme(sessions=(moved(SESSION, -365),)), "session-in-the-past")
    assert "13 April 2022" in fault["detail"]


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"id": "bijeenkmst"}, "title and time"),
        ({"id": "bijeenkmst", "title": Title(nl="Anders", en="Other")}, "time"),
        ({"id": "bijeenkmst", "start": datetime(2023, 4, 20, 9), "end": datetime(2023, 4, 20, 10)}, "title"),  # noqa: DTZ001
    ],
)
async def test_who_mistypes_the_id_of_a_session_is_asked_whether_it_is_the_same(
    desk: Desk, other: dict[str, Any], same: str
) -> None:
    await desk.open()
    await desk.request("noor@x.example")
    fault = await slip(desk, programme(sessions=(SESSION.model_copy(update=other),)), "session-renamed")
    assert f"is missing, and bijeenkmst has the same {same}. Did you mean the same session?" in fault["detail"]
    assert "invited anew" in fault["detail"]


async def test_what_is_over_can_go_without_a_question(desk: Desk) -> None:
    await desk.open(sessions=(SESSION, SECOND))
    await desk.request("noor@x.example")
    desk.now = NOW.replace(month=4, day=14)
    assert (await publish(desk, programme(sessions=(SECOND,))))[0] == 200


async def test_a_dry_run_says_what_would_happen_and_changes_nothing(desk: Desk) -> None:
    await desk.open(sessions=(SESSION, SECOND))
    await desk.request("noor@x.example", "sam@x.example", "eva@x.example")
    before = await desk.log()
    new = programme(sessions=(moved(SESSION, 1),), capacity=5)
    status, answer = await publish(desk, new, dry_run=True, id="try")
    assert status == 200
    assert answer["dry_run"] is True
    assert answer["facts"] == ["session.cancelled.v1", "session.moved.v1", "programme.capacity-lowered.v1"]
    assert [one["people"] for one in answer["changes"]] == [3, 3, 0]
    assert answer["people"] == 3
    assert answer["changes"][0]["en"] == (
        "‘Second’ (tweede) on Thursday 20 April 2023 at 14:00 (Amsterdam time) "
        "is cancelled: 3 people are mailed that it is off."
    )
    assert answer["changes"][2]["nl"] == "De capaciteit gaat van geen grens naar 5."
    assert [one["rule"] for one in answer["questions"]] == ["session-off"]
    assert await desk.log() == before
    # The same id still does it.
    done = await publish(desk, new, confirmed=True, id="try")
    assert done[1]["facts"] == answer["facts"]
    assert done[1]["dry_run"] is False
    assert (await publish(desk, new, dry_run=True))[1]["changes"] == []


async def test_a_dry_run_of_a_withdrawal_withdraws_nothing(desk: Desk) -> None:
    await desk.open()
    await desk.request("noor@x.example")
    body = WithdrawProgramme(programme="ontmoeting", dry_run=True)
    status, answer = await desk.ask(programmes.withdraw(body, desk.now, 2))
    assert (status, answer["people"], answer["facts"]) == (200, 1, ["programme.withdrawn.v1"])
    assert not (await desk.state()).withdrawn


async def test_what_can_not_be_published_is_refused_by_a_dry_run_too(desk: Desk) -> None:
    status, problem = await publish(desk, programme().model_copy(update={"organisers": ("vreemd",)}), dry_run=True)
    assert (status, problem["errors"][0]["rule"]) == (409, "organisation-unknown")


async def test_a_session_that_is_over_when_it_is_published_is_noted(desk: Desk) -> None:
    await desk.register()
    _, answer = await publish(desk, programme(sessions=(SESSION, moved(SECOND, -365))))
    (note,) = answer["notes"]
    assert note["rule"] == "session-in-the-past"
    assert (
        note["en"]
        == "This session lies in the past: ‘Second’ (tweede) on Wednesday 20 April 2022 at 14:00 (Amsterdam time). "
        "Nobody is invited to it."
    )
    assert note["nl"].startswith("Deze bijeenkomst ligt in het verleden: ‘Tweede’")


async def test_publishing_says_whom_new_rules_would_not_let_in_and_that_they_stay(desk: Desk) -> None:
    await desk.open(capacity=5)
    await desk.request("noor@x.example", "sam@x.example")
    _, answer = await publish(desk, programme(capacity=5, eligible={"kinds": ("library",)}))
    assert [one["rule"] for one in answer["notes"]] == ["no-longer-eligible"]
    assert answer["notes"][0]["en"] == "1 enrolment would be refused by the new rules. The place is kept."
    assert answer["notes"][0]["nl"].endswith("De plek blijft behouden.")


UNDATED = SESSION.model_copy(update={"start": None, "end": None})


async def close(desk: Desk, **more: Any) -> tuple[int, dict[str, Any]]:
    body = CloseProgramme(programme="ontmoeting", **more)
    return await desk.ask(programmes.close(body, desk.now, 0))


async def test_a_programme_without_dates_is_closed_and_the_answer_says_who_waits(desk: Desk) -> None:
    await desk.open(sessions=(UNDATED,), capacity=1, waiting_list=IN_ORDER)
    await desk.request("noor@x.example")
    await desk.request("sam@x.example")
    status, foreseen = await close(desk, dry_run=True)
    assert (status, foreseen["facts"], foreseen["people"]) == (200, ["programme.closed.v1"], 0)
    assert (await desk.state()).closed is None
    # Nobody is mailed: there is nothing to confirm, however few may be.
    status, answer = await close(desk)
    assert (status, answer["facts"], answer["people"]) == (200, ["programme.closed.v1"], 0)
    (note,) = answer["notes"]
    assert note["rule"] == "still-waiting"
    assert note["en"].startswith("1 enrolment is still on the waiting list.")
    status, refused = await desk.request("eva@x.example")
    assert (status, [one["rule"] for one in refused["errors"]]) == (409, ["over"])
    # Nobody moves up unheard.
    enrolment = next(one for one in (await desk.state()).enrolments.values() if one.status == "confirmed")
    assert (await desk.withdraw(enrolment.id))[0] == 200
    assert len((await desk.state()).waiting) == 1
    assert (await close(desk))[1]["facts"] == []


async def test_a_programme_with_a_session_to_come_is_not_closed_quietly(desk: Desk) -> None:
    await desk.open(sessions=(SESSION, UNDATED.model_copy(update={"id": "later"})))
    status, problem = await close(desk)
    assert (status, problem["errors"][0]["rule"]) == (409, "sessions-to-come")
    assert "Cancel it first" in problem["errors"][0]["detail"]
    desk.now = NOW.replace(month=5)
    assert (await close(desk))[0] == 200


async def test_the_sessions_of_a_closed_programme_stay_as_they_are_and_its_words_may_change(desk: Desk) -> None:
    await desk.open(sessions=(UNDATED,))
    await close(desk)
    for sessions in ((), (SESSION,), (UNDATED, SECOND)):
        status, problem = await publish(desk, programme(sessions=sessions))
        assert (status, problem["errors"][0]["rule"]) == (409, "programme-closed")
    words = programme(sessions=(UNDATED,)).model_copy(update={"page": "https://x.example/"})
    assert (await publish(desk, words))[1]["facts"] == ["programme.described.v1"]


async def test_a_seat_raised_costs_no_team_its_place_a_week_later(desk: Desk) -> None:
    await desk.register()
    assert (await publish(desk, track(7)))[0] == 200
    team = [
        ParticipantRequest(
            person=Person(name=name, email=f"{name}@x.example"), seat=seat.id, role=(*seat.roles, None)[0]
        )
        for name, seat in zip(("noor", "sam", "eva"), SEATS, strict=True)
    ]
    assert (await desk.request(*team))[1]["missing"] == []
    raised = (SEATS[0], SEATS[1].model_copy(update={"count": 2}), SEATS[2])
    new = track(7).model_copy(update={"team": TeamRule(seats=raised, complete_within_days=7)})
    _, answer = await publish(desk, new)
    assert answer["facts"] == ["programme.team-rule-changed.v1"]
    (note,) = answer["notes"]
    assert note["rule"] == "teams-lack"
    assert note["en"] == "1 team lacks ‘Basic’ (basis) by the new rule. The place is kept. No deadline starts."
    assert "mist ‘Basis’ (basis) volgens de nieuwe regel. De plek blijft behouden." in note["nl"]
    desk.now += timedelta(days=400)
    await desk.ask(programmes.let_deadlines_pass(desk.now))
    assert [one.status for one in (await desk.state()).enrolments.values()] == ["confirmed"]


async def test_publishing_says_who_sits_in_a_seat_that_goes_or_narrows(desk: Desk) -> None:
    await desk.register()
    assert (await publish(desk, track(7)))[0] == 200
    await desk.request(
        ParticipantRequest(person=Person(name="noor", email="noor@x.example"), seat="jeugd", role="jeugd-educatie"),
        ParticipantRequest(person=Person(name="eva", email="eva@x.example"), seat="manager"),
    )
    narrowed = (SEATS[0].model_copy(update={"roles": ("directie",)}), SEATS[1])
    new = track(3, maximum_per_organisation=1).model_copy(
        update={"team": TeamRule(seats=narrowed, complete_within_days=3)}
    )
    _, answer = await publish(desk, new, dry_run=True)
    assert [one["rule"] for one in answer["notes"]] == ["seat-narrowed", "seat-closed", "deadlines-stay"]
    assert [one["en"] for one in answer["notes"]] == [
        "1 person does not fit ‘Youth’ (jeugd) by the new rule. The place is kept.",
        "1 person sits in ‘Manager’ (manager), which is no longer in the definition. The place is kept. "
        "Nobody else can take it.",
        "1 team that is not complete yet keeps the deadline that was promised.",
    ]
