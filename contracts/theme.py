"""Themes: what programmes are about, with the goals and the municipalities that a report answers for."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from contracts.base import Line, Message, Province, Slug, Text, Title
from contracts.characters import Unfit


class Goal(Message):
    """One thing that a theme is meant to reach."""

    id: Slug
    title: Title


class Theme(Message):
    """A theme that programmes belong to; ``municipalities`` are those in which its goals are to be reached."""

    id: Slug
    title: Title
    description: Text | None = None
    organisers: tuple[Slug, ...] = ()
    province: Province | None = None
    municipalities: tuple[Line, ...] = ()
    goals: tuple[Goal, ...] = ()

    @model_validator(mode="after")
    def _goals_differ(self) -> Self:
        ids = [goal.id for goal in self.goals]
        if len(ids) != len(set(ids)):
            raise Unfit("two goals have the same id", "twee doelen hebben hetzelfde id", "named-twice")
        if len(self.municipalities) != len(set(self.municipalities)):
            raise Unfit("a municipality is named twice", "een gemeente staat er twee keer", "named-twice")
        return self


class ThemeReference(Message):
    """That a programme belongs to a theme, and which of its goals it works on (none named: the theme as a whole)."""

    theme: Slug
    goals: tuple[Slug, ...] = ()


__all__ = ["Goal", "Theme", "ThemeReference"]
