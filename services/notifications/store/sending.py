"""What is due, under way and settled."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.chassis.database import insert_rows, with_rows
from services.chassis.log import Entry
from services.notifications.domain import with_told
from services.notifications.store import items
from services.notifications.store.answers import intentions, mark_told
from services.notifications.store.key import fingerprint, key
from services.notifications.store.news import News, append
from services.notifications.store.rows import PLANNED, Due, Outcome, Written, planned, text
from services.notifications.store.suppression import hold_back, refused

TRIED = "status = 'planned' AND first_at IS NOT NULL AND reached IS NOT 1"
"""What was tried and is no matter between the mail server and one recipient: in the words of its index."""

REPEATABLE = "maildir"
"""What the column ``via`` says of mails that go into a maildir."""

STRANGERS_ONE_IN = 5
"""Of so many mails that are looked up at a time, one may be one that anybody may have caused."""

_ATTEMPTED = f"m.ordinal, {PLANNED}, m.first_at, m.attempts, m.message_id, a.raw, a.recipient, m.actor"
"""The columns that :func:`_attempted` reads."""

_DUE = f"""
SELECT {_ATTEMPTED}, m.traceparent, m.by_stranger,
  (SELECT w.id || ' ' || coalesce(w.message_id, '') FROM mails w
    WHERE w.person = m.person AND w.enrolment = m.enrolment AND w.purpose IN ('confirmation', 'promotion')
      AND w.ordinal < m.ordinal AND w.status IN ('planned', 'sending', 'sent', 'uncertain')
    ORDER BY w.ordinal DESC LIMIT 1) AS confirmation,
  (SELECT p.message_id FROM mails p
    WHERE p.uid = m.uid AND p.ordinal < m.ordinal AND p.status IN ('sent', 'uncertain')
    ORDER BY p.ordinal DESC LIMIT 1) AS previous,
  EXISTS (SELECT 1 FROM mails l
    WHERE l.uid = m.uid AND l.ordinal > m.ordinal AND (l.status IN ('sending', 'sent', 'uncertain') OR l.perhaps))
    AS overtaken,
  EXISTS (SELECT 1 FROM answers s WHERE s.person = m.person) AS answered
FROM mails m LEFT JOIN archive a ON a.ordinal = m.ordinal
WHERE m.status = 'planned' AND m.by_stranger = ?3 AND m.due_at <= ?1
  AND NOT EXISTS (SELECT 1 FROM mails e
    WHERE e.uid = m.uid AND e.ordinal <> m.ordinal AND (e.status = 'sending'
      OR e.status = 'planned' AND e.ordinal < m.ordinal AND e.due_at <= ?1))
