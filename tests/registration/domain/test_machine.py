"""Lives of a programme at random, against a model that knows nothing of how the rules are written."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from contracts.commands import EnrolmentResult
from contracts.enrolment import Participant
from contracts.facts import (
    EnrolmentConfirmed,
    EnrolmentLapsed,
    EnrolmentPending,
    EnrolmentPromoted,
    EnrolmentRefused,
    EnrolmentWaitlisted,
    EnrolmentWithdrawn,
    ProgrammeTeamRuleChanged,
    RegistrationFact,
    parse,
)
from contracts.programme import Programme, TeamRule, WaitingList
from services.registration.batch import Batch, Memory
from services.registration.domain import Command, ProgrammeState, Rejected, decide, evolve
from services.registration.domain import commands as asked
from services.registration.handlers.answers import enrolment_result
from tests.registration.domain.given import NOW, SEATS, programme, publish

PERSONS = [f"person-{number}" for number in range(14)]
FREEZE = datetime(2023, 3, 20, 12, 0)  # noqa: DTZ001 - local time in Amsterdam
FROZEN = NOW.replace(month=3, day=20, hour=11, minute=0)


@dataclass
class Unit:
    """An enrolment as the model sees it."""

    units: int
    persons: set[str]
    waits: bool


@dataclass
class Model:
    """Who has a place and who waits, in the order of arrival: kept from the facts' plain words alone."""

    active: dict[str, Unit] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    held: dict[str, int] = field(default_factory=dict)
    awaited: dict[str, set[str]] = field(default_factory=dict)

    @property
    def confirmed(self) -> int:
        return sum(one.units for one in self.active.values() if not one.waits)

    def apply(self, fact: RegistrationFact) -> None:
        if getattr(fact, "enrolment", None) in self.awaited:
            self._about_awaited(fact)
        match fact:
            case EnrolmentPending():
                assert fact.enrolment not in self.active | self.awaited
                self.held[fact.enrolment] = fact.held
                self.awaited[fact.enrolment] = {one.person for one in fact.participants}
            case EnrolmentConfirmed() | EnrolmentWaitlisted():
                assert fact.enrolment not in self.active
                persons = {one.person for one in fact.participants}
                self.active[fact.enrolment] = Unit(fact.units, persons, isinstance(fact, EnrolmentWaitlisted))
            case EnrolmentRefused():
                self.gone.add(fact.enrolment)
            case EnrolmentPromoted():
                assert fact.enrolment not in self.gone
                assert self.active[fact.enrolment].waits
                self.active[fact.enrolment].waits = False
            case EnrolmentWithdrawn():
                assert self.active.pop(fact.enrolment).waits is (fact.before == "waiting")
                self.gone.add(fact.enrolment)
            case _:
                self._about_people(fact)

    def _about_awaited(self, fact: Any) -> None:
        awaited = self.awaited[fact.enrolment]
        match fact:
            case EnrolmentConfirmed() | EnrolmentWaitlisted():
                awaited -= {one.person for one in fact.participants}
                self.held[fact.enrolment] = 0
            case EnrolmentLapsed():
                assert (fact.people, fact.units) == (len(awaited), self.held[fact.enrolment])
                awaited.clear()
            case EnrolmentRefused() | EnrolmentWithdrawn():
                awaited.clear()
            case _ if hasattr(fact, "participant"):
                awaited.discard(fact.participant.person)
        if not awaited:
            del self.awaited[fact.enrolment], self.held[fact.enrolment]

    def _about_people(self, fact: Any) -> None:
        one = self.active.get(getattr(fact, "enrolment", ""))
        if one is None or type(fact).__name__ not in (
            "ParticipantAdded",
            "ParticipantReplaced",
            "ParticipantWithdrawn",
        ):
            return
        if hasattr(fact, "person"):
            one.persons.remove(fact.person)
        if hasattr(fact, "participant"):
            one.persons.add(fact.participant.person)
        one.units = getattr(fact, "units", one.units)


def asked_by(team: TeamRule | None) -> Counter[str]:
    return Counter({seat.id: seat.count for seat in team.seats if not seat.closed}) if team else Counter()


