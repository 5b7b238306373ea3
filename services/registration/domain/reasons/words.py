"""How reasons put days and times, lists and numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date

from babel.lists import format_list

from contracts.base import Language


def in_both(say: Callable[[date, Language], str], when: date) -> tuple[str, str]:
    """A day or a time as ``say`` puts it (see ``contracts.dates``), in Dutch and in English."""
    return say(when, "nl"), say(when, "en")


def either(words: Iterable[str], locale: str) -> str:
    """One of several words: "a, b or c"."""
    return format_list([str(word) for word in words], style="or", locale=locale)


def places(count: int) -> tuple[str, str]:
    """A number of units, in Dutch and in English."""
    return (
        f"{count} plek" if count == 1 else f"{count} plekken",
        f"{count} place" if count == 1 else f"{count} places",
    )


KIND_NAMES = {
    "library": ("bibliotheken", "libraries"),
    "social-work-company": ("sociaal werkbedrijven", "social work companies"),
    "municipality": ("gemeenten", "municipalities"),
    "support-organisation": ("ondersteuningsorganisaties", "support organisations"),
    "other": ("andere organisaties", "other organisations"),
}


def province_name(province: str) -> str:
    """A province as people write it, which is the same in both languages."""
    return "Fryslân" if province == "fryslan" else str(province).title()


def counted(count: int, one: str, more: str) -> str:
    """A number with its word: "1 person", "3 people"."""
    return f"{count} {one if count == 1 else more}"
