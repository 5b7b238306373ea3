"""What was asked in time and is decided late: what is judged by the one moment, and what by the other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from contracts.programme import WaitingList
from services.registration.domain import Command, decide
from services.registration.domain import commands as asked
from tests.registration.domain.given import (
    IN_ORDER,
    NOW,
    SESSION,
    Given,
    Result,
    confirmed,
    given,
    missing,
    published,
    published_track,
    request,
    sitting,
    waitlisted,
)

CLOSES = datetime(2023, 3, 2, 12, 0)  # noqa: DTZ001 - local time in Amsterdam
CLOSED = NOW.replace(hour=11, minute=0)
DAY = timedelta(days=1)
DEADLINE = NOW + 3 * DAY


def late(scene: Given, command: Command, decided: datetime) -> Result:
    return Result(scene.state, decide(scene.state, command, decided))


@pytest.mark.parametrize(("before", "rule"), [(timedelta(microseconds=1), None), (timedelta(0), "closed")])
def test_closing_is_judged_by_the_moment_of_asking(before: timedelta, rule: str | None) -> None:
    result = late(given(published(closes=CLOSES)), request("a", now=CLOSED - before), CLOSED + DAY)
    if rule is None:
        result.then_brief(("confirmed", "a"))
    else:
        result.then_refused(rule)


def test_opening_is_judged_by_the_moment_of_asking() -> None:
    scene = given(published(opens=CLOSES))
    late(scene, request("a", now=CLOSED - timedelta(seconds=1)), CLOSED + DAY).then_refused("not-open-yet")


def test_what_is_over_when_it_is_decided_takes_nobody() -> None:
    scene = given(published())
    over = datetime(2023, 4, 13, 14, 0).astimezone(NOW.tzinfo)
    late(scene, request("a", now=NOW), over + DAY).then_refused("over")


def test_the_time_to_complete_a_team_begins_when_it_is_decided() -> None:
    scene, team, decided = given(published_track(2)), sitting(jeugd="noor"), NOW + 5 * DAY
    assert (
        late(scene, request("a", who=team, now=NOW), decided).facts
        == scene.when(request("a", who=team, now=decided)).facts
    )


def test_a_place_that_was_given_back_before_a_freeze_goes_to_the_next_but_not_into_what_has_begun() -> None:
    begins = NOW.replace(month=4, day=13, hour=12, minute=0)
    chosen = WaitingList(freeze=datetime(2023, 3, 2, 12, 0))  # noqa: DTZ001 - local time in Amsterdam
    withdraw = asked.WithdrawEnrolment("a", NOW)
    for waiting_list, decided, becomes in (
        (chosen, CLOSED + DAY, ("promoted", "b", "unit-free")),
        (IN_ORDER, begins - timedelta(seconds=1), ("promoted", "b", "unit-free")),
        (IN_ORDER, begins, ("passedover", "b", "frozen")),
    ):
        scene = given(
            published(capacity=1, waiting_list=waiting_list, sessions=(SESSION,)), confirmed("a"), waitlisted("b")
        )
        late(scene, withdraw, decided).then_brief(("withdrawn", "a"), becomes)


@pytest.mark.parametrize(
    ("heard", "passes"),
    [
        (None, True),
        ({"demo": DEADLINE}, True),
        ({"demo": DEADLINE - timedelta(microseconds=1), "other": DEADLINE + DAY}, False),
        ({"other": DEADLINE + DAY}, False),
    ],
)
def test_a_partners_deadline_passes_when_all_that_it_sent_before_is_decided(
    heard: Mapping[str, datetime] | None, passes: bool
) -> None:
    scene = given(
        published_track(capacity=2, waiting_list=IN_ORDER),
        confirmed(
            "theirs",
            who=sitting(jeugd="n1"),
            missing=missing("basis", "manager"),
            complete_by=DEADLINE,
            channel="intake",
            source="demo",
        ),
        confirmed("ours", who=sitting(jeugd="n2"), missing=missing("basis", "manager"), complete_by=DEADLINE),
        waitlisted("next", who=sitting(jeugd="n3", basis="s3", manager="e3")),
    )
    result = scene.when(asked.LetDeadlinesPass(DEADLINE + DAY, heard))
    gone = [("withdrawn", "theirs")] if passes else []
    result.then_brief(*gone, ("withdrawn", "ours"), ("promoted", "next", "unit-free"))


def test_places_that_deadlines_freed_before_a_freeze_are_given_away_although_that_is_noticed_after_it() -> None:
    chosen = WaitingList(freeze=(DEADLINE + DAY).replace(tzinfo=None))
    scene = given(
        published_track(capacity=1, waiting_list=chosen),
        confirmed("a", who=sitting(jeugd="n1"), missing=missing("basis", "manager"), complete_by=DEADLINE),
        waitlisted("b", who=sitting(jeugd="n3", basis="s3", manager="e3")),
    )
    scene.when(asked.LetDeadlinesPass(DEADLINE + 3 * DAY)).then_brief(
        ("withdrawn", "a"), ("promoted", "b", "unit-free")
    )
