"""What can be done to an enrolment that stands: participants, deadlines, withdrawal."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from contracts.base import Text
from contracts.enrolment import Participant
from contracts.facts import (
    EnrolmentCompleted,
    EnrolmentIncomplete,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    ParticipantAdded,
    ParticipantChanged,
    ParticipantReplaced,
    ParticipantWithdrawn,
    ProgrammeTeamRuleChanged,
    ProgrammeWithdrawn,
)
from contracts.programme import TeamRule
from services.registration.domain import Command, reasons
from services.registration.domain import commands as asked
from tests.registration.domain.given import (
    IN_ORDER,
    LIBRARY,
    NOW,
    SEATS,
    TEAM,
    confirmed,
    end_of_day,
    given,
    later,
    missing,
    people,
    published,
    published_track,
    sitting,
    waitlisted,
)

DEADLINE = later(14)
INCOMPLETE = confirmed("a", who=TEAM[:2], missing=missing("manager"), complete_by=DEADLINE)
NEW = Participant(person="new")
NEW_MANAGER = Participant(person="new", seat="manager")
ON_REQUEST = reasons.withdrawn_on_request()
CLOSES = (NOW + timedelta(hours=1)).replace(tzinfo=None)


class TestWithdrawing:
    """Giving a place back."""

    def test_frees_the_place_the_persons_and_the_organisations_share(self) -> None:
        scene = given(published(capacity=1, maximum_per_organisation=1), confirmed("a", organisation=LIBRARY.id))
        result = scene.when(asked.WithdrawEnrolment("a", NOW))
        result.then(EnrolmentWithdrawn(enrolment="a", before="confirmed", reason=ON_REQUEST))
        assert result.state.confirmed == 0
        assert "a-1" not in result.state.persons
        assert LIBRARY.id not in result.state.organisations

    def test_from_the_waiting_list_says_that_it_waited(self) -> None:
        scene = given(published(capacity=1, waiting_list=IN_ORDER), confirmed("a"), waitlisted("b"))
        scene.when(asked.WithdrawEnrolment("b", NOW)).then(
            EnrolmentWithdrawn(enrolment="b", before="waiting", reason=ON_REQUEST)
        )

    def test_twice_changes_nothing(self) -> None:
        gone = EnrolmentWithdrawn(enrolment="a", before="confirmed", reason=ON_REQUEST)
        given(published(), confirmed("a"), gone).when(asked.WithdrawEnrolment("a", NOW)).then_nothing()

    def test_works_also_when_the_programme_was_cancelled(self) -> None:
        scene = given(published(), confirmed("a"), ProgrammeWithdrawn())
        scene.when(asked.WithdrawEnrolment("a", NOW)).then_brief(("withdrawn", "a"))

    def test_of_what_nobody_knows_is_not_found(self) -> None:
        given(published()).when(asked.WithdrawEnrolment("a", NOW)).then_rejected("not-found", kind="not-found")


@pytest.mark.parametrize(
    "command",
    [
        asked.PromoteEnrolment("a", NOW),
        asked.AddParticipant("a", NEW, NOW),
        asked.ChangeParticipant("a", Participant(person="a-1", role="r"), NOW),
        asked.ReplaceParticipant("a", "a-1", NEW, NOW),
        asked.WithdrawParticipant("a", "a-1", NOW),
    ],
)
def test_nothing_is_done_to_an_enrolment_that_was_withdrawn_or_refused(command: Command) -> None:
    gone = EnrolmentWithdrawn(enrolment="a", before="confirmed", reason=ON_REQUEST)
    refused = EnrolmentRefused(
        enrolment="a", units=1, participants=people("a", 1), source="staff", reasons=(reasons.named_twice(),)
    )
    given(published(), confirmed("a"), gone).when(command).then_rejected("not-active")
    given(published(), refused).when(command).then_rejected("not-active")


@pytest.mark.parametrize(
    "command",
    [
        asked.AddParticipant("a", NEW, NOW),
        asked.ChangeParticipant("a", Participant(person="a-1", role="r"), NOW),
        asked.ReplaceParticipant("a", "a-1", NEW, NOW),
    ],
)
def test_nobody_is_brought_into_a_cancelled_programme(command: Command) -> None:
    given(published(), confirmed("a"), ProgrammeWithdrawn()).when(command).then_rejected("programme-withdrawn")


def test_a_programme_is_cancelled_once() -> None:
    reason = Text(nl="Te weinig belangstelling.", en="Too little interest.")
    given(published()).when(asked.WithdrawProgramme(reason, NOW)).then(ProgrammeWithdrawn(reason=reason))
    given(published(), ProgrammeWithdrawn()).when(asked.WithdrawProgramme(reason, NOW)).then_nothing()


class TestAdding:
    """One more person in an enrolment."""

    def test_takes_a_unit_where_a_unit_is_a_person(self) -> None:
        result = given(published(capacity=2), confirmed("a")).when(asked.AddParticipant("a", NEW, NOW))
        result.then(ParticipantAdded(enrolment="a", participant=NEW, units=2))
        assert (result.state.confirmed, result.state.persons["new"]) == (2, "a")

    def test_costs_what_the_others_in_it_cost(self) -> None:
        """Also when the rules have changed since: what was agreed stays."""
        had = confirmed("a", 2, price=Decimal("25.00"))
        scene = given(published(prices=[{"amount": "99.00"}]), had)
        result = scene.when(asked.AddParticipant("a", NEW, NOW))
        result.then(ParticipantAdded(enrolment="a", participant=NEW, units=3, price=Decimal("37.50")))
        assert result.state.enrolments["a"].price == Decimal("37.50")

    def test_costs_nothing_where_a_team_has_one_price(self) -> None:
        had = confirmed("a", 1, who=TEAM[:2], missing=missing("manager"), price=Decimal("100.00"))
        result = given(published_track(), had).when(asked.AddParticipant("a", TEAM[2], NOW))
        assert result.facts[0] == ParticipantAdded(enrolment="a", participant=TEAM[2], units=1)
        assert result.state.enrolments["a"].price == Decimal("100.00")

    def test_is_rejected_when_full(self) -> None:
        scene = given(published(capacity=2), confirmed("a"), confirmed("b"))
        scene.when(asked.AddParticipant("a", NEW, NOW)).then_rejected("full")

    def test_jumps_nobody_who_waits(self) -> None:
        scene = given(published(capacity=3, waiting_list=IN_ORDER), confirmed("a", 2), waitlisted("group", 2))
        scene.when(asked.AddParticipant("a", NEW, NOW)).then_rejected("others-wait")

    def test_to_who_waits_jumps_nobody_behind(self) -> None:
        facts = (published(capacity=2, waiting_list=IN_ORDER), confirmed("a", 2), waitlisted("b"), waitlisted("c"))
        given(*facts).when(asked.AddParticipant("b", NEW, NOW)).then_rejected("others-wait")
        given(*facts).when(asked.AddParticipant("c", NEW, NOW)).then_brief(("participantadded", "c"))

    def test_never_makes_a_group_larger_than_the_capacity(self) -> None:
        scene = given(published(capacity=2, waiting_list=IN_ORDER), confirmed("a"), waitlisted("b", 2))
        scene.when(asked.AddParticipant("b", NEW, NOW)).then_rejected("larger-than-capacity")

    def test_keeps_to_the_closing_time_and_to_the_maximum(self) -> None:
        scene = given(published(closes=CLOSES, maximum_per_organisation=1), confirmed("a", organisation=LIBRARY.id))
        scene.when(asked.AddParticipant("a", NEW, NOW)).then_rejected("closed", "organisation-maximum")

    def test_is_not_for_who_is_in_the_programme_already(self) -> None:
        scene = given(published(), confirmed("a"), confirmed("b"))
        scene.when(asked.AddParticipant("a", Participant(person="b-1"), NOW)).then_rejected("already-enrolled")

    def test_keeps_to_the_eligible_roles(self) -> None:
        scene = given(published(eligible={"roles": ["directeur"]}), confirmed("a"))
        scene.when(asked.AddParticipant("a", NEW, NOW)).then_rejected("role-not-eligible")

    def test_completes_a_team_also_after_closing_and_when_full(self) -> None:
        scene = given(published_track(closes=CLOSES, capacity=1, waiting_list=IN_ORDER), INCOMPLETE)
        result = scene.when(asked.AddParticipant("a", NEW_MANAGER, later(13)))
        result.then(
            ParticipantAdded(enrolment="a", participant=NEW_MANAGER, units=1), EnrolmentCompleted(enrolment="a")
        )
        assert not result.state.deadlines
        assert result.state.enrolments["a"].missing == ()

    def test_to_a_team_asks_for_a_free_seat(self) -> None:
        scene = given(published_track(), INCOMPLETE)
        taken = Participant(person="new", seat="jeugd", role="jeugd-educatie")
        scene.when(asked.AddParticipant("a", taken, NOW)).then_rejected("seat-taken")
        scene.when(asked.AddParticipant("a", NEW, NOW)).then_rejected("seat-required")

    def test_leaves_a_running_deadline_as_it_is(self) -> None:
        scene = given(
            published_track(),
            confirmed("a", who=TEAM[:1], missing=missing("basis", "manager"), complete_by=DEADLINE),
        )
        scene.when(asked.AddParticipant("a", NEW_MANAGER, later(5))).then(
            ParticipantAdded(enrolment="a", participant=NEW_MANAGER, units=1),
            EnrolmentIncomplete(enrolment="a", missing=missing("basis"), complete_by=DEADLINE),
        )


class TestChanging:
    """Another seat or role for the same person."""

    def test_moves_a_person_to_another_seat(self) -> None:
        moved = Participant(person="sam", seat="manager", role="taalhuis")
        scene = given(published_track(), INCOMPLETE)
        scene.when(asked.ChangeParticipant("a", moved, later(1))).then(
            ParticipantChanged(enrolment="a", participant=moved),
            EnrolmentIncomplete(enrolment="a", missing=missing("basis"), complete_by=DEADLINE),
        )

    def test_to_what_it_was_changes_nothing(self) -> None:
        given(published_track(), INCOMPLETE).when(asked.ChangeParticipant("a", TEAM[0], NOW)).then_nothing()

    def test_keeps_to_the_seats_and_roles(self) -> None:
        scene = given(published_track(), INCOMPLETE)
        scene.when(
            asked.ChangeParticipant("a", Participant(person="sam", seat="jeugd", role="taalhuis"), NOW)
        ).then_rejected("seat-role", "seat-taken")
        scene = given(published(eligible={"roles": ["directeur"]}), confirmed("a"))
        scene.when(asked.ChangeParticipant("a", Participant(person="a-1", role="portier"), NOW)).then_rejected(
            "role-not-eligible"
        )

    def test_of_a_stranger_is_not_found(self) -> None:
        given(published(), confirmed("a")).when(asked.ChangeParticipant("a", NEW, NOW)).then_rejected(
            "not-found", kind="not-found"
        )

    def test_is_possible_one_by_one_after_the_seats_were_renamed(self) -> None:
        """Each moves by itself: that the others still sit in seats that are no more must not stop anybody."""
        renamed = tuple(seat.model_copy(update={"id": f"{seat.id}-nieuw"}) for seat in SEATS)
        team = TeamRule(seats=renamed, complete_within_days=14)
        scene = given(published_track(), confirmed("a", who=TEAM), ProgrammeTeamRuleChanged(team=team))
        moved = TEAM[0].model_copy(update={"seat": "jeugd-nieuw"})
        scene.when(asked.ChangeParticipant("a", moved, NOW)).then_brief(("participantchanged", "a"))


class TestReplacing:
    """Somebody else takes a person's place."""

    def test_keeps_the_place_also_when_full_and_closed_and_while_others_wait(self) -> None:
        scene = given(published(capacity=1, waiting_list=IN_ORDER, closes=CLOSES), confirmed("a"), waitlisted("b"))
        result = scene.when(asked.ReplaceParticipant("a", "a-1", NEW, later(2)))
        result.then(ParticipantReplaced(enrolment="a", person="a-1", participant=NEW))
        assert result.state.persons.get("a-1") is None
        assert result.state.persons["new"] == "a"
        assert result.state.enrolments["a"].participants == (NEW,)

    def test_keeps_the_order_of_the_participants(self) -> None:
        scene = given(published(), confirmed("a", 3))
        result = scene.when(asked.ReplaceParticipant("a", "a-2", NEW, NOW))
        assert [one.person for one in result.state.enrolments["a"].participants] == ["a-1", "new", "a-3"]

    def test_is_not_for_who_is_in_the_programme_already(self) -> None:
        scene = given(published(), confirmed("a", 2), confirmed("b"))
        for person in ("b-1", "a-1", "a-2"):
            scene.when(asked.ReplaceParticipant("a", "a-1", Participant(person=person), NOW)).then_rejected(
                "already-enrolled"
            )

    def test_keeps_to_the_seat(self) -> None:
        scene = given(published_track(), confirmed("a", who=TEAM))
        wrong = Participant(person="new", seat="jeugd", role="portier")
        scene.when(asked.ReplaceParticipant("a", "noor", wrong, NOW)).then_rejected("seat-role")

    def test_of_a_stranger_is_not_found(self) -> None:
        given(published(), confirmed("a")).when(asked.ReplaceParticipant("a", "x", NEW, NOW)).then_rejected(
            "not-found", kind="not-found"
        )

    def test_frees_who_was_replaced_to_enrol_again(self) -> None:
        replaced = ParticipantReplaced(enrolment="a", person="a-1", participant=NEW)
        scene = given(published(), confirmed("a"), replaced, confirmed("b"))
        scene.when(asked.AddParticipant("b", Participant(person="a-1"), NOW)).then_brief(("participantadded", "b"))


