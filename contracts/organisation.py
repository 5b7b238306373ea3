"""Organisations: the registry that every enrolment refers to."""

from __future__ import annotations

from contracts.base import Line, Message, OrganisationKind, Province, Slug


class Organisation(Message):
    """One entry of the registry; ``municipality`` is the seat's, as the national register spells it."""

    id: Slug
    name: Line
    kind: OrganisationKind
    province: Province | None = None
    municipality: Line | None = None
