"""Days and times in words, always as a clock in the Netherlands shows them."""

from datetime import datetime
from functools import lru_cache

from babel.dates import format_date, format_interval, format_time

from services.notifications.invitation import AMSTERDAM
from services.notifications.letters import Language, Slot

LOCALES: dict[Language, str] = {"nl": "nl", "en": "en_GB"}
_HOUR: dict[Language, str] = {"nl": " uur", "en": " (Amsterdam time)"}
_AT: dict[Language, str] = {"nl": "om", "en": "at"}


@lru_cache(maxsize=4096)
def when(slot: Slot, language: Language) -> str | None:
    """The day and the hours of a slot, such as "dinsdag 20 juni 2023, 10:00–13:00 uur"; None while no date is known."""
    if slot.start is None or slot.end is None:
        return None
    start, end = slot.start.astimezone(AMSTERDAM), slot.end.astimezone(AMSTERDAM)
    if start.date() != end.date():
        return f"{moment(start, language)} – {moment(end, language)}"
    hours = format_interval(start, end, "Hm", tzinfo=AMSTERDAM, locale=LOCALES[language])
    return f"{weekday(start, language)}, {hours}{_HOUR[language]}"


@lru_cache(maxsize=4096)
def weekday(at: datetime, language: Language) -> str:
    """A day with its weekday and year: "dinsdag 20 juni 2023", "Tuesday 20 June 2023"."""
    return format_date(at.astimezone(AMSTERDAM).date(), "EEEE d MMMM y", locale=LOCALES[language])


@lru_cache(maxsize=4096)
def day(at: datetime, language: Language) -> str:
    """A day short enough for a subject: "20 juni 2023"."""
    return format_date(at.astimezone(AMSTERDAM).date(), "d MMMM y", locale=LOCALES[language])


@lru_cache(maxsize=4096)
def clock(at: datetime, language: Language) -> str:
    """A time of day: "14:00"."""
    return format_time(at, "HH:mm", tzinfo=AMSTERDAM, locale=LOCALES[language])


@lru_cache(maxsize=4096)
def moment(at: datetime, language: Language) -> str:
    """A day and a time: "donderdag 1 juni 2023 om 12:00 uur"."""
    return f"{weekday(at, language)} {_AT[language]} {clock(at, language)}{_HOUR[language]}"


@lru_cache(maxsize=4096)
def hours(slot: Slot, language: Language) -> str | None:
    """The hours of a slot that begins and ends on one day: "10:00–13:00 uur"; else as `when`."""
    if slot.start is None or slot.end is None:
        return None
    start, end = slot.start.astimezone(AMSTERDAM), slot.end.astimezone(AMSTERDAM)
    if start.date() != end.date():
        return when(slot, language)
    return f"{format_interval(start, end, 'Hm', tzinfo=AMSTERDAM, locale=LOCALES[language])}{_HOUR[language]}"
