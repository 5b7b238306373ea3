"""Days and times in words, always as a clock in the Netherlands shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time, timedelta
from typing import Final

from babel.dates import format_date, format_interval, format_time

from contracts.base import Language
from contracts.programme import AMSTERDAM, Occasion, instant

LOCALES: Final[Mapping[Language, str]] = {"nl": "nl", "en": "en_GB"}
_HOUR: Final[Mapping[Language, str]] = {"nl": " uur", "en": " (Amsterdam time)"}
_AT: Final[Mapping[Language, str]] = {"nl": "om", "en": "at"}
_UNTIL: Final[Mapping[Language, str]] = {"nl": "tot", "en": "until"}
_UP_TO: Final[Mapping[Language, str]] = {"nl": "tot en met", "en": "up to and including"}


def weekday(at: datetime, language: Language) -> str:
    """A day with its weekday: "dinsdag 20 juni 2023", "Tuesday 20 June 2023"."""
    return format_date(at.date(), "EEEE d MMMM y", locale=LOCALES[language])


def day(at: datetime, language: Language) -> str:
    """A day: "20 juni 2023"."""
    return format_date(at.date(), "d MMMM y", locale=LOCALES[language])


def moment(local: datetime, language: Language) -> str:
    """A day and a time: "donderdag 1 juni 2023 om 12:00 uur"."""
    clock = format_time(local.time(), "HH:mm", locale=LOCALES[language])
    return f"{weekday(local, language)} {_AT[language]} {clock}{_HOUR[language]}"


def until(local: datetime, language: Language) -> str:
    """
    Up to a moment: "tot donderdag 1 juni 2023 om 12:00 uur".

    Midnight is told by the day that it ends ("tot en met woensdag 31 mei 2023"): people take "until 1 June, 00:00" for
    a day more.
    """
    if local.time() == time.min:
        return f"{_UP_TO[language]} {weekday(local - timedelta(days=1), language)}"
    return f"{_UNTIL[language]} {moment(local, language)}"


def when(occasion: Occasion, language: Language) -> str | None:
    """The day and the hours: "dinsdag 20 juni 2023, 10:00–13:00 uur"; None while no date is known."""
    if occasion.start is None or occasion.end is None:
        return None
    if occasion.start.date() != occasion.end.date():
        return f"{moment(occasion.start, language)} – {moment(occasion.end, language)}"
    hours = format_interval(
        instant(occasion.start), instant(occasion.end), "Hm", tzinfo=AMSTERDAM, locale=LOCALES[language]
    )
    return f"{weekday(occasion.start, language)}, {hours}{_HOUR[language]}"
