"""Days and times in words, as people in the Netherlands say them."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import get_args

import pytest
from babel.dates import format_date, format_datetime
from hypothesis import given
from hypothesis import strategies as st

from contracts import dates
from contracts.base import Language
from contracts.moments import AMSTERDAM, end_of, start_of
from contracts.programme import EnrolmentRules
from contracts.session import Occasion

LANGUAGES: tuple[Language, ...] = get_args(Language)
DAYS = st.dates(date(2020, 1, 1), date(2040, 12, 31))
MOMENTS = st.datetimes(datetime(2020, 1, 1), datetime(2040, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001


def closing(text: str) -> date:
    closes = EnrolmentRules.model_validate({"closes": text}).closes
    assert closes
    return closes


def occasion(start: str, end: str | None = None) -> Occasion:
    return Occasion.model_validate({"start": start, "end": end})


@given(DAYS, st.sampled_from(LANGUAGES))
def test_days_are_written_as_unicode_writes_them(day: date, language: Language) -> None:
    locale = dates.LOCALES[language]
    assert dates.weekday(day, language) == format_date(day, "EEEE d MMMM y", locale=locale)
    assert dates.day(day, language) == format_date(day, "d MMMM y", locale=locale)
    assert dates.day(day, language, day.year) == format_date(day, "d MMMM", locale=locale)


@given(MOMENTS, st.sampled_from(LANGUAGES))
def test_what_happened_is_told_in_short_as_unicode_does(at: datetime, language: Language) -> None:
    told = format_datetime(at, "EEE d MMM y HH:mm", tzinfo=AMSTERDAM, locale=dates.LOCALES[language])
    assert dates.short(at, language) == told.replace(".", "").replace("Sept ", "Sep ")


@pytest.mark.parametrize(
    ("closes", "dutch", "english"),
    [
        ("2026-09-08", "tot en met dinsdag 8 september 2026", "up to and including Tuesday 8 September 2026"),
        ("2026-09-08T00:00", "tot en met maandag 7 september 2026", "up to and including Monday 7 September 2026"),
        ("2026-09-07T22:00Z", "tot en met maandag 7 september 2026", "up to and including Monday 7 September 2026"),
        (
            "2026-09-08T17:00",
            "tot dinsdag 8 september 2026 om 17:00 uur",
            "until Tuesday 8 September 2026 at 17:00 (Amsterdam time)",
        ),
        (
            "2027-10-31T02:30+01:00",
            "tot zondag 31 oktober 2027 om 02:30 uur (wintertijd)",
            "until Sunday 31 October 2027 at 02:30 (Amsterdam winter time)",
        ),
    ],
)
def test_until_when_one_can_enrol(closes: str, dutch: str, english: str) -> None:
    for when in (closing(closes), end_of(closing(closes))):
        assert (dates.until(when, "nl"), dates.until(when, "en")) == (dutch, english)
        assert dates.ending(when, "nl") == dutch.removeprefix("tot ").removeprefix("en met ")


def test_from_when_one_can_enrol() -> None:
    for text in ("2026-09-01", "2026-09-01T00:00"):
        assert dates.beginning(closing(text), "nl") == "dinsdag 1 september 2026"
    assert dates.beginning(closing("2026-09-01T09:00"), "nl") == "dinsdag 1 september 2026 om 09:00 uur"


@given(DAYS, st.sampled_from(LANGUAGES))
def test_nobody_is_told_of_a_midnight(day: date, language: Language) -> None:
    midnight = start_of(day)
    others = dates.when(midnight - timedelta(hours=3), midnight, language)
    told = (
        *(say(when, language) for say in (dates.until, dates.ending, dates.beginning) for when in (day, midnight)),
        dates.when(midnight, end_of(day), language, all_day=True),
        others,
    )
    assert not [words for words in told if "00:00" in words.replace("21:00", "")]
    assert dates.until(midnight, language) == dates.until(day - timedelta(days=1), language)


@pytest.mark.parametrize(
    ("of", "dutch", "english"),
    [
        (
            occasion("2020-10-29"),
            "donderdag 29 oktober 2020, de tijd volgt",
            "Thursday 29 October 2020, the time will follow",
        ),
        (
            occasion("2026-09-10", "2026-09-11"),
            "donderdag 10 september 2026 tot en met vrijdag 11 september 2026, de tijd volgt",
            "Thursday 10 September 2026 to Friday 11 September 2026, the time will follow",
        ),
        (
            occasion("2026-09-10T20:00", "2026-09-11T00:00"),
            "donderdag 10 september 2026, 20:00–24:00 uur",
            "Thursday 10 September 2026, 20:00–24:00 (Amsterdam time)",
        ),
        (
            occasion("2027-10-31T02:30+02:00", "2027-10-31T02:30+01:00"),
            "zondag 31 oktober 2027, 02:30 (zomertijd)–02:30 uur (wintertijd)",
            "Sunday 31 October 2027, 02:30 (summer time)–02:30 (Amsterdam winter time)",
        ),
        (
            occasion("2027-03-27T22:00", "2027-03-28T04:00"),
            "zaterdag 27 maart 2027 om 22:00 uur – zondag 28 maart 2027 om 04:00 uur",
            "Saturday 27 March 2027 at 22:00 (Amsterdam time) – Sunday 28 March 2027 at 04:00 (Amsterdam time)",
        ),
        (Occasion(), None, None),
    ],
)
def test_when_a_session_is(of: Occasion, dutch: str | None, english: str | None) -> None:
    assert (dates.occasion(of, "nl"), dates.occasion(of, "en")) == (dutch, english)


def test_a_time_of_day_is_that_of_a_clock_in_the_netherlands() -> None:
    assert dates.clock(datetime.combine(date(2026, 7, 1), time(8), UTC), "nl") == "10:00 uur"
    assert dates.clock(datetime.combine(date(2026, 12, 1), time(8), UTC), "nl") == "09:00 uur"
