"""Mails as they went out, and where, for as long as they are kept."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from services.notifications.store.key import fingerprint, key
from services.notifications.store.rows import TO_CONTACT_LIST, text


def forget_old_bytes(connection: sqlite3.Connection, before: datetime) -> int:
    """Empty the archive of mails that went out, or were given up, and were planned before a moment."""
    return _forget(
        connection,
        "status NOT IN ('planned', 'sending') AND ordinal <= ("
        " SELECT coalesce(max(ordinal), 0) FROM mails WHERE planned_at < ?)",
        text(before),
    )


def forget_unsent(connection: sqlite3.Connection, person: str) -> int:
    """Have what did not go out to a person be written anew."""
    return _forget(connection, "person = ? AND status IN ('planned', 'failed')", person)


def _forget(connection: sqlite3.Connection, mails: str, *values: str) -> int:
    """Forget the bytes of these mails; where they went stays known by fingerprints, until their people are erased."""
    secret = key(connection)
    rows = connection.execute(
        "SELECT DISTINCT m.person, a.recipient FROM archive a JOIN mails m ON m.ordinal = a.ordinal"  # noqa: S608
        f" WHERE m.purpose NOT IN ({TO_CONTACT_LIST}) AND a.ordinal IN (SELECT ordinal FROM mails WHERE {mails})",
        values,
    ).fetchall()
    connection.executemany(
        "INSERT INTO former_addresses (person, address) VALUES (?, ?) ON CONFLICT DO NOTHING",
        [(person, fingerprint(secret, recipient)) for person, recipient in rows],
    )
    return connection.execute(
        f"DELETE FROM archive WHERE ordinal IN (SELECT ordinal FROM mails WHERE {mails})",  # noqa: S608
        values,
    ).rowcount
