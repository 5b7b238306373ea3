"""How many mails wait, and for what."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from services.notifications.store.rows import text


@dataclass(frozen=True, slots=True)
class Queue:
    """
    What is in the queue at a moment.

    Attributes:
        due: mails whose time has come.
        later: planned mails that wait for their time: held, to be tried again, or over a cap.
        overdue: seconds since the oldest due mail should have gone, 0 when none is due; without those of strangers.
        sending: mails under way.
        failed: mails that did not arrive, and that nobody has tried again.
        uncertain: mails of which nobody knows whether they arrived.
        suppressed: addresses to which nothing is sent.
        by_strangers: mails that wait, due or not, and that anybody may have caused.
    """

    due: int
    later: int
    overdue: float
    sending: int
    failed: int
    uncertain: int
    suppressed: int
    by_strangers: int


def queue(connection: sqlite3.Connection, now: datetime) -> Queue:
    """Look at the queue; all of it is read from indexes of what is unfinished, not from the whole history."""
    moment = text(now)
    # One after the other, each by its own stretch of the index.
    (due, oldest), (strangers_due, _) = (
        connection.execute(
            "SELECT count(*), min(due_at) FROM mails WHERE status = 'planned' AND by_stranger = ? AND due_at <= ?",
            (by_stranger, moment),
        ).fetchone()
        for by_stranger in (False, True)
    )
    later, strangers_later = (
        connection.execute(
            "SELECT count(*) FROM mails WHERE status = 'planned' AND by_stranger = ? AND due_at > ?",
            (by_stranger, moment),
        ).fetchone()[0]
        for by_stranger in (False, True)
    )
    unresolved = dict(
        connection.execute(
            "SELECT status, count(*) FROM mails WHERE status IN ('sending', 'failed', 'uncertain') GROUP BY status"
        ).fetchall()
    )
    (suppressed,) = connection.execute("SELECT count(*) FROM suppressed").fetchone()
    return Queue(
        due=due + strangers_due,
        later=later + strangers_later,
        overdue=max(0.0, (now - datetime.fromisoformat(oldest)).total_seconds()) if oldest else 0.0,
        sending=unresolved.get("sending", 0),
        failed=unresolved.get("failed", 0),
        uncertain=unresolved.get("uncertain", 0),
        suppressed=suppressed,
        by_strangers=strangers_due + strangers_later,
    )
