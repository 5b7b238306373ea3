"""The SQL of the people table: the only one that says who is who, and how they were called where it was otherwise."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple, cast

from contracts.base import Language, same_address, same_name
from contracts.enrolment import Correspondent, KnownPerson
from services.chassis.database import insert_rows
from services.registration.store import terms

NAME, EMAIL = "name", "email"
"""Particulars: how somebody was called, and how the address was written, for one programme; only where it differs."""
_SPELLINGS = (NAME, EMAIL)

_MOST_COUNTED = 100
_COLUMNS = "person, address, name_folded, name, email, language, since, confirmed"


class PersonKey(NamedTuple):
    """What makes a person the same person: an address and a name, both in the form in which they are compared."""

    address: str
    name: str

    @classmethod
    def of(cls, who: KnownPerson) -> PersonKey:
        """The key of a person as somebody wrote them."""
        return cls(same_address(who.email), same_name(who.name))


class Known(NamedTuple):
    """A person by whom they are looked up: as they were written first, and whether ever otherwise."""

    person: str
    contact: KnownPerson
    respelt: bool = False


class Contact(NamedTuple):
    """A row of the people table."""

    person: str
    contact: KnownPerson
    since: datetime


class PersonRow(NamedTuple):
    """Somebody as the people table has them; its fields are columns, in the order in which they are inserted."""

    person: str
    address: str
    name_folded: str
    name: str
    email: str
    language: str
    since: str
    confirmed: str | None = None


def people_by(connection: sqlite3.Connection, keys: Iterable[PersonKey]) -> dict[PersonKey, Known]:
    """The persons with these addresses and names, for those that there are."""
    # One row, and so one step of the statement: each step gives the interpreter's lock away (see insert_rows).
    (found,) = connection.execute(
        "SELECT json_group_array(json_array(p.address, p.name_folded, p.person, p.name, p.email, p.language,"
        " EXISTS (SELECT 1 FROM particulars s WHERE s.person = p.person AND s.field IN ('name', 'email'))))"
        " FROM json_each(?) w CROSS JOIN people p ON p.address = w.value ->> 0 AND p.name_folded = w.value ->> 1",
        (json.dumps(list(keys)),),
    ).fetchone()
    return {
        PersonKey(address, folded): Known(person, _person(name, email, language), bool(respelt))
        for address, folded, person, name, email, language, respelt in json.loads(found)
    }


def people_at(connection: sqlite3.Connection, address: str) -> dict[str, str]:
    """The persons who share an address, and their names, in the form in which they are compared; the first first."""
    rows = connection.execute(
        "SELECT person, name_folded FROM people WHERE address = ? ORDER BY since, person", (address,)
    )
    return dict(rows.fetchall())


def contact(connection: sqlite3.Connection, person: str, programme: str = "") -> Contact | None:
    """
    Who a person is, as was said for a ``programme`` if one is named; None if nobody has the id, or has it no more.
    """
    row = connection.execute(
        "SELECT coalesce(n.value, p.name), coalesce(e.value, p.email), p.language, p.since FROM people p"
        " LEFT JOIN particulars n ON n.person = p.person AND n.programme = ?2 AND n.field = 'name'"
        " LEFT JOIN particulars e ON e.person = p.person AND e.programme = ?2 AND e.field = 'email'"
        " WHERE p.person = ?1",
        (person, programme),
    ).fetchone()
    if row is None:
        return None
    name, email, language, since = row
    return Contact(person, _person(name, email, language), datetime.fromisoformat(since))


def contacts(connection: sqlite3.Connection, persons: Iterable[str], programme: str = "") -> dict[str, KnownPerson]:
    """Who these persons are, as was said for a ``programme`` if one is named; for those who are somebody still."""
    found = {person: contact(connection, person, programme) for person in persons}
    return {person: row.contact for person, row in found.items() if row is not None}


def correspondents(connection: sqlite3.Connection, persons: Iterable[str]) -> dict[str, Correspondent]:
    """Who these persons are, with all their spellings; for those who are somebody still."""
    known = {}
    for person, who in contacts(connection, persons).items():
        rows = connection.execute(
            "SELECT programme, value FROM particulars WHERE person = ? AND field = ? ORDER BY 1", (person, NAME)
        )
        known[person] = correspondent(who, dict(rows.fetchall()))
    return known


def correspondent(who: KnownPerson, spellings: Mapping[str, str] | None = None) -> Correspondent:
    """A person with the spellings of the name."""
    return Correspondent.made(
        name=who.name, email=who.email, language=who.language, spellings=dict(spellings) if spellings else None
    )


def number_of_people(connection: sqlite3.Connection) -> int:
    """How many people there are."""
    (number,) = connection.execute("SELECT count(*) FROM people").fetchone()
    return int(number)


def sharing(connection: sqlite3.Connection, person: str) -> int:
    """How many others have a person's address; more than some hundred are not counted."""
    (number,) = connection.execute(
        "SELECT count(*) FROM (SELECT 1 FROM people p JOIN people o ON o.address = p.address"
        " WHERE p.person = ? AND o.person <> p.person LIMIT ?)",
        (person, _MOST_COUNTED),
    ).fetchone()
    return int(number)


