"""
Per theme: what was reached in each of its municipalities for each of its goals.

Something is reached where somebody has a confirmed enrolment in a programme that was not withdrawn. An enrolment
counts for the municipality of its organisation's seat. A programme that names no goal works on the theme as a whole: it
counts in the whole and under no goal, so that no goal claims it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from contracts.queries import CountRow, GoalCell, MunicipalityRow, Reached, ThemeReport
from contracts.theme import Theme
from services.chassis.state import State
from services.reporting.domain.counting import Counted, Tally, count_all

_ELSEWHERE = None


@dataclass(slots=True)
class _Found:
    """What was reached while it is being counted: each programme, organisation and person once."""

    programmes: set[str] = field(default_factory=set)
    organisations: set[str] = field(default_factory=set)
    people: set[str] = field(default_factory=set)

    def add(self, programme: str, organisation: str | None, people: set[str]) -> None:
        self.programmes.add(programme)
        if organisation is not None:
            self.organisations.add(organisation)
        self.people |= people

    def reached(self) -> Reached:
        return Reached(programmes=len(self.programmes), organisations=len(self.organisations), people=len(self.people))


def theme_report(state: State, id_: str) -> ThemeReport | None:
    """What a theme has reached; None when there is none of this id."""
    return theme_reported(count_all(state), id_)


def theme_reported(counted: Counted, id_: str) -> ThemeReport | None:
    """As ``theme_report``, made of what has been counted."""
    found = counted.themes.get(id_)
    if found is None:
        return None
    goals = {goal.id: Tally() for goal in found.goals}
    cells: dict[tuple[str | None, str | None], _Found] = {}
    everywhere = _Found()
    places = {_fold(name): name for name in found.municipalities}

    def reach(municipality: str | None, goal: str | None) -> _Found:
        return cells.setdefault((municipality, goal), _Found())

    for programme in counted.programmes:
        reference = next((each for each in programme.entry.themes if each.theme == id_), None)
        if reference is None or programme.entry.withdrawn:
            continue
        worked_on = [goal for goal in reference.goals if goal in goals]
        for goal in worked_on:
            goals[goal].add(programme.total)
        for organisation, people in programme.reached.items():
            entry = counted.organisations.get(organisation) if organisation is not None else None
            seat = entry.municipality if entry else None
            municipality = places.get(_fold(seat), _ELSEWHERE) if seat else _ELSEWHERE
            everywhere.add(programme.id, organisation, people)
            for goal_or_whole in (*worked_on, None):
                reach(municipality, goal_or_whole).add(programme.id, organisation, people)
    return ThemeReport(
        theme=id_,
        title=found.title,
        goals=_goal_rows(found, goals),
        municipalities=tuple(
            MunicipalityRow(
                municipality=municipality,
                goals=_cells(found, municipality, cells),
                whole=cells.get((municipality, None), _Found()).reached(),
            )
            for municipality in sorted(found.municipalities, key=lambda name: (_fold(name), name))
        ),
        elsewhere=_cells(found, _ELSEWHERE, cells),
        whole=everywhere.reached(),
        whole_elsewhere=cells.get((_ELSEWHERE, None), _Found()).reached(),
    )


def _goal_rows(found: Theme, goals: dict[str, Tally]) -> tuple[CountRow, ...]:
    return tuple(
        CountRow(key=goal.id, name=goal.title.nl, title=goal.title, counts=goals[goal.id].counts())
        for goal in found.goals
    )


def _cells(
    found: Theme, municipality: str | None, cells: dict[tuple[str | None, str | None], _Found]
) -> tuple[GoalCell, ...]:
    rows = []
    for goal in found.goals:
        reached = cells.get((municipality, goal.id), _Found()).reached()
        rows.append(
            GoalCell(
                goal=goal.id,
                programmes=reached.programmes,
                organisations=reached.organisations,
                people=reached.people,
            )
        )
    return tuple(rows)


def _fold(name: str) -> str:
    """Two spellings of a municipality are one: 'Hof Van Twente' is Hof van Twente."""
    return " ".join(name.split()).casefold()
