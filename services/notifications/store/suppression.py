"""Addresses to which nothing is sent, and who is told so."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Sequence
from datetime import date, datetime
from typing import Final, Literal

from contracts.facts import NO_PROGRAMME, MailFailed, SuppressionAdded, SuppressionLifted
from contracts.moments import AMSTERDAM
from contracts.queries import SuppressionView
from services.chassis.log import Entry
from services.notifications.domain.bouncing import WINDOW, Verdict, worn_out
from services.notifications.domain.mails import TO_CONTACT, mail_id
from services.notifications.store.asking import addresses
from services.notifications.store.key import fingerprint, key
from services.notifications.store.news import News, append
from services.notifications.store.rows import TO_CONTACT_LIST, Outcome, Written, text

Source = Literal["smtp", "bounce", "staff"]
_GONE: Final = {
    "smtp": "the mail server refused the address for good",
    "bounce": "the address does not exist",
}

_STATUS = re.compile(r"(?<![\d.])5\.\d{1,3}\.\d{1,3}(?![\d.])")


def suppress(
    connection: sqlite3.Connection,
    *,
    address: str,
    person: str | None,
    source: Source,
    reason: str,
    now: datetime,
    status: str | None = None,
    actor: str | None = None,
) -> bool:
    """Send nothing more to an address, given as its fingerprint. Returns whether that is new."""
    added = connection.execute(
        "INSERT INTO suppressed (address, person, since, source, status, reason, actor) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (address) WHERE address IS NOT NULL DO NOTHING",
        (address, person, text(now), source, status, reason, actor),
    ).rowcount
    if added and source == "staff":
        append(connection, [News(NO_PROGRAMME, SuppressionAdded(person=person), actor=actor)], now)
    return bool(added)


def lift(
    connection: sqlite3.Connection,
    now: datetime,
    *,
    address: str | None = None,
    person: str | None = None,
    actor: str | None = None,
) -> int:
    """Send to an address, or to all addresses of a person, again. Returns how many were suppressed."""
    # An address may stand there under the name of somebody who shares it.
    wanted = [address] if address else addresses(connection, person) if person else []
    lifted = connection.execute(
        "DELETE FROM suppressed WHERE address IN (SELECT value FROM json_each(?)) OR person = ? RETURNING person",
        (json.dumps(wanted), person),
    ).fetchall()
    append(connection, [News(NO_PROGRAMME, SuppressionLifted(person=whose), actor=actor) for (whose,) in lifted], now)
    return len(lifted)


def hand_on(connection: sqlite3.Connection, person: str) -> None:
    """
    Let what stands against an address stay when one of those who share it is erased: from now on it is another's.

    Call it while it is still known which addresses the person was mailed at.
    """
    secret = key(connection)
    suppressed = connection.execute("SELECT ordinal, address FROM suppressed WHERE person = ?", (person,)).fetchall()
    for ordinal, address in suppressed:
        for recipient in _recipients(connection, person) if address else ():
            if fingerprint(secret, recipient) == address:
                connection.execute(
                    "UPDATE suppressed SET person = coalesce((SELECT m.person FROM archive a JOIN mails m"  # noqa: S608
                    " ON m.ordinal = a.ordinal WHERE a.recipient = ? COLLATE NOCASE AND m.person <> suppressed.person"
                    f" AND m.purpose NOT IN ({TO_CONTACT_LIST}) LIMIT 1), person) WHERE ordinal = ?",
                    (recipient, ordinal),
                )


def _recipients(connection: sqlite3.Connection, person: str) -> list[str]:
    rows = connection.execute(
        "SELECT DISTINCT a.recipient FROM archive a JOIN mails m ON m.ordinal = a.ordinal"  # noqa: S608
        f" WHERE m.person = ? AND m.purpose NOT IN ({TO_CONTACT_LIST})",
        (person,),
    )
    return [recipient for (recipient,) in rows]


def suppressions(connection: sqlite3.Connection, person: str | None = None) -> list[SuppressionView]:
    """All of them, or those of a person, the newest first."""
    rows = connection.execute(
        "SELECT person, since, source, reason, status FROM suppressed WHERE ?1 IS NULL OR person = ?1"
        " ORDER BY since DESC, ordinal DESC",
        (person,),
    )
    names = ("person", "since", "source", "reason", "status")
    return [SuppressionView.model_validate(dict(zip(names, row, strict=True))) for row in rows]


def hold_back(connection: sqlite3.Connection, written: Sequence[Written], now: datetime) -> list[Entry]:
    """
    Fail the mails that are about to go to a suppressed address, and plan that somebody is told.

    Returns what was appended to our log about them. It runs in the transaction that marks the others as under way:
    nothing comes between.
    """
    if not connection.execute("SELECT EXISTS (SELECT 1 FROM suppressed)").fetchone()[0]:
        return []
    secret = key(connection)
    news = []
    for each in written:
        address = fingerprint(secret, each.recipient)
        row = connection.execute(
            "SELECT s.ordinal, s.reason, coalesce(m.actor, s.actor), m.id, m.purpose, m.person, m.programme,"  # noqa: S608
            " m.enrolment, m.session FROM mails m, suppressed s WHERE m.ordinal = ? AND m.status = 'planned'"
            " AND (s.address = ? OR (s.address IS NULL AND s.person = m.person"
            f" AND m.purpose NOT IN ({TO_CONTACT_LIST})))"
            " LIMIT 1",
            (each.ordinal, address),
        ).fetchone()
        if row is None:
            continue
        entry, reason, actor, id_, purpose, person, programme, enrolment, session = row
        connection.execute(
            "UPDATE mails SET status = 'failed', answer = ? WHERE ordinal = ?",
            (f"not sent, nothing goes to this address: {reason}", each.ordinal),
        )
        if purpose not in TO_CONTACT:
            # Who has an address that was suppressed by hand is known from now on: erasing the person finds it.
            connection.execute(
                "UPDATE suppressed SET person = coalesce(person, ?) WHERE ordinal = ?",
                (person, entry),
            )
        fact = MailFailed(
            mail=id_, purpose=purpose, person=person, enrolment=enrolment, session=session, cause="refused"
        )
        news.append(News(programme, fact, actor=actor))
        tell(connection, each.ordinal, address, now)
    return append(connection, news, now)


def count_failure(
    connection: sqlite3.Connection,
    *,
    mail: int,
    address: str | None,
    person: str | None,
    source: Literal["smtp", "bounce"],
    status: str | None,
    verdict: Verdict,
    now: datetime,
) -> str:
    """
    Count a failed delivery against its address, suppress that where it is enough, and plan that somebody is told.

    Returns why the address gets nothing more; "" while it does.

    Args:
        address: as its fingerprint; None where it is not known any more.
        person: whose it is, if that is known.
        source: whether the mail was refused at once, or came back.
    """
    connection.execute(
        "INSERT INTO bounces (mail, at, address, status, verdict, sent) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (mail) DO UPDATE SET at = excluded.at, address = excluded.address, status = excluded.status,"
        " verdict = excluded.verdict, sent = sent OR excluded.sent",
        (mail, text(now), address, status, verdict, source == "bounce"),
    )
    if address is None:
        return ""
    reason = _GONE[source] if verdict == "gone" else worn_out(_failures(connection, address, now - WINDOW))
    if reason:
        suppress(connection, address=address, person=person, source=source, reason=reason, status=status, now=now)
        tell(connection, mail, address, now)
    return reason


def _failures(connection: sqlite3.Connection, address: str, since: datetime) -> list[tuple[date, Verdict]]:
    rows = connection.execute("SELECT at, verdict FROM bounces WHERE address = ? AND at >= ?", (address, text(since)))
    return [(datetime.fromisoformat(at).astimezone(AMSTERDAM).date(), verdict) for at, verdict in rows]


def refused(connection: sqlite3.Connection, outcome: Outcome, now: datetime) -> None:
    """Count what a mail server just said about an address, as a report of it would be counted."""
    row = connection.execute(
        "SELECT a.recipient, m.purpose, m.person FROM mails m JOIN archive a ON a.ordinal = m.ordinal"
        " WHERE m.ordinal = ?",
        (outcome.ordinal,),
    ).fetchone()
    if row is None:
        # The person was erased while the mail was under way: nothing may be kept.
        return
    recipient, purpose, person = row
    status = _STATUS.search(outcome.answer)
    count_failure(
        connection,
        mail=outcome.ordinal,
        address=fingerprint(key(connection), recipient),
        person=None if purpose in TO_CONTACT else person,
        source="smtp",
        status=status[0] if status else None,
        verdict=outcome.verdict or "failing",
        now=now,
    )


def tell(connection: sqlite3.Connection, mail: int, address: str, now: datetime) -> None:
    """
    Plan that the programme's contact is told that a mail did not arrive: once for a person, a programme and an address.

    That such a notice itself does not arrive is told to nobody, so that it goes round in no circle. Nor is it told of
    what anybody may have caused: strangers would write to the contact by typing addresses that do not exist.
    """
    row = connection.execute(
        "SELECT purpose, person, programme, enrolment, by_stranger FROM mails WHERE ordinal = ?", (mail,)
    )
    purpose, person, programme, enrolment, by_stranger = row.fetchone()
    if purpose in TO_CONTACT or purpose == "readdressed" or enrolment is None or by_stranger:
        return
    connection.execute(
        "INSERT INTO mails (id, fact, purpose, person, programme, enrolment, detail, planned_at, due_at)"
        " SELECT ?1, fact, 'undeliverable', person, programme, enrolment, '{}', ?2, ?2 FROM mails WHERE ordinal = ?3"
        " ON CONFLICT (id) DO NOTHING",
        (mail_id(f"{programme}|{address}", "undeliverable", person, None), text(now), mail),
    )
