"""
What pieces of work see and do inside the transaction that they share: the states in memory, and the rows to be written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache

from contracts.base import Message
from contracts.enrolment import KnownPerson
from contracts.envelope import schema_name
from contracts.facts import NAMES, NO_PROGRAMME, RegistrationFact
from contracts.subjects import fact_subject
from services.chassis.access import Caller, Token
from services.chassis.clock import written
from services.chassis.identity import new_id
from services.chassis.log import Entry
from services.registration import store
from services.registration.domain import ProgrammeState, Registry, evolve, evolve_registry
from services.registration.store import Answer, Known, PersonKey, accounts

SOURCE = "registration"


@dataclass(slots=True)
class Memory:
    """The states that have been loaded; only the database's thread touches them."""

    programmes: dict[str, ProgrammeState] = field(default_factory=dict)
    registry: Registry | None = None
    head: int | None = None
    outcomes: int | None = None
    """The last position among the outcomes."""
    versions: dict[str, int] = field(default_factory=dict)
    """How many outcomes each partner has had."""

    def forget(self) -> None:
        """Drop everything: it no longer is what the database says."""
        self.programmes.clear()
        self.registry = None
        self.head = None
        self.outcomes = None
        self.versions.clear()

    def copied(self) -> Memory:
        """The same, to go back to; the states themselves are immutable."""
        return Memory(dict(self.programmes), self.registry, self.head, self.outcomes, dict(self.versions))

    def go_back_to(self, before: Memory) -> None:
        """Be as a copy was."""
        self.programmes, self.registry, self.head = before.programmes, before.registry, before.head
        self.outcomes, self.versions = before.outcomes, before.versions


@lru_cache(maxsize=4096)
def _written(fact: type[Message], programme: str) -> tuple[str, str, str]:
    """The name, the schema and the subject with which a type of fact is published."""
    type_ = NAMES[fact]
    return type_, schema_name(type_), fact_subject(SOURCE, type_, programme)


