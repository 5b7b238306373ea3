"""
Days and times in words, always as a clock in the Netherlands shows them: for pages, mails, refusals, reports and tool.

Nobody is told of a midnight: people take "until 1 June, 00:00" for a day more. What begins then begins on that day, and
what ends then ends on the day before.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from functools import lru_cache
from typing import Final

from contracts.base import Language
from contracts.moments import AMSTERDAM, day_of, end_of, is_day, last_day, start_of
from contracts.session import Occasion

_WEEKDAYS: Final[Mapping[Language, tuple[str, ...]]] = {
    "nl": ("maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag"),
    "en": ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
}
# fmt: off
_MONTHS: Final[Mapping[Language, tuple[str, ...]]] = {
    "nl": ("januari", "februari", "maart", "april", "mei", "juni",
           "juli", "augustus", "september", "oktober", "november", "december"),
    "en": ("January", "February", "March", "April", "May", "June",
           "July", "August", "September", "October", "November", "December"),
}
# fmt: on
_SHORT: Final[Mapping[Language, int]] = {"nl": 2, "en": 3}
_MARCH: Final = 3
LOCALES: Final[Mapping[Language, str]] = {"nl": "nl", "en": "en_GB"}
"""The locale (CLDR) of each language, for numbers, amounts and lists."""
_HOUR: Final[Mapping[Language, str]] = {"nl": " uur", "en": " (Amsterdam time)"}
_AT: Final[Mapping[Language, str]] = {"nl": "om", "en": "at"}
_TO: Final[Mapping[Language, str]] = {"nl": "tot en met", "en": "to"}
_UNTIL: Final[Mapping[Language, str]] = {"nl": "tot", "en": "until"}
_UP_TO: Final[Mapping[Language, str]] = {"nl": "tot en met", "en": "up to and including"}
_TIME_FOLLOWS: Final[Mapping[Language, str]] = {"nl": "de tijd volgt", "en": "the time will follow"}
_CLOCKS: Final[Mapping[Language, tuple[str, str]]] = {
    "nl": ("zomertijd", "wintertijd"),
    "en": ("summer time", "winter time"),
}


@lru_cache(maxsize=4096)
def weekday(when: date, language: Language) -> str:
    """A day, or that of a time, with its weekday and year: "dinsdag 20 juni 2023", "Tuesday 20 June 2023"."""
    on = _day(when)
    return f"{_WEEKDAYS[language][on.weekday()]} {day(on, language)}"


@lru_cache(maxsize=4096)
def day(when: date, language: Language, this_year: int | None = None) -> str:
    """A day, or that of a time, short enough for a subject: "20 juni 2023", or "20 juni" in this year."""
    on = _day(when)
    short = f"{on.day} {_MONTHS[language][on.month - 1]}"
    return short if on.year == this_year else f"{short} {on.year}"


def beginning(when: date, language: Language) -> str:
    """From when: "donderdag 1 juni 2023 om 12:00 uur", and a day, or its first moment, as "donderdag 1 juni 2023"."""
    return weekday(when, language) if _is_midnight(start_of(when)) else _moment(start_of(when), language)


def ending(when: date, language: Language) -> str:
    """By when: "donderdag 1 juni 2023 om 12:00 uur", and a day, or its end, as "woensdag 31 mei 2023"."""
    end = end_of(when)
    return weekday(last_day(end), language) if _is_midnight(end) else _moment(end, language)


def until(when: date, language: Language) -> str:
    """Until when: "tot donderdag 1 juni 2023 om 12:00 uur"; of a day, or its end, "tot en met woensdag 31 mei 2023"."""
    word = _UP_TO if _is_midnight(end_of(when)) else _UNTIL
    return f"{word[language]} {ending(when, language)}"


@lru_cache(maxsize=4096)
def when(start: datetime, end: datetime, language: Language, *, all_day: bool = False) -> str:
    """
    From when until when: "dinsdag 20 juni 2023, 10:00–13:00 uur".

    Of whole days the time is to follow: "dinsdag 20 juni 2023, de tijd volgt".
    """
    if all_day:
        return f"{days(start, end, language)}, {_TIME_FOLLOWS[language]}"
    if day_of(start) != last_day(end):
        return f"{_moment(start, language)} – {ending(end, language)}"
    return f"{weekday(start, language)}, {hours(start, end, language)}"


@lru_cache(maxsize=4096)
def hours(start: datetime, end: datetime, language: Language, *, all_day: bool = False) -> str:
    """The hours alone, "10:00–13:00 uur", where both are on one day; else as :func:`when`."""
    if all_day:
        return _TIME_FOLLOWS[language]
    if day_of(start) != last_day(end):
        return when(start, end, language)
    return f"{_clock(start)}{_which(start, language)}–{_clock(end, '24:00')}{_hour(end, language)}"


def starting(start: datetime, language: Language, *, all_day: bool = False) -> str:
    """When something begins: "dinsdag 20 juni 2023, 10:00 uur", or "dinsdag 20 juni 2023, de tijd volgt"."""
    return f"{weekday(start, language)}, {clock(start, language, all_day=all_day)}"


def clock(at: datetime, language: Language, *, all_day: bool = False) -> str:
    """The time of day as a sentence has it: "14:00 uur"; of a whole day that it follows."""
    return _TIME_FOLLOWS[language] if all_day else f"{_clock(at)}{_hour(at, language)}"


@lru_cache(maxsize=4096)
def days(start: datetime, end: datetime, language: Language) -> str:
    """The days alone: "dinsdag 20 juni 2023", "dinsdag 20 juni 2023 tot en met woensdag 21 juni 2023"."""
    first, last = day_of(start), last_day(end)
    return (
        weekday(first, language)
        if first >= last
        else f"{weekday(first, language)} {_TO[language]} {weekday(last, language)}"
    )


def short(at: datetime, language: Language) -> str:
    """A moment at which something happened, for tables: "di 20 jun 2023 10:00", "Tue 20 Jun 2023 10:00"."""
    local = at.astimezone(AMSTERDAM)
    name = _WEEKDAYS[language][local.weekday()][: _SHORT[language]]
    return f"{name} {short_day(local.date(), language)} {local:%H:%M}"


def short_day(on: date, language: Language) -> str:
    """A day, for tables: "20 jun 2023", "20 Jun 2023"."""
    month = "mrt" if language == "nl" and on.month == _MARCH else _MONTHS[language][on.month - 1][:3]
    return f"{on.day} {month} {on.year}"


def occasion(of: Occasion, language: Language) -> str | None:
    """When a session is, as :func:`when`; None while its date is not known."""
    if of.begins is None or of.finishes is None:
        return None
    return when(of.begins, of.finishes, language, all_day=of.all_day)


def _day(when: date) -> date:
    return when if is_day(when) else day_of(start_of(when))


def _moment(at: datetime, language: Language) -> str:
    return f"{weekday(at, language)} {_AT[language]} {clock(at, language)}"


def _clock(at: datetime, midnight: str = "00:00") -> str:
    return midnight if _is_midnight(at) else f"{at.astimezone(AMSTERDAM):%H:%M}"


def _hour(at: datetime, language: Language) -> str:
    which = _which(at, language)
    return f"{_HOUR[language]}{which}" if language == "nl" else which.replace("(", "(Amsterdam ") or _HOUR[language]


def _which(at: datetime, language: Language) -> str:
    """By which clock it is, in the hour that comes twice."""
    local = at.astimezone(AMSTERDAM)
    twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
    return f" ({_CLOCKS[language][local.fold]})" if twice else ""


def _is_midnight(at: datetime) -> bool:
    return at.astimezone(AMSTERDAM).time() == time.min
