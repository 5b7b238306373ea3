"""What a restored backup leaves in doubt: mails that may have gone out after the database was copied."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from contracts.facts import MailFailed
from services.notifications.store.news import News, append

RESTORED = "a backup was restored; whether this was sent after the backup was made is unknown"


def doubt_until(connection: sqlite3.Connection, position: int) -> None:
    """From now on, whatever follows from facts up to ``position`` may have been mailed about already."""
    connection.execute(
        "INSERT INTO installation (name, value) VALUES ('doubt_until', ?)"
        " ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
        (position,),
    )


def doubtful_until(connection: sqlite3.Connection) -> int:
    """The position of the last fact of which it is unknown whether people were mailed about it, 0 if of none."""
    row = connection.execute("SELECT value FROM installation WHERE name = 'doubt_until'").fetchone()
    return int(row[0]) if row else 0


def doubt(connection: sqlite3.Connection, now: datetime) -> None:
    """Say of all mails that are not settled, and follow from such facts, that their fate is unknown."""
    rows = connection.execute(
        "UPDATE mails SET status = 'uncertain', answer = ? WHERE status IN ('planned', 'sending') AND fact <= ?"
        " RETURNING programme, id, purpose, person, enrolment, session",
        (RESTORED, doubtful_until(connection)),
    ).fetchall()
    append(
        connection,
        [
            News(
                programme,
                MailFailed(
                    mail=mail, purpose=purpose, person=person, enrolment=enrolment, session=session, cause="uncertain"
                ),
            )
            for programme, mail, purpose, person, enrolment, session in rows
        ],
        now,
    )
