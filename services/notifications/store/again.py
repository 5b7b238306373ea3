"""What a colleague wants sent again: what did not arrive, and new copies of what did."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from contracts.queries import MailStatus
from services.notifications.store.key import fingerprint, key
from services.notifications.store.rows import TO_CONTACT_LIST, text


def retry(connection: sqlite3.Connection, mail: str, now: datetime, actor: str | None = None) -> MailStatus | None:
    """
    Make a mail due again that failed or whose fate is unknown; what becomes of it then, ``actor`` has caused.

    Returns the status that it had; None for an unknown mail.

    Only ``failed`` and ``uncertain`` mails change.
    """
    row = connection.execute(
        "SELECT m.status, m.ordinal,"  # noqa: S608  (a list of purposes)
        f" CASE WHEN m.purpose IN ({TO_CONTACT_LIST}) THEN NULL ELSE m.person END, a.recipient"
        " FROM mails m LEFT JOIN archive a ON a.ordinal = m.ordinal WHERE m.id = ?",
        (mail,),
    ).fetchone()
    if row is None:
        return None
    status: MailStatus = row[0]
    if status not in ("failed", "uncertain"):
        return status
    _, ordinal, person, recipient = row
    connection.execute(
        "UPDATE mails SET perhaps = perhaps OR status = 'uncertain', status = 'planned', attempts = 0,"
        " first_at = NULL, reached = NULL, due_at = ?, actor = ?"
        " WHERE id = ? AND status IN ('failed', 'uncertain')",
        (text(now), actor, mail),
    )
    # What a mail server said may have changed; what a colleague decided has not.
    connection.execute(
        "DELETE FROM suppressed WHERE source <> 'staff' AND (address = ? OR person = ?)",
        (fingerprint(key(connection), recipient) if recipient else None, person),
    )
    connection.execute("DELETE FROM bounces WHERE mail = ?", (ordinal,))
    return status


def resend(
    connection: sqlite3.Connection, mail: str, copy: str, now: datetime, actor: str | None = None
) -> MailStatus | None:
    """
    Plan a new copy of a mail that went out, under the id ``copy``; to plan it twice under one id is to plan it once.

    Returns the status of the mail; None for an unknown one. Only of a mail that is ``sent`` there is a copy.
    """
    row = connection.execute("SELECT status FROM mails WHERE id = ?", (mail,)).fetchone()
    if row is None or row[0] != "sent":
        return row[0] if row else None
    connection.execute(
        "INSERT INTO mails (id, fact, purpose, person, programme, enrolment, session, uid, detail, planned_at, due_at,"
        " by_stranger, actor, copy_of) SELECT ?1, fact, purpose, person, programme, enrolment, session, uid, detail,"
        " ?2, ?2, by_stranger, ?3, id FROM mails WHERE id = ?4 ON CONFLICT (id) DO NOTHING",
        (copy, text(now), actor, mail),
    )
    return "sent"
