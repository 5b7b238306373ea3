"""Whom a change of a programme would be mailed to."""

from __future__ import annotations

from datetime import datetime, timedelta

from contracts.facts import ProgrammePublished, ProgrammeWithdrawn, RegistrationFact, SessionCancelled
from contracts.programme import Programme, TeamRule
from contracts.session import Session
from services.registration.domain import ProgrammeState, Rejected, decide
from services.registration.domain.telling import told
from tests.registration.domain.given import (
    IN_ORDER,
    NOW,
    SEATS,
    SESSION,
    TEAM,
    confirmed,
    fold,
    later,
    missing,
    programme,
    publish,
    published,
    published_track,
    track,
    waitlisted,
)

AFTERWARDS = NOW + timedelta(days=100)
LATER = SESSION.model_copy(update={"id": "later", "start": None, "end": None})
EARLIER = SESSION.model_copy(
    update={
        "id": "eerder",
        "start": datetime.fromisoformat("2023-03-01T09:00"),
        "end": datetime.fromisoformat("2023-03-01T10:00"),
    }
)


def moved(session: Session, days: int) -> Session:
    assert session.start is not None
    assert session.end is not None
    by = timedelta(days=days)
    return session.model_copy(update={"start": session.start + by, "end": session.end + by})


def of(state: ProgrammeState, new: Programme, now: datetime = NOW) -> dict[str, set[str]]:
    """Whom publishing would tell, by the fact."""
    decision = decide(state, publish(new, now))
    assert not isinstance(decision, Rejected)
    return by_fact(state, decision, now)


def by_fact(state: ProgrammeState, facts: tuple[RegistrationFact, ...], now: datetime = NOW) -> dict[str, set[str]]:
    return {type(one.fact).__name__: set(one.people) for one in told(state, facts, now)}


STATE = fold([published(capacity=2, waiting_list=IN_ORDER), confirmed("a", 2), waitlisted("b")])
"""Two with a place, one who waits."""


def offered(*sessions: Session, capacity: int = 2) -> Programme:
    return programme(sessions=sessions, capacity=capacity, waiting_list=IN_ORDER)


def test_who_has_a_place_hears_of_another_day() -> None:
    assert of(STATE, offered(moved(SESSION, 1))) == {"SessionMoved": {"a-1", "a-2"}}


def test_who_has_a_place_hears_of_a_session_more_or_less() -> None:
    more = moved(SESSION, 7).model_copy(update={"id": "nog-een"})
    assert of(STATE, offered(SESSION, more)) == {"SessionAdded": {"a-1", "a-2"}}
    assert of(STATE, offered()) == {"SessionCancelled": {"a-1", "a-2"}}


def test_a_session_without_a_date_is_in_no_agenda() -> None:
    assert of(STATE, offered(SESSION, LATER)) == {}


def test_who_has_a_place_hears_that_a_session_without_a_date_will_never_have_one_or_has_one_now() -> None:
    both = published(sessions=(SESSION, LATER), capacity=2, waiting_list=IN_ORDER)
    state = fold([both, confirmed("a", 2), waitlisted("b")])
    assert of(state, offered(SESSION)) == {"SessionCancelled": {"a-1", "a-2"}}
    dated = moved(SESSION, 7).model_copy(update={"id": LATER.id})
    assert of(state, offered(SESSION, dated)) == {"SessionMoved": {"a-1", "a-2"}}


def test_who_has_a_place_hears_that_a_session_goes_ahead_after_all_also_without_a_date() -> None:
    both = published(sessions=(SESSION, LATER), capacity=2, waiting_list=IN_ORDER)
    state = fold([both, confirmed("a", 2), SessionCancelled(session=LATER.id)])
    assert of(state, offered(SESSION, LATER)) == {"SessionAdded": {"a-1", "a-2"}}


def test_of_words_and_rules_nobody_hears() -> None:
    assert of(STATE, offered(SESSION).model_copy(update={"page": "https://x.example/"})) == {}


def test_who_gets_a_place_hears_of_it() -> None:
    assert of(STATE, offered(SESSION, capacity=3)) == {"EnrolmentPromoted": {"b-1"}}


def test_everybody_hears_that_it_does_not_take_place() -> None:
    assert by_fact(STATE, (ProgrammeWithdrawn(),)) == {"ProgrammeWithdrawn": {"a-1", "a-2", "b-1"}}


def test_nobody_hears_of_what_is_over() -> None:
    assert by_fact(STATE, (ProgrammeWithdrawn(),), AFTERWARDS) == {}
    past = fold([published(sessions=(EARLIER, SESSION)), confirmed("a", 2)])
    assert of(past, programme(sessions=(SESSION,))) == {}


def test_of_a_programme_that_is_new_nobody_can_hear() -> None:
    assert of(fold([]), programme()) == {}


def test_a_member_of_a_team_hears_of_the_sessions_of_the_own_seat() -> None:
    other = moved(SESSION, 1).model_copy(update={"id": "tweede"})
    seats = (*SEATS[:2], SEATS[2].model_copy(update={"sessions": ("bijeenkomst",)}))
    base = programme(sessions=(SESSION, other), team=TeamRule(seats=seats, complete_within_days=14))
    state = fold([ProgrammePublished(programme=base), confirmed("team", 1, TEAM)])
    later = base.model_copy(update={"sessions": (SESSION, moved(other, 1))})
    assert of(state, later) == {"SessionMoved": {"noor", "sam"}}
    everything = base.model_copy(update={"team": TeamRule(seats=SEATS, complete_within_days=14)})
    assert of(state, everything) == {"ProgrammeTeamRuleChanged": {"eva"}}


def test_a_team_of_which_a_new_rule_asks_more_hears_nothing_of_it_and_one_of_which_it_asks_less_does() -> None:
    lacking = confirmed("team", 1, TEAM[:1], missing=missing("basis", "manager"), complete_by=later(3))
    state = fold([published_track(), lacking])
    two = SEATS[0].model_copy(update={"count": 2})
    more = track().model_copy(update={"team": TeamRule(seats=(two, *SEATS[1:]), complete_within_days=14)})
    assert of(state, more) == {}
    less = track().model_copy(update={"team": TeamRule(seats=SEATS[:2], complete_within_days=14)})
    assert of(state, less) == {"EnrolmentIncomplete": {"noor"}}
