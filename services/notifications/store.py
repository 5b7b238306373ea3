"""Every SQL statement of the service. Each function runs inside the caller's transaction, on the database's thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from contracts import subjects
from contracts.envelope import Envelope, schema_name
from contracts.facts import NAMES, MailFailed, MailSent
from contracts.queries import MailStatus, MailView
from services.chassis.entities import EntityTable
from services.chassis.identity import new_id
from services.chassis.log import Entry, SqliteLog
from services.chassis.reader import load_position, save_position
from services.chassis.state import State
from services.notifications.domain import Detail, Planned
from services.notifications.domain.entities import KINDS

MIGRATIONS = Path(__file__).with_name("migrations")
SOURCE = "notifications"
FACTS = subjects.log_stream("registration")
"""The stream that is folded here."""

REPEATABLE = "maildir"
"""What the column ``via`` says of mails that go into a maildir."""

ALL = -1
"""No limit, as SQLite understands it."""

LOG = SqliteLog("log")
STATE = EntityTable("state", KINDS)

_DETAIL: TypeAdapter[Detail] = TypeAdapter(Detail)
_News = Envelope[MailSent | MailFailed]
_PLANNED = "m.id, m.purpose, m.person, m.programme, m.planned_at, m.enrolment, m.session, m.detail"


@dataclass(frozen=True, slots=True)
class Due:
    """
    A mail whose time has come, with what decides how it goes out.

    Attributes:
        planned_at: when it was planned.
        first_at: when it was first tried, if it was.
        raw: the bytes of an earlier attempt, which a further one repeats (RFC 1047 is why).
        recipient: the address that ``raw`` is for.
        confirmation: the id of the mail that welcomed this person into this enrolment, if there was one.
        confirmation_message: its Message-ID, once it was written.
        previous: the Message-ID of the last mail about the same calendar item that may have arrived.
        overtaken: whether a later mail about the same calendar item went out already.
        suppressed: whether a mail server said that the person's address does not exist.
    """

    ordinal: int
    mail: Planned
    planned_at: datetime
    first_at: datetime | None
    attempts: int
    message_id: str | None
    raw: bytes | None
    recipient: str | None
    confirmation: str | None = None
    confirmation_message: str | None = None
    previous: str | None = None
    overtaken: bool = False
    suppressed: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """A mail about to be sent: its bytes, and whom they are for."""

    ordinal: int
    message_id: str
    recipient: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Outcome:
    """
    What became of a mail: its new status, and when it is due again if that is ``planned``.

    ``suppress`` is a person to whom nothing more should be sent. ``uncounted`` takes the attempt back: it was not made.
    """

    ordinal: int
    status: MailStatus
    answer: str
    due_at: datetime | None = None
    suppress: str | None = None
    uncounted: bool = False


@dataclass(frozen=True, slots=True)
class News:
    """A fact of our own, to be appended to our log."""

    programme: str
    data: MailSent | MailFailed


def text(moment: datetime) -> str:
    """A moment as columns hold it: texts that sort as the moments do."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Planning ------------------------------------------------------------------------------------------------------------


def load(connection: sqlite3.Connection) -> tuple[State, int]:
    """The state as it was last saved, and the position that it stands at."""
    return STATE.load(connection), load_position(connection, FACTS)


def record(
    connection: sqlite3.Connection, position: int, state: State, planned: Iterable[tuple[int, Planned]], now: datetime
) -> None:
    """
    Plan mails, save the state that they follow from, and move the position.

    Args:
        planned: each with the position of the fact that it follows from.
        now: what the service's clock says; nothing becomes due later than that because two clocks differ.
    """
    present = text(now)
    connection.executemany(
        "INSERT INTO mails (id, fact, purpose, person, programme, enrolment, session, uid, detail, planned_at, due_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (
                mail.id,
                fact,
                mail.purpose,
                mail.person,
                mail.programme,
                mail.enrolment,
                mail.session,
                mail.detail.appointment.uid if mail.detail.appointment else None,
                _DETAIL.dump_json(mail.detail, exclude_defaults=True).decode(),
                present,
                min(text(mail.due_at), present),
            )
            for fact, mail in planned
        ],
    )
    STATE.save(connection, state)
    save_position(connection, FACTS, position)


def forget_bytes(connection: sqlite3.Connection, person: str) -> None:
    """Of a person whose name or address was corrected: what did not go out yet is written anew."""
    connection.execute(
        "DELETE FROM archive WHERE ordinal IN"
        " (SELECT ordinal FROM mails WHERE person = ? AND status IN ('planned', 'failed'))",
        (person,),
    )
    connection.execute("DELETE FROM suppressed WHERE person = ?", (person,))


