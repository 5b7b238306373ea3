"""One pass over a programme's enrolments: what every report about it is made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from contracts.base import Province, Title
from contracts.enrolment import EnrolmentStatus, Participant
from contracts.organisation import Organisation
from contracts.queries import Counts
from contracts.theme import Theme
from services.chassis.state import State
from services.reporting.domain.state import (
    ANSWER,
    ENROLMENT,
    MAILS,
    REFUSALS,
    AnswerEntry,
    EnrolmentEntry,
    MailsEntry,
    ProgrammeEntry,
    RefusalsEntry,
    ids_of_programmes,
    organisations,
    programme,
    themes,
)

_STATUSES: Final = 6
_CONFIRMED, _WAITING, _WITHDRAWN, _REFUSED, _PENDING, _LAPSED = range(_STATUSES)
_COLUMN: Final[dict[EnrolmentStatus, int]] = {
    "confirmed": _CONFIRMED,
    "waiting": _WAITING,
    "withdrawn": _WITHDRAWN,
    "refused": _REFUSED,
    "pending": _PENDING,
    "lapsed": _LAPSED,
}

WITHOUT_ORGANISATION: Final = "_without-organisation"
UNREGISTERED: Final = "_unregistered-organisation"
WITHOUT_PROVINCE: Final = "_without-province"
WITHOUT_MUNICIPALITY: Final = "_without-municipality"
WITHOUT_ROLE: Final = "_without-role"
WITHOUT_SEAT: Final = "_without-seat"

TITLES: Final[dict[str, Title]] = {
    WITHOUT_ORGANISATION: Title(nl="zonder organisatie", en="without an organisation"),
    UNREGISTERED: Title(nl="organisatie niet in het register", en="organisation not in the registry"),
    WITHOUT_PROVINCE: Title(nl="provincie onbekend", en="province unknown"),
    WITHOUT_MUNICIPALITY: Title(nl="gemeente onbekend", en="municipality unknown"),
    WITHOUT_ROLE: Title(nl="zonder rol", en="without a role"),
    WITHOUT_SEAT: Title(nl="zonder teamplek", en="without a seat"),
}

PROVINCES: Final[dict[str, str]] = {
    Province.DRENTHE: "Drenthe",
    Province.FLEVOLAND: "Flevoland",
    Province.FRYSLAN: "Fryslân",
    Province.GELDERLAND: "Gelderland",
    Province.GRONINGEN: "Groningen",
    Province.LIMBURG: "Limburg",
    Province.NOORD_BRABANT: "Noord-Brabant",
    Province.NOORD_HOLLAND: "Noord-Holland",
    Province.OVERIJSSEL: "Overijssel",
    Province.UTRECHT: "Utrecht",
    Province.ZEELAND: "Zeeland",
    Province.ZUID_HOLLAND: "Zuid-Holland",
}


@dataclass(slots=True)
class Tally:
    """Units and people by status while they are being counted."""

    units: list[int] = field(default_factory=lambda: [0] * _STATUSES)
    people: list[int] = field(default_factory=lambda: [0] * _STATUSES)

    def count(self, entry: EnrolmentEntry) -> None:
        """Count an enrolment with all its people; who left it alone is withdrawn, who did not confirm it lapsed."""
        column = _COLUMN[entry.status]
        self.units[column] += entry.units
        self.people[column] += len(entry.participants)
        if entry.left:
            self.units[_WITHDRAWN] += entry.units_left
            self.people[_WITHDRAWN] += len(entry.left)
        self.people[_PENDING] += len(entry.awaited)
        self.people[_LAPSED] += len(entry.lapsed)

    def add(self, other: Tally) -> None:
        """Count all that the other has counted."""
        for column in range(_STATUSES):
            self.units[column] += other.units[column]
            self.people[column] += other.people[column]

    @property
    def confirmed(self) -> bool:
        """Whether anybody has a place."""
        return self.units[_CONFIRMED] > 0

    @property
    def sat(self) -> bool:
        """Whether anybody has, had or waits for a place."""
        return self.people[_CONFIRMED] + self.people[_WAITING] + self.people[_WITHDRAWN] > 0

    @property
    def people_confirmed(self) -> int:
        """How many people have a place."""
        return self.people[_CONFIRMED]

    def counts(self) -> Counts:
        """The contract's form."""
        units, people = self.units, self.people
        return Counts(
            units_confirmed=units[_CONFIRMED],
            units_waiting=units[_WAITING],
            units_withdrawn=units[_WITHDRAWN],
            units_refused=units[_REFUSED],
            people_confirmed=people[_CONFIRMED],
            people_waiting=people[_WAITING],
            people_withdrawn=people[_WITHDRAWN],
            people_refused=people[_REFUSED],
            units_pending=units[_PENDING],
            units_lapsed=units[_LAPSED],
            people_pending=people[_PENDING],
            people_lapsed=people[_LAPSED],
        )


@dataclass(slots=True)
class Day:
    """What happened to enrolments on one day while it is being counted."""

    requested: int = 0
    confirmed: int = 0
    waiting: int = 0
    refused: int = 0
    promoted: int = 0
    withdrawn: int = 0
    pending: int = 0
    lapsed: int = 0


