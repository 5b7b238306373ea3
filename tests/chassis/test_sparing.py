"""Of lines of one kind one a minute is written, and none is lost from the count."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.sparing import Sparing


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Kept(logging.Handler):
    """What was written."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, int]] = []
        self.told = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((str(record.msg), getattr(record, "left_out", 0)))
        if len(self.lines) > 1:
            self.told.set()


def line(
    text: str = "it failed", level: int = logging.WARNING, name: str = "some", **fields: object
) -> logging.LogRecord:
    """As structlog hands one on."""
    return logging.LogRecord(name, level, "journal.py", 1, {"event": text, **fields}, None, None)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def sparing(kept: Kept, clock: Clock) -> Iterator[Sparing]:
    sparing = Sparing(kept, now=clock)
    yield sparing
    sparing.close()


def test_the_first_is_written_at_once_and_the_last_of_each_minute_with_the_count(
    sparing: Sparing, kept: Kept, clock: Clock
) -> None:
    for number in range(120_000):
        clock.seconds = number / 1000
        sparing.handle(line(number=number))
    assert [(json.loads(text.replace("'", '"'))["number"], out) for text, out in kept.lines] == [
        (0, 0),
        (59_999, 59_998),
    ]
    sparing.close()
    assert sum(out + 1 for _, out in kept.lines) == 120_000, "none is lost from the count"


def test_after_a_quiet_minute_a_line_is_written_at_once(sparing: Sparing, kept: Kept, clock: Clock) -> None:
    sparing.handle(line())
    clock.seconds = 60
    sparing.handle(line())
    assert len(kept.lines) == 2


@pytest.mark.parametrize(
    "other",
    [
        line("something else"),
        line(level=logging.ERROR),
        line(name="another"),
        line(stream="LOG_REGISTRATION"),
        line(source="a-partner"),
        line(reason="another reason"),
        line(exc_info=ValueError("no such thing")),
    ],
)
def test_what_differs_in_what_matters_is_written(sparing: Sparing, kept: Kept, other: logging.LogRecord) -> None:
    for each in (line(), other, line(), other):
        sparing.handle(each)
    assert len(kept.lines) == 2


def test_the_number_of_a_message_makes_no_difference(sparing: Sparing, kept: Kept) -> None:
    for number in range(10):
        sparing.handle(line(number=number, position=number, mail=f"m-{number}"))
    assert len(kept.lines) == 1


def test_reasons_that_are_made_up_without_end_do_not_fill_the_log(sparing: Sparing, kept: Kept, clock: Clock) -> None:
    for number in range(10_000):
        sparing.handle(line(reason=f"reason {number}", source=f"partner {number}"))
        sparing.handle(logging.LogRecord("library", logging.ERROR, "x.py", 7, f"cannot {number * 'x'}", None, None))
    assert len(kept.lines) <= 2 * 11
    clock.seconds = 60
    sparing.settle()
    assert len(kept.lines) <= 2 * 11 + 2
    assert sum(out + 1 for _, out in kept.lines) == 20_000


def test_a_librarys_line_is_known_by_its_place_whatever_numbers_it_has(sparing: Sparing, kept: Kept) -> None:
    for number in range(10):
        text = f"Fatal error on transport\ntransport: <fd={number}> {hex(number * 4096)}"
        sparing.handle(logging.LogRecord("asyncio", logging.ERROR, "events.py", 7, text, None, None))
        text = f"Task {number} was destroyed"
        sparing.handle(logging.LogRecord("asyncio", logging.ERROR, "events.py", 7, text, None, None))
    assert len(kept.lines) == 2


def test_the_last_words_of_a_process_are_never_kept_back(sparing: Sparing, kept: Kept) -> None:
    for _ in range(3):
        sparing.handle(line(level=logging.CRITICAL))
    assert len(kept.lines) == 3


def test_what_is_kept_is_told_when_the_minute_is_over_without_another_line(kept: Kept) -> None:
    sparing = Sparing(kept, minute=0.2)
    for _ in range(4):
        sparing.handle(line())
    assert kept.told.wait(10)
    assert [out for _, out in kept.lines] == [0, 2]
    sparing.close()


def test_what_is_said_after_the_end_is_written_at_once(sparing: Sparing, kept: Kept) -> None:
    sparing.handle(line())
    sparing.close()
    for _ in range(3):
        sparing.handle(line())
    assert len(kept.lines) == 4


@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.sampled_from("abc"), st.sampled_from(["", "x", "y"])),
        max_size=60,
    )
)
def test_whatever_comes_each_kind_is_written_once_a_minute_at_most_and_counted_whole(
    steps: list[tuple[int, str, str]],
) -> None:
    clock, kept = Clock(), Kept()
    sparing = Sparing(kept, now=clock)
    written: dict[str, list[float]] = {}
    for seconds, event, stream in steps:
        clock.seconds += seconds
        before = len(kept.lines)
        sparing.handle(line(event, stream=stream))
        for text, _ in kept.lines[before:]:
            written.setdefault(text, []).append(clock.seconds)
    for moments in written.values():
        assert all(later - earlier >= 60 for earlier, later in pairwise(moments))
    sparing.close()
    assert sum(out + 1 for _, out in kept.lines) == len(steps)


PROGRAM = """
import logging
import structlog
from services.chassis.journal import configure

configure("info", "test")
for number in range(5):
    try:
        raise ValueError("no such thing")
    except ValueError:
        structlog.get_logger("some").exception("it failed", number=number)
        logging.getLogger("library").exception("a library failed at %s", number)
"""


def test_a_process_that_ends_tells_what_it_kept_with_its_traceback() -> None:
    output = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, text=True).stdout
    lines = [json.loads(each) for each in output.splitlines()]
    assert [(each["event"], each.get("left_out")) for each in lines] == [
        ("it failed", None),
        ("a library failed at 0", None),
        ("it failed", 3),
        ("a library failed at 4", 3),
    ]
    assert all("no such thing" in json.dumps(each["exception"]) for each in lines)
    assert lines[2]["number"] == 4