class TestThePriceOfWhoLeaves:
    """One person fewer."""

    def test_is_taken_off(self) -> None:
        scene = given(published(), confirmed("a", 3, price=Decimal("37.50")))
        result = scene.when(asked.WithdrawParticipant("a", "a-2", NOW))
        result.then(ParticipantWithdrawn(enrolment="a", person="a-2", units=2, price=Decimal("25.00")))
        assert result.state.enrolments["a"].price == Decimal("25.00")

    def test_is_free_where_it_was_free(self) -> None:
        scene = given(published(), confirmed("a", 2, price=Decimal(0)))
        result = scene.when(asked.WithdrawParticipant("a", "a-2", NOW))
        assert result.state.enrolments["a"].price == 0

    def test_is_none_where_there_was_none(self) -> None:
        scene = given(published(prices=[{"amount": "10.00"}]), confirmed("a", 2))
        scene.when(asked.WithdrawParticipant("a", "a-2", NOW)).then(
            ParticipantWithdrawn(enrolment="a", person="a-2", units=1)
        )


class TestWithdrawingOnePerson:
    """One person fewer in an enrolment."""

    def test_frees_a_unit_for_who_waits(self) -> None:
        scene = given(published(capacity=2, waiting_list=IN_ORDER), confirmed("a", 2), waitlisted("b"))
        result = scene.when(asked.WithdrawParticipant("a", "a-2", NOW))
        result.then_brief(("participantwithdrawn", "a"), ("promoted", "b", "unit-free"))
        assert result.facts[0] == ParticipantWithdrawn(enrolment="a", person="a-2", units=1)
        assert result.state.confirmed == 2

    def test_of_the_last_one_withdraws_the_enrolment(self) -> None:
        scene = given(published(), confirmed("a"))
        scene.when(asked.WithdrawParticipant("a", "a-1", NOW)).then(
            EnrolmentWithdrawn(enrolment="a", before="confirmed", reason=ON_REQUEST)
        )

    def test_makes_a_team_incomplete_from_then_on(self) -> None:
        scene = given(published_track(14), confirmed("a", who=TEAM))
        result = scene.when(asked.WithdrawParticipant("a", "eva", later(30)))
        result.then(
            ParticipantWithdrawn(enrolment="a", person="eva", units=1),
            EnrolmentIncomplete(enrolment="a", missing=missing("manager"), complete_by=end_of_day(44)),
        )
        assert dict(result.state.deadlines) == {"a": end_of_day(44)}

    def test_of_a_stranger_is_not_found(self) -> None:
        given(published(), confirmed("a")).when(asked.WithdrawParticipant("a", "x", NOW)).then_rejected(
            "not-found", kind="not-found"
        )


