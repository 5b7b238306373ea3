"""
Days and times as people write them, and the moments that they stand for.

Everywhere a programme speaks of time, a day (``2026-09-08``) is a whole day in the Netherlands and a time is one of a
clock in Amsterdam, or has its offset. What is compared is compared as moments: :func:`start_of`, :func:`end_of`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import lru_cache
from typing import Annotated, Any, Final, TypeGuard
from zoneinfo import ZoneInfo

from pydantic import PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from contracts.characters import Unfit

AMSTERDAM: Final = ZoneInfo("Europe/Amsterdam")

_YEARS: Final = range(2000, 2100)
_DAY: Final = (
    "(20[0-9]{2}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
    "|20([02468][048]|[13579][26])-02-29)"
)
_TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?"
_OFFSET: Final = "(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9]|[+-]14:00)"
_WRITTEN: Final = re.compile(f"{_DAY}([T ]{_TIME}{_OFFSET}?)?")

RULE: Final = "day-or-time"
"""What is broken, for programs, by a day or a time that cannot be taken."""

LENIENTLY: Final = "leniently"
"""In the context of a validation: a local time that a night skips or has twice is taken, as logs may hold it."""


def _nights_of_change() -> str:
    """The days on which the clock changes, as a pattern: in the Netherlands always between 02:00 and 03:00."""
    years: defaultdict[str, list[str]] = defaultdict(list)
    for year in _YEARS:
        for month in (3, 10):
            last = date(year, month, 31)
            sunday = last - timedelta(days=last.isoweekday() % 7)
            years[f"{sunday:%m-%d}"].append(f"{year % 100:02}")
    return "|".join(f"20({'|'.join(each)})-{day}" for day, each in sorted(years.items()))


SCHEMA: Final[dict[str, Any]] = {
    "type": "string",
    "pattern": f"^{_WRITTEN.pattern}$",
    # Directive 2000/84/EC: the last Sundays of March and October, at 01:00 UTC.
    "not": {"type": "string", "pattern": f"^({_nights_of_change()})[T ]02:[0-9:.]*$"},
    "description": "A whole day, or a time: local time in Europe/Amsterdam, or with its offset. A local time that does"
    " not exist is refused, and one that comes twice needs its offset: the clock changes on two nights of a year.",
    "examples": ["2026-09-08", "2026-09-08T17:00", "2027-10-31T02:30+01:00"],
}


def _read(value: object, info: ValidationInfo) -> date:
    if isinstance(value, str):
        if not _WRITTEN.fullmatch(value):
            raise Unfit(
                "Write a day as 2026-09-08 or a time as 2026-09-08T17:00, between 2000 and 2099.",
                "Schrijf een dag als 2026-09-08 of een tijd als 2026-09-08T17:00, tussen 2000 en 2099.",
                RULE,
            )
        value = datetime.fromisoformat(value) if len(value) > len("2026-09-08") else date.fromisoformat(value)
    if not isinstance(value, date):
        raise Unfit(
            "Write a day as '2026-09-08' or a time as '2026-09-08T17:00', as text.",
            "Schrijf een dag als '2026-09-08' of een tijd als '2026-09-08T17:00', als tekst.",
            RULE,
        )
    if isinstance(value, datetime):
        value = _exact(value, leniently=bool(info.context and info.context.get(LENIENTLY)))
    else:
        # Of a library's own class, where one made it.
        value = date(value.year, value.month, value.day)
    if value.year not in _YEARS:
        raise Unfit("The year is between 2000 and 2099.", "Het jaar ligt tussen 2000 en 2099.", RULE)
    return value


def _exact(at: datetime, *, leniently: bool) -> datetime:
    """The time as clocks in Amsterdam show it; with its offset where they show it twice."""
    if at.utcoffset() is not None:
        try:
            local = at.astimezone(AMSTERDAM)
        except OverflowError:
            raise Unfit("The year is between 2000 and 2099.", "Het jaar ligt tussen 2000 en 2099.", RULE) from None
        naive = _without_zone(local)
        first, second = _offsets(naive)
        return naive if first == second else naive.replace(tzinfo=timezone(local.utcoffset() or first))
    naive = _without_zone(at)
    first, second = _offsets(naive)
    if first == second:
        return naive
    if leniently:
        return _exact(naive.replace(tzinfo=timezone(first)), leniently=True)
    raise _skipped(naive) if first < second else _twice(naive, first, second)


def _without_zone(at: datetime) -> datetime:
    return datetime(at.year, at.month, at.day, at.hour, at.minute, at.second, at.microsecond)  # noqa: DTZ001


def _offsets(naive: datetime) -> tuple[timedelta, timedelta]:
    """What stands between a local time and UTC, by the clock before a change and by that after it."""
    offsets = (naive.replace(tzinfo=AMSTERDAM, fold=fold).utcoffset() for fold in (0, 1))
    first, second = (offset or timedelta() for offset in offsets)
    return first, second


def _skipped(naive: datetime) -> Unfit:
    before = naive.replace(hour=1, minute=59, second=0, microsecond=0).isoformat("T", "minutes")
    after = naive.replace(hour=3, minute=0, second=0, microsecond=0).isoformat("T", "minutes")
    return Unfit(
        f"This time does not exist, because the clock goes from 02:00 to 03:00 that night: write {before} or {after}.",
        f"Deze tijd bestaat niet, want de klok gaat die nacht van 02:00 naar 03:00: schrijf {before} of {after}.",
        RULE,
    )


def _twice(naive: datetime, first: timedelta, second: timedelta) -> Unfit:
    one, two = (written(naive.replace(tzinfo=timezone(offset))) for offset in (first, second))
    return Unfit(
        "This time comes twice, because the clock goes from 03:00 back to 02:00 that night:"
        f" write {one} (the first, in summer time) or {two} (the second, in winter time).",
        "Deze tijd komt twee keer voor, want de klok gaat die nacht van 03:00 terug naar 02:00:"
        f" schrijf {one} (de eerste, zomertijd) of {two} (de tweede, wintertijd).",
        RULE,
    )


def written(when: date) -> str:
    """A day or a time as one would write it in a definition: "2026-09-08", "2026-09-08T17:00"."""
    if not isinstance(when, datetime):
        return when.isoformat()
    exact = when.second or when.microsecond
    return when.isoformat() if exact else when.isoformat(timespec="minutes")


DayOrTime = Annotated[
    date | datetime,
    PlainValidator(_read),
    PlainSerializer(lambda when: when.isoformat(), return_type=str, when_used="json"),
    WithJsonSchema(SCHEMA),
]
"""
A whole day (``date``), or a time (``datetime``).

A time is naive, the time of a clock in Amsterdam; one that comes twice keeps its offset. So what was written in two
ways and means the same is equal.
"""


def is_day(when: date) -> TypeGuard[date]:
    """Whether it is a whole day and no time."""
    return not isinstance(when, datetime)


@lru_cache(maxsize=4096)
def start_of(when: date) -> datetime:
    """The moment (UTC) of a time, and of a day its first moment in the Netherlands."""
    if not isinstance(when, datetime):
        when = datetime.combine(when, time.min)
    # UTC, because times of one zone are compared and subtracted as if its clock never changed.
    return (when if when.tzinfo else when.replace(tzinfo=AMSTERDAM)).astimezone(UTC)


@lru_cache(maxsize=4096)
def end_of(when: date) -> datetime:
    """The moment (UTC) of a time, and of a day the first moment after it in the Netherlands."""
    return start_of(when) if isinstance(when, datetime) else start_of(when + timedelta(days=1))


def day_of(at: datetime) -> date:
    """The day in the Netherlands on which a moment is."""
    return at.astimezone(AMSTERDAM).date()


def last_day(end: datetime) -> date:
    """The last day in the Netherlands of what ends at a moment: at midnight that is the day before."""
    return day_of(end - timedelta(microseconds=1))