def people_behind(connection: sqlite3.Connection, person: str, limit: int) -> dict[str, Correspondent]:
    """The next people by id."""
    rows = connection.execute("SELECT person FROM people WHERE person > ? ORDER BY person LIMIT ?", (person, limit))
    return correspondents(connection, [id_ for (id_,) in rows.fetchall()])


def person_row(person: str, who: KnownPerson, since: str, confirmed: str | None = None) -> PersonRow:
    """Somebody new; ``since`` is a moment as messages have it."""
    address, folded = PersonKey.of(who)
    moment = since.replace("Z", "+00:00")
    return PersonRow(person, address, folded, who.name, who.email, who.language, moment, confirmed)


def row_of(connection: sqlite3.Connection, person: str) -> PersonRow | None:
    """The row of a person; None if nobody has the id."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM people WHERE person = ?", (person,)).fetchone()  # noqa: S608
    return None if row is None else PersonRow(*row)


def add_people(connection: sqlite3.Connection, newcomers: Sequence[PersonRow]) -> None:
    """Remember new people."""
    insert_rows(connection, f"INSERT INTO people ({_COLUMNS}) VALUES", newcomers)


def replace_people(connection: sqlite3.Connection, people: Iterable[str], rows: Sequence[PersonRow]) -> int:
    """Remember these people as the rows say, and no others of them; how many are known now."""
    # All go before any comes: two may have exchanged an address.
    connection.executemany("DELETE FROM people WHERE person = ?", [(person,) for person in people])
    return connection.executemany(
        f"INSERT OR IGNORE INTO people ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608  (our own constant)
        rows,
    ).rowcount


def correct_person(connection: sqlite3.Connection, person: str, who: KnownPerson) -> None:
    """
    Remember somebody differently. Nobody has confirmed anything from another address.

    Raises:
        sqlite3.IntegrityError: somebody else has this address and this name.
    """
    address, folded = PersonKey.of(who)
    connection.execute(
        "UPDATE people SET address = ?1, name_folded = ?2, name = ?3, email = ?4, language = ?5,"
        " confirmed = CASE address WHEN ?1 THEN confirmed END WHERE person = ?6",
        (address, folded, who.name, who.email, who.language, person),
    )


def erase_person(connection: sqlite3.Connection, person: str) -> None:
    """Forget who somebody is; ``Database.forget`` makes the file forget it too."""
    connection.execute("DELETE FROM people WHERE person = ?", (person,))
    terms.unsay(connection, person)


def spell(connection: sqlite3.Connection, person: str, programme: str, who: KnownPerson, first: KnownPerson) -> bool:
    """Remember how somebody was written for a programme, where not as they were ``first``; whether that is new."""
    before = {field: value for said, field, value in terms.said_by(connection, person) if said == programme}
    after = {
        NAME: who.name if who.name != first.name else None,
        EMAIL: who.email if who.email != first.email else None,
    }
    for field, said in after.items():
        terms.say(connection, person, programme, field, said)
    return any(before.get(field) != said for field, said in after.items())


def spell_as_first(connection: sqlite3.Connection, person: str, fields: Iterable[str]) -> bool:
    """Forget how somebody was written otherwise for programmes; whether there was anything to forget."""
    wanted = [field for field in fields if field in _SPELLINGS]
    deleted = connection.execute(
        "DELETE FROM particulars WHERE person = ? AND field IN (SELECT value FROM json_each(?))",
        (person, json.dumps(wanted)),
    )
    return deleted.rowcount > 0


def confirm_person(connection: sqlite3.Connection, person: str, at: datetime) -> None:
    """Remember that somebody has confirmed something from the address that this person has."""
    connection.execute(
        "UPDATE people SET confirmed = coalesce(confirmed, ?) WHERE person = ?",
        (at.astimezone(UTC).isoformat(), person),
    )


def confirmed_people(connection: sqlite3.Connection, persons: Iterable[str]) -> set[str]:
    """Those of these people who ever confirmed anything from the address that they have."""
    rows = connection.execute(
        "SELECT person FROM people WHERE confirmed IS NOT NULL AND person IN (SELECT value FROM json_each(?))",
        (json.dumps(list(persons)),),
    )
    return {person for (person,) in rows.fetchall()}


def _person(name: str, email: str, language: str) -> KnownPerson:
    return KnownPerson.made(name=name, email=email, language=cast("Language", language))
