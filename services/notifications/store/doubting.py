"""What a restored backup leaves in doubt, mails that may have gone out after the copy was made, and what is known."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime

from contracts.facts import MailBounced, MailFailed, MailSent, SuppressionAdded, SuppressionLifted, parse
from services.chassis.log import Entry
from services.notifications.store.news import LOG, News, append
from services.notifications.store.rows import text

RESTORED = "a backup was restored; whether this was sent after the backup was made is unknown"
_SAID = "said = coalesce(said, json_extract(detail, '$.appointment'))"
"""What a mail said of a calendar item, as far as is known: what goes out later about the item has to be newer."""
READ_BACK = "known from the broker after a backup was restored"


def take_back(connection: sqlite3.Connection, entries: Sequence[Entry]) -> None:
    """Append facts of ours that were read back from the stream, and let mails and suppressions be as they tell."""
    LOG.append(connection, entries)
    for entry in entries:
        fact = parse(entry.body)
        match fact.data:
            case MailSent(mail=mail):
                _tell(connection, mail, "sent")
            case MailFailed(mail=mail, cause=cause):
                _tell(connection, mail, "uncertain" if cause == "uncertain" else "failed")
            case MailBounced(person=person, status=status, suppressed=True):
                # Which of the person's addresses it was is not in the fact: whatever address there is, is meant.
                _suppress(connection, person, "bounce", status, fact.time)
            case SuppressionAdded(person=str(person)):
                _suppress(connection, person, "staff", None, fact.time)
            case SuppressionLifted(person=str(person)):
                connection.execute("DELETE FROM suppressed WHERE person = ?", (person,))
            case _:
                pass
    _settle_told(connection)


def _tell(connection: sqlite3.Connection, mail: str, status: str) -> None:
    connection.execute(
        "INSERT INTO told (mail, status) VALUES (?, ?) ON CONFLICT (mail) DO UPDATE SET status = excluded.status",
        (mail, status),
    )


def _suppress(connection: sqlite3.Connection, person: str, source: str, status: str | None, since: datetime) -> None:
    connection.execute(
        "INSERT INTO suppressed (person, since, source, status, reason) VALUES (?, ?, ?, ?, ?)",
        (person, text(since), source, status, READ_BACK),
    )


def _settle_told(connection: sqlite3.Connection) -> None:
    """Mails of which it is known what became of them, whether they were planned before the backup or are only now."""
    connection.execute(
        f"UPDATE mails SET status = told.status, answer = ?, {_SAID} FROM told"  # noqa: S608 - a constant
        " WHERE told.mail = mails.id AND mails.status <> told.status AND mails.fact <= ?"
        " AND mails.status IN ('planned', 'sending')",
        (READ_BACK, doubtful_until(connection)),
    )


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
    """Say of all mails that are not settled, and follow from such facts, what their fate is, or that it is unknown."""
    _settle_told(connection)
    rows = connection.execute(
        f"UPDATE mails SET status = 'uncertain', answer = ?, {_SAID}"  # noqa: S608 - a constant
        " WHERE status IN ('planned', 'sending') AND fact <= ?"
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
