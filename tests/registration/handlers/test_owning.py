"""What an organiser may do to the organisers of a programme."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from services.registration.handlers.owning import not_theirs_to_change

sets = st.frozensets(st.sampled_from(["a", "b", "c", "d", "e"]))


@given(own=sets, before=sets, after=sets)
@example(own=frozenset("a"), before=frozenset(), after=frozenset("ab"))
@example(own=frozenset("a"), before=frozenset("ab"), after=frozenset("a"))
@example(own=frozenset("ab"), before=frozenset("abc"), after=frozenset("ac"))
def test_an_organiser_changes_nothing_about_organisations_of_others(
    own: frozenset[str], before: frozenset[str], after: frozenset[str]
) -> None:
    problem = not_theirs_to_change(own, before, after)
    assert (problem is None) == (before - own == after - own), "those of others are who they were"
    if problem is not None:
        assert problem.status == 403
        said = str(problem.detail).split(". Ask an admin")[0].replace(",", "").split()
        assert {*said} & {*"abcde"} == (before ^ after) - own, "each that stands in the way is named, and no other"


@given(own=sets, before=sets, between=sets, after=sets)
def test_two_steps_lead_nowhere_that_one_may_not_go(
    own: frozenset[str], before: frozenset[str], between: frozenset[str], after: frozenset[str]
) -> None:
    steps = (not_theirs_to_change(own, before, between), not_theirs_to_change(own, between, after))
    if steps == (None, None):
        assert not_theirs_to_change(own, before, after) is None
