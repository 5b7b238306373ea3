"""A change of the rules costs nobody a place: each kind of it, on a team that was complete and one that was not."""

from __future__ import annotations

from typing import Any

import pytest

from contracts.enrolment import Participant
from contracts.facts import EnrolmentConfirmed, ParticipantAdded, ProgrammeTeamRuleChanged
from contracts.programme import Programme, Seat, TeamRule
from services.registration.domain import Command, ProgrammeState, decide
from services.registration.domain import commands as asked
from services.registration.domain.rules import missing_seats
from tests.registration.domain.given import (
    LIBRARY,
    SEATS,
    TEAM,
    Result,
    confirmed,
    end_of_day,
    fold,
    given,
    later,
    missing,
    publish,
    published_track,
    request,
    sitting,
    track,
)
from tests.registration.domain.test_confirming import pending

JEUGD, BASIS, MANAGER = SEATS
COACH = Seat(id="coach", title=MANAGER.title)
COMPLETE = confirmed("full", who=TEAM, organisation=LIBRARY.id)
LACKING = confirmed("short", who=sitting(jeugd="ada", basis="bo"), missing=missing("manager"), complete_by=later(5))


def ruled(*seats: Seat, days: int | None = 14, **rules: Any) -> Programme:
    return track(**rules).model_copy(update={"team": TeamRule(seats=seats, complete_within_days=days)})


def decided(state: ProgrammeState, command: Command) -> Result:
    return Result(state, decide(state, command))


def counted(seat: Seat, count: int) -> Seat:
    return seat.model_copy(update={"count": count})


RAISED = TeamRule(seats=(JEUGD, counted(BASIS, 2), MANAGER), complete_within_days=14)
CHANGES = {
    "count raised": ruled(*RAISED.seats),
    "seat added": ruled(*SEATS, COACH),
    "seat removed": ruled(JEUGD, MANAGER),
    "all seats renamed": ruled(*(seat.model_copy(update={"id": f"{seat.id}-2"}) for seat in SEATS)),
    "roles narrowed": ruled(*(seat.model_copy(update={"roles": ("directie",)}) for seat in SEATS)),
    "days shortened": ruled(*SEATS, days=1),
    "days gone": ruled(*SEATS, days=None),
    "capacity lowered": ruled(*SEATS, capacity=2),
    "maximum lowered": ruled(*SEATS, maximum_per_organisation=1),
    "eligibility narrowed": ruled(*SEATS, eligible={"kinds": ("municipality",), "roles": ("directie",)}),
    "all at once": ruled(counted(JEUGD, 5), COACH, days=1, capacity=2, eligible={"provinces": ("flevoland",)}),
}


@pytest.mark.parametrize("new", CHANGES.values(), ids=CHANGES)
def test_who_was_complete_keeps_the_place_for_ever_and_who_was_not_keeps_the_deadline(new: Programme) -> None:
    state = given(published_track(), COMPLETE, LACKING).when(publish(new)).state
    full, short = state.enrolments["full"], state.enrolments["short"]
    assert (full.status, full.missing, full.complete_by) == ("confirmed", (), None)
    assert short.complete_by in (None, later(5))
    assert set(short.missing) <= set(missing("manager"))
    state = decided(state, asked.LetDeadlinesPass(later(400))).state
    assert state.enrolments["full"].status == "confirmed"
    assert (state.enrolments["short"].status == "confirmed") is (short.missing == ())


