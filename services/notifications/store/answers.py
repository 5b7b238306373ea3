"""What calendars answered to invitations, and what of it the programme's contact is told."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.facts import InvitationAnswer
from contracts.queries import AnswerView
from services.notifications.domain import Given, Intention
from services.notifications.domain.mails import mail_id
from services.notifications.store.rows import text
from services.notifications.store.strangers import known

WAITS = "waits a little, so that further answers are told with it"
"""What is said of a mail to the contact that is not due yet."""

AGAIN_AFTER = timedelta(hours=1)
"""Between two mails about one person's answers: who cannot decide, or plays, writes no more to the contact."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a calendar answered, when, and the words that came with it."""

    answer: InvitationAnswer
    given: Given
    words: str = ""


def answer_of(connection: sqlite3.Connection, uid: str) -> Answer | None:
    """What was last answered about a calendar item."""
    row = connection.execute(
        "SELECT answer, words, sequence, stamp, coalesce(replied, stamp), at FROM answers WHERE uid = ?", (uid,)
    ).fetchone()
    return Answer(row[0], Given(row[2], *map(datetime.fromisoformat, row[3:])), row[1] or "") if row else None


def put_answer(connection: sqlite3.Connection, uid: str, mail: int, answer: Answer) -> None:
    """
    Remember what was answered, in place of what was before.

    Args:
        mail: the number of a mail about the item.
    """
    given = answer.given
    (person,) = connection.execute(
        "INSERT INTO answers (uid, person, programme, enrolment, session, answer, words, sequence, stamp, replied, at)"
        " SELECT ?, person, programme, enrolment, session, ?, ?, ?, ?, ?, ? FROM mails WHERE ordinal = ?"
        " ON CONFLICT (uid) DO UPDATE SET answer = excluded.answer, words = excluded.words,"
        " sequence = excluded.sequence, stamp = excluded.stamp, replied = excluded.replied, at = excluded.at"
        " RETURNING person",
        (
            uid,
            answer.answer,
            answer.words or None,
            given.sequence,
            text(given.stamp),
            text(given.replied),
            text(given.arrived),
            mail,
        ),
    ).fetchone()
    known(connection, person, given.arrived)


def answers(connection: sqlite3.Connection, person: str) -> list[AnswerView]:
    """What a person's calendar answered."""
    rows = connection.execute(
        "SELECT programme, session, answer, at, words FROM answers WHERE person = ? ORDER BY at, uid", (person,)
    )
    names = ("programme", "session", "answer", "at", "words")
    return [AnswerView.model_validate(dict(zip(names, row, strict=True))) for row in rows]


# What the contact is told -------------------------------------------------------------------------------------------


def tell_answer(connection: sqlite3.Connection, uid: str, mail: int, now: datetime, hold: timedelta) -> None:
    """
    Plan that the programme's contact is told of an answer, if it has to be: see ``Intention.news``.

    What one person answers about several sessions within ``hold`` is one mail; what it says, is settled when it is
    written. So nothing is planned where one is still to be written.

    Args:
        mail: the number of a mail about the item.
    """
    (intention,) = _intentions(connection, "uid = ?", uid)
    if not intention.news:
        return
    connection.execute(
        "INSERT INTO mails (id, fact, purpose, person, programme, enrolment, detail, planned_at, due_at, answer)"
        " SELECT ?1, m.fact, 'declined', m.person, m.programme, m.enrolment, '{}', ?2, max(?3, coalesce(("
        "   SELECT strftime('%Y-%m-%dT%H:%M:%fZ', max(b.planned_at), ?4) FROM mails b"
        "   WHERE b.person = m.person AND b.programme = m.programme AND b.purpose = 'declined'), '')), ?5"
        " FROM mails m WHERE m.ordinal = ?6 AND NOT EXISTS (SELECT 1 FROM mails p WHERE p.person = m.person"
        "   AND p.programme = m.programme AND p.purpose = 'declined' AND p.status = 'planned'"
        "   AND NOT EXISTS (SELECT 1 FROM archive a WHERE a.ordinal = p.ordinal))"
        " ON CONFLICT (id) DO NOTHING",
        (
            mail_id(f"{uid}|{text(now)}", "declined", uid, None),
            text(now),
            text(now + hold),
            f"+{AGAIN_AFTER.total_seconds():.0f} seconds",
            WAITS,
            mail,
        ),
    )


def intentions(connection: sqlite3.Connection, programme: str, person: str, mail: str) -> tuple[Intention, ...]:
    """
    What a person last answered in a programme, in the order of answering.

    Args:
        mail: the id of the mail to the contact that looks at it, or of the one that it is a copy of.
    """
    return _intentions(connection, "programme = ? AND person = ?", programme, person, mail=mail)


def _intentions(
    connection: sqlite3.Connection, where: str, *values: str, mail: str | None = None
) -> tuple[Intention, ...]:
    rows = connection.execute(
        "SELECT uid, session, answer, coalesce(words, ''), told,"  # noqa: S608
        " coalesce(told_by = (SELECT ordinal FROM mails WHERE id = ?), 0) FROM answers"
        f" WHERE {where} ORDER BY at, uid",
        (mail, *values),
    )
    return tuple(
        Intention(uid, session, answer, words, told, told_by_this=bool(this))
        for uid, session, answer, words, told, this in rows
    )


def mark_told(connection: sqlite3.Connection, mail: int, answers: Iterable[Intention]) -> None:
    """Note what the contact is told by a mail."""
    connection.executemany(
        "UPDATE answers SET told = ?, told_by = ? WHERE uid = ?", [(each.answer, mail, each.uid) for each in answers]
    )


def forget_words(connection: sqlite3.Connection, before: datetime) -> None:
    """Forget the words of answers that came in before a moment."""
    connection.execute("UPDATE answers SET words = NULL WHERE at < ? AND words IS NOT NULL", (text(before),))
