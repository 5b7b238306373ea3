"""Who comes next when units come free, who is passed over, and that each of it says why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.facts import EnrolmentPassedOver, EnrolmentPromoted, EnrolmentWithdrawn, ProgrammeWithdrawn
from contracts.programme import WaitingList
from services.registration.domain import commands as asked
from services.registration.domain import reasons
from tests.registration.domain.given import (
    FILL_GAPS,
    IN_ORDER,
    NOW,
    SESSION,
    confirmed,
    given,
    published,
    published_track,
    request,
    sitting,
    waitlisted,
)

FREEZE = datetime(2023, 4, 1, 12, 0)  # noqa: DTZ001 - local time in Amsterdam, two hours ahead of UTC in April
FROZEN = datetime(2023, 4, 1, 10, 0, tzinfo=UTC)
FIRST_SESSION = datetime(2023, 4, 13, 12, 0, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


def withdraw(enrolment: str, now: datetime = NOW) -> asked.WithdrawEnrolment:
    return asked.WithdrawEnrolment(enrolment, now)


def withdrawn(enrolment: str, before: str = "confirmed") -> EnrolmentWithdrawn:
    return EnrolmentWithdrawn.model_validate(
        {"enrolment": enrolment, "before": before, "reason": reasons.withdrawn_on_request()}
    )


def test_who_does_not_fit_waits_behind_those_who_wait() -> None:
    scene = given(published(capacity=1, waiting_list=IN_ORDER), confirmed("a"), waitlisted("b"))
    scene.when(request("c", 1)).then(waitlisted("c", place=2))


def test_a_unit_that_comes_free_goes_to_the_first_who_waits() -> None:
    scene = given(published(capacity=1, waiting_list=IN_ORDER), confirmed("a"), waitlisted("b"), waitlisted("c"))
    result = scene.when(withdraw("a"))
    result.then(withdrawn("a"), EnrolmentPromoted(enrolment="b", reason=reasons.unit_free(1)))
    assert result.state.confirmed == 1
    assert [one.id for one in result.state.queue()] == ["c"]
    assert result.state.enrolments["b"].reasons[0].rule == "unit-free"


def test_several_units_go_to_several_each_told_the_place_it_had() -> None:
    scene = given(published(capacity=3, waiting_list=IN_ORDER), confirmed("a", 3), waitlisted("b"), waitlisted("c", 2))
    scene.when(withdraw("a")).then(
        withdrawn("a"),
        EnrolmentPromoted(enrolment="b", reason=reasons.unit_free(1)),
        EnrolmentPromoted(enrolment="c", reason=reasons.unit_free(2)),
    )


def test_in_order_nobody_passes_a_group_that_does_not_fit() -> None:
    scene = given(
        published(capacity=3, waiting_list=IN_ORDER),
        confirmed("a"),
        confirmed("b", 2),
        waitlisted("group", 2),
        waitlisted("single"),
    )
    result = scene.when(withdraw("a"))
    result.then_brief(("withdrawn", "a"), ("passedover", "group", "does-not-fit"))
    assert "de plek blijft vrij" in result.state.enrolments["group"].reasons[0].nl
    assert result.state.confirmed == 2


def test_gaps_are_filled_past_a_group_that_does_not_fit_where_the_policy_says_so() -> None:
    scene = given(
        published(capacity=3, waiting_list=FILL_GAPS),
        confirmed("a"),
        confirmed("b", 2),
        waitlisted("group", 2),
        waitlisted("single"),
    )
    result = scene.when(withdraw("a"))
    result.then_brief(("withdrawn", "a"), ("passedover", "group", "does-not-fit"), ("promoted", "single", "unit-free"))
    assert [one.id for one in result.state.queue()] == ["group"]


def test_a_group_moves_as_a_whole_as_soon_as_it_fits() -> None:
    scene = given(
        published(capacity=3, waiting_list=FILL_GAPS), confirmed("a"), confirmed("b", 2), waitlisted("group", 2)
    )
    scene.when(withdraw("b")).then_brief(("withdrawn", "b"), ("promoted", "group", "unit-free"))


def test_the_same_reason_for_a_pass_over_is_stored_once() -> None:
    def passed(free: int) -> EnrolmentPassedOver:
        return EnrolmentPassedOver(enrolment="group", reason=reasons.does_not_fit(3, free, passed=True))

    facts = (
        published(capacity=4, waiting_list=FILL_GAPS),
        confirmed("a"),
        confirmed("b"),
        confirmed("c", 2),
        waitlisted("group", 3),
        waitlisted("d"),
    )
    first = given(*facts).when(withdraw("a"))
    first.then(withdrawn("a"), passed(1), EnrolmentPromoted(enrolment="d", reason=reasons.unit_free(2)))
    again = given(*facts, *first.facts, waitlisted("e")).when(withdraw("b"))
    again.then(withdrawn("b"), EnrolmentPromoted(enrolment="e", reason=reasons.unit_free(2)))
    # Two are free now: that is another reason.
    given(*facts, *first.facts, withdrawn("b")).when(withdraw("d")).then(withdrawn("d"), passed(2))


def test_a_newcomer_takes_a_gap_only_where_gaps_are_filled_and_nobody_who_waits_would_fit() -> None:
    facts = (confirmed("a"), waitlisted("group", 2))
    given(published(capacity=2, waiting_list=IN_ORDER), *facts).when(request("new")).then_brief(("waitlisted", "new"))
    given(published(capacity=2, waiting_list=FILL_GAPS), *facts).when(request("new")).then_brief(
        ("passedover", "group", "does-not-fit"), ("confirmed", "new")
    )
    # Frozen, so that a unit is free and somebody who fits waits.
    frozen = published(capacity=2, waiting_list=WaitingList(policy="fill-gaps", freeze=FREEZE))
    given(frozen, confirmed("a"), waitlisted("single")).when(request("new", now=FROZEN)).then_brief(
        ("waitlisted", "new")
    )


def test_nobody_is_promoted_from_the_freeze_on_and_who_would_have_been_is_told() -> None:
    facts = (
        published(capacity=1, waiting_list=WaitingList(freeze=FREEZE)),
        confirmed("a"),
        waitlisted("b"),
        waitlisted("c"),
    )
    given(*facts).when(withdraw("a", FROZEN - INSTANT)).then_brief(("withdrawn", "a"), ("promoted", "b", "unit-free"))
    given(*facts).when(withdraw("a", FROZEN)).then_brief(("withdrawn", "a"), ("passedover", "b", "frozen"))


def test_the_freeze_is_the_start_of_the_first_dated_session_where_none_is_set() -> None:
    undated = SESSION.model_copy(update={"id": "later", "start": None, "end": None})
    second = SESSION.model_copy(
        update={"id": "tweede", "start": datetime(2023, 5, 1, 9, 0), "end": datetime(2023, 5, 1, 10, 0)}  # noqa: DTZ001
    )
    facts = (
        published(capacity=1, waiting_list=IN_ORDER, sessions=(undated, second, SESSION)),
        confirmed("a"),
        waitlisted("b"),
    )
    given(*facts).when(withdraw("a", FIRST_SESSION - INSTANT)).then_brief(
        ("withdrawn", "a"), ("promoted", "b", "unit-free")
    )
    given(*facts).when(withdraw("a", FIRST_SESSION)).then_brief(("withdrawn", "a"), ("passedover", "b", "frozen"))


def test_without_any_date_nothing_freezes() -> None:
    facts = (published(capacity=1, waiting_list=IN_ORDER, sessions=()), confirmed("a"), waitlisted("b"))
    scene = given(*facts)
    assert scene.state.freeze is None
    scene.when(withdraw("a", FIRST_SESSION)).then_brief(("withdrawn", "a"), ("promoted", "b", "unit-free"))


def test_who_withdrew_is_never_promoted() -> None:
    scene = given(
        published(capacity=1, waiting_list=IN_ORDER),
        confirmed("a"),
        waitlisted("b"),
        waitlisted("c"),
        withdrawn("b", "waiting"),
    )
    scene.when(withdraw("a")).then_brief(("withdrawn", "a"), ("promoted", "c", "unit-free"))
    scene.when(asked.PromoteEnrolment("b", NOW)).then_rejected("not-active")


def test_who_stood_in_the_way_makes_room_by_withdrawing_from_the_list() -> None:
    scene = given(
        published(capacity=2, waiting_list=IN_ORDER), confirmed("a"), waitlisted("group", 2), waitlisted("single")
    )
    result = scene.when(withdraw("group"))
    result.then_brief(("withdrawn", "group"), ("promoted", "single", "unit-free"))
    # Nobody gave a place back: the sentence must not say so.
    assert "is een plek vrij" in result.state.enrolments["single"].reasons[0].nl


def test_a_waiting_group_that_shrinks_may_fit() -> None:
    scene = given(published(capacity=2, waiting_list=IN_ORDER), confirmed("a"), waitlisted("group", 2))
    scene.when(asked.WithdrawParticipant("group", "group-2", NOW)).then_brief(
        ("participantwithdrawn", "group"), ("promoted", "group", "unit-free")
    )


def test_who_needs_more_than_the_whole_capacity_holds_nobody_up() -> None:
    """The capacity was lowered while a group waited: it can never come, and the others behind it can."""
    facts = (published(capacity=2, waiting_list=IN_ORDER), confirmed("a"), waitlisted("group", 3), waitlisted("b"))
    given(*facts).when(withdraw("a")).then_brief(
        ("withdrawn", "a"), ("passedover", "group", "larger-than-capacity"), ("promoted", "b", "unit-free")
    )
    given(*facts[:3]).when(request("new")).then_brief(
        ("passedover", "group", "larger-than-capacity"), ("confirmed", "new")
    )


def test_nobody_is_promoted_in_a_withdrawn_programme() -> None:
    scene = given(published(capacity=1, waiting_list=IN_ORDER), confirmed("a"), waitlisted("b"), ProgrammeWithdrawn())
    scene.when(withdraw("a")).then(withdrawn("a"))


def test_without_a_waiting_list_those_who_wait_already_still_come_first_and_newcomers_are_refused() -> None:
    """Staff took the waiting list away: it is closed, and nobody who stood on it is dropped."""
    facts = (published(capacity=2), confirmed("a"), confirmed("b"), waitlisted("group", 2))
    scene = given(*facts)
    result = scene.when(withdraw("a"))
    result.then_brief(("withdrawn", "a"), ("passedover", "group", "does-not-fit"))
    given(*facts, *result.facts).when(request("new")).then_refused("full")
    given(*facts, *result.facts).when(withdraw("b")).then_brief(("withdrawn", "b"), ("promoted", "group", "unit-free"))


class TestStaff:
    """Promotion by hand."""

    def test_works_behind_the_freeze(self) -> None:
        scene = given(published(capacity=2, waiting_list=WaitingList(freeze=FREEZE)), confirmed("a"), waitlisted("b"))
        scene.when(asked.PromoteEnrolment("b", FROZEN)).then(
            EnrolmentPromoted(enrolment="b", reason=reasons.promoted_by_staff(1))
        )

    def test_never_exceeds_the_capacity(self) -> None:
        scene = given(published(capacity=2, waiting_list=IN_ORDER), confirmed("a"), waitlisted("group", 2))
        scene.when(asked.PromoteEnrolment("group", NOW)).then_rejected("full")

    def test_tells_those_who_were_passed_and_only_once(self) -> None:
        scene = given(
            published(capacity=3, waiting_list=WaitingList(freeze=FREEZE)),
            confirmed("a"),
            waitlisted("b"),
            waitlisted("c"),
            waitlisted("d"),
        )
        first = scene.when(asked.PromoteEnrolment("c", FROZEN))
        first.then_brief(("passedover", "b", "by-staff"), ("promoted", "c", "by-staff"))
        given_more = given(
            published(capacity=3, waiting_list=WaitingList(freeze=FREEZE)),
            confirmed("a"),
            waitlisted("b"),
            waitlisted("c"),
            waitlisted("d"),
            *first.facts,
        )
        given_more.when(asked.PromoteEnrolment("d", FROZEN)).then_brief(("promoted", "d", "by-staff"))

    @pytest.mark.parametrize("facts", [(confirmed("b"),), (waitlisted("b"), ProgrammeWithdrawn())])
    def test_is_for_those_who_wait_in_a_programme_that_takes_place(self, facts: tuple[object, ...]) -> None:
        scene = given(published(capacity=2, waiting_list=IN_ORDER), *facts)  # type: ignore[arg-type]
        rule = "programme-withdrawn" if len(facts) > 1 else "not-waiting"
        scene.when(asked.PromoteEnrolment("b", NOW)).then_rejected(rule)


def test_teams_are_promoted_as_a_whole() -> None:
    first, second = (sitting(jeugd=f"n{n}", basis=f"s{n}", manager=f"e{n}") for n in (1, 2))
    scene = given(
        published_track(capacity=1, waiting_list=IN_ORDER), confirmed("a", who=first), waitlisted("b", who=second)
    )
    result = scene.when(withdraw("a"))
    result.then_brief(("withdrawn", "a"), ("promoted", "b", "unit-free"))
    assert result.state.enrolments["b"].participants == second


def test_places_in_the_list_are_counted_from_one() -> None:
    state = given(
        published(capacity=1, waiting_list=IN_ORDER),
        confirmed("a"),
        waitlisted("b"),
        waitlisted("c"),
        withdrawn("b", "waiting"),
    ).state
    assert (state.place("a"), state.place("b"), state.place("c"), state.place("none")) == (None, None, 1, None)