class Batch:
    """
    What a piece of work sees and does inside the transaction that it shares with others.

    Rows are collected and written together: a statement a row would cost more than all decisions. ``connection`` is
    for what has nothing to do with people and enrolments, ``settled`` for what has: it writes first.
    """

    def __init__(self, connection: sqlite3.Connection, memory: Memory, people: Iterable[PersonKey] = ()) -> None:
        self.connection = connection
        self.entries: list[Entry] = []
        self.types: list[str] = []
        """The types of those entries."""
        self.newcomers: dict[str, KnownPerson] = {}
        self.respelt: set[str] = set()
        """People whom somebody wrote otherwise than before, for one programme."""
        self.trace: str | None = None
        """The ``traceparent`` of the request that is being decided."""
        self.correlation: str | None = None
        """Its ``correlationid``."""
        self.forgets = False
        """Whether something was deleted that must not stay in the file."""
        self.tokens: dict[str, Token | None] = {}
        """Tokens of the staff that were made, or revoked."""
        self._memory = memory
        self._caller: Caller | None = None
        self._unwritten: list[store.PersonRow] = []
        self._moment: tuple[datetime | None, str] = (None, "")
        self._enrolments: list[tuple[str, str, str, str | None]] = []
        self._outcomes: list[Entry] = []
        self._people_by: dict[PersonKey, Known | None] = dict.fromkeys(people)
        if self._people_by:
            self._people_by.update(store.people_by(connection, self._people_by))

    @property
    def settled(self) -> sqlite3.Connection:
        """The connection, with everything written that this batch has collected about people and enrolments."""
        store.add_people(self.connection, self._unwritten)
        store.add_enrolments(self.connection, self._enrolments)
        self._unwritten.clear()
        self._enrolments.clear()
        return self.connection

    def programme(self, id_: str) -> ProgrammeState:
        """A programme as it stands, with what this batch has done to it; empty if it does not exist."""
        state = self._memory.programmes.get(id_)
        if state is None:
            state = store.load_programme(self.connection, id_)
            if state.version:
                self._memory.programmes[id_] = state
        return state

    @property
    def registry(self) -> Registry:
        """The registry as it stands."""
        if self._memory.registry is None:
            self._memory.registry = store.load_registry(self.connection)
        return self._memory.registry

    def person_by(self, key: PersonKey) -> Known | None:
        """The person with this address and this name."""
        if key not in self._people_by:
            self._people_by[key] = store.people_by(self.settled, [key]).get(key)
        return self._people_by[key]

    def add_people(self, people: Mapping[str, KnownPerson], now: datetime) -> None:
        """Remember newcomers."""
        since = self._written(now)
        for person, who in people.items():
            row = store.person_row(person, who, since)
            self._unwritten.append(row)
            self.newcomers[person] = who
            self._people_by[PersonKey(row.address, row.name_folded)] = Known(person, who)

    def spell(self, programme: str, people: Iterable[KnownPerson]) -> None:
        """
        Remember how people who are known, or have just become so, were written for a programme.

        What is known of them stays as it was: anybody can type anybody's address and name.
        """
        for who in people:
            key = PersonKey.of(who)
            known = self.person_by(key)
            if known is None:
                continue
            as_first = (known.contact.name, known.contact.email) == (who.name, who.email)
            if as_first and not known.respelt:
                continue
            if store.spell(self.settled, known.person, programme, who, known.contact):
                self.respelt.add(known.person)
            self._people_by[key] = known._replace(respelt=True)

    def spell_as_first(self, person: str, fields: Iterable[str]) -> bool:
        """Forget how somebody's name or address was written otherwise; whether it ever was."""
        forgotten = store.spell_as_first(self.settled, person, fields)
        if forgotten:
            self._people_by.clear()
        return forgotten

    def correct_person(self, person: str, who: KnownPerson) -> None:
        """Remember somebody differently."""
        store.correct_person(self.settled, person, who)
        self.forgets = True
        self._people_by.clear()
        self.newcomers.pop(person, None)

    def erase_person(self, person: str) -> None:
        """Forget who somebody is."""
        store.erase_person(self.settled, person)
        self.forgets = True
        self._people_by.clear()
        self.newcomers.pop(person, None)

    def add_enrolment(self, enrolment: str, programme: str, source: str, request: str | None) -> None:
        """Remember where a new enrolment belongs."""
        self._enrolments.append((enrolment, programme, source, request))

    def work_for(self, caller: Caller, work: Callable[[Batch], Answer]) -> Answer:
        """Do work; whatever it records, somebody of the staff has caused."""
        before, self._caller = self._caller, caller
        try:
            return work(self)
        finally:
            self._caller = before

    def add_outcome(self, source: str, subject: str, id_: str, body: bytes) -> None:
        """Answer a partner; the answer is written when the batch is."""
        memory = self._memory
        if memory.outcomes is None:
            memory.outcomes = store.OUTCOMES.head(self.connection)
        if source not in memory.versions:
            memory.versions[source] = store.OUTCOMES.version(self.connection, source)
        memory.outcomes += 1
        memory.versions[source] += 1
        self._outcomes.append(Entry(memory.outcomes, source, memory.versions[source], subject, body, id_))

    def record(
        self, state: ProgrammeState, facts: Sequence[RegistrationFact], now: datetime, cause: str | None = None
    ) -> ProgrammeState:
        """Let facts come true in a programme; they are written when the batch is."""
        before = state.deadlines
        for fact in facts:
            state = evolve(state, fact)
            self._append(state.id, state.version, fact, now, cause)
        if before and (state.withdrawn or state.closed is not None):
            store.forget_deadlines(self.connection, state.id)
        elif state.deadlines is not before:
            for enrolment in dict.fromkeys(getattr(fact, "enrolment", None) for fact in facts):
                if enrolment is not None and before.get(enrolment) != state.deadlines.get(enrolment):
                    store.set_deadline(self.settled, enrolment, state.id, state.deadlines.get(enrolment))
        self._memory.programmes[state.id] = state
        return state

    def record_registry(self, facts: Sequence[RegistrationFact], now: datetime, cause: str | None = None) -> None:
        """Let facts come true that belong to no programme."""
        registry = self.registry
        for fact in facts:
            registry = evolve_registry(registry, fact)
            self._append(NO_PROGRAMME, registry.version, fact, now, cause)
        self._memory.registry = registry

    @contextmanager
    def all_or_nothing(self) -> Iterator[None]:
        """Undo what is done inside if it raises, and leave the rest of the batch as it was."""
        memory, newcomers, respelt = self._memory.copied(), dict(self.newcomers), set(self.respelt)
        entries, outcomes, tokens = len(self.entries), len(self._outcomes), dict(self.tokens)
        self.settled.execute("SAVEPOINT piece")
        try:
            yield
            self.settled.execute("RELEASE piece")
        except Exception:
            self.connection.execute("ROLLBACK TO piece")
            self.connection.execute("RELEASE piece")
            self._memory.go_back_to(memory)
            self.newcomers, self.respelt, self.tokens = newcomers, respelt, tokens
            self._people_by.clear()
            self._unwritten.clear()
            self._enrolments.clear()
            del self.entries[entries:]
            del self.types[entries:]
            del self._outcomes[outcomes:]
            raise

    def write(self) -> None:
        """Write what has been collected."""
        connection = self.settled
        if self.entries:
            store.LOG.append(connection, self.entries)
        if self._outcomes:
            store.OUTCOMES.append(connection, self._outcomes)

    def _written(self, now: datetime) -> str:
        # A request's moment is written into everything that it makes.
        if self._moment[0] is not now:
            self._moment = now, written(now)
        return self._moment[1]

    def _actor(self, now: datetime) -> str:
        caller = self._caller
        assert caller is not None  # noqa: S101
        if caller.actor is not None:
            return caller.actor
        account = accounts.account_of(self.connection, caller.name)
        if account is None:
            account = new_id()
            accounts.add_account(self.connection, account, caller.name, now)
        return f"proxy:{account}"

    def _append(self, programme: str, version: int, fact: RegistrationFact, now: datetime, cause: str | None) -> None:
        if self._memory.head is None:
            self._memory.head = store.LOG.head(self.connection)
        self._memory.head = position = self._memory.head + 1
        type_, schema, subject = _written(type(fact), programme)
        id_ = new_id()
        because = f'"causationid":"{cause}",' if cause else ""
        correlated = f'"correlationid":"{self.correlation}",' if self.correlation else ""
        traced = f'"traceparent":"{self.trace}",' if self.trace else ""
        actor = f'"actor":"{self._actor(now)}",' if self._caller else ""
        # Put together by hand: making an envelope model only to write it out took a third of a decision's time. That
        # it reads back as the envelope is tested for every type of fact.
        head = (
            f'{{"specversion":"1.0","id":"{id_}","source":"{SOURCE}","type":"{type_}","subject":"{programme}",'
            f'"time":"{self._written(now)}","datacontenttype":"application/json","dataschema":"{schema}",'
            f'"position":{position},"version":{version},{correlated}{because}{traced}{actor}"data":'
        )
        body = b"%b%b}" % (head.encode(), fact.to_json())
        self.entries.append(Entry(position, programme, version, subject, body, id_))
        self.types.append(type_)
