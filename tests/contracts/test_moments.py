"""A day is a whole day, a time is one of a clock in Amsterdam, and what a night skips or has twice is told apart."""

from __future__ import annotations

import json
import re
import sqlite3
from datetime import UTC, date, datetime, time, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from contracts import facts, moments
from contracts.characters import Unfit
from contracts.commands import PublishProgramme
from contracts.moments import AMSTERDAM, LENIENTLY, DayOrTime, day_of, end_of, is_day, last_day, start_of, written
from contracts.problem import invalid
from contracts.programme import EnrolmentRules
from contracts.session import Occasion
from tests.contracts.test_programme import programme

WHEN: TypeAdapter[date] = TypeAdapter(DayOrTime)
SCHEMA = Draft202012Validator(moments.SCHEMA)
OCCASION = Draft202012Validator(Occasion.model_json_schema())
NEUDE = {"name": "Neude", "address": "Neude 11"}
Place = dict[str, object]
DAYS = st.dates(date(2020, 1, 1), date(2040, 12, 31))


def last_sundays(month: int) -> list[date]:
    found = [date(year, month, day) for year in range(2020, 2041) for day in range(25, 32)]
    return [day for day in found if day.isoweekday() == 7]


CHANGES = st.sampled_from(last_sundays(3) + last_sundays(10))
"""The days on which the clock changes."""
TIMES = st.one_of(
    st.datetimes(datetime(2020, 1, 1), datetime(2040, 12, 31)),  # noqa: DTZ001
    st.builds(datetime.combine, CHANGES, st.times(time(0, 30), time(4, 30))),
)
OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SPELLINGS = st.sampled_from(("seconds", "minutes", "microseconds"))


def taken(value: object) -> date | None:
    try:
        return WHEN.validate_json(json.dumps(value))
    except ValidationError:
        return None


def exists_once(local: datetime) -> bool:
    """By the zone's own table: there and back again, and no other moment has this name."""
    found = {local.replace(tzinfo=AMSTERDAM, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return len(found) == 1


@given(TIMES, st.none() | OFFSETS, SPELLINGS, st.sampled_from("T "))
def test_code_and_schema_take_the_same_times(
    local: datetime, offset: timezone | None, spelling: str, between: str
) -> None:
    text = local.replace(tzinfo=offset).isoformat(between, spelling)
    expected = offset is not None or exists_once(datetime.fromisoformat(text))
    assert (taken(text) is not None, SCHEMA.is_valid(text)) == (expected, expected), text


@given(st.integers(1995, 2105), st.integers(0, 13), st.integers(0, 32), st.integers(0, 25), st.integers(0, 61))
def test_code_and_schema_take_the_same_days_and_hours(year: int, month: int, day: int, hour: int, minute: int) -> None:
    for text in (f"{year}-{month:02}-{day:02}", f"{year}-{month:02}-{day:02}T{hour:02}:{minute:02}"):
        try:
            known = datetime.fromisoformat(text)
        except ValueError:
            known = None
        expected = known is not None and year in range(2000, 2100) and exists_once(known)
        assert (taken(text) is not None, SCHEMA.is_valid(text)) == (expected, expected), text


@pytest.mark.parametrize(
    "value",
    [
        *("", "2026-9-8", "8 september 2026", "2026-09-08T", "2026-09-08T24:00", "2026-09-08T10"),
        *(
            "2026-09-08T10:00:60",
            "2026-09-08T10:00+1:00",
            "2026-09-08T10:00+0100",
            "2026-09-08T10:00+15:00",
            "2026-09-08t10:00",
        ),
        *(
            "20260908",
            "2026-09-08T10:00Z+01:00",
            " 2026-09-08",
            "2026-09-08T10:00:00.1234567",
            "२०२६-०९-०८",
            20260908,
            1.5,
            True,
        ),
    ],
)
def test_neither_code_nor_schema_takes_anything_else(value: object) -> None:
    assert taken(value) is None
    assert not SCHEMA.is_valid(value)
    with pytest.raises(ValidationError, match=r"a day as '?2026-09-08'? or a time as '?2026-09-08T17:00"):
        WHEN.validate_python(value)


def test_a_time_that_is_in_no_year_of_ours_by_our_clocks_is_refused() -> None:
    for text in ("2000-01-01T00:30+14:00", "2099-12-31T23:30Z"):
        with pytest.raises(ValidationError, match="between 2000 and 2099"):
            WHEN.validate_python(text)
    for extreme in (datetime.min, datetime.max):  # noqa: DTZ901
        for zone in (None, UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=14))):
            with pytest.raises(ValidationError, match="between 2000 and 2099"):
                WHEN.validate_python(extreme.replace(tzinfo=zone))


