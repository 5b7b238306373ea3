"""
Days and times in words, always as a clock in the Netherlands shows them.

Whoever imports this asks for the chassis with its extra ``dates``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Final

from babel.dates import format_date, format_interval, format_time

from contracts.base import Language
from contracts.programme import AMSTERDAM

LOCALES: Final[Mapping[Language, str]] = {"nl": "nl", "en": "en_GB"}
_HOUR: Final[Mapping[Language, str]] = {"nl": " uur", "en": " (Amsterdam time)"}
_AT: Final[Mapping[Language, str]] = {"nl": "om", "en": "at"}


@lru_cache(maxsize=4096)
def weekday(at: datetime, language: Language) -> str:
    """The day of an aware datetime with its weekday and year: "dinsdag 20 juni 2023", "Tuesday 20 June 2023"."""
    return format_date(at.astimezone(AMSTERDAM).date(), "EEEE d MMMM y", locale=LOCALES[language])


@lru_cache(maxsize=4096)
def day(at: datetime, language: Language, this_year: int | None = None) -> str:
    """The day of an aware datetime, short enough for a subject: "20 juni 2023", or "20 juni" in this year."""
    date = at.astimezone(AMSTERDAM).date()
    return format_date(date, "d MMMM" if date.year == this_year else "d MMMM y", locale=LOCALES[language])


@lru_cache(maxsize=4096)
def clock(at: datetime, language: Language) -> str:
    """The time of day of an aware datetime: "14:00"."""
    return format_time(at, "HH:mm", tzinfo=AMSTERDAM, locale=LOCALES[language])


@lru_cache(maxsize=4096)
def at_clock(at: datetime, language: Language) -> str:
    """The time of day as a sentence has it: "14:00 uur"."""
    return f"{clock(at, language)}{_HOUR[language]}"


@lru_cache(maxsize=4096)
def moment(at: datetime, language: Language) -> str:
    """The day and time of an aware datetime: "donderdag 1 juni 2023 om 12:00 uur"."""
    return f"{weekday(at, language)} {_AT[language]} {clock(at, language)}{_HOUR[language]}"


@lru_cache(maxsize=4096)
def when(start: datetime, end: datetime, language: Language) -> str:
    """The day and the hours from one aware datetime to another: "dinsdag 20 juni 2023, 10:00–13:00 uur"."""
    if _ends_on_another_day(start, end):
        return f"{moment(start, language)} – {moment(end, language)}"
    return f"{weekday(start, language)}, {hours(start, end, language)}"


@lru_cache(maxsize=4096)
def hours(start: datetime, end: datetime, language: Language) -> str:
    """The hours alone, "10:00–13:00 uur", where both are on one day; else as :func:`when`."""
    if _ends_on_another_day(start, end):
        return when(start, end, language)
    return f"{format_interval(start, end, 'Hm', tzinfo=AMSTERDAM, locale=LOCALES[language])}{_HOUR[language]}"


def _ends_on_another_day(start: datetime, end: datetime) -> bool:
    return start.astimezone(AMSTERDAM).date() != end.astimezone(AMSTERDAM).date()
