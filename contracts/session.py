"""A session of a programme: when and where people meet, and when that is over."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, Final, Literal, Protocol, Self, TypeVar

from pydantic import ConfigDict, Field, model_validator

from contracts.base import Line, Link, Message, Slug, Text, Title
from contracts.characters import Unfit
from contracts.moments import RULE, DayOrTime, end_of, is_day, start_of


class Online(Message):
    """Where an online session takes place; the link may follow later."""

    join_link: Link | None = None
    platform: Line | None = None


class Venue(Message):
    """Where people meet in person."""

    name: Line
    address: Line


_NOTHING: Final = {"type": "null"}
_A_DAY: Final = {"type": "string", "maxLength": len("2026-09-08")}
_A_TIME: Final = {"type": "string", "minLength": len("2026-09-08T17:00")}
_DAYS_OR_TIMES: Final[dict[str, Any]] = {
    "anyOf": [
        {"type": "object", "properties": {"start": _NOTHING, "end": _NOTHING}},
        {
            "type": "object",
            "required": ["start"],
            "properties": {"start": _A_DAY, "end": {"anyOf": [_A_DAY, _NOTHING]}},
        },
        {"type": "object", "required": ["start", "end"], "properties": {"start": _A_TIME, "end": _A_TIME}},
    ],
    "not": {
        "type": "object",
        "required": ["online", "venue"],
        "properties": {"online": {"type": "object"}, "venue": {"type": "object"}},
    },
}
"""What a schema can say of it: that the end comes after the start, it cannot."""


class Occasion(Message):
    """
    When and where a session takes place; no ``start`` means that the date is not known yet.

    A ``start`` without a time is a whole day whose time will follow, and so are all days up to an ``end``, which is the
    last of them.
    """

    model_config = ConfigDict(json_schema_extra=_DAYS_OR_TIMES)

    start: DayOrTime | None = None
    end: DayOrTime | None = None
    time_zone: Literal["Europe/Amsterdam"] = "Europe/Amsterdam"
    period: Title | None = Field(default=None, description="What is known while there is no date: 'January 2024'.")
    online: Online | None = None
    venue: Venue | None = None

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if self.end is not None and self.start is None:
            raise Unfit(*_INCOMPLETE)
        if self.start is not None:
            _check_order(self.start, self.end)
        if self.online and self.venue:
            raise Unfit(
                "a session is online or has a venue, not both",
                "een bijeenkomst is online of heeft een locatie, niet allebei",
                "choice",
            )
        return self

    @property
    def all_day(self) -> bool:
        """Whether the day is known, and the time is not."""
        return self.start is not None and is_day(self.start)

    @property
    def begins(self) -> datetime | None:
        """The moment at which it begins (UTC): where the time is not known, the first moment of its day."""
        return start_of(self.start) if self.start else None

    @property
    def finishes(self) -> datetime | None:
        """The moment at which it is over (UTC): where the time is not known, the first moment after its last day."""
        last = self.end or self.start
        return end_of(last) if last else None

    def is_over(self, at: datetime) -> bool:
        """Whether it has a date and is over at that moment; without a date it is neither over nor to come."""
        return self.finishes is not None and self.finishes <= at

    def is_to_come(self, at: datetime) -> bool:
        """Whether it has a date and is not over at that moment."""
        return self.finishes is not None and self.finishes > at


_INCOMPLETE: Final = (
    "start and end come together: give both a time, or neither while the date is not known; where only the time is not"
    " known, give the day alone",
    "start en end horen bij elkaar: geef beide een tijd, of laat beide weg zolang er geen datum is; is alleen de tijd"
    " nog niet bekend, geef dan alleen de dag",
    RULE,
)
_MIXED: Final = (
    "start and end are both times, or both days while the time is not known; here one is a day and the other a time",
    "start en end zijn allebei een tijd, of allebei een dag zolang de tijd niet bekend is; hier is de een een dag en de"
    " ander een tijd",
    RULE,
)


def _check_order(start: date, end: date | None) -> None:
    if end is None:
        if not is_day(start):
            raise Unfit(*_INCOMPLETE)
    elif is_day(start) != is_day(end):
        raise Unfit(*_MIXED)
    elif end_of(end) <= start_of(start):
        raise Unfit(
            "the end must come after the start" if not is_day(end) else "the last day must not come before the first",
            "het einde moet na het begin komen" if not is_day(end) else "de laatste dag mag niet vóór de eerste komen",
            RULE,
        )


class Session(Occasion):
    """One meeting of a programme."""

    id: Slug
    title: Title
    description: Text | None = None
    lunch: bool = False

    @property
    def occasion(self) -> Occasion:
        """When and where alone: what makes a session 'moved' when it changes."""
        return Occasion.made(**{name: getattr(self, name) for name in Occasion.model_fields})

    def moved(self, to: Occasion) -> Self:
        """The same session at another time or place."""
        return self.model_copy(update={name: getattr(to, name) for name in Occasion.model_fields})


class Timed(Protocol):
    """What may begin at a known moment."""

    @property
    def begins(self) -> datetime | None:
        """When; None while it is not known."""


Meeting = TypeVar("Meeting", bound=Timed)

_NEVER = datetime.max.replace(tzinfo=UTC)


def in_order_of_time(sessions: Iterable[Meeting]) -> tuple[Meeting, ...]:
    """Sessions as everybody is shown them: those without a date last, and those that begin together as defined."""
    return tuple(sorted(sessions, key=lambda session: session.begins or _NEVER))
