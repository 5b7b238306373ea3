"""The samples beside this module: what staff publish and when, what a partner sends, and what must come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter
from ruamel.yaml import YAML

HERE = Path(__file__).parent
ORGANISATIONS = HERE / "organisations.csv"


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class StaffAct(_Strict):
    """Files that staff publish at a moment."""

    at: AwareDatetime
    publish: tuple[str, ...]


class Standing(_Strict):
    """How many enrolments of a programme stand how, in the end."""

    confirmed: int = 0
    waiting: int = 0
    withdrawn: int = 0
    refused: int = 0
    pending: int = 0
    lapsed: int = 0


class People(_Strict):
    """How many people are in them, or were asked and have yet to confirm or never did."""

    confirmed: int = 0
    waiting: int = 0
    pending: int = 0
    lapsed: int = 0


class Expected(_Strict):
    """
    What must come of a sample.

    ``answers`` has the answer to each message of ``requests.jsonl``, in its order: how the enrolment stands, or
    ``refused`` with the rules or kinds of problem. ``reasons`` counts the rules by which enrolments were promoted and
    passed over; ``mails`` the mails sent by purpose.
    """

    programme: str
    answers: tuple[str, ...]
    enrolments: Standing
    people: People
    refusals: Mapping[str, int] = Field(default={}, description="Refused enrolments by rule.")
    promoted: Mapping[str, int] = {}
    passed_over: Mapping[str, int] = {}
    facts: Mapping[str, int] = Field(default={}, description="Further types of fact, and how often they come true.")
    mails: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample programme."""

    directory: Path
    staff: tuple[StaffAct, ...]
    expected: Expected

    @property
    def programme(self) -> str:
        """The programme's id."""
        return self.expected.programme

    @property
    def requests(self) -> Path:
        """The partner's messages, one a line."""
        return self.directory / "requests.jsonl"

    @property
    def begins(self) -> datetime:
        """When its staff first act."""
        return min(act.at for act in self.staff)


_STAFF: TypeAdapter[tuple[StaffAct, ...]] = TypeAdapter(Annotated[tuple[StaffAct, ...], Field(min_length=1)])


def samples() -> tuple[Sample, ...]:
    """All samples, in the order in which they happened."""
    return tuple(sorted((_sample(path.parent) for path in HERE.glob("*/staff.yaml")), key=lambda one: one.begins))


def _sample(directory: Path) -> Sample:
    read = YAML(typ="safe").load
    return Sample(
        directory,
        _STAFF.validate_python(read(directory / "staff.yaml")),
        Expected.model_validate(read(directory / "expected.yaml")),
    )