class TestLater:
    """What a team was asked when it enrolled is what it is measured by, also when its people change afterwards."""

    def test_replacing_somebody_in_a_complete_team_starts_no_deadline(self) -> None:
        scene = given(published_track(), COMPLETE, ProgrammeTeamRuleChanged(team=RAISED))
        kees = Participant(person="kees", seat="jeugd", role="jeugd-educatie")
        scene.when(asked.ReplaceParticipant("full", "noor", kees, later(1))).then_brief(("participantreplaced", "full"))

    def test_who_fills_what_was_asked_is_complete(self) -> None:
        state = given(published_track(), LACKING).when(publish(CHANGES["count raised"])).state
        kim = Participant(person="kim", seat="manager")
        result = decided(state, asked.AddParticipant("short", kim, later(1)))
        result.then_brief(("participantadded", "short"), ("completed", "short"))

    def test_a_rule_with_days_starts_no_deadline_for_who_had_none(self) -> None:
        lacking = confirmed("a", who=sitting(jeugd="ada"), missing=missing("basis", "manager"))
        state = given(published_track(None), lacking).when(publish(ruled(*SEATS, days=7))).state
        bo = Participant(person="bo", seat="basis", role="taalhuis")
        after = decided(state, asked.AddParticipant("a", bo, later(1))).state
        assert (after.enrolments["a"].missing, after.enrolments["a"].complete_by) == (missing("manager"), None)

    def test_a_team_that_lets_somebody_go_has_the_days_of_the_present_rule(self) -> None:
        state = given(published_track(), COMPLETE).when(publish(ruled(*SEATS, days=3))).state
        after = decided(state, asked.WithdrawParticipant("full", "eva", later(1))).state
        assert (after.enrolments["full"].missing, after.enrolments["full"].complete_by) == (
            missing("manager"),
            end_of_day(4),
        )

    def test_teams_that_come_afterwards_are_asked_what_is_asked_now(self) -> None:
        state = given(published_track(), COMPLETE).when(publish(CHANGES["seat added"])).state
        (came,) = decided(state, request("new", sitting(jeugd="x", basis="y", manager="z"))).facts
        assert isinstance(came, EnrolmentConfirmed)
        assert came.missing == missing("coach")

    def test_a_rule_that_asked_less_for_a_while_asks_no_more_when_it_is_taken_back(self) -> None:
        state = given(published_track(), COMPLETE).when(publish(ruled(JEUGD, BASIS))).state
        gone = decided(state, asked.WithdrawParticipant("full", "eva", later(1))).state
        state = decided(gone, publish(ruled(*SEATS))).state
        assert state.enrolments["full"].missing == ()

    def test_who_was_asked_for_before_the_change_is_measured_by_what_was_asked_then(self) -> None:
        waiting = pending("full", TEAM)
        scene = given(published_track(), waiting, ProgrammeTeamRuleChanged(team=RAISED))
        result = scene.when(asked.ConfirmEnrolment("full", None, None, later(0.5)))
        (came,) = result.facts
        assert isinstance(came, EnrolmentConfirmed)
        assert (came.missing, came.complete_by) == ((), None)


class TestSeatsThatGo:
    """A seat in which somebody sits is closed instead."""

    def test_it_keeps_its_title_and_sessions_and_takes_nobody(self) -> None:
        manager = MANAGER.model_copy(update={"sessions": ("bijeenkomst",)})
        state = given(published_track(), COMPLETE).when(publish(ruled(JEUGD, BASIS, manager))).state
        result = decided(state, publish(ruled(JEUGD, BASIS)))
        definition = result.state.definition
        assert definition is not None
        assert definition.team is not None
        assert definition.team.seats == (JEUGD, BASIS, manager.model_copy(update={"closed": True}))
        assert missing_seats(definition.team, ()) == missing("jeugd", "basis")
        # The same file once more changes nothing.
        assert decided(result.state, publish(ruled(JEUGD, BASIS))).facts == ()
        kim = Participant(person="kim", seat="manager")
        decided(result.state, request("other", (*sitting(jeugd="x", basis="y"), kim))).then_refused("seat-unknown")

    def test_it_is_gone_once_nobody_sits_in_it(self) -> None:
        state = given(published_track(), COMPLETE).when(publish(ruled(JEUGD, BASIS))).state
        state = decided(state, asked.WithdrawParticipant("full", "eva", later(1))).state
        after = decided(state, publish(ruled(JEUGD, BASIS))).state.definition
        assert after is not None
        assert after.team == ruled(JEUGD, BASIS).team

    def test_it_forgets_sessions_that_are_gone(self) -> None:
        manager = MANAGER.model_copy(update={"sessions": ("bijeenkomst",)})
        state = given(published_track(), COMPLETE).when(publish(ruled(JEUGD, BASIS, manager))).state
        new = ruled(JEUGD, BASIS).model_copy(update={"sessions": ()})
        definition = decided(state, publish(new)).state.definition
        assert definition is not None
        assert Programme.model_validate(definition.model_dump()) == definition

    def test_a_colleague_who_was_asked_before_may_still_take_it(self) -> None:
        waiting = pending("full", TEAM)
        state = fold([published_track(), waiting, confirmed("full", who=TEAM[:2], missing=missing("manager"))])
        state = decided(state, publish(ruled(JEUGD, BASIS))).state
        result = decided(state, asked.ConfirmEnrolment("full", frozenset({"eva"}), None, later(0.5)))
        assert any(isinstance(fact, ParticipantAdded) for fact in result.facts)
