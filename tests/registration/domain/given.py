"""``given(*facts).when(command).then(*facts)``: the rules of enrolment as sentences, and what they speak about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.base import Text, Title
from contracts.enrolment import MissingSeat, Participant, Reason
from contracts.facts import (
    EnrolmentConfirmed,
    EnrolmentPassedOver,
    EnrolmentPromoted,
    EnrolmentRefused,
    EnrolmentWaitlisted,
    ProgrammePublished,
    RegistrationFact,
)
from contracts.moments import day_of, end_of
from contracts.organisation import Organisation
from contracts.programme import (
    Confirmation,
    Contact,
    EnrolmentRules,
    Programme,
    ProgrammeKind,
    Seat,
    TeamRule,
    WaitingList,
)
from contracts.session import Session
from services.registration.domain import Command, ProgrammeState, Registry, Rejected, decide, evolve
from services.registration.domain import commands as asked

NOW = datetime(2023, 3, 2, 9, 14, tzinfo=UTC)
ORGANISER = "probiblio"
LIBRARY = Organisation(id="bibliotheek-zeist", name="Bibliotheek Zeist", kind="library", province="utrecht")
MUNICIPALITY = Organisation(id="gemeente-urk", name="Gemeente Urk", kind="municipality", province="flevoland")
REGISTRY = Registry(
    organisations=Registry().organisations.insert(
        ORGANISER, Organisation(id=ORGANISER, name="Probiblio", kind="support-organisation")
    )
)
SESSION = Session(
    id="bijeenkomst",
    title=Title(nl="Bijeenkomst", en="Meeting"),
    start=datetime(2023, 4, 13, 14, 0),  # noqa: DTZ001 - local time in Amsterdam
    end=datetime(2023, 4, 13, 16, 0),  # noqa: DTZ001
)
SEATS = (
    Seat(id="jeugd", title=Title(nl="Jeugd", en="Youth"), roles=("jeugd-educatie",)),
    Seat(id="basis", title=Title(nl="Basis", en="Basic"), roles=("taalhuis", "basisvaardigheden")),
    Seat(id="manager", title=Title(nl="Manager", en="Manager")),
)
IN_ORDER = WaitingList(policy="in-order")
FILL_GAPS = WaitingList(policy="fill-gaps")


def programme(*, sessions: tuple[Session, ...] = (SESSION,), team: TeamRule | None = None, **rules: Any) -> Programme:
    """A programme with these enrolment rules; open to anybody unless they say otherwise."""
    rules.setdefault("eligible", {"without_organisation": True})
    return Programme(
        id="ontmoeting",
        kind=ProgrammeKind.MEETING,
        title=Title(nl="Ontmoeting", en="Encounter"),
        description=Text(nl="Een ontmoeting.", en="An encounter."),
        organisers=(ORGANISER,),
        content_contact=Contact(name="Team inhoud", email="inhoud@probiblio.example"),
        enrolment_contact=Contact(name="Team aanmelden", email="aanmelden@probiblio.example"),
        sessions=sessions,
        enrolment=EnrolmentRules(per="team" if team else "person", **rules),
        team=team,
    )


def track(complete_within_days: int | None = 14, **rules: Any) -> Programme:
    """A programme for teams of three seats."""
    return programme(team=TeamRule(seats=SEATS, complete_within_days=complete_within_days), **rules)


def trusting(definition: Programme) -> Programme:
    """The same, but nobody has to confirm: for tests of what comes after that."""
    never = Confirmation(needed="never")
    rules = definition.enrolment.model_copy(update={"confirmation": never})
    return definition.model_copy(update={"enrolment": rules})


def published(**rules: Any) -> ProgrammePublished:
    """That a programme for persons has been published."""
    return ProgrammePublished(programme=programme(**rules))


def published_track(complete_within_days: int | None = 14, **rules: Any) -> ProgrammePublished:
    """That a programme for teams has been published."""
    return ProgrammePublished(programme=track(complete_within_days, **rules))


def people(name: str, count: int) -> tuple[Participant, ...]:
    """Persons ``name-1``, ``name-2`` …"""
    return tuple(Participant(person=f"{name}-{number}") for number in range(1, count + 1))


def sitting(**persons: str) -> tuple[Participant, ...]:
    """A team, by seat: ``sitting(jeugd="noor")``; each has the first role that the seat allows."""
    seats = {seat.id: seat for seat in SEATS}
    return tuple(
        Participant(person=person, seat=seat, role=seats[seat].roles[0] if seats[seat].roles else None)
        for seat, person in persons.items()
    )


TEAM = sitting(jeugd="noor", basis="sam", manager="eva")


def _enrolled(
    enrolment: str, units: int, who: Sequence[Participant] | None, organisation: str | None, more: dict[str, Any]
) -> dict[str, Any]:
    return {
        "enrolment": enrolment,
        "units": units,
        "participants": tuple(who) if who is not None else people(enrolment, units),
        "organisation": organisation,
        "channel": "staff",
        "source": "staff",
        **more,
    }


def confirmed(
    enrolment: str,
    units: int = 1,
    who: Sequence[Participant] | None = None,
    organisation: str | None = None,
    **more: Any,
) -> EnrolmentConfirmed:
    """That an enrolment has a place."""
    return EnrolmentConfirmed(**_enrolled(enrolment, units, who, organisation, more))


def waitlisted(
    enrolment: str,
    units: int = 1,
    who: Sequence[Participant] | None = None,
    organisation: str | None = None,
    **more: Any,
) -> EnrolmentWaitlisted:
    """That an enrolment waits."""
    return EnrolmentWaitlisted(**_enrolled(enrolment, units, who, organisation, {"place": 1, **more}))


def missing(*seats: str) -> tuple[MissingSeat, ...]:
    """One person in each of these seats is missing."""
    return tuple(MissingSeat(seat=seat, count=1) for seat in seats)


def request(
    enrolment: str,
    who: Sequence[Participant] | int = 1,
    organisation: Organisation | str | None = None,
    now: datetime = NOW,
) -> asked.RequestEnrolment:
    """Ask for a place; an organisation given by its id alone is not in the registry."""
    return asked.RequestEnrolment(
        enrolment=enrolment,
        organisation_id=organisation.id if isinstance(organisation, Organisation) else organisation,
        organisation=organisation if isinstance(organisation, Organisation) else None,
        participants=people(enrolment, who) if isinstance(who, int) else tuple(who),
        channel="staff",
        source="staff",
        now=now,
    )


def publish(definition: Programme, now: datetime = NOW) -> asked.PublishProgramme:
    """Publish a definition."""
    return asked.PublishProgramme(definition, REGISTRY, now)


def fold(facts: Sequence[RegistrationFact]) -> ProgrammeState:
    """How a programme stands after these facts."""
    state = ProgrammeState(id="ontmoeting")
    for fact in facts:
        state = evolve(state, fact)
    return state


@dataclass(frozen=True)
class Given:
    """What has come true."""

    state: ProgrammeState

    def when(self, command: Command) -> Result:
        """Ask for something."""
        return Result(self.state, decide(self.state, command))


@dataclass(frozen=True)
class Result:
    """What came of it."""

    before: ProgrammeState
    decision: tuple[RegistrationFact, ...] | Rejected

    @property
    def facts(self) -> tuple[RegistrationFact, ...]:
        """The facts that came true."""
        assert not isinstance(self.decision, Rejected), self.decision.reasons
        return self.decision

    @property
    def state(self) -> ProgrammeState:
        """How the programme stands now."""
        state = self.before
        for fact in self.facts:
            state = evolve(state, fact)
        return state

    def then(self, *facts: RegistrationFact) -> Result:
        """Exactly these facts come true."""
        assert self.facts == facts
        return self

    def then_brief(self, *brief: tuple[str, ...]) -> Result:
        """Exactly these come true, each as (kind, enrolment, rule …) without sentences and details."""
        assert tuple(_brief(fact) for fact in self.facts) == brief
        return self

    def then_refused(self, *rules: str) -> Result:
        """The request is refused by exactly these rules, in this order, each said in both languages."""
        (fact,) = self.facts
        assert isinstance(fact, EnrolmentRefused)
        _said_by(fact.reasons, rules)
        return self

    def then_rejected(self, *rules: str, kind: str = "rejected") -> Result:
        """Nothing happens, because of exactly these rules."""
        assert isinstance(self.decision, Rejected), self.decision
        assert self.decision.kind == kind
        _said_by(self.decision.reasons, rules)
        return self

    def then_nothing(self) -> Result:
        """All is well, and nothing changes."""
        return self.then()


def _said_by(reasons: Sequence[Reason], rules: Sequence[str]) -> None:
    assert [reason.rule for reason in reasons] == list(rules)
    assert all(reason.nl.endswith(".") and reason.en.endswith(".") and reason.nl != reason.en for reason in reasons)


def _brief(fact: RegistrationFact) -> tuple[str, ...]:
    kind = type(fact).__name__.removeprefix("Enrolment").lower()
    enrolment = getattr(fact, "enrolment", None)
    reason = fact.reason.rule if isinstance(fact, EnrolmentPromoted | EnrolmentPassedOver) else None
    return tuple(word for word in (kind, enrolment, reason) if word is not None)


def given(*facts: RegistrationFact) -> Given:
    """What has come true."""
    return Given(fold(facts))


def end_of_day(days: int) -> datetime:
    """The end of a day in the Netherlands, so many days after today."""
    return end_of(day_of(NOW + timedelta(days=days)))


def later(days: float) -> datetime:
    """So many days after now."""
    return NOW + timedelta(days=days)