class TestDeadlines:
    """Teams that stay incomplete."""

    def test_a_team_loses_its_place_at_its_deadline_and_the_next_gets_it(self) -> None:
        second = sitting(jeugd="n2", basis="s2", manager="e2")
        scene = given(published_track(capacity=1, waiting_list=IN_ORDER), INCOMPLETE, waitlisted("b", who=second))
        scene.when(asked.LetDeadlinesPass(DEADLINE - timedelta(microseconds=1))).then_nothing()
        result = scene.when(asked.LetDeadlinesPass(DEADLINE))
        result.then_brief(("withdrawn", "a"), ("promoted", "b", "unit-free"))
        withdrawn = result.facts[0]
        assert isinstance(withdrawn, EnrolmentWithdrawn)
        assert withdrawn.reason.rule == "team-incomplete"
        assert "16 maart 2023" in withdrawn.reason.nl

    def test_of_several_teams_pass_in_their_order(self) -> None:
        def team(number: int) -> tuple[Participant, ...]:
            return sitting(jeugd=f"n{number}")

        lacking = missing("basis", "manager")
        scene = given(
            published_track(),
            confirmed("late", who=team(1), missing=lacking, complete_by=later(3)),
            confirmed("early", who=team(2), missing=lacking, complete_by=later(2)),
            confirmed("never", who=team(3), missing=lacking),
            confirmed("future", who=team(4), missing=lacking, complete_by=later(9)),
        )
        scene.when(asked.LetDeadlinesPass(later(3))).then_brief(("withdrawn", "early"), ("withdrawn", "late"))

    def test_do_not_pass_for_what_does_not_take_place(self) -> None:
        """Who was told that the programme is cancelled needs no second mail that the team was not complete."""
        scene = given(published_track(), INCOMPLETE, ProgrammeWithdrawn())
        scene.when(asked.LetDeadlinesPass(later(99))).then_nothing()
        gone = ParticipantWithdrawn(enrolment="a", person="sam", units=1)
        incomplete = EnrolmentIncomplete(enrolment="a", missing=missing("basis", "manager"), complete_by=DEADLINE)
        given(published_track(), INCOMPLETE, ProgrammeWithdrawn(), gone, incomplete).when(
            asked.LetDeadlinesPass(later(99))
        ).then_nothing()

    def test_end_with_the_enrolment(self) -> None:
        gone = EnrolmentWithdrawn(enrolment="a", before="confirmed", reason=ON_REQUEST)
        given(published_track(), INCOMPLETE, gone).when(asked.LetDeadlinesPass(later(99))).then_nothing()
