"""What staff ask."""

from __future__ import annotations

import sqlite3
from typing import Any

from contracts.queries import MailView
from services.notifications.store.key import fingerprint, key
from services.notifications.store.rows import TO_CONTACT_LIST


def mails(connection: sqlite3.Connection, limit: int, **conditions: str | None) -> list[MailView]:
    """Mails that meet all conditions (columns by name, None for any), the newest first."""
    wanted = {name: value for name, value in conditions.items() if value is not None}
    unknown = wanted.keys() - {"programme", "enrolment", "person", "status"}
    if unknown:
        raise ValueError(f"mails cannot be picked by {', '.join(sorted(unknown))}")
    where = " AND ".join(f"{name} = ?" for name in wanted) or "1"
    rows = connection.execute(
        "SELECT id, purpose, person, programme, enrolment, session, status, due_at, attempts, message_id, answer,"  # noqa: S608
        " (SELECT verdict FROM bounces WHERE mail = mails.ordinal AND mails.status = 'failed'), copy_of"
        f" FROM mails WHERE {where} ORDER BY ordinal DESC LIMIT ?",
        (*wanted.values(), limit),
    ).fetchall()
    names = MailView.model_fields
    return [MailView.model_validate(dict(zip(names, row, strict=True))) for row in rows]


def messages(connection: sqlite3.Connection, person: str) -> list[str]:
    """A person's mails as they went out, the oldest first."""
    rows = connection.execute(
        "SELECT a.raw FROM mails m JOIN archive a ON a.ordinal = m.ordinal"
        " WHERE m.person = ? AND (m.status IN ('sending', 'sent', 'uncertain')"
        "  OR m.ordinal IN (SELECT mail FROM bounces WHERE sent)) ORDER BY m.ordinal",
        (person,),
    )
    return [bytes(raw).decode("utf-8", "replace") for (raw,) in rows]


def people_with_address(connection: sqlite3.Connection, same_address: Any) -> list[str]:
    """The people to whom a mail went out under an address; ``same_address`` is given each stored address."""
    rows = connection.execute(
        "SELECT DISTINCT m.person, a.recipient FROM archive a JOIN mails m ON m.ordinal = a.ordinal"  # noqa: S608
        f" WHERE m.purpose NOT IN ({TO_CONTACT_LIST})"
    )
    return sorted({person for person, recipient in rows if same_address(recipient)})


def addresses(connection: sqlite3.Connection, person: str) -> list[str]:
    """Fingerprints of the addresses that a person is known to have, or have had."""
    secret = key(connection)
    mailed = connection.execute(
        "SELECT DISTINCT a.recipient FROM archive a JOIN mails m ON m.ordinal = a.ordinal"  # noqa: S608
        f" WHERE m.person = ? AND m.purpose NOT IN ({TO_CONTACT_LIST})",
        (person,),
    )
    suppressed = connection.execute(
        "SELECT address FROM suppressed WHERE person = ? AND address IS NOT NULL", (person,)
    )
    former = connection.execute("SELECT address FROM former_addresses WHERE person = ?", (person,))
    found = {fingerprint(secret, recipient) for (recipient,) in mailed}
    return sorted(found.union(address for (address,) in (*suppressed, *former)))
