"""A letter that cannot be right cannot be made."""

from dataclasses import FrozenInstanceError
from datetime import datetime, timedelta
from typing import get_args

import pytest

from services.notifications.letters import (
    CalendarOccasion,
    Invite,
    Lacking,
    Occasion,
    Purpose,
    Session,
    SessionCancelled,
    SessionMoved,
    Slot,
    WithdrawnInvite,
)
from tests.notifications.samples import CALENDAR, WORK_1, WRAP_UP, at, letter, occasions

NAIVE = datetime(2023, 6, 20, 10)  # noqa: DTZ001


def test_a_slot_has_both_times_or_none_and_they_know_their_zone() -> None:
    assert Slot().start is None
    with pytest.raises(ValueError, match="a start and an end"):
        Slot(at(6, 20, 8))
    with pytest.raises(ValueError, match="a start and an end"):
        Slot(None, at(6, 20, 8))
    with pytest.raises(ValueError, match="time zone"):
        Slot(NAIVE, NAIVE + timedelta(hours=1))
    with pytest.raises(ValueError, match="ends after"):
        Slot(at(6, 20, 8), at(6, 20, 8))


@pytest.mark.parametrize("kind", [Invite, SessionCancelled, WithdrawnInvite])
def test_no_calendar_message_is_about_a_session_without_a_date(kind: type[Invite]) -> None:
    with pytest.raises(ValueError, match="has a date"):
        kind(WRAP_UP, CALENDAR)


def test_a_session_without_a_date_is_cancelled_without_a_calendar_and_cannot_be_postponed() -> None:
    assert SessionCancelled(WRAP_UP).calendar is None
    with pytest.raises(ValueError, match="cannot lose it"):
        SessionCancelled(WRAP_UP, postponed=True)


def test_a_session_is_not_moved_to_no_date() -> None:
    with pytest.raises(ValueError, match="has a date"):
        SessionMoved(WRAP_UP, WORK_1.slot, CALENDAR)


def test_a_deadline_knows_its_zone() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Lacking(("Manager",), NAIVE)


def test_every_purpose_has_one_occasion_and_the_samples_show_them_all() -> None:
    purposes = [kind.purpose for kind in get_args(Occasion)]

    assert sorted(purposes) == sorted(get_args(Purpose))
    assert {occasion.purpose for occasion, _ in occasions("nl")} == set(purposes)
    assert {occasion.purpose for occasion, _ in occasions("en")} == set(purposes)


def test_only_these_occasions_touch_a_calendar() -> None:
    assert {kind.purpose for kind in get_args(CalendarOccasion)} == {
        "invite",
        "session-moved",
        "session-cancelled",
        "withdrawn-invite",
        "readdressed",
    }


def test_a_letter_does_not_change() -> None:
    sample = letter(Invite(WORK_1, CALENDAR))

    with pytest.raises(AttributeError):
        sample.role = "director"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        sample.programme.title = "another"  # type: ignore[misc]
    same = Session(WORK_1.id, WORK_1.title, WORK_1.slot, WORK_1.lunch, WORK_1.description)
    assert sample == letter(Invite(same, CALENDAR))
    assert hash(sample) == hash(letter(Invite(WORK_1, CALENDAR)))