@given(st.one_of(DAYS, st.builds(lambda at, offset: at.replace(tzinfo=offset), TIMES, OFFSETS)))
def test_what_was_written_is_the_same_after_json_a_library_of_yaml_a_fact_and_sqlite(when: date) -> None:
    kept = WHEN.validate_python(when.isoformat())
    assert is_day(kept) == is_day(when)
    assert start_of(kept) == start_of(when), "the very moment"
    assert WHEN.validate_json(WHEN.dump_json(kept)) == kept
    assert WHEN.validate_python(kept) == kept, "as a library of YAML hands it over"
    assert WHEN.validate_python(written(kept)) == kept
    rules = EnrolmentRules(closes=kept)
    fact = facts.ProgrammeRulesChanged(rules=rules, changed=("closes",))
    with sqlite3.connect(":memory:") as database:
        (stored,) = database.execute("SELECT ?", (fact.to_json(),)).fetchone()
    read_back = facts.ProgrammeRulesChanged.model_validate_json(stored)
    assert (read_back.rules, read_back.rules.closes) == (rules, kept)
    database.close()


@given(DAYS)
def test_a_day_ends_where_the_next_begins_whatever_the_clock_does(day: date) -> None:
    start, end = start_of(day), end_of(day)
    hours = {True: 23, False: 25}[day.month == 3] if day in [*last_sundays(3), *last_sundays(10)] else 24
    assert end - start == timedelta(hours=hours)
    assert end == start_of(day + timedelta(days=1))
    assert (day_of(start), day_of(end - timedelta.resolution), last_day(end)) == (day, day, day)
    assert start.astimezone(AMSTERDAM).time() == end.astimezone(AMSTERDAM).time() == time.min


@given(*[st.one_of(DAYS, st.builds(lambda at: at.replace(tzinfo=UTC), TIMES))] * 2)
def test_enrolment_opens_before_it_closes_by_the_moments(opens: date, closes: date) -> None:
    rules = {"opens": opens.isoformat(), "closes": closes.isoformat()}
    if start_of(opens) < end_of(closes):
        EnrolmentRules.model_validate(rules)
    else:
        with pytest.raises(ValidationError, match="must open before it closes"):
            EnrolmentRules.model_validate(rules)


def test_what_means_the_same_is_equal_in_whichever_zone_it_was_written() -> None:
    spellings = ("2026-09-08T17:00", "2026-09-08 17:00:00", "2026-09-08T15:00Z", "2026-09-08T20:30:00+05:30")
    assert len({WHEN.validate_python(text) for text in spellings}) == 1
    assert WHEN.dump_json(WHEN.validate_python("2026-09-08T15:00Z")) == b'"2026-09-08T17:00:00"'
    assert WHEN.validate_python("2026-09-08") != WHEN.validate_python("2026-09-08T00:00"), "a day is no midnight"


@pytest.mark.parametrize(
    ("text", "english", "dutch"),
    [
        (
            "2027-03-28T02:30",
            "this time does not exist, because the clock goes from 02:00 to 03:00 that night:"
            " write 2027-03-28T01:59 or 2027-03-28T03:00",
            "Deze tijd bestaat niet, want de klok gaat die nacht van 02:00 naar 03:00:"
            " schrijf 2027-03-28T01:59 of 2027-03-28T03:00.",
        ),
        (
            "2027-10-31T02:30",
            "this time comes twice, because the clock goes from 03:00 back to 02:00 that night: write"
            " 2027-10-31T02:30+02:00 (the first, in summer time)"
            " or 2027-10-31T02:30+01:00 (the second, in winter time)",
            "Deze tijd komt twee keer voor, want de klok gaat die nacht van 03:00 terug naar 02:00: schrijf"
            " 2027-10-31T02:30+02:00 (de eerste, zomertijd) of 2027-10-31T02:30+01:00 (de tweede, wintertijd).",
        ),
    ],
)
def test_a_refusal_says_where_why_and_what_to_write_instead(text: str, english: str, dutch: str) -> None:
    with pytest.raises(ValidationError) as refused:
        PublishProgramme.model_validate({"programme": programme(enrolment={"closes": text})})
    (fault,) = invalid(refused.value).errors
    assert (fault.field, fault.detail, fault.detail_nl) == ("programme.enrolment.closes", english, dutch)
    for proposed in re.findall(r"2027-\S+", english.replace("write", "")):
        assert taken(proposed) is not None


