"""Where a fold's state is stored: one row an entity, in a table of the service's own database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import TypeAdapter

from services.chassis.database import insert_rows
from services.chassis.state import State

SCHEMA = """
CREATE TABLE {table} (
    partition TEXT NOT NULL,
    key       TEXT NOT NULL,
    kind      TEXT NOT NULL,
    body      TEXT NOT NULL,
    PRIMARY KEY (partition, key)
) WITHOUT ROWID;
"""
"""The table that a service's migration creates for ``EntityTable(table, …)``; ``{table}`` is the table's name."""


class UnknownKind(TypeError):  # noqa: N818
    """An entity's class, or a stored kind, is not among the table's codecs."""


class EntityTable:
    """
    A state's home in the database: a table made from ``SCHEMA``, one row an entity.

    Args:
        name: the table.
        codecs: the entity classes (frozen dataclasses or pydantic models) by the kind that the row remembers. A kind is
            never renamed: stored rows hold it.
    """

    def __init__(self, name: str, codecs: Mapping[str, type[Any]]) -> None:
        if not name.isidentifier():
            raise ValueError(f"{name!r} is no name for a table")
        self._kinds = {entity_class: kind for kind, entity_class in codecs.items()}
        self._adapters: dict[str, TypeAdapter[Any]] = {kind: TypeAdapter(each) for kind, each in codecs.items()}
        # Only the table's name, checked above, is put into the text.
        self._load = f"SELECT partition, key, kind, body FROM {name}"  # noqa: S608
        self._save = f"INSERT OR REPLACE INTO {name} (partition, key, kind, body) VALUES"
        self._delete = f"DELETE FROM {name} WHERE partition = ? AND key = ?"  # noqa: S608

    def load(self, connection: sqlite3.Connection) -> State:
        """
        Everything that is stored, with nothing touched.

        Raises:
            UnknownKind: a row's kind is not among the codecs.
        """
        return State.of(self._entities(connection))

    def _entities(self, connection: sqlite3.Connection) -> Iterator[tuple[str, str, Any]]:
        for partition, key, kind, body in connection.execute(self._load):
            adapter = self._adapters.get(kind)
            if adapter is None:
                raise UnknownKind(f"the row {partition}/{key} is of the unknown kind {kind!r}")
            yield partition, key, adapter.validate_json(body)

    def save(self, connection: sqlite3.Connection, state: State) -> None:
        """
        Write what was touched since ``settled``, inside the caller's transaction.

        Raises:
            UnknownKind: an entity's class is not among the codecs.
        """
        rows = []
        gone = []
        # In order of key, so that the same facts make the same file.
        for partition, key, entity in state.changes():
            if entity is None:
                gone.append((partition, key))
                continue
            kind = self._kinds.get(type(entity))
            if kind is None:
                raise UnknownKind(f"{type(entity).__name__} is not among the codecs of this table")
            # What ``dump_json`` calls: passing its arguments on costs as much as a small entity.
            rows.append((partition, key, kind, self._adapters[kind].serializer.to_json(entity).decode()))
        if gone:
            connection.executemany(self._delete, gone)
        insert_rows(connection, self._save, rows)
