from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.clock import UnreadableInstant, clock_from, written

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
