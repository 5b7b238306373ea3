"""What a sentence was said about, as it was asked for: people read the sentence, programs and staff these besides."""

from __future__ import annotations

from collections.abc import Iterable

from contracts.base import Message


class Parameter(Message):
    """An id or a value of the request by the name of what it is: ``organisation``, ``bibliotheek-overstad``."""

    name: str
    value: str


def parameters(**values: str | Iterable[str] | None) -> tuple[Parameter, ...]:
    """Those that have a value; several of one name stand one after the other."""
    found = ((name, [value] if isinstance(value, str) else value) for name, value in values.items() if value)
    return tuple([Parameter(name=name.rstrip("_"), value=str(each)) for name, several in found for each in several])


def for_staff(sentence: str, about: Iterable[Parameter]) -> str:
    """A sentence with the ids that it is about, for who writes ids: "… (organisation: bibliotheek-overstad)"."""
    told = ", ".join(f"{each.name}: {each.value}" for each in about)
    return f"{sentence} ({told})" if told else sentence
