"""The SQL of retention: where people appear, when programmes end, and what people said for one programme alone."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from services.registration.domain.retention import WITH_THE_PERSON, Appearance, Ending, Standing

_APPEARING = (
    "SELECT p.person, a.programme, a.standing, a.since, e.ends, e.keep FROM ({people}) p"
    " LEFT JOIN appearances a ON a.person = p.person LEFT JOIN endings e ON e.programme = a.programme"
    " ORDER BY p.person, a.enrolment"
)


def appear(
    connection: sqlite3.Connection,
    enrolment: str,
    programme: str,
    people: Iterable[str],
    *,
    standing: Standing,
    since: datetime,
) -> None:
    """Remember that people appear in an enrolment."""
    connection.executemany(
        "INSERT OR REPLACE INTO appearances (person, enrolment, programme, standing, since) VALUES (?, ?, ?, ?, ?)",
        [(person, enrolment, programme, standing, since.isoformat()) for person in people],
    )


def join(connection: sqlite3.Connection, enrolment: str, person: str, since: datetime) -> None:
    """Remember that somebody appears in an enrolment as the others in it do."""
    connection.execute(
        "INSERT OR REPLACE INTO appearances (person, enrolment, programme, standing, since)"
        " SELECT ?, enrolment, programme, standing, ? FROM appearances"
        " WHERE enrolment = ? AND standing IN ('confirmed', 'waiting') LIMIT 1",
        (person, since.isoformat(), enrolment),
    )


def stand(
    connection: sqlite3.Connection, enrolment: str, standing: Standing, since: datetime, person: str | None = None
) -> None:
    """Remember that those who were in an enrolment, or one of them, stand otherwise."""
    connection.execute(
        "UPDATE appearances SET standing = ?, since = ?"
        " WHERE enrolment = ? AND standing IN ('confirmed', 'waiting') AND (? IS NULL OR person = ?)",
        (standing, since.isoformat(), enrolment, person, person),
    )


def disappear(connection: sqlite3.Connection, person: str) -> None:
    """Forget where somebody appears."""
    connection.execute("DELETE FROM appearances WHERE person = ?", (person,))


def programmes_waited_for(connection: sqlite3.Connection, person: str) -> list[str]:
    """The programmes in which somebody waits for a place."""
    rows = connection.execute(
        "SELECT DISTINCT programme FROM appearances WHERE person = ? AND standing = 'waiting' ORDER BY 1", (person,)
    )
    return [programme for (programme,) in rows]


def set_withdrawn(connection: sqlite3.Connection, programme: str, withdrawn: datetime) -> None:
    """Remember when a programme was withdrawn."""
    connection.execute(
        "INSERT INTO endings (programme, withdrawn) VALUES (?, ?)"
        " ON CONFLICT (programme) DO UPDATE SET withdrawn = excluded.withdrawn",
        (programme, withdrawn.isoformat()),
    )


def withdrawn(connection: sqlite3.Connection, programme: str) -> datetime | None:
    """When a programme was withdrawn."""
    row = connection.execute("SELECT withdrawn FROM endings WHERE programme = ?", (programme,)).fetchone()
    return _moment(row[0]) if row else None


def set_ending(connection: sqlite3.Connection, programme: str, ending: Ending) -> None:
    """Remember when a programme ends."""
    connection.execute(
        "INSERT INTO endings (programme, ends, keep) VALUES (?, ?, ?)"
        " ON CONFLICT (programme) DO UPDATE SET ends = excluded.ends, keep = excluded.keep",
        (
            programme,
            ending.ends.isoformat() if ending.ends else None,
            ending.keep.days if ending.keep else None,
        ),
    )


def appearing_behind(
    connection: sqlite3.Connection, person: str, limit: int
) -> list[tuple[str, tuple[Appearance, ...]]]:
    """The next people by id, and where each appears."""
    people = "SELECT person FROM people WHERE person > ? ORDER BY person LIMIT ?"
    return list(_grouped(connection.execute(_APPEARING.format(people=people), (person, limit))))


def appearing(connection: sqlite3.Connection, persons: Sequence[str]) -> list[tuple[str, tuple[Appearance, ...]]]:
    """Where these people appear, for those who are somebody still."""
    people = "SELECT person FROM people WHERE person IN (SELECT value FROM json_each(?))"
    return list(_grouped(connection.execute(_APPEARING.format(people=people), (json.dumps(persons),))))


def _grouped(
    rows: Iterable[tuple[str, str | None, Standing, str, str | None, int | None]],
) -> Iterator[tuple[str, tuple[Appearance, ...]]]:
    for person, found in groupby(rows, key=lambda row: row[0]):
        yield (
            person,
            tuple(
                Appearance(
                    programme,
                    standing,
                    datetime.fromisoformat(since),
                    Ending(_moment(ends), timedelta(days=keep) if keep is not None else None),
                )
                for _, programme, standing, since, ends, keep in found
                if programme is not None
            ),
        )


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def say(connection: sqlite3.Connection, person: str, programme: str, field: str, value: str | None) -> None:
    """Remember, or forget, what somebody said for one programme alone."""
    if value is None:
        connection.execute(
            "DELETE FROM particulars WHERE person = ? AND programme = ? AND field = ?", (person, programme, field)
        )
        return
    connection.execute(
        "INSERT OR REPLACE INTO particulars (person, programme, field, value) VALUES (?, ?, ?, ?)",
        (person, programme, field, value),
    )


def said(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Person, programme and field of all that people said for one programme alone and that has a term of its own."""
    return connection.execute(
        "SELECT person, programme, field FROM particulars"
        " WHERE field NOT IN (SELECT value FROM json_each(?)) ORDER BY 1, 2, 3",
        (json.dumps(sorted(WITH_THE_PERSON)),),
    ).fetchall()


def said_for(connection: sqlite3.Connection, programme: str, field: str) -> dict[str, str]:
    """What people said for a programme."""
    rows = connection.execute(
        "SELECT person, value FROM particulars WHERE programme = ? AND field = ?", (programme, field)
    )
    return dict(rows.fetchall())


def said_by(connection: sqlite3.Connection, person: str) -> list[tuple[str, str, str]]:
    """Programme, field and value of all that somebody said."""
    return connection.execute(
        "SELECT programme, field, value FROM particulars WHERE person = ? ORDER BY 1, 2", (person,)
    ).fetchall()


def unsay(connection: sqlite3.Connection, person: str) -> None:
    """Forget all that somebody said."""
    connection.execute("DELETE FROM particulars WHERE person = ?", (person,))
