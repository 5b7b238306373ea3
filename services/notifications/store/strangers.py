"""Mails that anybody may have caused, and who turned out to be no stranger's invention."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from services.notifications.domain.mails import ABOUT_REQUESTS
from services.notifications.store.rows import HELD, text

_OF_REQUESTS = ", ".join(f"'{purpose}'" for purpose in sorted(ABOUT_REQUESTS))


def known(connection: sqlite3.Connection, person: str, now: datetime) -> None:
    """
    Somebody reads a person's mailbox: what waits for the person there, waits with strangers' mails no longer.

    What is said of requests stays among them: anybody may send requests that name the person.
    """
    connection.execute(
        "UPDATE mails SET by_stranger = 0,"  # noqa: S608 - constants
        " due_at = CASE WHEN first_at IS NULL AND answer IS NOT ?1 THEN min(due_at, ?2) ELSE due_at END"
        f" WHERE person = ?3 AND status = 'planned' AND by_stranger AND purpose NOT IN ({_OF_REQUESTS})",
        (HELD, text(now), person),
    )
