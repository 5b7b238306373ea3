from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from pydantic import BaseModel

from services.chassis.entities import SCHEMA, EntityTable, UnknownKind
from services.chassis.state import State

Model = dict[str, dict[str, int]]

PARTITIONS = st.sampled_from(["p", "q", "r"])
KEYS = st.sampled_from(["a", "b", "c", "d"])


class StateMachine(RuleBasedStateMachine):
    """Every version ever made equals the dictionaries it was made from, in whatever order they are read."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[tuple[State, Model, frozenset[tuple[str, str]]]] = [(State(), {}, frozenset())]

    @rule(data=st.data(), partition=PARTITIONS, key=KEYS, value=st.integers())
    def put(self, data: st.DataObject, partition: str, key: str, value: int) -> None:
        state, model, touched = data.draw(st.sampled_from(self.versions))
        changed = {name: dict(table) for name, table in model.items()}
        changed.setdefault(partition, {})[key] = value
        self.versions.append((state.put(partition, key, value), changed, touched | {(partition, key)}))

    @rule(data=st.data(), partition=PARTITIONS, key=KEYS)
    def remove(self, data: st.DataObject, partition: str, key: str) -> None:
        state, model, touched = data.draw(st.sampled_from(self.versions))
        changed = {
            name: {k: v for k, v in table.items() if (name, k) != (partition, key)} for name, table in model.items()
        }
        was_there = key in model.get(partition, {})
        self.versions.append(
            (state.remove(partition, key), changed, touched | {(partition, key)} if was_there else touched)
        )

    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        state, model, _ = data.draw(st.sampled_from(self.versions))
        self.versions.append((state.settled(), model, frozenset()))

    @rule(data=st.data(), partition=PARTITIONS, key=KEYS)
    def read(self, data: st.DataObject, partition: str, key: str) -> None:
        state, model, touched = data.draw(st.sampled_from(self.versions))
        assert state.get(partition, key) == model.get(partition, {}).get(key)
        assert dict(state.partition(partition)) == model.get(partition, {})
        assert state.partitions() == {name for name, table in model.items() if table}
        assert state.touched == touched

    @invariant()
    def the_oldest_and_the_newest_are_what_they_were(self) -> None:
        for state, model, _ in (self.versions[0], self.versions[-1]):
            for partition in ("p", "q", "r"):
                assert dict(state.partition(partition)) == model.get(partition, {})


StateMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestState = StateMachine.TestCase


def test_a_partition_stays_what_it_was_while_the_fold_goes_on() -> None:
    state = State().put("p", "a", 1).put("p", "b", 2)
    partition = state.partition("p")
    changed = state
    for key in partition:
        changed = changed.put("p", key + key, 0).remove("p", key)
    assert dict(partition) == {"a": 1, "b": 2}
    assert dict(changed.partition("p")) == {"aa": 0, "bb": 0}
    assert len(partition) == 2
    with pytest.raises(KeyError):
        partition["aa"]


def test_versions_are_read_right_while_another_thread_goes_on() -> None:
    old = State()
    for number in range(100):
        old = old.put("p", str(number), number)
    done = threading.Event()

    def go_on() -> None:
        state = old
        for number in range(3000):
            state = state.put("p", str(number % 100), -number)
        done.set()

    thread = threading.Thread(target=go_on)
    thread.start()
    while not done.is_set():
        for number in (0, 42, 99):
            assert old.get("p", str(number)) == number
    thread.join()


@dataclass(frozen=True, slots=True)
class Unit:
    number: int
    seats: tuple[str, ...] = ()


class Total(BaseModel, frozen=True):
    people: int


TABLE = EntityTable("entities", {"unit": Unit, "total": Total})


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.execute(SCHEMA.format(table="entities"))
    yield connection
    connection.close()


def test_what_was_saved_is_loaded_with_nothing_touched(connection: sqlite3.Connection) -> None:
    state = State().put("p", "a", Unit(1, ("x",))).put("p", "t", Total(people=3)).put("q", "a", Unit(2))
    TABLE.save(connection, state)
    loaded = TABLE.load(connection)
    assert loaded.touched == frozenset()
    assert dict(loaded.partition("p")) == {"a": Unit(1, ("x",)), "t": Total(people=3)}
    assert dict(loaded.partition("q")) == {"a": Unit(2)}


def test_only_what_was_touched_is_written(connection: sqlite3.Connection) -> None:
    state = State()
    for number in range(50):
        state = state.put("p", str(number), Unit(number))
    TABLE.save(connection, state)
    before = connection.total_changes
    changed = state.settled().put("p", "7", Unit(-1)).put("p", "7", Unit(-7)).remove("p", "8").put("p", "n", Unit(0))
    TABLE.save(connection, changed)
    assert connection.total_changes - before == 3
    loaded = TABLE.load(connection)
    assert dict(loaded.partition("p")) == dict(changed.partition("p"))
    assert loaded.get("p", "7") == Unit(-7)


def test_an_entity_of_an_unknown_kind_is_refused_both_ways(connection: sqlite3.Connection) -> None:
    with pytest.raises(UnknownKind):
        TABLE.save(connection, State().put("p", "a", "text"))
    connection.execute("INSERT INTO entities VALUES ('p', 'a', 'gone', '{}')")
    with pytest.raises(UnknownKind, match="gone"):
        TABLE.load(connection)


class Pair(NamedTuple):
    left: int
    right: int


class Span(NamedTuple):
    begin: int
    end: int


def test_two_states_are_the_same_when_their_entities_are_whatever_way_they_came_about() -> None:
    state = State().put("p", "a", Pair(1, 2)).put("q", "b", Pair(3, 4))
    detour = State().put("q", "b", Pair(0, 0)).put("q", "c", Pair(5, 6)).put("p", "a", Pair(1, 2))
    detour = detour.put("q", "b", Pair(3, 4)).put("r", "d", Pair(7, 8)).remove("q", "c").remove("r", "d")

    assert state.same(detour)
    assert detour.same(state.settled())
    assert State().same(State())


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.put("p", "a", Pair(1, 3)),
        lambda state: state.put("p", "a", Span(1, 2)),
        lambda state: state.put("p", "b", Pair(1, 2)),
        lambda state: state.put("q", "a", Pair(1, 2)),
        lambda state: state.remove("p", "a"),
    ],
)
def test_two_states_that_differ_in_one_entity_are_not_the_same(change: Callable[[State], State]) -> None:
    state = State().put("p", "a", Pair(1, 2))
    other = change(State().put("p", "a", Pair(1, 2)))

    assert not state.same(other)
    assert not other.same(state)
    # A version of the same map, too.
    assert not change(state).same(state)
