"""A day is a whole day: it opens with its first moment, closes with its last, and a session without a time lasts it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from contracts.facts import EnrolmentConfirmed, EnrolmentRefused, EnrolmentWithdrawn
from contracts.moments import day_of, start_of
from contracts.programme import WaitingList
from services.registration.domain import commands as asked
from services.registration.domain.offering import offer
from services.registration.domain.retention import ending, field_known_until
from services.registration.domain.rules import deadline
from tests.registration.domain.given import (
    SESSION,
    TEAM,
    confirmed,
    fold,
    given,
    people,
    published,
    published_track,
    request,
)

INSTANT = timedelta.resolution
IN_WINTER, IN_SUMMER = date(2026, 1, 8), date(2026, 9, 8)
CLOCK_FORWARD, CLOCK_BACK = date(2027, 3, 28), date(2027, 10, 31)
DAYS = [IN_WINTER, IN_SUMMER, CLOCK_FORWARD, CLOCK_BACK]
DAY = SESSION.model_copy(update={"start": IN_SUMMER, "end": None})
TWO_DAYS = SESSION.model_copy(update={"start": IN_SUMMER, "end": IN_SUMMER + timedelta(days=1)})


def after(day: date) -> datetime:
    return start_of(day + timedelta(days=1))


@pytest.mark.parametrize("day", DAYS)
def test_enrolment_closes_with_the_last_moment_of_a_day(day: date) -> None:
    scene = given(published(closes=day, sessions=()))
    scene.when(request("a", now=after(day) - INSTANT)).then_brief(("confirmed", "a"))
    (fact,) = scene.when(request("a", now=after(day))).then_refused("closed").facts
    assert isinstance(fact, EnrolmentRefused)
    assert str(day.year) in fact.reasons[0].nl
    assert f" {day.day} " in fact.reasons[0].nl, "the day itself, and not the next"
    assert "00:00" not in f"{fact.reasons[0].nl} {fact.reasons[0].en}"


@pytest.mark.parametrize("day", DAYS)
def test_enrolment_opens_with_the_first_moment_of_a_day(day: date) -> None:
    scene = given(published(opens=day, sessions=()))
    (fact,) = scene.when(request("a", now=start_of(day) - INSTANT)).then_refused("not-open-yet").facts
    assert isinstance(fact, EnrolmentRefused)
    assert "00:00" not in f"{fact.reasons[0].nl} {fact.reasons[0].en}"
    scene.when(request("a", now=start_of(day))).then_brief(("confirmed", "a"))


def test_who_comes_too_late_is_told_the_last_day() -> None:
    for closes in (date(2026, 9, 8), datetime(2026, 9, 9)):  # noqa: DTZ001
        (fact,) = given(published(closes=closes, sessions=())).when(request("a", now=after(IN_SUMMER))).facts
        assert isinstance(fact, EnrolmentRefused)
        assert "tot en met dinsdag 8 september 2026" in fact.reasons[0].nl
        assert "up to and including Tuesday 8 September 2026" in fact.reasons[0].en


@pytest.mark.parametrize(("session", "last"), [(DAY, IN_SUMMER), (TWO_DAYS, IN_SUMMER + timedelta(days=1))])
def test_a_session_without_a_time_is_over_with_its_last_day(session: object, last: date) -> None:
    scene = given(published(sessions=(session,)))
    scene.when(request("a", now=after(last) - INSTANT)).then_brief(("confirmed", "a"))
    (fact,) = scene.when(request("a", now=after(last))).then_refused("over").facts
    assert isinstance(fact, EnrolmentRefused)
    assert "00:00" not in fact.reasons[0].nl
    assert f" {last.day} september 2026" in fact.reasons[0].nl
    state = scene.state
    assert state.definition
    phases = [offer(state, state.definition, now).phase for now in (after(last) - INSTANT, after(last))]
    assert phases == ["open", "over"]
    assert ending(state, None).ends == after(last)


def test_nobody_is_promoted_from_the_first_moment_of_the_day_of_a_session_or_of_a_freeze() -> None:
    frozen = WaitingList(freeze=date(2026, 9, 1))
    assert fold([published(sessions=(DAY,))]).freeze == start_of(IN_SUMMER)
    assert fold([published(sessions=(DAY,), capacity=1, waiting_list=frozen)]).freeze == start_of(date(2026, 9, 1))


def test_a_diet_is_gone_the_day_after_the_last_day_of_a_lunch() -> None:
    for session, last in ((DAY, IN_SUMMER), (TWO_DAYS, IN_SUMMER + timedelta(days=1))):
        lunch = session.model_copy(update={"lunch": True})
        state = fold([published(sessions=(lunch,)), confirmed("e", who=people("e", 1))])
        assert field_known_until("diet", people("e", 1)[0].person, state) == after(last)


@pytest.mark.parametrize("day", DAYS)
@pytest.mark.parametrize("hour", [0, 9, 22])
def test_a_team_has_the_whole_of_its_last_day_whatever_the_clock_does(day: date, hour: int) -> None:
    now = start_of(day) - timedelta(days=14) + timedelta(hours=hour)
    assert deadline(14, now) == after(day_of(now) + timedelta(days=14))
    noon = datetime(day.year, day.month, day.day, 11, tzinfo=UTC)
    assert deadline(14, noon - timedelta(days=14)) == after(day)


def test_a_team_that_is_not_complete_goes_after_its_last_day_and_is_told_that_day() -> None:
    (came,) = given(published_track(14)).when(request("a", TEAM[:1])).facts
    assert isinstance(came, EnrolmentConfirmed)
    assert came.complete_by == after(date(2023, 3, 16))
    scene = given(published_track(14), came)
    scene.when(asked.LetDeadlinesPass(after(date(2023, 3, 16)) - INSTANT)).then_nothing()
    (gone,) = scene.when(asked.LetDeadlinesPass(after(date(2023, 3, 16)))).facts
    assert isinstance(gone, EnrolmentWithdrawn)
    assert "donderdag 16 maart 2023" in gone.reason.nl
    assert "00:00" not in f"{gone.reason.nl} {gone.reason.en}"
