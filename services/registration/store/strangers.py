"""The SQL of what is remembered of strangers for a while: by keyed digests, and nothing of it in any log."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

SOURCES_KEPT: Final = timedelta(hours=1)
"""How long it is known what a source on the network has come to hold."""

ANSWERS_KEPT: Final = timedelta(days=30)
"""How long a request that is sent again under its id gets the same answer."""

MAILS_KEPT: Final = timedelta(days=30)
"""How long it is known how often a mailbox was asked to confirm."""


class Caused(NamedTuple):
    """
    What a source has caused within the last hour: the units that it holds in a programme, the mails in all of them, and
    when the oldest of these requests is an hour ago.
    """

    units: int
    mails: int
    free: datetime | None


def caused_by(connection: sqlite3.Connection, source: str, programme: str, now: datetime) -> Caused:
    """What a source has caused."""
    units, mails, oldest = connection.execute(
        "SELECT total(units) FILTER (WHERE programme = ?2), total(mails),"
        " min(since) FILTER (WHERE mails > 0 OR (units > 0 AND programme = ?2))"
        " FROM sources WHERE source = ?1 AND since > ?3",
        (source, programme, _text(now - SOURCES_KEPT)),
    ).fetchone()
    free = datetime.fromisoformat(oldest) + SOURCES_KEPT if oldest else None
    return Caused(int(units), int(mails), free)


def cause(
    connection: sqlite3.Connection, source: str, programme: str, *, held: Mapping[str, int], mails: int, now: datetime
) -> None:
    """Remember what a source has caused: the units that are held by enrolment, and how many mails."""
    # Also where there is nothing, one row is written: otherwise the time of an answer would tell what was decided.
    rows: list[tuple[str | None, int, int]] = [(None, 0, mails), *((each, units, 0) for each, units in held.items())]
    connection.executemany(
        "INSERT INTO sources (source, programme, enrolment, units, mails, since) VALUES (?, ?, ?, ?, ?, ?)",
        [(source, programme, *row, _text(now)) for row in rows],
    )


def release(connection: sqlite3.Connection, enrolment: str) -> None:
    """Forget who came to hold units for an enrolment: somebody has confirmed it."""
    connection.execute("DELETE FROM sources WHERE enrolment = ?", (enrolment,))


def times_asked(connection: sqlite3.Connection, mailboxes: Collection[str], now: datetime) -> dict[str, int]:
    """How often each of these mailboxes was asked to confirm within thirty days, for those that were."""
    rows = connection.execute(
        "SELECT mailbox, count(*) FROM asked WHERE mailbox IN (SELECT value FROM json_each(?)) AND since > ?"
        " GROUP BY mailbox",
        (json.dumps(list(mailboxes)), _text(now - MAILS_KEPT)),
    )
    return dict(rows.fetchall())


def ask(connection: sqlite3.Connection, mailbox: str, now: datetime) -> None:
    """Remember that a mailbox is asked to confirm."""
    connection.execute("INSERT INTO asked (mailbox, since) VALUES (?, ?)", (mailbox, _text(now)))


def answered(connection: sqlite3.Connection, mailbox: str) -> None:
    """Forget that a mailbox was asked: whoever reads it has answered, and may be asked again."""
    connection.execute("DELETE FROM asked WHERE mailbox = ?", (mailbox,))


def forget(connection: sqlite3.Connection, now: datetime) -> int:
    """Forget what is older than it may be; how much that was."""
    sources = connection.execute("DELETE FROM sources WHERE since <= ?", (_text(now - SOURCES_KEPT),)).rowcount
    asked = connection.execute("DELETE FROM asked WHERE since <= ?", (_text(now - MAILS_KEPT),)).rowcount
    answers = connection.execute("DELETE FROM requests WHERE until <= ?", (_text(now),)).rowcount
    return sources + asked + answers


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
