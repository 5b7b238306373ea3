"""Correcting and erasing people, through the writer."""

from __future__ import annotations

from datetime import UTC, datetime

from contracts.enrolment import ParticipantRequest, Person
from contracts.programme import WaitingList
from tests.registration.conftest import Desk
from tests.registration.domain.given import TEAM, track


async def test_an_erased_person_gives_a_place_back_to_who_waits(desk: Desk) -> None:
    """Nobody could tell an erased person of a promotion or of a change, and others wait for the place."""
    await desk.open(capacity=1, waiting_list=WaitingList())
    _, placed = await desk.request("noor@x.example")
    _, waiting = await desk.request("sam@x.example")
    _, behind = await desk.request("eva@x.example")

    await desk.erase("sam@x.example")
    await desk.erase("noor@x.example")

    state = await desk.state()
    assert state.enrolments[waiting["enrolment"]].status == "withdrawn"
    assert state.enrolments[placed["enrolment"]].status == "withdrawn"
    assert [reason.rule for reason in state.enrolments[placed["enrolment"]].reasons] == ["person-erased"]
    assert state.enrolments[behind["enrolment"]].status == "confirmed"


async def test_an_erased_person_stays_in_the_counts_of_what_has_begun(desk: Desk) -> None:
    await desk.open(capacity=1, waiting_list=WaitingList())
    _, placed = await desk.request("noor@x.example")
    _, waiting = await desk.request("sam@x.example")
    desk.now = datetime(2023, 4, 13, 12, 0, tzinfo=UTC)

    await desk.erase("noor@x.example")

    state = await desk.state()
    assert state.enrolments[placed["enrolment"]].status == "confirmed"
    assert state.enrolments[waiting["enrolment"]].status == "waiting"


async def test_an_erased_member_leaves_a_team_that_must_be_completed(desk: Desk) -> None:
    await desk.register()
    await desk.publish(track(complete_within_days=14))
    people = [
        ParticipantRequest(person=Person(name="Noor", email=f"{one.seat}@x.example"), seat=one.seat, role=one.role)
        for one in TEAM
    ]
    _, team = await desk.request(*people)

    await desk.erase("manager@x.example")

    stands = (await desk.state()).enrolments[team["enrolment"]]
    assert (stands.status, [one.seat for one in stands.missing]) == ("confirmed", ["manager"])
    assert stands.complete_by is not None


async def test_an_erased_person_leaves_a_waiting_group_that_goes_on(desk: Desk) -> None:
    await desk.open(capacity=2, waiting_list=WaitingList())
    await desk.request("noor@x.example", "liv@x.example")
    _, waiting = await desk.request("sam@x.example", "eva@x.example")

    await desk.erase("sam@x.example")

    group = (await desk.state()).enrolments[waiting["enrolment"]]
    assert group.status == "waiting"
    assert group.units == 1


async def test_who_is_not_known_is_said_in_a_sentence_without_the_address(desk: Desk) -> None:
    status, problem = await desk.erase("nobody@x.example")
    assert (status, problem["detail"]) == (404, "There is no person with this address.")
