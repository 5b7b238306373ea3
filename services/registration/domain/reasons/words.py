"""How reasons put days and times, lists and numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date
from typing import Literal

from babel.lists import format_list

from contracts import dates
from contracts.base import Language, Title


def in_both(say: Callable[[date, Language], str], when: date) -> tuple[str, str]:
    """A day or a time as ``say`` puts it (see ``contracts.dates``), in Dutch and in English."""
    return say(when, "nl"), say(when, "en")


def either(titles: Iterable[Title]) -> tuple[str, str]:
    """One of several: "a, b of c", "a, b or c"."""
    return listed(titles, "or")


def listed(titles: Iterable[Title], style: Literal["or", "standard"] = "standard") -> tuple[str, str]:
    """Several, in Dutch and in English: "a, b en c", "a, b and c"."""
    several = list(titles)
    return (
        format_list([title.nl for title in several], style=style, locale=dates.LOCALES["nl"]),
        format_list([title.en for title in several], style=style, locale=dates.LOCALES["en"]),
    )


def places(count: int) -> tuple[str, str]:
    """A number of units, in Dutch and in English."""
    return counted(count, "plek", "plekken"), counted(count, "place", "places")


def still_free(free: int) -> tuple[str, str]:
    """How many units are left for who needs more."""
    if free == 1:
        return "Er is er nog 1 vrij.", "1 is free."
    if not free:
        return "Er is er geen vrij.", "No place is free."
    return f"Er zijn er nog {free} vrij.", f"{free} are free."


KIND_NAMES = {
    "library": ("bibliotheken", "libraries"),
    "social-work-company": ("sociaal werkbedrijven", "sheltered employment companies"),
    "municipality": ("gemeenten", "municipalities"),
    "support-organisation": ("ondersteuningsorganisaties", "support organisations"),
    "other": ("andere organisaties", "other organisations"),
}


def kind_title(kind: str) -> Title:
    """What organisations of a kind are called."""
    nl, en = KIND_NAMES[kind]
    return Title(nl=nl, en=en)


def province_name(province: str) -> str:
    """A province as people write it, which is the same in both languages."""
    return "Fryslân" if province == "fryslan" else str(province).title()


def counted(count: int, one: str, more: str) -> str:
    """A number with its word: "1 person", "3 people"."""
    return f"{count} {one if count == 1 else more}"
