"""What is wrong with a value: the rule that it breaks, by name, and words for who wrote it, in both languages."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from contracts.base import PATTERNS
from contracts.characters import Unfit


class Complaint(NamedTuple):
    """The rule's name for programs (lower-case words and hyphens), and a sentence that begins behind a field's name."""

    rule: str
    english: str
    dutch: str


_WORDS: Final[Mapping[str, Complaint]] = MappingProxyType(
    {
        "missing": Complaint("missing", "is missing", "ontbreekt"),
        "extra_forbidden": Complaint("unknown-field", "is no field that is known here", "is hier geen bekend veld"),
        "json_invalid": Complaint("not-json", "the body is not valid JSON", "is geen geldige JSON"),
        "string_type": Complaint("type", "", "moet tekst zijn"),
        "string_unicode": Complaint("characters", "", "moet tekst in UTF-8 zijn"),
        "string_too_short": Complaint("too-short", "", "moet minimaal {min_length} tekens hebben"),
        "string_too_long": Complaint("too-long", "", "mag maximaal {max_length} tekens hebben"),
        "too_short": Complaint("too-few", "must have at least {min_length}", "moet er minimaal {min_length} hebben"),
        "too_long": Complaint("too-many", "may have at most {max_length}", "mag er maximaal {max_length} hebben"),
        "literal_error": Complaint("unknown-value", "", "moet {expected} zijn"),
        "enum": Complaint("unknown-value", "", "moet {expected} zijn"),
        "greater_than_equal": Complaint("too-small", "", "moet minimaal {ge} zijn"),
        "less_than_equal": Complaint("too-large", "", "mag maximaal {le} zijn"),
        "timezone_aware": Complaint("offset", "", "moet een verschil met UTC hebben, zoals +01:00 of Z"),
        "timezone_naive": Complaint("offset", "", "moet lokale tijd zijn, zonder verschil met UTC"),
    }
)
"""
By pydantic's name of the error; in braces what its context says. Without English of our own, pydantic's will do.
"""

_KINDS: Final = (
    (("datetime",), Complaint("time", "", "moet een datum met tijd zijn (ISO 8601)")),
    (("date",), Complaint("date", "", "moet een datum zijn, zoals 2023-04-13")),
    (("int", "float", "finite", "decimal"), Complaint("number", "", "moet een getal zijn dat hier past")),
    (("bool",), Complaint("type", "", "moet true of false zijn")),
    (("list", "tuple"), Complaint("type", "", "moet een JSON-array zijn")),
    (("model", "dict", "mapping"), Complaint("type", "must be a JSON object", "moet een JSON-object zijn")),
)
"""Likewise, by the first word of pydantic's name, for what all such errors come to."""

_OTHER: Final = Complaint("value", "", "klopt hier niet")


def complained(item: Mapping[str, Any]) -> Complaint:
    """What pydantic found wrong (one of its ``errors()``), without what was written."""
    context = item.get("ctx") or {}
    kind = str(item["type"])
    if (unfit := unfit_of(item)) is not None:
        return Complaint(unfit.rule, _in_a_sentence(unfit.english), unfit.dutch)
    if kind == "string_pattern_mismatch" and (said := PATTERNS.get(context.get("pattern", ""))) is not None:
        return Complaint("form", *said)
    if kind == "string_too_short" and context.get("min_length") == 1:
        return Complaint("empty", "must not be empty", "mag niet leeg zijn")
    found = _WORDS.get(kind) or next(
        (each for firsts, each in _KINDS if kind.split("_", maxsplit=1)[0] in firsts), _OTHER
    )
    told = {name: str(value) for name, value in context.items()}
    dutch = {name: value.replace(" or ", " of ") for name, value in told.items()}
    english = found.english.format_map(told) or _in_a_sentence(str(item["msg"]).removeprefix("Value error, "))
    return Complaint(found.rule, english, found.dutch.format_map(dutch))


def unfit_of(item: Mapping[str, Any]) -> Unfit | None:
    """Why text was not taken, in both languages, where that is what pydantic found wrong (one of its ``errors()``)."""
    error = (item.get("ctx") or {}).get("error")
    return error if isinstance(error, Unfit) else None


def _in_a_sentence(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:].removesuffix(".")
