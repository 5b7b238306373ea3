"""How many mails wait, and for what."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from services.notifications.store.rows import text
from services.notifications.store.sending import TRIED, under_way


@dataclass(frozen=True, slots=True)
class Queue:
    """
    What is in the queue at a moment.

    Attributes:
        due: mails whose time has come.
        later: planned mails that wait for their time: held, to be tried again, or over a cap.
        overdue: seconds since the oldest mail should have gone that should have by now, however often it was tried
            since; without those of strangers, and those that the mail server wants later for their recipient's sake.
        sending: mails under way.
        failed: mails that did not arrive, and that nobody has tried again.
        uncertain: mails of which nobody knows whether they arrived.
        suppressed: addresses to which nothing is sent.
        by_strangers: mails that wait, due or not, and that anybody may have caused.
        against_us: mails that were refused because of us within a day.
    """

    due: int
    later: int
    overdue: float
    sending: int
    failed: int
    uncertain: int
    suppressed: int
    by_strangers: int
    against_us: int


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
    (tried,) = connection.execute(
        f"SELECT min(first_at) FROM mails WHERE {TRIED} AND by_stranger = 0"  # noqa: S608  (our own words)
    ).fetchone()
    oldest = min(filter(None, (oldest, tried)), default=None)
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
    (against_us,) = connection.execute(
        "SELECT count(*) FROM bounces WHERE verdict = 'ours' AND at > ?", (text(now - timedelta(days=1)),)
    ).fetchone()
    return Queue(
        due=due + strangers_due,
        later=later + strangers_later,
        overdue=max(0.0, (now - datetime.fromisoformat(oldest)).total_seconds()) if oldest else 0.0,
        sending=unresolved.get("sending", 0),
        failed=unresolved.get("failed", 0),
        uncertain=unresolved.get("uncertain", 0),
        suppressed=suppressed,
        by_strangers=strangers_due + strangers_later,
        against_us=against_us,
    )


class Unreached(NamedTuple):
    """How many mails wait for a mail server that took no mail, since when, and how many are on their way to it."""

    waiting: int
    since: datetime | None
    under_way: int


def unreached(connection: sqlite3.Connection) -> Unreached:
    """Whom a mail server that takes no mail holds up."""
    waiting, since = connection.execute(
        f"SELECT count(*), min(first_at) FROM mails WHERE {TRIED} AND reached = 0"  # noqa: S608  (our own words)
    ).fetchone()
    return Unreached(waiting, datetime.fromisoformat(since) if since else None, len(under_way(connection)))
