"""A session whose day is known and whose time is not: in words, in calendars, and until when it is to come."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from contracts.moments import end_of, start_of
from contracts.session import Occasion
from services.notifications.domain.entities import same_for_an_agenda
from services.notifications.letters import (
    CalendarOccasion,
    Confirmation,
    Invite,
    Language,
    Session,
    SessionCancelled,
    SessionMoved,
    Slot,
    Withdrawn,
    WithdrawnInvite,
)
from services.notifications.rendering import Rendered
from tests.notifications import ical_rules
from tests.notifications.samples import CALENDAR, CANCELLED, GOUDA, MOVED, WORK_1, render
from tests.notifications.test_invitation import ask_libical, event_of

DAY, LAST = date(2023, 10, 28), date(2023, 10, 29)
"""The second has 25 hours."""


def days(first: date, last: date) -> Slot:
    return Slot(start_of(first), end_of(last), GOUDA, all_day=True)


ONE_DAY = replace(WORK_1, slot=days(DAY, DAY))
TWO_DAYS = replace(WORK_1, slot=days(DAY, LAST))
WITH_A_TIME = replace(
    WORK_1, slot=Slot(datetime(2023, 10, 28, 8, tzinfo=UTC), datetime(2023, 10, 28, 11, tzinfo=UTC), GOUDA)
)


def calendar_of(rendered: Rendered) -> bytes:
    assert rendered.calendar is not None
    return rendered.calendar


@pytest.mark.parametrize(("session", "until"), [(ONE_DAY, date(2023, 10, 29)), (TWO_DAYS, date(2023, 10, 30))])
def test_it_stands_in_an_agenda_as_days_and_keeps_nobody_from_anything_else(session: Session, until: date) -> None:
    """RFC 5545 §3.6.1: without a time the event is of days, and its end is the first that is no part of it."""
    raw = calendar_of(render(Invite(session, CALENDAR)))
    event = event_of(raw)
    assert (event["DTSTART"].dt, event["DTEND"].dt) == (DAY, until)
    assert b"DTSTART;VALUE=DATE:20231028\r\n" in raw
    assert b"VTIMEZONE" not in raw, "a day has no zone"
    assert (str(event["STATUS"]), str(event["TRANSP"])) == ("CONFIRMED", "TRANSPARENT")
    assert str(event["X-MICROSOFT-CDO-BUSYSTATUS"]) == "FREE"
    assert str(event["X-MICROSOFT-CDO-ALLDAYEVENT"]) == "TRUE"
    assert event.walk("VALARM")[0]["TRIGGER"].dt == -timedelta(hours=15), "not in the middle of the night"
    assert ical_rules.objections(raw) == []


def test_the_time_comes_as_a_move_of_the_same_item() -> None:
    invite = calendar_of(render(Invite(ONE_DAY, CALENDAR)))
    moved = calendar_of(render(SessionMoved(WITH_A_TIME, ONE_DAY.slot, MOVED)))
    cancelled = calendar_of(render(SessionCancelled(ONE_DAY, CANCELLED)))
    for raw in (invite, moved, cancelled, calendar_of(render(WithdrawnInvite(TWO_DAYS, CANCELLED)))):
        assert ical_rules.objections(raw) == []
    assert (event_of(invite)["UID"], event_of(invite)["SEQUENCE"] + 1) == (
        event_of(moved)["UID"],
        event_of(moved)["SEQUENCE"],
    )
    assert str(event_of(moved)["TRANSP"]) == "OPAQUE"
    assert b"ALLDAYEVENT" not in moved
    found = ask_libical(
        {
            "check": {"invite": invite.decode(), "moved": moved.decode(), "cancelled": cancelled.decode()},
            "classify": {"moved": [invite.decode(), moved.decode(), "zoe@bibliotheek-zeist.example"]},
        }
    )
    assert found == {
        "check": {"invite": [], "moved": [], "cancelled": []},
        "classify": {"moved": "REQUEST-RESCHEDULE"},
    }


@pytest.mark.parametrize(
    ("start", "end", "written"),
    [
        (datetime(2027, 10, 31, 0, 30, tzinfo=UTC), datetime(2027, 10, 31, 1, 30, tzinfo=UTC), ("Z", "Z")),
        (datetime(2027, 10, 30, 23, 30, tzinfo=UTC), datetime(2027, 10, 31, 2, 30, tzinfo=UTC), ("TZID", "TZID")),
        (datetime(2027, 3, 27, 21, 0, tzinfo=UTC), datetime(2027, 3, 28, 2, 0, tzinfo=UTC), ("TZID", "TZID")),
    ],
)
def test_a_session_in_a_night_of_change_is_in_agendas_for_exactly_as_long_as_it_is(
    start: datetime, end: datetime, written: tuple[str, str]
) -> None:
    """RFC 5545 §3.3.5: a local time that comes twice is the first of the two, so that the second is told in UTC."""
    raw = calendar_of(render(Invite(replace(WORK_1, slot=Slot(start, end, GOUDA)), CALENDAR)))
    event = event_of(raw)
    assert (event["DTSTART"].dt.astimezone(UTC), event["DTEND"].dt.astimezone(UTC)) == (start, end)
    lines = [line for line in raw.decode().split("\r\n") if re.match("DT(START|END)[:;]", line)][-2:]
    assert [kind in line for kind, line in zip(written, lines, strict=True)] == [True, True]
    assert ical_rules.objections(raw) == []
    assert ask_libical({"check": {"it": raw.decode()}, "classify": {}})["check"] == {"it": []}


@pytest.mark.parametrize(
    ("language", "told", "days_alone"),
    [
        ("nl", "zaterdag 28 oktober 2023, de tijd volgt", "zaterdag 28 oktober 2023"),
        ("en", "Saturday 28 October 2023, the time will follow", "Saturday 28 October 2023"),
    ],
)
def test_mails_say_that_the_time_follows_unless_nothing_does(language: Language, told: str, days_alone: str) -> None:
    for occasion in (Confirmation((ONE_DAY,)), Invite(ONE_DAY, CALENDAR)):
        rendered = render(occasion, language)
        assert told in rendered.text
        assert told in rendered.html
    gone: tuple[CalendarOccasion | Withdrawn, ...] = (
        SessionCancelled(ONE_DAY, CANCELLED),
        WithdrawnInvite(ONE_DAY, CANCELLED),
        Withdrawn((ONE_DAY,)),
    )
    for each in gone:
        rendered = render(each, language)
        assert told not in rendered.text
        assert days_alone in rendered.text
    came = render(SessionMoved(WITH_A_TIME, ONE_DAY.slot, MOVED), language)
    assert told not in came.text
    assert "10:00–13:00" in came.text
    assert "10:00" in came.subject
    assert all("00:00" not in re.sub("10:00|20:00", "", mail.text) for mail in (rendered, came))


def test_another_place_is_no_other_day() -> None:
    elsewhere = replace(ONE_DAY, slot=replace(ONE_DAY.slot, place=None))
    moved = render(SessionMoved(ONE_DAY, elsewhere.slot, MOVED), "nl")
    assert moved.text.count("zaterdag 28 oktober 2023") <= 2, "the day is not told as if it had been another"
    assert "Was: zaterdag" not in moved.text


def test_it_is_over_with_the_end_of_its_last_day() -> None:
    for end, until in ((None, end_of(DAY)), ("2023-10-29", end_of(LAST))):
        occasion = Occasion.model_validate({"start": "2023-10-28", "end": end})
        assert not occasion.is_over(until - timedelta.resolution)
        assert occasion.is_over(until)


def test_an_agenda_shows_a_day_and_the_hours_of_a_day_differently() -> None:
    day, until, hours = (
        Occasion.model_validate(fields)
        for fields in (
            {"start": "2023-10-28"},
            {"start": "2023-10-28", "end": "2023-10-28"},
            {"start": "2023-10-28T00:00", "end": "2023-10-29T00:00"},
        )
    )
    assert same_for_an_agenda(day, until)
    assert not same_for_an_agenda(day, hours)