@dataclass(slots=True)
class ProgrammeCount:
    """
    Everything counted about one programme.

    Attributes:
        organisations: by organisation's id, None for enrolments without one.
        reached: the person ids that have a place, by organisation's id.
        roles, seats: people only; None for people without one.
        days: by ISO 8601 date.
        seated: the person ids that have a place, by seat.
        answers: what was answered to invitations, by session and person.
    """

    id: str
    entry: ProgrammeEntry
    total: Tally = field(default_factory=Tally)
    organisations: dict[str | None, Tally] = field(default_factory=dict)
    reached: dict[str | None, set[str]] = field(default_factory=dict)
    roles: dict[str | None, Tally] = field(default_factory=dict)
    seats: dict[str | None, Tally] = field(default_factory=dict)
    days: dict[str, Day] = field(default_factory=dict)
    refusals: dict[str, RefusalsEntry] = field(default_factory=dict)
    mails: dict[str, MailsEntry] = field(default_factory=dict)
    seated: dict[str | None, set[str]] = field(default_factory=dict)
    answers: dict[tuple[str, str], AnswerEntry] = field(default_factory=dict)

    def count(self, entry: EnrolmentEntry) -> None:
        """Count one enrolment under every heading."""
        tally = self.organisations.get(entry.organisation)
        if tally is None:
            tally = self.organisations[entry.organisation] = Tally()
        tally.count(entry)
        if entry.status == "confirmed":
            self.reached.setdefault(entry.organisation, set()).update(each.person for each in entry.participants)
            for each in entry.participants:
                self.seated.setdefault(each.seat, set()).add(each.person)
        self._count_people(entry.participants, _COLUMN[entry.status])
        for people, column in ((entry.left, _WITHDRAWN), (entry.awaited, _PENDING), (entry.lapsed, _LAPSED)):
            if people:
                self._count_people(people, column)
        self._count_days(entry)

    def _count_people(self, people: Iterable[Participant], column: int) -> None:
        roles, seats = self.roles, self.seats
        for participant in people:
            role, seat = participant.role, participant.seat
            tally = roles.get(role)
            if tally is None:
                tally = roles[role] = Tally()
            tally.people[column] += 1
            tally = seats.get(seat)
            if tally is None:
                tally = seats[seat] = Tally()
            tally.people[column] += 1

    def _count_days(self, entry: EnrolmentEntry) -> None:
        day = self._day(entry.requested)
        day.requested += 1
        setattr(day, entry.first, getattr(day, entry.first) + 1)
        if entry.promoted is not None:
            self._day(entry.promoted).promoted += 1
        if entry.withdrawn is not None:
            self._day(entry.withdrawn).withdrawn += 1

    def _day(self, date: str) -> Day:
        day = self.days.get(date)
        if day is None:
            day = self.days[date] = Day()
        return day


def count(state: State, id_: str) -> ProgrammeCount | None:
    """Count one programme; None when there is none of this id."""
    entry = programme(state, id_)
    if entry is None:
        return None
    counted = ProgrammeCount(id_, entry)
    for key, entity in state.partition(id_).items():
        if key.startswith(ENROLMENT):
            counted.count(entity)
        elif key.startswith(REFUSALS):
            counted.refusals[key.removeprefix(REFUSALS)] = entity
        elif key.startswith(MAILS):
            counted.mails[key.removeprefix(MAILS)] = entity
        elif key.startswith(ANSWER):
            session, _, person = key.removeprefix(ANSWER).partition("/")
            counted.answers[session, person] = entity
    for tally in counted.organisations.values():
        counted.total.add(tally)
    return counted


@dataclass(frozen=True, slots=True)
class Counted:
    """
    What all reports across programmes are made of, counted once.

    Attributes:
        programmes: in order of id.
        organisations: the registry by id, in order of id.
        themes: by id, in order of id.
    """

    programmes: tuple[ProgrammeCount, ...]
    organisations: dict[str, Organisation]
    themes: dict[str, Theme]


def count_all(state: State) -> Counted:
    """Count everything."""
    return Counted(
        programmes=tuple(counted for id_ in ids_of_programmes(state) if (counted := count(state, id_)) is not None),
        organisations=organisations(state),
        themes=themes(state),
    )


def province_key(id_: str | None, organisation: Organisation | None) -> str:
    """The province under which an enrolment of organisation ``id_`` is counted."""
    return _place_key(id_, organisation, organisation.province if organisation else None, WITHOUT_PROVINCE)


def municipality_key(id_: str | None, organisation: Organisation | None) -> str:
    """The municipality under which an enrolment of organisation ``id_`` is counted."""
    return _place_key(id_, organisation, organisation.municipality if organisation else None, WITHOUT_MUNICIPALITY)


def _place_key(id_: str | None, organisation: Organisation | None, place: str | None, missing: str) -> str:
    if id_ is None:
        return WITHOUT_ORGANISATION
    if organisation is None:
        return UNREGISTERED
    return str(place) if place is not None else missing


def is_id(key: str) -> bool:
    """Whether a row's key is an id or a name; the others say what is missing, and come last."""
    return not key.startswith("_")


def order(key: str) -> tuple[bool, str, str]:
    """The order of rows by key: regardless of case, and last the keys that say what is missing."""
    return (not is_id(key), key.casefold(), key)


def place_name(key: str) -> str:
    """What a province's or municipality's row is called."""
    return TITLES[key].nl if key in TITLES else PROVINCES.get(key, key)