ORDER BY m.due_at, m.ordinal LIMIT ?2
"""  # noqa: S608  (PLANNED is a list of columns)


def due(connection: sqlite3.Connection, now: datetime, limit: int) -> list[Due]:
    """
    Mails whose time has come, the longest due first, and behind them a few that anybody may have caused.

    Of the latter there may be very many: they are looked up by themselves, and never more than one for each four that
    may be looked up besides.

    Mails about one calendar item go one after the other: what each says follows from what was told before it. One that
    waits (held, or to be tried again) lets a later one pass, which then says all that it would have said.
    """
    moment = text(now)
    cursor = _by_name(connection)
    rows = cursor.execute(_DUE, (moment, limit, False)).fetchall()
    rows += cursor.execute(_DUE, (moment, limit // STRANGERS_ONE_IN or limit - len(rows), True)).fetchall()
    found = []
    for row in rows:
        confirmation, _, message = (row["confirmation"] or "").partition(" ")
        found.append(
            _attempted(row)._replace(
                confirmation=confirmation or None,
                confirmation_message=message or None,
                previous=row["previous"],
                overtaken=bool(row["overtaken"]),
                trace=row["traceparent"],
                by_stranger=bool(row["by_stranger"]),
                answered=bool(row["answered"]),
            )
        )
    return [_with_more(connection, each) for each in _with_histories(connection, found, now)]


def _with_more(connection: sqlite3.Connection, due: Due) -> Due:
    """With what mails of its purpose alone need to know."""
    mail = due.mail
    match mail.purpose:
        case "declined":
            return due._replace(answers=intentions(connection, mail.programme, mail.person, mail.copy_of or mail.id))
        case "readdressed":
            return due._replace(told_at=_told_at(connection, due))
        case _:
            return due


def _told_at(connection: sqlite3.Connection, due: Due) -> str | None:
    """The address at which a calendar item was told last, unless nothing goes there any more."""
    appointment = due.mail.detail.appointment
    row = connection.execute(
        "SELECT a.recipient FROM mails m JOIN archive a ON a.ordinal = m.ordinal WHERE m.uid = ? AND m.ordinal < ?"
        " AND (m.status IN ('sending', 'sent', 'uncertain') OR m.perhaps) ORDER BY m.ordinal DESC LIMIT 1",
        (appointment.uid if appointment else None, due.ordinal),
    ).fetchone()
    if row is None:
        return None
    address = fingerprint(key(connection), row[0])
    gone = connection.execute("SELECT 1 FROM suppressed WHERE address = ?", (address,)).fetchone()
    return None if gone else str(row[0])


def _with_histories(connection: sqlite3.Connection, found: list[Due], now: datetime) -> list[Due]:
    uids = {each.mail.detail.appointment.uid for each in found if each.mail.detail.appointment}
    taken = {taken.uid for each in found for taken in each.mail.detail.taken if taken.uid}
    taken |= {former for each in found if (former := each.mail.detail.former)}
    if not uids and not taken:
        return found
    lines = items.lines(connection, uids | taken)
    # Items whose first mail is here need no look at how they began.
    begun = {each.mail.detail.appointment.uid for each in found if each.mail.detail.appointment and _begins(each)}
    for uid, line in items.inherited(connection, (uids | taken) - lines.keys() - begun).items():
        lines[uid] = [line]
    told = {uid: items.history(lines[uid]) for uid in taken & lines.keys()}
    return [
        each._replace(
            mail=with_told(each.mail, told, now) if each.mail.detail.taken or each.mail.detail.former else each.mail,
            history=items.history(lines.get(appointment.uid, ()), each.ordinal)
            if (appointment := each.mail.detail.appointment)
            else each.history,
        )
        for each in found
    ]


def _begins(due: Due) -> bool:
    return due.mail.purpose == "invite"


def _by_name(connection: sqlite3.Connection) -> sqlite3.Cursor:
    """A cursor whose rows are read by the names of their columns."""
    cursor = connection.cursor()
    cursor.row_factory = sqlite3.Row
    return cursor


def _attempted(row: sqlite3.Row) -> Due:
    return Due(
        ordinal=row["ordinal"],
        mail=planned(row),
        planned_at=datetime.fromisoformat(row["planned_at"]),
        first_at=datetime.fromisoformat(row["first_at"]) if row["first_at"] else None,
        attempts=row["attempts"],
        message_id=row["message_id"],
        raw=row["raw"],
        recipient=row["recipient"],
        actor=row["actor"],
    )


class Begun(NamedTuple):
    """
    What a batch has come to.

    Attributes:
        ordinals: the mails to send: without those that were dropped in the meantime, and without those to an address to
            which nothing is sent.
        told: what was appended to our log about the latter.
    """

    ordinals: frozenset[int]
    told: Sequence[Entry]


def begin(
    connection: sqlite3.Connection, written: Sequence[Written], now: datetime, *, repeatable: bool = False
) -> Begun:
    """
    Store what is about to be sent, and say what of it still is to be.

    Once this is committed, a crash leaves no mail of which it is unknown that it may have gone out. ``repeatable`` says
    of the transport that delivering the same mail again does no harm.
    """
    told = hold_back(connection, written, now)
    claimed = frozenset(
        ordinal
        for (ordinal,) in with_rows(
            connection,
            "UPDATE mails SET status = 'sending', attempts = attempts + 1, first_at = coalesce(first_at, ?), via = ?,"
            " message_id = w.column2, purpose = coalesce(w.column3, purpose), said = coalesce(w.column4, said)"
            " FROM (VALUES {rows}) w WHERE ordinal = w.column1 AND status = 'planned' RETURNING ordinal",
            [(mail.ordinal, mail.message_id, mail.purpose, _said(mail)) for mail in written],
            text(now),
            REPEATABLE if repeatable else None,
        )
    )
    insert_rows(
        connection,
        "INSERT OR REPLACE INTO archive (ordinal, recipient, raw) VALUES",
        [
            (mail.ordinal, mail.recipient, mail.raw if mail.kept is None else mail.kept)
            for mail in written
            if mail.ordinal in claimed
        ],
    )
    for mail in written:
        if mail.answers and mail.ordinal in claimed:
            mark_told(connection, mail.ordinal, mail.answers)
    return Begun(claimed, told)


def _said(mail: Written) -> str | None:
    return items.APPOINTMENT.serializer.to_json(mail.said, exclude_defaults=True).decode() if mail.said else None


class Settled(NamedTuple):
    """The status and the purpose of each mail of a batch, and what was appended to our log."""

    mails: Sequence[tuple[str, str]]
    told: Sequence[Entry]


def settle(connection: sqlite3.Connection, outcomes: Sequence[Outcome], news: Sequence[News], now: datetime) -> Settled:
    """Store what became of mails, and append what others should know to our log."""
    settled = with_rows(
        connection,
        # Whoever was erased while the mail was under way left no archive, and the server's answer may hold the address.
        "UPDATE mails SET status = o.column2, answer = CASE WHEN status = 'sending' AND NOT EXISTS"
        "  (SELECT 1 FROM archive a WHERE a.ordinal = mails.ordinal) THEN NULL ELSE o.column3 END,"
        " attempts = attempts - o.column4, due_at = coalesce(o.column5, due_at), perhaps = perhaps OR o.column6,"
        " reached = coalesce(o.column7, reached)"
        " FROM (VALUES {rows}) o WHERE ordinal = o.column1 RETURNING status, purpose",
        [_settled(each) for each in outcomes],
    )
    for each in outcomes:
        if each.verdict:
            refused(connection, each, now)
    return Settled(settled, append(connection, news, now))


def _settled(each: Outcome) -> tuple[object, ...]:
    due_at = text(each.due_at) if each.due_at else None
    return each.ordinal, each.status, each.answer, each.uncounted, due_at, each.perhaps, each.reached


def sending(connection: sqlite3.Connection) -> list[tuple[Due, bool]]:
    """What a crash left half sent, each with whether its transport takes it again without harm."""
    rows = _by_name(connection).execute(
        f"SELECT {_ATTEMPTED}, m.via FROM mails m LEFT JOIN archive a ON a.ordinal = m.ordinal"  # noqa: S608  (our own words)
        # In the words of the index, which SQLite would not use otherwise.
        " WHERE m.status = 'sending' AND m.status IN ('sending', 'failed', 'uncertain') ORDER BY m.ordinal"
    )
    return [(_attempted(row), row["via"] == REPEATABLE) for row in rows]


def under_way(connection: sqlite3.Connection) -> list[tuple[int, int]]:
    """What is being sent: each mail's number, and the attempt."""
    rows = connection.execute(
        # In the words of the index, as above.
        "SELECT ordinal, attempts FROM mails WHERE status = 'sending' AND status IN ('sending', 'failed', 'uncertain')"
    )
    return [(ordinal, attempts) for ordinal, attempts in rows]


def release(connection: sqlite3.Connection, now: datetime) -> int:
    """Let all that wait for a mail server that took no mail go at once; how many they are."""
    return connection.execute(
        f"UPDATE mails SET reached = NULL, due_at = min(due_at, ?) WHERE {TRIED} AND reached = 0",  # noqa: S608
        (text(now),),
    ).rowcount


class Tried(NamedTuple):
    """A mail that was first tried at a moment; the address is gone where the person was erased."""

    at: datetime
    programme: str
    recipient: str | None
    by_stranger: bool


def tried_since(connection: sqlite3.Connection, moment: datetime) -> list[Tried]:
    """What was first tried after a moment, the oldest first."""
    rows = connection.execute(
        "SELECT m.first_at, m.programme, a.recipient, m.by_stranger FROM mails m"
        " LEFT JOIN archive a ON a.ordinal = m.ordinal WHERE m.first_at > ? ORDER BY m.first_at",
        (text(moment),),
    )
    return [
        Tried(datetime.fromisoformat(first_at), programme, recipient, bool(by_stranger))
        for first_at, programme, recipient, by_stranger in rows
    ]
