"""The SQL of when things were: how the clock was set, and what was handed out again and again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime

from services.chassis.clock import Setting, written
from services.chassis.going_back import Moments
from services.registration.store.strangers import ANSWERS_KEPT

NEVER_LATER = (
    # What a source, or a mailbox, has used up would be used up until the old time has come again and an hour is over.
    Moments("sources", "since"),
    Moments("asked", "since"),
    Moments("requests", "until", ahead=ANSWERS_KEPT),
    # From when on a term counts: whoever is to be forgotten would be known for longer.
    Moments("appearances", "since"),
    Moments("people", "since"),
)
"""What a clock that went back must not make wait (``chassis.going_back``)."""


SETTINGS_KEPT = 1000
"""More than somebody sets a clock while a message waits to be decided."""


def settings(connection: sqlite3.Connection) -> list[Setting]:
    """How the clock was set, oldest first."""
    rows = connection.execute("SELECT since, shows, runs FROM clock ORDER BY since")
    return [Setting(*(datetime.fromisoformat(moment) for moment in row)) for row in rows]


def remember_settings(connection: sqlite3.Connection, settings: Iterable[Setting]) -> None:
    """Remember how the clock was set."""
    connection.executemany(
        "INSERT OR REPLACE INTO clock (since, shows, runs) VALUES (?, ?, ?)",
        [tuple(written(moment) for moment in each) for each in settings],
    )
    connection.execute(
        "DELETE FROM clock WHERE since NOT IN (SELECT since FROM clock ORDER BY since DESC LIMIT ?)", (SETTINGS_KEPT,)
    )


def handed_out(connection: sqlite3.Connection, source: str, floor: int) -> int:
    """How often what follows a number of a partner's queue was handed out again, this time included."""
    (times,) = connection.execute(
        "INSERT INTO handed_out (source, floor, times) VALUES (?, ?, 1) ON CONFLICT (source) DO UPDATE SET"
        " times = CASE WHEN floor = excluded.floor THEN times + 1 ELSE 1 END, floor = excluded.floor RETURNING times",
        (source, floor),
    ).fetchone()
    return int(times)
