"""When a session is, when it is over, and what of it an agenda shows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.session import Occasion, Session

DATED = {"start": "2023-04-13T10:00", "end": "2023-04-13T11:00"}


def session(**changes: Any) -> Session:
    return Session.model_validate({"id": "one", "title": {"nl": "Uitwisseling", "en": "Exchange"}} | changes)


@pytest.mark.parametrize(
    ("occasion", "message"),
    [
        ({"start": "2023-04-13T10:00"}, "start and end come together"),
        ({"end": "2023-04-13T10:00"}, "start and end come together"),
        ({"start": "2023-04-13T10:00", "end": "2023-04-13T10:00"}, "the end must come after the start"),
        ({"online": {}, "venue": {"name": "Neude", "address": "Neude 11"}}, "online or has a venue, not both"),
        ({"time_zone": "Europe/London"}, "Europe/Amsterdam"),
    ],
)
def test_an_occasion_that_can_not_be_is_refused(occasion: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Occasion.model_validate(occasion)


@pytest.mark.parametrize(
    ("local", "utc"),
    [
        ("2023-01-13T10:00", datetime(2023, 1, 13, 9, tzinfo=UTC)),
        ("2023-04-13T10:00", datetime(2023, 4, 13, 8, tzinfo=UTC)),
        ("2023-10-29T02:30+02:00", datetime(2023, 10, 29, 0, 30, tzinfo=UTC)),
        ("2023-10-29T02:30+01:00", datetime(2023, 10, 29, 1, 30, tzinfo=UTC)),
        ("2023-04-13T08:00Z", datetime(2023, 4, 13, 8, tzinfo=UTC)),
    ],
)
def test_times_are_those_of_clocks_in_amsterdam(local: str, utc: datetime) -> None:
    occasion = Occasion.model_validate({"start": local, "end": "2023-12-31T23:59"})
    assert occasion.begins is not None
    assert occasion.begins.astimezone(UTC) == utc


def test_a_session_knows_what_of_it_an_agenda_shows() -> None:
    one, lunch = session(**DATED), session(**DATED, lunch=True)
    assert one != lunch
    assert one.occasion == lunch.occasion


def test_a_session_that_moves_is_the_same_session_elsewhere() -> None:
    after = Occasion.model_validate({"start": "2023-05-13", "venue": {"name": "Neude", "address": "Neude 11"}})
    moved = session(**DATED, online={}, lunch=True).moved(after)
    assert moved == session(start="2023-05-13", venue={"name": "Neude", "address": "Neude 11"}, lunch=True)
    assert moved.occasion == after


def test_a_session_is_to_come_until_it_is_over_and_without_a_date_neither() -> None:
    end = datetime(2023, 4, 13, 9, tzinfo=UTC)
    dated, undated = session(**DATED), session()
    for at, over in ((end - timedelta.resolution, False), (end, True)):
        assert (dated.is_over(at), dated.is_to_come(at)) == (over, not over)
        assert (undated.is_over(at), undated.is_to_come(at)) == (False, False)
