"""Correcting and erasing people, through the writer."""

from __future__ import annotations

from contracts.programme import WaitingList
from tests.registration.conftest import Desk


async def test_an_erased_person_leaves_the_waiting_list_and_keeps_a_place(desk: Desk) -> None:
    """Nobody could tell an erased person of a promotion; a place that was given stays counted."""
    await desk.open(capacity=1, waiting_list=WaitingList())
    _, placed = await desk.request("noor@x.example")
    _, waiting = await desk.request("sam@x.example")
    _, behind = await desk.request("eva@x.example")

    await desk.erase("sam@x.example")
    await desk.erase("noor@x.example")

    state = await desk.state()
    assert state.enrolments[waiting["enrolment"]].status == "withdrawn"
    assert state.enrolments[placed["enrolment"]].status == "confirmed"
    await desk.withdraw(placed["enrolment"])
    assert (await desk.state()).enrolments[behind["enrolment"]].status == "confirmed"


async def test_an_erased_person_leaves_a_waiting_group_that_goes_on(desk: Desk) -> None:
    await desk.open(capacity=2, waiting_list=WaitingList())
    await desk.request("noor@x.example", "liv@x.example")
    _, waiting = await desk.request("sam@x.example", "eva@x.example")

    await desk.erase("sam@x.example")

    group = (await desk.state()).enrolments[waiting["enrolment"]]
    assert group.status == "waiting"
    assert group.units == 1