@given(st.builds(datetime.combine, CHANGES, st.times(time(2), time(2, 59, 59, 999_999))))
def test_what_a_refusal_proposes_is_taken(local: datetime) -> None:
    assert not exists_once(local)
    with pytest.raises(ValidationError) as refused:
        WHEN.validate_python(local)
    proposed = re.findall(r"20\d\d-\S+\d", str(refused.value.errors()[0]["msg"]))
    assert len(proposed) == 2
    assert all(taken(text) is not None for text in proposed)


def test_both_times_of_an_hour_that_comes_twice_are_kept_exactly() -> None:
    first, second = (WHEN.validate_python(f"2027-10-31T02:30+0{hours}:00") for hours in (2, 1))
    assert start_of(second) - start_of(first) == timedelta(hours=1)
    assert WHEN.dump_json(first) == b'"2027-10-31T02:30:00+02:00"'
    assert WHEN.dump_json(second) == b'"2027-10-31T02:30:00+01:00"'
    hour = Occasion.model_validate({"start": "2027-10-31T02:30+02:00", "end": "2027-10-31T02:30+01:00"})
    assert hour.begins
    assert hour.finishes
    assert hour.finishes - hour.begins == timedelta(hours=1)
    with pytest.raises(ValidationError, match="the end must come after the start"):
        Occasion.model_validate({"start": "2027-10-31T02:30+01:00", "end": "2027-10-31T02:30+02:00"})


def test_a_log_from_before_is_read_all_the_same() -> None:
    """Then, the first was meant of an hour that comes twice, and an hour later of one that does not exist."""
    for text, utc in (("2027-10-31T02:30:00", "00:30"), ("2027-03-28T02:30:00", "01:30")):
        kept = WHEN.validate_python(text, context={LENIENTLY: True})
        assert f"{start_of(kept):%H:%M}" == utc
        assert WHEN.validate_json(WHEN.dump_json(kept)) == kept, "what is kept of it is exact"
        sample = json.loads((Path("contracts/samples") / "session.added.v1.full.json").read_text())
        sample["data"]["session"] |= {"start": text, "end": "2027-10-31T12:00:00"}
        assert facts.parse(json.dumps(sample)).type == "session.added.v1"


@pytest.mark.parametrize(
    ("occasion", "message"),
    [
        ({"start": "2026-09-10", "end": "2026-09-10T12:00"}, "one is a day and the other a time"),
        ({"start": "2026-09-10T10:00", "end": "2026-09-10"}, "one is a day and the other a time"),
        ({"start": "2026-09-10", "end": "2026-09-09"}, "the last day must not come before the first"),
        ({"end": "2026-09-10"}, "start and end come together"),
        ({"start": "2026-09-10T10:00"}, "give the day alone"),
    ],
)
def test_a_session_has_two_days_or_two_times(occasion: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as refused:
        Occasion.model_validate(occasion)
    error = refused.value.errors()[0].get("ctx", {})["error"]
    assert isinstance(error, Unfit)
    assert error.dutch


@pytest.mark.parametrize("place", [{}, {"online": {}}, {"online": {}, "venue": NEUDE}])
@pytest.mark.parametrize("start", [None, "2026-09-10", "2026-09-10T10:00", "2026-09-10T10:00:00Z"])
@pytest.mark.parametrize("end", [None, "2026-09-11", "2026-09-11T10:00", "2026-09-11T10:00:00Z"])
def test_the_schema_of_a_session_takes_what_the_code_takes(
    start: str | None, end: str | None, place: dict[str, object]
) -> None:
    for with_nothing in (True, False):
        given_ = {"start": start, "end": end}
        fields = {name: value for name, value in given_.items() if value is not None or with_nothing} | place
        try:
            Occasion.model_validate(fields)
        except ValidationError:
            assert not OCCASION.is_valid(fields)
        else:
            assert OCCASION.is_valid(fields)


@given(DAYS, st.none() | st.integers(0, 400))
def test_a_session_without_a_time_lasts_to_the_end_of_its_last_day(start: date, more: int | None) -> None:
    end = None if more is None else start + timedelta(days=more)
    found = Occasion.model_validate({"start": start.isoformat(), "end": end and end.isoformat()})
    assert found.all_day
    assert (found.begins, found.finishes) == (start_of(start), start_of((end or start) + timedelta(days=1)))
    assert Occasion.model_validate_json(found.to_json()) == found