def erase(connection: sqlite3.Connection, person: str) -> None:
    """Drop what is planned for a person, and everything that says who the person is."""
    connection.execute(
        "DELETE FROM archive WHERE ordinal IN (SELECT ordinal FROM mails WHERE person = ?)",
        (person,),
    )
    connection.execute(
        "UPDATE mails SET answer = CASE status WHEN 'planned' THEN 'the person was erased' END,"
        " status = CASE status WHEN 'planned' THEN 'dropped' ELSE status END WHERE person = ?",
        (person,),
    )
    connection.execute("DELETE FROM suppressed WHERE person = ?", (person,))


# Sending -------------------------------------------------------------------------------------------------------------

_DUE = f"""
SELECT m.ordinal, {_PLANNED}, m.first_at, m.attempts, m.message_id, a.raw, a.recipient,
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
"""  # noqa: S608  (_PLANNED is a list of columns)


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
        mail=_planned(row[1:9]),
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
    _append(connection, news, now)


def _append(connection: sqlite3.Connection, news: Sequence[News], now: datetime) -> None:
    if not news:
        return
    position = LOG.head(connection)
    versions: dict[str, int] = {}
    entries = []
    for each in news:
        position += 1
        before = versions.get(each.programme)
        version = (LOG.version(connection, each.programme) if before is None else before) + 1
        versions[each.programme] = version
        type_ = NAMES[type(each.data)]
        envelope = _News(
            id=new_id(),
            source=SOURCE,
            type=type_,
            subject=each.programme,
            time=now,
            dataschema=schema_name(type_),
            position=position,
            version=version,
            causationid=each.data.mail,
            data=each.data,
        )
        entries.append(
            Entry(
                position=position,
                programme=each.programme,
                version=version,
                subject=subjects.fact_subject(SOURCE, type_, each.programme),
                body=envelope.model_dump_json(exclude_none=True).encode(),
                id=envelope.id,
            )
        )
    LOG.append(connection, entries)


def sending(connection: sqlite3.Connection) -> list[tuple[Due, bool]]:
    """What a crash left half sent, each with whether its transport takes it again without harm."""
    rows = connection.execute(
        f"SELECT m.ordinal, {_PLANNED}, m.first_at, m.attempts, m.message_id, a.raw, a.recipient, m.via FROM mails m"  # noqa: S608
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


# Asking --------------------------------------------------------------------------------------------------------------


def mails(connection: sqlite3.Connection, limit: int, **conditions: str | None) -> list[MailView]:
    """Mails that meet all conditions (columns by name, None for any), the newest first."""
    wanted = {name: value for name, value in conditions.items() if value is not None}
    unknown = wanted.keys() - {"programme", "enrolment", "person", "status"}
    if unknown:
        raise ValueError(f"mails cannot be picked by {', '.join(sorted(unknown))}")
    where = " AND ".join(f"{name} = ?" for name in wanted) or "1"
    rows = connection.execute(
        "SELECT id, purpose, person, programme, enrolment, session, status, due_at, attempts, message_id, answer"  # noqa: S608
        f" FROM mails WHERE {where} ORDER BY ordinal DESC LIMIT ?",
        (*wanted.values(), limit),
    ).fetchall()
    names = MailView.model_fields
    return [MailView.model_validate(dict(zip(names, row, strict=True))) for row in rows]


def messages(connection: sqlite3.Connection, person: str) -> list[str]:
    """A person's mails as they went out, the oldest first."""
    rows = connection.execute(
        "SELECT a.raw FROM mails m JOIN archive a ON a.ordinal = m.ordinal"
        " WHERE m.person = ? AND m.status IN ('sending', 'sent', 'uncertain') ORDER BY m.ordinal",
        (person,),
    )
    return [bytes(raw).decode("ascii", "replace") for (raw,) in rows]


def people_with_address(connection: sqlite3.Connection, same_address: Any) -> list[str]:
    """The people to whom a mail went out under an address; ``same_address`` is given each stored address."""
    rows = connection.execute(
        "SELECT DISTINCT m.person, a.recipient FROM archive a JOIN mails m ON m.ordinal = a.ordinal"
    )
    return sorted({person for person, recipient in rows if same_address(recipient)})


def _planned(row: Sequence[Any]) -> Planned:
    id_, purpose, person, programme, planned_at, enrolment, session, detail = row
    return Planned(
        id=id_,
        purpose=purpose,
        person=person,
        programme=programme,
        due_at=datetime.fromisoformat(planned_at),
        enrolment=enrolment,
        session=session,
        detail=_DETAIL.validate_json(detail),
    )
