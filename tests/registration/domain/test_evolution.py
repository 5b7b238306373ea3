"""How things stand after facts, also after facts that this version does not know."""

from __future__ import annotations

from contracts.envelope import UnknownData
from contracts.facts import EnrolmentPassedOver, EnrolmentPromoted
from services.registration.domain import evolve, reasons
from services.registration.domain.state import ProgrammeState
from tests.registration.domain.given import IN_ORDER, LIBRARY, confirmed, given, published, waitlisted


def test_every_fact_counts_also_one_that_nobody_knows() -> None:
    state = ProgrammeState(id="p")
    assert evolve(state, UnknownData()).version == 1
    before = given(published(), confirmed("a")).state
    after = evolve(before, UnknownData())
    assert after.version == before.version + 1
    assert (after.definition, after.enrolments, after.confirmed) == (
        before.definition,
        before.enrolments,
        before.confirmed,
    )


def test_nothing_of_an_older_state_changes() -> None:
    before = given(published(), confirmed("a")).state
    evolve(before, confirmed("b"))
    assert list(before.enrolments) == ["a"]
    assert before.confirmed == 1


def test_a_promotion_moves_the_units_and_not_the_organisations_share() -> None:
    waiting = given(published(capacity=2, waiting_list=IN_ORDER), waitlisted("a", 2, organisation=LIBRARY.id)).state
    after = evolve(waiting, EnrolmentPromoted(enrolment="a", reason=reasons.unit_free(1)))
    assert (waiting.confirmed, after.confirmed) == (0, 2)
    assert waiting.organisations[LIBRARY.id] == after.organisations[LIBRARY.id] == 2
    assert not after.waiting


def test_the_last_reason_stands_by_the_enrolment() -> None:
    reason = reasons.does_not_fit(2, 1, passed=True)
    state = given(published(), waitlisted("a", 2), EnrolmentPassedOver(enrolment="a", reason=reason)).state
    assert state.enrolments["a"].reasons == (reason,)
