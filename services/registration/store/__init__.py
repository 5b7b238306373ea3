"""Every SQL statement of registration. All of it runs inside the caller's transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from contracts.base import same_name
from contracts.facts import NO_PROGRAMME, Fact, parse
from services.chassis.database import Database, insert_rows
from services.chassis.log import SqliteLog
from services.registration.domain import ProgrammeState, Registry, evolve, evolve_registry
from services.registration.store.people import (
    Contact,
    Known,
    PersonKey,
    PersonRow,
    add_people,
    confirm_person,
    confirmed_people,
    contact,
    contacts,
    correct_person,
    correspondent,
    correspondents,
    erase_person,
    number_of_people,
    people_at,
    people_behind,
    people_by,
    person_row,
    replace_people,
    row_of,
    sharing,
    spell,
    spell_as_first,
)

__all__ = [
    "Contact",
    "Known",
    "PersonKey",
    "PersonRow",
    "add_people",
    "confirm_person",
    "confirmed_people",
    "contact",
    "contacts",
    "correct_person",
    "correspondent",
    "correspondents",
    "erase_person",
    "number_of_people",
    "people_at",
    "people_behind",
    "people_by",
    "person_row",
    "replace_people",
    "row_of",
    "sharing",
    "spell",
    "spell_as_first",
]
"""What is known of people, which has a module of its own; what is written below needs no list."""

MIGRATIONS = Path(__file__).parent.with_name("migrations")

LOG = SqliteLog("log")
OUTCOMES = SqliteLog("outcomes")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where an enrolment belongs and who asked for it."""

    enrolment: str
    programme: str
    source: str


class Answer(NamedTuple):
    """The answer to a command, as it was or will be given: a result, or problem details where ``status`` >= 400."""

    status: int
    body: bytes
    final: bool = True
    """Whether it is the answer for ever. One that asks for a confirmation is not: the same id may be sent again."""

    @property
    def failed(self) -> bool:
        """Whether the body is problem details."""
        return self.status >= 400  # the HTTP status classes (RFC 9110 §15)


async def open_database(path: Path) -> Database:
    """
    Open registration's database, and bring it up to the newest schema.

    Raises:
        see ``Database.open``.
    """
    return await Database.open(path, MIGRATIONS, {"same_name": same_name})


def load_programme(connection: sqlite3.Connection, programme: str) -> ProgrammeState:
    """Fold a programme's facts; the empty state if it has none."""
    state = ProgrammeState(id=programme)
    for entry in LOG.programme(connection, programme):
        state = evolve(state, parse(entry.body).data)
    return state


def load_registry(connection: sqlite3.Connection) -> Registry:
    """Fold the facts that belong to no programme."""
    registry = Registry()
    for entry in LOG.programme(connection, NO_PROGRAMME):
        registry = evolve_registry(registry, parse(entry.body).data)
    return registry


def programmes(connection: sqlite3.Connection) -> list[str]:
    """The ids of all programmes."""
    # One step a programme: DISTINCT would read an index entry for each fact there ever was.
    rows = connection.execute(
        "WITH RECURSIVE found (programme) AS (SELECT min(programme) FROM log UNION ALL"
        " SELECT (SELECT min(programme) FROM log WHERE programme > found.programme) FROM found"
        " WHERE found.programme IS NOT NULL) SELECT programme FROM found WHERE programme <> ?",
        (NO_PROGRAMME,),
    )
    return [programme for (programme,) in rows]


def facts(connection: sqlite3.Connection, after: int, limit: int, programme: str | None = None) -> list[bytes]:
    """The bodies of the facts behind a position, of one programme or of all."""
    if programme is None:
        return [entry.body for entry in LOG.read(connection, after, limit)]
    rows = connection.execute(
        "SELECT body FROM log WHERE programme = ? AND position > ? ORDER BY version LIMIT ?", (programme, after, limit)
    )
    return [body for (body,) in rows]


def facts_about(connection: sqlite3.Connection, programme: str, enrolment: str) -> list[Fact]:
    """Every fact about one enrolment, in order."""
    rows = connection.execute(
        "SELECT body FROM log WHERE programme = ? AND instr(body, CAST(? AS BLOB)) > 0 ORDER BY version",
        (programme, f'"enrolment":"{enrolment}"'),
    )
    found = (parse(body) for (body,) in rows)
    return [fact for fact in found if getattr(fact.data, "enrolment", None) == enrolment]


def programmes_naming(connection: sqlite3.Connection, person: str) -> list[str]:
    """The programmes whose facts name a person. Reads the whole log: for rare questions only."""
    rows = connection.execute(
        "SELECT DISTINCT programme FROM log WHERE programme <> ? AND instr(body, CAST(? AS BLOB)) > 0 ORDER BY 1",
        (NO_PROGRAMME, f'"{person}"'),
    )
    return [programme for (programme,) in rows]


