from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.clock import Setting, UnreadableInstant, clock_from, wall_clock, written

START = datetime(2023, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize("setting", [None, ""])
def test_without_a_setting_it_is_the_time_on_the_wall(setting: str | None) -> None:
    assert abs(clock_from(setting)() - datetime.now(UTC)) < timedelta(seconds=5)


@pytest.mark.parametrize("setting", ["2023-03-02T09:00:00Z", "2023-03-02T10:00:00+01:00"])
def test_a_set_clock_starts_there_and_runs_on(setting: str) -> None:
    clock = clock_from(setting)
    first, second = clock(), clock()
    assert START <= first <= second < START + timedelta(seconds=5)
    assert first < clock() or first == START
    assert first.tzinfo is UTC


@given(st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.timezones() | st.just(UTC)))  # noqa: DTZ001
def test_a_moment_is_written_in_utc_to_the_microsecond(moment: datetime) -> None:
    assert written(moment) == moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def test_a_clock_in_a_file_jumps_when_the_file_changes(tmp_path: Path) -> None:
    file = tmp_path / "now"
    file.write_text("2023-03-02T09:00:00Z\n")
    clock = clock_from(str(file))
    assert clock().year == 2023
    file.write_text("2024-06-01T09:00:00Z\n")
    os.utime(file, ns=(1, 1))
    assert clock().year == 2024


def test_a_clock_in_a_file_runs_on_while_the_file_is_half_written_or_gone(tmp_path: Path) -> None:
    file = tmp_path / "now"
    file.write_text("2023-03-02T09:00:00Z")
    clock = clock_from(str(file))
    file.write_text("2024-")
    assert clock().year == 2023
    file.unlink()
    assert clock().year == 2023


@pytest.mark.parametrize("setting", ["2023-03-02T09:00:00", "yesterday", "/no/such/file"])
def test_a_setting_that_is_no_time_is_refused_at_once(setting: str) -> None:
    with pytest.raises(UnreadableInstant):
        clock_from(setting)


def test_the_wall_clock_showed_what_the_broker_wrote_but_never_later_than_now() -> None:
    clock = clock_from(None)
    then = wall_clock() - timedelta(hours=3)
    assert clock.showed(then) == then
    assert clock.showed(wall_clock() + timedelta(hours=3)) <= wall_clock()


def test_a_set_clock_showed_as_much_less_as_has_passed_and_nothing_before_it_was_set() -> None:
    clock = clock_from("2023-03-02T09:00:00Z")
    (setting,) = clock.settings
    assert clock.showed(setting.runs - timedelta(days=1)) == START
    assert clock.showed(setting.runs) == START
    assert clock.showed(wall_clock() + timedelta(days=1)) <= clock()


def set_at(file: Path, instant: str, moment: datetime) -> None:
    file.write_text(instant)
    os.utime(file, (moment.timestamp(), moment.timestamp()))


def test_a_clock_that_jumped_showed_what_it_was_set_to_then(tmp_path: Path) -> None:
    now = wall_clock()
    file = tmp_path / "now"
    set_at(file, "2023-03-02T09:00:00Z", now - timedelta(minutes=30))
    clock = clock_from(str(file))
    set_at(file, "2023-03-09T09:00:00Z", now - timedelta(minutes=10))
    assert clock() >= START + timedelta(days=7)
    assert clock.showed(now - timedelta(minutes=20)) == START
    assert clock.showed(now - timedelta(minutes=5)) == START + timedelta(days=7)


def test_how_a_clock_was_set_before_a_restart_is_recalled(tmp_path: Path) -> None:
    """While the process was away the clock ran on, and was set again."""
    now = wall_clock()
    before = Setting(now - timedelta(hours=2), START, now - timedelta(hours=2))
    file = tmp_path / "now"
    set_at(file, "2023-03-09T09:00:00Z", now - timedelta(minutes=10))
    clock = clock_from(str(file))
    clock.recall([before])
    assert clock.showed(now - timedelta(minutes=60)) == START + timedelta(minutes=60)
    assert clock.showed(now - timedelta(minutes=5)) == START + timedelta(days=7)
    assert clock.settings[0] == before


def test_a_file_that_nobody_changed_sets_the_clock_back_at_the_start_of_a_process(tmp_path: Path) -> None:
    now = wall_clock()
    file = tmp_path / "now"
    set_at(file, "2023-03-02T09:00:00Z", now - timedelta(hours=2))
    first = clock_from(str(file))
    first_settings = [Setting(now - timedelta(hours=2), START, now - timedelta(hours=2))]
    second = clock_from(str(file))
    second.recall(first_settings)
    # It ran for two hours and shows nine o'clock again: nothing was asked later than that.
    assert START <= second.showed(now - timedelta(minutes=1)) <= second() < START + timedelta(minutes=1)
    assert len(second.settings) == 2
    assert first.settings[0].since == first_settings[0].since
