"""What is due, under way and settled."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from contracts.queries import MailStatus
from services.notifications.store.news import News, append
from services.notifications.store.rows import PLANNED, Due, Outcome, Written, planned, text

REPEATABLE = "maildir"
"""What the column ``via`` says of mails that go into a maildir."""

_DUE = f"""
SELECT m.ordinal, {PLANNED}, m.first_at, m.attempts, m.message_id, a.raw, a.recipient,
  (SELECT w.id || ' ' || coalesce(w.message_id, '') FROM mails w
    WHERE w.person = m.person AND w.enrolment = m.enrolment AND w.purpose IN ('confirmation', 'promotion')
      AND w.ordinal < m.ordinal AND w.status IN ('planned', 'sending', 'sent', 'uncertain')
    ORDER BY w.ordinal DESC LIMIT 1),
  (SELECT p.message_id FROM mails p
    WHERE p.uid = m.uid AND p.ordinal < m.ordinal AND p.status IN ('sent', 'uncertain')
    ORDER BY p.ordinal DESC LIMIT 1),
  EXISTS (SELECT 1 FROM mails l
    WHERE l.uid = m.uid AND l.ordinal > m.ordinal AND l.status IN ('sending', 'sent', 'uncertain')),
  EXISTS (SELECT 1 FROM suppressed s WHERE s.person = m.person)
FROM mails m LEFT JOIN archive a ON a.ordinal = m.ordinal
WHERE m.status = 'planned' AND m.due_at <= ?
  AND NOT EXISTS (SELECT 1 FROM mails e
    WHERE e.uid = m.uid AND e.ordinal < m.ordinal AND e.status IN ('planned', 'sending'))
ORDER BY m.due_at, m.ordinal LIMIT ?
"""  # noqa: S608  (PLANNED is a list of columns)


def due(connection: sqlite3.Connection, now: datetime, limit: int) -> list[Due]:
    """
    Mails whose time has come, the longest due first.

    A mail about a calendar item waits for the mails about it that were planned before: a CANCEL that overtakes its
    REQUEST would leave the session in the agenda.
    """
    rows = connection.execute(_DUE, (text(now), limit)).fetchall()
    found = []
    for row in rows:
        confirmation, _, message = (row[14] or "").partition(" ")
        found.append(
            replace(
                _half_sent(row[:14]),
                confirmation=confirmation or None,
                confirmation_message=message or None,
                previous=row[15],
                overtaken=bool(row[16]),
                suppressed=bool(row[17]),
            )
        )
    return found


def _half_sent(row: Sequence[Any]) -> Due:
    first_at, attempts, message_id, raw, recipient = row[9:14]
    return Due(
        ordinal=row[0],
        mail=planned(row[1:9]),
        planned_at=datetime.fromisoformat(row[5]),
        first_at=datetime.fromisoformat(first_at) if first_at else None,
        attempts=attempts,
        message_id=message_id,
        raw=raw,
        recipient=recipient,
    )


def begin(
    connection: sqlite3.Connection, written: Sequence[Written], now: datetime, *, repeatable: bool = False
) -> set[int]:
    """
    Store what is about to be sent. Returns the ordinals to send: without mails that were dropped in the meantime.

    Once this is committed, a crash leaves no mail of which it is unknown that it may have gone out. ``repeatable`` says
    of the transport that delivering the same mail again does no harm.
    """
    claimed = {
        mail.ordinal
        for mail in written
        if connection.execute(
            "UPDATE mails SET status = 'sending', message_id = ?, attempts = attempts + 1,"
            " first_at = coalesce(first_at, ?), via = ? WHERE ordinal = ? AND status = 'planned'",
            (mail.message_id, text(now), REPEATABLE if repeatable else None, mail.ordinal),
        ).rowcount
    }
    connection.executemany(
        "INSERT INTO archive (ordinal, recipient, raw) VALUES (?, ?, ?) ON CONFLICT (ordinal) DO NOTHING",
        [(mail.ordinal, mail.recipient, mail.raw) for mail in written if mail.ordinal in claimed],
    )
    return claimed


def settle(connection: sqlite3.Connection, outcomes: Sequence[Outcome], news: Sequence[News], now: datetime) -> None:
    """Store what became of mails, and append what others should know to our log."""
    connection.executemany(
        # Whoever was erased while the mail was under way left no archive, and the server's answer may hold the address.
        "UPDATE mails SET answer = CASE WHEN status = 'sending' AND NOT EXISTS"
        "  (SELECT 1 FROM archive a WHERE a.ordinal = mails.ordinal) THEN NULL ELSE ?2 END,"
        " status = ?1, attempts = attempts - ?3, due_at = coalesce(?4, due_at) WHERE ordinal = ?5",
        [
            (each.status, each.answer, each.uncounted, text(each.due_at) if each.due_at else None, each.ordinal)
            for each in outcomes
        ],
    )
    connection.executemany(
        "INSERT INTO suppressed (person, since) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(each.suppress, text(now)) for each in outcomes if each.suppress],
    )
    append(connection, news, now)


def sending(connection: sqlite3.Connection) -> list[tuple[Due, bool]]:
    """What a crash left half sent, each with whether its transport takes it again without harm."""
    rows = connection.execute(
        f"SELECT m.ordinal, {PLANNED}, m.first_at, m.attempts, m.message_id, a.raw, a.recipient, m.via FROM mails m"  # noqa: S608
        " LEFT JOIN archive a ON a.ordinal = m.ordinal WHERE m.status = 'sending' ORDER BY m.ordinal"
    )
    return [(_half_sent(row), row[14] == REPEATABLE) for row in rows]


def retry(connection: sqlite3.Connection, mail: str, now: datetime) -> MailStatus | None:
    """
    Make a mail due again that failed or whose fate is unknown.

    Returns the status that it had; None for an unknown mail.

    Only ``failed`` and ``uncertain`` mails change.
    """
    row = connection.execute("SELECT status FROM mails WHERE id = ?", (mail,)).fetchone()
    if row is None:
        return None
    status: MailStatus = row[0]
    connection.execute(
        "UPDATE mails SET status = 'planned', attempts = 0, first_at = NULL, due_at = ?"
        " WHERE id = ? AND status IN ('failed', 'uncertain')",
        (text(now), mail),
    )
    connection.execute("DELETE FROM suppressed WHERE person = (SELECT person FROM mails WHERE id = ?)", (mail,))
    return status


def forget_old_bytes(connection: sqlite3.Connection, before: datetime) -> int:
    """Empty the archive of mails that went out, or were given up, and were planned before a moment."""
    return connection.execute(
        "DELETE FROM archive WHERE ordinal IN (SELECT ordinal FROM mails"
        " WHERE status NOT IN ('planned', 'sending') AND ordinal <= ("
        "  SELECT coalesce(max(ordinal), 0) FROM mails WHERE planned_at < ?))",
        (text(before),),
    ).rowcount
