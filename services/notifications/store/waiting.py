"""What is kept for a person: how much of it there is, whose, and that somebody has dealt with it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple


class Unread(NamedTuple):
    """How many mails are kept for a person, and how many octets they have."""

    mails: int
    octets: int


def unread(connection: sqlite3.Connection) -> Unread:
    """What is kept for a person."""
    return _share(connection, "all")


def unread_of_strangers(connection: sqlite3.Connection) -> Unread:
    """What is kept of it that is about no mail of ours, and so may be anybody's."""
    return _share(connection, "strangers")


def unread_of(connection: sqlite3.Connection, whose: str) -> Unread:
    """What is kept of it about one person, by the id, or else from one sender, by the address's fingerprint."""
    return _share(connection, f"of:{whose}")


def _share(connection: sqlite3.Connection, share: str) -> Unread:
    row = connection.execute("SELECT mails, octets FROM unread WHERE share = ?", (share,)).fetchone()
    return Unread(*row) if row else Unread(0, 0)


def oldest_unread(connection: sqlite3.Connection) -> datetime | None:
    """When the oldest of it came; None where nothing is kept."""
    (at,) = connection.execute("SELECT min(at) FROM received WHERE raw IS NOT NULL").fetchone()
    return datetime.fromisoformat(at) if at else None


def dismiss(connection: sqlite3.Connection, numbers: Sequence[int]) -> int:
    """Forget the bytes of mails with which somebody has dealt; that they came stays. Returns how many there were."""
    chosen = json.dumps(list(numbers))
    connection.execute("DELETE FROM mentions WHERE received IN (SELECT value FROM json_each(?))", (chosen,))
    return connection.execute(
        "UPDATE received SET raw = NULL, sender = NULL WHERE raw IS NOT NULL"
        " AND ordinal IN (SELECT value FROM json_each(?))",
        (chosen,),
    ).rowcount