class Life(RuleBasedStateMachine):
    """One programme from its publication on, with whatever people do to it."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ProgrammeState(id="ontmoeting")
        self.facts: list[RegistrationFact] = []
        self.bodies: list[bytes] = []
        self.model = Model()
        self.now = NOW
        self.number = 0
        self.teams = False
        self.terms: dict[str, Any] = {}
        self.team: TeamRule | None = None
        self.owed: dict[str, Counter[str]] = {}

    @initialize(
        teams=st.booleans(),
        capacity=st.integers(1, 6),
        policy=st.sampled_from(["in-order", "fill-gaps"]),
        freeze=st.booleans(),
    )
    def begins(self, teams: bool, capacity: int, policy: Any, freeze: bool) -> None:
        self.teams = teams
        self.team = TeamRule(seats=SEATS, complete_within_days=7) if teams else None
        waiting_list = WaitingList(policy=policy, freeze=FREEZE if freeze else None) if policy else None
        self.terms = {"capacity": capacity, "waiting_list": waiting_list}
        self.do(publish(self.definition(), self.now))

    def definition(self) -> Programme:
        return programme(team=self.team, **self.terms)

    def do(self, command: Command) -> None:
        before = self.state
        decision = decide(before, command)
        if isinstance(decision, Rejected):
            assert decision.reasons
            assert all(reason.nl and reason.en for reason in decision.reasons)
            return
        batch = Batch(None, Memory(head=len(self.facts)))  # type: ignore[arg-type]  # nothing is stored
        for fact in decision:
            self.is_owed(fact, in_time=isinstance(command, asked.LetDeadlinesPass))
            assert not isinstance(fact, EnrolmentPending) or self.may_be_held(fact)
            self.order_is_respected(fact, by_staff=isinstance(command, asked.PromoteEnrolment))
            self.state = evolve(self.state, fact)
            self.model.apply(fact)
            self.facts.append(fact)
            # Those of our own making are not validated when they are made.
            assert type(fact).model_validate_json(fact.to_json()) == fact
            batch._append("ontmoeting", self.state.version, fact, self.now, None)
            if isinstance(fact, EnrolmentRefused):
                assert all(reason.nl and reason.en for reason in fact.reasons)
        self.bodies += [entry.body for entry in batch.entries]
        if isinstance(command, asked.PublishProgramme):
            self.nobody_loses_by_a_rule(before)
        for enrolment in set(self.state.enrolments) & {getattr(fact, "enrolment", None) for fact in decision}:
            answer = enrolment_result(self.state, enrolment, decision)
            assert EnrolmentResult.model_validate_json(answer.body, extra="forbid").to_json() == answer.body

    def is_owed(self, fact: RegistrationFact, *, in_time: bool) -> None:
        """A team loses its place for lack of what it was asked when it enrolled, and no later rule asks more."""
        if isinstance(fact, EnrolmentPending | EnrolmentConfirmed | EnrolmentWaitlisted):
            self.owed.setdefault(
                fact.enrolment, asked_by(self.state.definition.team if self.state.definition else None)
            )
        elif isinstance(fact, ProgrammeTeamRuleChanged):
            # Counter's & is the lesser of the two, seat by seat.
            self.owed = {id_: owed & asked_by(fact.team) for id_, owed in self.owed.items()}
        elif isinstance(fact, EnrolmentWithdrawn) and in_time:
            people = self.state.enrolments[fact.enrolment].participants
            assert self.owed[fact.enrolment] - Counter(str(one.seat) for one in people)

    def nobody_loses_by_a_rule(self, before: ProgrammeState) -> None:
        for id_, had in before.enrolments.items():
            has = self.state.enrolments[id_]
            assert has.status == had.status or (had.status, has.status) == ("waiting", "confirmed")
            assert (has.participants, has.awaited, has.units) == (had.participants, had.awaited, had.units)
            assert has.complete_by in (None, had.complete_by)
            lacked = {seat.seat: seat.count for seat in had.missing}
            assert all(seat.count <= lacked.get(seat.seat, 0) for seat in has.missing)

    def order_is_respected(self, fact: RegistrationFact, *, by_staff: bool) -> None:
        """Nobody gets a place before one who waits, came earlier and would fit; in order, before anyone who could."""
        if not isinstance(fact, EnrolmentConfirmed | EnrolmentPromoted) or by_staff:
            return
        if self.model.held.get(fact.enrolment):
            # It was kept for them when nobody waited.
            return
        definition = self.state.definition
        assert definition is not None
        capacity = definition.enrolment.capacity
        free = None if capacity is None else capacity - self.model.confirmed - sum(self.model.held.values())
        waiting_list = definition.enrolment.waiting_list
        in_order = waiting_list is None or waiting_list.policy == "in-order"
        if isinstance(fact, EnrolmentPromoted):
            freeze = FROZEN if waiting_list and waiting_list.freeze else None
            assert freeze is None or self.now < freeze
        for earlier, one in self.model.active.items():
            if earlier == fact.enrolment:
                break
            if one.waits and (capacity is None or one.units <= capacity):
                assert free is not None
                assert not in_order
                assert one.units > free

    def may_be_held(self, fact: EnrolmentPending) -> bool:
        """Strangers hold no more than their share, and nothing that somebody waits for."""
        definition = self.state.definition
        assert definition is not None
        capacity = definition.enrolment.capacity
        if not fact.held or capacity is None:
            return fact.held in (0, 1)
        held = sum(self.model.held.values())
        share = max(1, capacity * definition.enrolment.confirmation.held_percent // 100)
        waits = any(one.waits for one in self.model.active.values())
        return not waits and held < share and self.model.confirmed + held < capacity

    # What people do ---------------------------------------------------------------------------------------------------

    def seated(self, persons: list[str]) -> tuple[Participant, ...]:
        if not self.teams:
            return tuple(Participant(person=person) for person in persons)
        return tuple(
            Participant(person=person, seat=seat.id, role=seat.roles[0] if seat.roles else None)
            for person, seat in zip(persons, SEATS, strict=False)
        )

    @rule(persons=st.lists(st.sampled_from(PERSONS), min_size=1, max_size=3))
    def request(self, persons: list[str]) -> None:
        self.number += 1
        participants = self.seated(persons)
        self.do(asked.RequestEnrolment(f"e{self.number}", None, None, participants, "intake", "demo", self.now))

    @rule(sizes=st.lists(st.integers(1, 3), min_size=1, max_size=4))
    def strangers_request(self, sizes: list[int]) -> None:
        for size in sizes:
            self.request([f"stranger-{self.number}-{number}" for number in range(size)])

    @rule(
        persons=st.lists(st.sampled_from(PERSONS), min_size=1, max_size=3),
        known=st.sets(st.sampled_from(PERSONS)),
        left=st.integers(0, 3),
    )
    def stranger_requests(self, persons: list[str], known: set[str], left: int) -> None:
        self.number += 1
        ids = tuple(f"e{self.number}-{number}" for number in range(len(persons)))
        mailboxes = {person: person[:8] for person in persons}
        stranger = asked.Stranger(
            ids, frozenset(persons) - known, mailboxes, dict.fromkeys(mailboxes.values(), left), 0, self.now
        )
        command = asked.RequestEnrolment(
            f"e{self.number}", None, None, self.seated(persons), "web", "web", self.now, stranger
        )
        self.do(command)

    @rule(data=st.data(), vouched=st.booleans())
    def confirm(self, data: st.DataObject, vouched: bool) -> None:
        if not self.model.awaited:
            return
        enrolment = data.draw(st.sampled_from(sorted(self.model.awaited)))
        persons = data.draw(st.sets(st.sampled_from(sorted(self.model.awaited[enrolment])), min_size=1))
        self.do(asked.ConfirmEnrolment(enrolment, None if vouched else frozenset(persons), None, self.now))

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        if self.model.awaited:
            self.do(asked.WithdrawEnrolment(data.draw(st.sampled_from(sorted(self.model.awaited))), self.now))

    @precondition(lambda self: self.number)
    @rule(data=st.data(), person=st.sampled_from(PERSONS), what=st.sampled_from(["add", "replace", "leave", "seat"]))
    def change_people(self, data: st.DataObject, person: str, what: str) -> None:
        enrolment = f"e{data.draw(st.integers(1, self.number))}"
        stands = self.state.enrolments.get(enrolment)
        inside = list(stands.participants) if stands else []
        seat = data.draw(st.sampled_from(SEATS)) if self.teams else None
        role = seat.roles[0] if seat and seat.roles else None
        new = Participant(person=person, seat=seat.id if seat else None, role=role)
        old = data.draw(st.sampled_from(inside)).person if inside else person
        command: Command
        if what == "add":
            command = asked.AddParticipant(enrolment, new, self.now)
        elif what == "replace":
            command = asked.ReplaceParticipant(enrolment, old, new, self.now)
        elif what == "leave":
            command = asked.WithdrawParticipant(enrolment, old, self.now)
        else:
            command = asked.ChangeParticipant(enrolment, new.model_copy(update={"person": old}), self.now)
        self.do(command)

    @precondition(lambda self: self.number)
    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        self.do(asked.WithdrawEnrolment(f"e{data.draw(st.integers(1, self.number))}", self.now))

    @precondition(lambda self: self.number)
    @rule(data=st.data())
    def promote(self, data: st.DataObject) -> None:
        self.do(asked.PromoteEnrolment(f"e{data.draw(st.integers(1, self.number))}", self.now))

    @rule(capacity=st.sampled_from([1, 2, 3, 4, 5, 6, None]))
    def change_capacity(self, capacity: int | None) -> None:
        self.republish(capacity=capacity)

    @rule(policy=st.sampled_from(["in-order", "fill-gaps", None]), freeze=st.booleans())
    def change_waiting_list(self, policy: Any, freeze: bool) -> None:
        self.republish(waiting_list=WaitingList(policy=policy, freeze=FREEZE if freeze else None) if policy else None)

    @precondition(lambda self: self.teams)
    @rule(
        counts=st.lists(st.integers(0, 3), min_size=len(SEATS), max_size=len(SEATS)).filter(any),
        days=st.sampled_from([None, 1, 7]),
        narrowed=st.booleans(),
    )
    def change_team_rule(self, counts: list[int], days: int | None, narrowed: bool) -> None:
        roles = {"roles": ("directie",)} if narrowed else {}
        seats = [
            seat.model_copy(update={"count": count, **roles})
            for seat, count in zip(SEATS, counts, strict=True)
            if count
        ]
        self.team = TeamRule(seats=tuple(seats), complete_within_days=days)
        self.do(publish(self.definition(), self.now))

    @rule(maximum=st.sampled_from([None, 1, 2]), roles=st.sampled_from([(), ("directie",)]))
    def change_who_may_come(self, maximum: int | None, roles: tuple[str, ...]) -> None:
        self.republish(maximum_per_organisation=maximum, eligible={"without_organisation": True, "roles": roles})

    def republish(self, **rules: Any) -> None:
        before = self.terms
        self.terms = before | rules
        self.do(publish(self.definition(), self.now))
        definition = self.state.definition
        if definition is None or definition.enrolment != self.definition().enrolment:
            self.terms = before

    @rule(days=st.integers(1, 9))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)
        if self.now < NOW + timedelta(days=40):
            self.do(asked.LetDeadlinesPass(self.now))
        else:
            self.now -= timedelta(days=days)

    # What always holds ------------------------------------------------------------------------------------------------

    @invariant()
    def the_capacity_is_kept(self) -> None:
        definition = self.state.definition
        if definition is not None and definition.enrolment.capacity is not None:
            assert self.model.confirmed <= definition.enrolment.capacity

    @invariant()
    def state_and_model_agree(self) -> None:
        assert self.state.confirmed == self.model.confirmed
        active = {one.id: one for one in self.state.enrolments.values() if one.active}
        assert active.keys() == self.model.active.keys()
        for id_, one in self.model.active.items():
            assert (active[id_].units, active[id_].status == "waiting") == (one.units, one.waits)
            assert {participant.person for participant in active[id_].participants} == one.persons
        assert [one.id for one in self.state.queue()] == [id_ for id_, one in self.model.active.items() if one.waits]

    @invariant()
    def nobody_is_in_twice(self) -> None:
        everybody = [person for one in self.model.active.values() for person in one.persons]
        assert len(everybody) == len(set(everybody))
        assert set(everybody) == set(self.state.persons)

    @invariant()
    def who_is_awaited_is_known(self) -> None:
        assert self.state.held == sum(self.model.held.values())
        stands = {one.id: one for one in self.state.enrolments.values() if one.awaited}
        assert {id_: {who.person for who in one.awaited} for id_, one in stands.items()} == self.model.awaited
        assert {id_: one.held for id_, one in stands.items()} == self.model.held
        assert set(self.state.awaited) == {person for one in self.model.awaited.values() for person in one}
        assert all(self.state.enrolments[id_].confirm_by for id_ in self.model.awaited)
        assert stands.keys() <= set(self.state.deadlines)

    @invariant()
    def versions_have_no_gaps(self) -> None:
        assert self.state.version == len(self.facts)
        assert [json.loads(body)["version"] for body in self.bodies] == list(range(1, len(self.facts) + 1))

    def teardown(self) -> None:
        read = [parse(body) for body in self.bodies]
        assert [fact.data for fact in read] == self.facts
        assert [fact.position for fact in read] == list(range(1, len(self.facts) + 1))
        # From any point on, what was stored leads to the same state.
        state = ProgrammeState(id="ontmoeting")
        for fact in read:
            state = evolve(state, fact.data)
        assert state == self.state


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=80, stateful_step_count=30, deadline=None)
