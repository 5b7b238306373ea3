"""
What a fold remembers: an immutable map that costs little more than a dict as long as one goes forward.

Old versions stay as they were. Only the version in use owns the dictionaries; any other holds a link towards it and
the single entry in which it differs from the next, and takes the dictionaries back when somebody reads it again
(Henry Baker, "Shallow binding makes functional arrays fast", 1991). A fold reads an old version only after an error,
so that it pays one dictionary write a change, where a hash trie of some thousand entries pays two to four microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from threading import Lock
from typing import Any, Final

_MISSING: Final = object()
_new: Final = object.__new__

# What was touched before, partition, key, the entity now (or _MISSING): versions share what they have in common.
_Touched = tuple[Any, str, str, Any]


class _Tables:
    """The dictionaries that all versions of one state share, and the lock that lets two threads read two versions."""

    __slots__ = ("lock", "partitions")

    def __init__(self) -> None:
        self.lock = Lock()
        self.partitions: dict[str, dict[str, Any]] = {}

    def exchange(self, partition: str, key: str, entity: Any) -> Any:
        """Write one entry, or take it out, and return what stood there."""
        table = self.partitions.setdefault(partition, {})
        before = table.get(key, _MISSING)
        if entity is _MISSING:
            table.pop(key, None)
            if not table:
                del self.partitions[partition]
        else:
            table[key] = entity
        return before


class State:
    """
    An immutable map of entities, each under a partition (a programme, a theme) and a key.

    ``put`` and ``remove`` return the changed map. Entities are frozen: all versions share them. Any version may be read
    from any thread.
    """

    __slots__ = ("_link", "_tables", "_touched", "_undo")

    _tables: _Tables
    _link: State | None  # towards the version that owns the tables; None in the owner
    _undo: tuple[str, str, Any] | None  # the entry in which this version differs from the linked one
    _touched: _Touched | None

    def __init__(self) -> None:
        self._tables = _Tables()
        self._link = None
        self._undo = None
        self._touched = None

    def get(self, partition: str, key: str, default: Any = None) -> Any:
        """The entity under ``key``, or ``default``."""
        tables = self._tables
        with tables.lock:
            if self._link is not None:
                self._own()
            table = tables.partitions.get(partition)
            return default if table is None else table.get(key, default)

    def put(self, partition: str, key: str, entity: Any) -> State:
        """The same map with ``entity`` under ``key``."""
        tables = self._tables
        state: State = _new(State)
        state._tables = tables
        state._link = state._undo = None
        state._touched = (self._touched, partition, key, entity)
        with tables.lock:
            if self._link is not None:
                self._own()
            table = tables.partitions.get(partition)
            if table is None:
                table = tables.partitions[partition] = {}
            self._undo = (partition, key, table.get(key, _MISSING))
            self._link = state
            table[key] = entity
        return state

    def remove(self, partition: str, key: str) -> State:
        """The same map without ``key``; this map itself when it has no such key."""
        if self.get(partition, key, _MISSING) is _MISSING:
            return self
        state = self._successor((self._touched, partition, key, _MISSING))
        with self._tables.lock:
            self._own()
            self._undo = (partition, key, self._tables.exchange(partition, key, _MISSING))
            self._link = state
        return state

    def partition(self, partition: str) -> Mapping[str, Any]:
        """All entities of one partition by key, in no promised order; empty when there are none."""
        return _Partition(self, partition)

    def partitions(self) -> frozenset[str]:
        """The partitions that hold anything."""
        with self._tables.lock:
            self._own()
            return frozenset(self._tables.partitions)

    def same(self, other: State) -> bool:
        """Whether both hold equal entities, of the same classes, under the same keys."""
        partitions = self.partitions()
        return partitions == other.partitions() and all(
            _same(self._snapshot(partition), other._snapshot(partition)) for partition in partitions
        )

    @property
    def touched(self) -> frozenset[tuple[str, str]]:
        """Partition and key of everything put or removed since ``settled``."""
        return frozenset(self._newest())

    def changes(self) -> list[tuple[str, str, Any | None]]:
        """What was touched, in order of partition and key, as it is now; None for what was removed."""
        newest = sorted(self._newest().items(), key=lambda change: change[0])
        return [(partition, key, None if entity is _MISSING else entity) for (partition, key), entity in newest]

    @classmethod
    def of(cls, entries: Iterable[tuple[str, str, Any]]) -> State:
        """A map of these entities (partition, key, entity), with nothing touched."""
        state = cls()
        for partition, key, entity in entries:
            state._tables.partitions.setdefault(partition, {})[key] = entity
        return state

    def settled(self) -> State:
        """The same map with nothing touched: what to go on with after the changes were saved."""
        if self._touched is None:
            return self
        state = self._successor(None)
        with self._tables.lock:
            self._own()
            self._link = state
        return state

    def _successor(self, touched: _Touched | None) -> State:
        state: State = _new(State)
        state._tables = self._tables
        state._link = state._undo = None
        state._touched = touched
        return state

    def _newest(self) -> dict[tuple[str, str], Any]:
        """The newest change of everything touched."""
        changes: dict[tuple[str, str], Any] = {}
        step = self._touched
        while step is not None:
            step, partition, key, entity = step
            changes.setdefault((partition, key), entity)
        return changes

    def _snapshot(self, partition: str) -> dict[str, Any]:
        with self._tables.lock:
            self._own()
            return self._tables.partitions.get(partition, {}).copy()

    def _own(self) -> None:
        """Take the tables over from their owner by undoing, step by step, what lies between; the lock is held."""
        path = []
        version = self
        while version._link is not None:
            path.append(version)
            version = version._link
        while path:
            target = path.pop()
            if target._undo is not None:
                partition, key, entity = target._undo
                version._undo = (partition, key, self._tables.exchange(partition, key, entity))
            version._link = target
            target._link = target._undo = None
            version = target


def _same(ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    # Named tuples of two classes may be equal.
    return ours == theirs and all(type(entity) is type(theirs[key]) for key, entity in ours.items())


class _Partition(Mapping[str, Any]):
    """One partition of one version; it stays what it was, whatever is put afterwards."""

    __slots__ = ("_name", "_state")

    def __init__(self, state: State, name: str) -> None:
        self._state = state
        self._name = name

    def __getitem__(self, key: str) -> Any:
        entity = self._state.get(self._name, key, _MISSING)
        if entity is _MISSING:
            raise KeyError(key)
        return entity

    def __iter__(self) -> Iterator[str]:
        return iter(self._state._snapshot(self._name))

    def __len__(self) -> int:
        return len(self._state._snapshot(self._name))

    def items(self) -> Any:
        """Copied in one step: reading key by key would pay a lock each."""
        return self._state._snapshot(self._name).items()

    def values(self) -> Any:
        """Copied in one step: reading key by key would pay a lock each."""
        return self._state._snapshot(self._name).values()

    def __repr__(self) -> str:
        return f"{self._state._snapshot(self._name)!r}"
