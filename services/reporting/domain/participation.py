"""
Across programmes: which organisations took part, and which could have and never did.

An organisation took part in a programme when it has a confirmed enrolment in it; who waits, withdrew or was refused did
not. It could have when it is registered, the programme's rules allow its kind and its province, and it does not
organise the programme itself. A withdrawn programme did not take place: nobody took part in it, nobody could have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import assert_never

from contracts.base import OrganisationKind, Title
from contracts.organisation import Organisation
from contracts.queries import Heading, OrganisationMention, Participation, ParticipationRow
from services.chassis.state import State
from services.reporting.domain.counting import (
    TITLES,
    Counted,
    ProgrammeCount,
    Tally,
    count_all,
    municipality_key,
    order,
    place_name,
    province_key,
)
from services.reporting.domain.programmes import organisation_name
from services.reporting.domain.state import ProgrammeEntry

_KeyOf = Callable[[str | None, Organisation | None], str]


class UnknownKey(LookupError):  # noqa: N818
    """No row has this key; ``known`` are the keys that there are."""

    def __init__(self, known: Iterable[str]) -> None:
        super().__init__()
        self.known = tuple(known)


@dataclass(slots=True)
class _Group:
    """One row while it is being counted."""

    programmes: set[str] = field(default_factory=set)
    tally: Tally = field(default_factory=Tally)
    took_part: set[str] = field(default_factory=set)
    could_have: set[str] = field(default_factory=set)


def participation(
    state: State, by: Heading, key: str | None = None, kind: OrganisationKind | None = None
) -> Participation:
    """
    The rows under a heading, or the one of them that has ``key``; with ``kind``, of organisations of that kind alone.

    Raises:
        UnknownKey: no row has this key.
    """
    return participation_of(count_all(state), by, key, kind)


def participation_of(
    counted: Counted, by: Heading, key: str | None = None, kind: OrganisationKind | None = None
) -> Participation:
    """As ``participation``, made of what has been counted."""
    registry = counted.organisations
    if kind is not None:
        registry = {id_: organisation for id_, organisation in registry.items() if organisation.kind == kind}
    groups: dict[str, _Group] = {id_: _Group() for id_ in counted.themes} if by == "theme" else {}
    for programme in counted.programmes:
        if not programme.entry.withdrawn:
            for heading in _headings(by, programme.entry):
                _group_programme(groups, heading, programme, registry, only_registered=kind is not None)
    if key is not None and key not in groups:
        raise UnknownKey(sorted(groups, key=order))
    rows = []
    for each in sorted(groups, key=order) if key is None else [key]:
        group = groups[each]
        name, title = _name(counted, by, each)
        rows.append(
            ParticipationRow(
                key=each,
                name=name,
                title=title,
                programmes=tuple(sorted(group.programmes)),
                counts=group.tally.counts(),
                took_part=_mentions(group.took_part, registry),
                never_took_part=_mentions(group.could_have - group.took_part, registry),
            )
        )
    return Participation(by=by, rows=tuple(rows))


def could_take_part(organisation: Organisation, programme: ProgrammeEntry) -> bool:
    """Whether the rules allow the organisation's kind and province, and it is not the host."""
    eligible = programme.rules.eligible
    return (
        organisation.id not in programme.organisers
        and (not eligible.kinds or organisation.kind in eligible.kinds)
        and (not eligible.provinces or organisation.province in eligible.provinces)
    )


def _headings(by: Heading, programme: ProgrammeEntry) -> tuple[str | _KeyOf, ...]:
    """The rows to which a programme belongs, or how the row of each of its organisations is found."""
    match by:
        case "theme":
            return tuple(reference.theme for reference in programme.themes)
        case "organiser":
            return programme.organisers
        case "province":
            return (province_key,)
        case "municipality":
            return (municipality_key,)
        case _:
            assert_never(by)


def _group_programme(
    groups: dict[str, _Group],
    heading: str | _KeyOf,
    programme: ProgrammeCount,
    registry: dict[str, Organisation],
    *,
    only_registered: bool,
) -> None:
    def group_of(id_: str | None, organisation: Organisation | None) -> _Group:
        key = heading if isinstance(heading, str) else heading(id_, organisation)
        group = groups.setdefault(key, _Group())
        group.programmes.add(programme.id)
        return group

    if isinstance(heading, str):
        groups.setdefault(heading, _Group()).programmes.add(programme.id)
    for id_, tally in programme.organisations.items():
        organisation = registry.get(id_) if id_ is not None else None
        if organisation is None and only_registered:
            continue
        group = group_of(id_, organisation)
        group.tally.add(tally)
        if id_ is not None and tally.confirmed:
            group.took_part.add(id_)
    for organisation in registry.values():
        if could_take_part(organisation, programme.entry):
            group_of(organisation.id, organisation).could_have.add(organisation.id)


def _name(counted: Counted, by: Heading, key: str) -> tuple[str, Title | None]:
    match by:
        case "theme":
            found = counted.themes.get(key)
            title = found.title if found else Title(nl=f"{key} (onbekend thema)", en=f"{key} (unknown theme)")
            return title.nl, title
        case "organiser":
            return organisation_name(key, counted.organisations)
        case "province" | "municipality":
            return place_name(key), TITLES.get(key)
        case _:
            assert_never(by)


def _mentions(ids: Iterable[str], registry: dict[str, Organisation]) -> tuple[OrganisationMention, ...]:
    mentions = []
    for id_ in sorted(ids):
        name, title = organisation_name(id_, registry)
        municipality = registry[id_].municipality if id_ in registry else None
        mentions.append(OrganisationMention(id=id_, name=name, title=title, municipality=municipality))
    return tuple(mentions)