def add_enrolments(connection: sqlite3.Connection, made: Sequence[tuple[str, str, str, str | None]]) -> None:
    """Remember where new enrolments belong: each with its id, programme, source and request."""
    insert_rows(connection, "INSERT INTO enrolments (enrolment, programme, source, request) VALUES", made)


def whereabouts(connection: sqlite3.Connection, enrolment: str) -> Whereabouts | None:
    """Where an enrolment belongs."""
    row = connection.execute(
        "SELECT enrolment, programme, source FROM enrolments WHERE enrolment = ?", (enrolment,)
    ).fetchone()
    return None if row is None else Whereabouts(*row)


def whereabouts_of_request(connection: sqlite3.Connection, source: str, request: str) -> Whereabouts | None:
    """Where the enrolment belongs that a source asked for in this message."""
    row = connection.execute(
        "SELECT enrolment, programme, source FROM enrolments WHERE source = ? AND request = ?", (source, request)
    ).fetchone()
    return None if row is None else Whereabouts(*row)


def set_deadline(connection: sqlite3.Connection, enrolment: str, programme: str, complete_by: datetime | None) -> None:
    """Remember, or forget, when a team must be complete."""
    if complete_by is None:
        connection.execute("DELETE FROM deadlines WHERE enrolment = ?", (enrolment,))
        return
    connection.execute(
        "INSERT INTO deadlines (enrolment, programme, complete_by) VALUES (?, ?, ?)"
        " ON CONFLICT (enrolment) DO UPDATE SET complete_by = excluded.complete_by",
        (enrolment, programme, complete_by.astimezone(UTC).isoformat()),
    )


def forget_deadlines(connection: sqlite3.Connection, programme: str) -> None:
    """No team of this programme need become complete any more."""
    connection.execute("DELETE FROM deadlines WHERE programme = ?", (programme,))


def programmes_with_passed_deadlines(connection: sqlite3.Connection, now: datetime) -> list[str]:
    """The programmes in which a team stayed incomplete for too long."""
    rows = connection.execute(
        "SELECT DISTINCT programme FROM deadlines WHERE complete_by <= ? ORDER BY 1",
        (now.astimezone(UTC).isoformat(),),
    )
    return [programme for (programme,) in rows]


def deadline_passed(connection: sqlite3.Connection, programme: str, now: datetime) -> bool:
    """Whether a deadline of this programme has passed."""
    row = connection.execute(
        "SELECT 1 FROM deadlines WHERE programme = ? AND complete_by <= ? LIMIT 1",
        (programme, now.astimezone(UTC).isoformat()),
    ).fetchone()
    return row is not None


def sources_with_passed_deadlines(connection: sqlite3.Connection, now: datetime) -> list[str]:
    """Whose enrolments have a deadline that has passed."""
    rows = connection.execute(
        "SELECT DISTINCT coalesce(e.source, '') FROM deadlines d LEFT JOIN enrolments e ON e.enrolment = d.enrolment"
        " WHERE d.complete_by <= ?",
        (now.astimezone(UTC).isoformat(),),
    )
    return [source for (source,) in rows]


def answered(connection: sqlite3.Connection, source: str, id_: str) -> tuple[bytes, Answer] | None:
    """The digest of the request that came with this id, and its answer."""
    row = connection.execute(
        "SELECT digest, status, body FROM requests WHERE source = ? AND id = ?", (source, id_)
    ).fetchone()
    return None if row is None else (row[0], Answer(row[1], row[2]))


def remember_answer(
    connection: sqlite3.Connection,
    source: str,
    id_: str,
    digest: bytes,
    answer: Answer,
    *,
    until: datetime | None = None,
) -> None:
    """Remember the answer to a request, for ever or until a moment."""
    connection.execute(
        "INSERT INTO requests (source, id, digest, status, body, until) VALUES (?, ?, ?, ?, ?, ?)",
        (
            source,
            id_,
            digest,
            answer.status,
            answer.body,
            until.astimezone(UTC).isoformat(timespec="microseconds") if until else None,
        ),
    )


def delivered(connection: sqlite3.Connection, source: str, sequence: int, stored: datetime) -> bool:
    """Whether this delivery has been answered; from now on it has."""
    cursor = connection.execute(
        "INSERT OR IGNORE INTO deliveries (source, sequence, stored) VALUES (?, ?, ?)",
        (source, sequence, stored.isoformat()),
    )
    return cursor.rowcount == 0
