"""What comes back: bounces, answers to invitations, and what a person has to look at."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from contracts.queries import ReceivedKind, ReceivedView
from services.notifications.domain import History
from services.notifications.store import items
from services.notifications.store.answers import forget_words
from services.notifications.store.asking import addresses as addresses_of
from services.notifications.store.rows import text

_MAILED = (
    "SELECT m.ordinal, m.id, m.purpose, m.person, m.programme, m.enrolment, m.session, m.status, a.recipient"
    " FROM mails m LEFT JOIN archive a ON a.ordinal = m.ordinal "
)


@dataclass(frozen=True, slots=True)
class Mailed:
    """A mail that something came back about. ``recipient`` is gone once the person is erased or the mail is old."""

    ordinal: int
    id: str
    purpose: str
    person: str
    programme: str
    enrolment: str | None
    session: str | None
    status: str
    recipient: str | None


def mail_of_id(connection: sqlite3.Connection, id_: str) -> Mailed | None:
    """The mail with this id."""
    return _mailed(connection.execute(f"{_MAILED} WHERE m.id = ?", (id_,)))


def mail_of_message(connection: sqlite3.Connection, message_id: str) -> Mailed | None:
    """The mail that has, or last had, this Message-ID."""
    return _mailed(connection.execute(f"{_MAILED} WHERE m.message_id = ?", (message_id,)))


def mail_of_item(connection: sqlite3.Connection, uid: str) -> Mailed | None:
    """The newest mail about a calendar item whose recipient is still known; else the newest one."""
    return _mailed(
        connection.execute(f"{_MAILED} WHERE m.uid = ? ORDER BY a.recipient IS NULL, m.ordinal DESC LIMIT 1", (uid,))
    )


def _mailed(rows: sqlite3.Cursor) -> Mailed | None:
    row = rows.fetchone()
    return Mailed(*row) if row else None


def said_of(connection: sqlite3.Connection, uid: str) -> History:
    """What was said until now about a calendar item."""
    return items.history(items.lines(connection, {uid}).get(uid, ()))


def bounced(connection: sqlite3.Connection, mail: Mailed, answer: str) -> None:
    """A mail that went out did not arrive: from now on it is a failed one, which may be retried."""
    connection.execute("UPDATE mails SET status = 'failed', answer = ? WHERE ordinal = ?", (answer, mail.ordinal))


def keep(
    connection: sqlite3.Connection,
    *,
    digest: str,
    kind: ReceivedKind,
    note: str,
    mail: Mailed | None,
    raw: bytes | None,
    mentioned: Iterable[str],
    now: datetime,
    sender: str | None = None,
) -> int:
    """
    Note what came in; bytes are kept where they are given. Returns its number, the old one for what was noted before.

    Args:
        digest: the same for the same bytes to the same recipient.
        mentioned: fingerprints of the addresses in ``raw``.
        sender: the fingerprint of its sender's address.
    """
    known = number_of(connection, digest)
    if known is not None:
        return known
    (ordinal,) = connection.execute(
        "INSERT INTO received (digest, at, kind, note, mail, person, raw, sender) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        " RETURNING ordinal",
        (digest, text(now), kind, note, mail.ordinal if mail else None, mail.person if mail else None, raw, sender),
    ).fetchone()
    if raw is not None:
        connection.executemany(
            "INSERT INTO mentions (address, received) VALUES (?, ?) ON CONFLICT DO NOTHING",
            [(address, ordinal) for address in mentioned],
        )
    return int(ordinal)


def number_of(connection: sqlite3.Connection, digest: str) -> int | None:
    """The number under which a mail was noted before; see ``keep``."""
    row = connection.execute("SELECT ordinal FROM received WHERE digest = ?", (digest,)).fetchone()
    return int(row[0]) if row else None


def received(connection: sqlite3.Connection, limit: int, *, unread: bool = False) -> list[ReceivedView]:
    """What came in, the newest first; ``unread`` for what is kept for a person."""
    rows = connection.execute(
        "SELECT r.ordinal, r.at, r.kind, r.note, m.id, r.person, length(r.raw) FROM received r"
        " LEFT JOIN mails m ON m.ordinal = r.mail WHERE NOT ? OR r.raw IS NOT NULL ORDER BY r.ordinal DESC LIMIT ?",
        (unread, limit),
    )
    names = ReceivedView.model_fields
    return [ReceivedView.model_validate(dict(zip(names, row, strict=True))) for row in rows]


def received_piece(connection: sqlite3.Connection, ordinal: int, begin: int, most: int) -> tuple[bytes, int] | None:
    """A piece of a mail that came in, and how many octets all of it has; None where its bytes are not kept."""
    row = connection.execute("SELECT length(raw) FROM received WHERE ordinal = ?", (ordinal,)).fetchone()
    if row is None or row[0] is None:
        return None
    size = int(row[0])
    # Of a large one nothing is read but the piece.
    with connection.blobopen("received", "raw", ordinal, readonly=True) as blob:
        blob.seek(min(begin, size))
        return blob.read(most), size


class Kept(NamedTuple):
    """A mail that is kept for a person: its number, its first octets, and how many it has."""

    number: int
    beginning: bytes
    size: int


def received_about(
    connection: sqlite3.Connection, person: str, addresses: Iterable[str], *, each: int, together: int, most: int
) -> list[Kept]:
    """
    The kept mails that are about a person or hold one of these addresses (fingerprints), the oldest first.

    Strangers write them, and as many as they like: of each the first ``each`` octets, of all ``together`` so many, and
    at most ``most`` mails.
    """
    found = {number for address in addresses for number in _mentioning(connection, person, address)}
    found |= {row[0] for row in connection.execute("SELECT ordinal FROM received WHERE person = ?", (person,))}
    kept: list[Kept] = []
    for number in sorted(found):
        if len(kept) == most:
            break
        piece = received_piece(connection, number, 0, min(each, together))
        if piece is not None:
            together -= len(piece[0])
            kept.append(Kept(number, *piece))
    return kept


def _mentioning(connection: sqlite3.Connection, person: str, address: str) -> list[int]:
    """The kept mails that hold an address, but for those about somebody else who shares it."""
    rows = connection.execute(
        "SELECT r.ordinal, r.person FROM mentions m JOIN received r ON r.ordinal = m.received WHERE m.address = ?",
        (address,),
    ).fetchall()
    others = {whose for _, whose in rows if whose not in (None, person)}
    sharing = {other for other in others if address in addresses_of(connection, other)}
    return [ordinal for ordinal, whose in rows if whose not in sharing]


def forget_received(connection: sqlite3.Connection, person: str, addresses: Iterable[str]) -> None:
    """Erase what came back about a person, or holds one of these addresses (fingerprints)."""
    for address in addresses:
        connection.executemany(
            "DELETE FROM received WHERE ordinal = ?", [(each,) for each in _mentioning(connection, person, address)]
        )
        connection.execute("UPDATE bounces SET address = NULL WHERE address = ?", (address,))
    connection.execute("DELETE FROM received WHERE person = ?", (person,))
    connection.execute("DELETE FROM answers WHERE person = ?", (person,))


def forget_old_received(connection: sqlite3.Connection, before: datetime) -> int:
    """Forget what came in before a moment, what people wrote with answers, and how often an address bounced by then."""
    connection.execute("UPDATE bounces SET address = NULL WHERE at < ?", (text(before),))
    forget_words(connection, before)
    return connection.execute("DELETE FROM received WHERE at < ?", (text(before),)).rowcount
