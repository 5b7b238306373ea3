"""What facts call for: planned mails, the state that they follow from, and who is forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from contracts import subjects
from services.chassis.database import insert_rows
from services.chassis.entities import EntityTable
from services.chassis.reader import load_position, save_position
from services.chassis.state import State
from services.notifications.domain import Planned
from services.notifications.domain.entities import KINDS
from services.notifications.store.archive import forget_unsent
from services.notifications.store.asking import addresses
from services.notifications.store.inbox import forget_received
from services.notifications.store.rows import HELD, text, write_detail
from services.notifications.store.suppression import hand_on

FACTS = subjects.log_stream("registration")
"""The stream that is folded here."""

STATE = EntityTable("state", KINDS)
NO_TRACES: Mapping[int, str] = {}


def load(connection: sqlite3.Connection) -> tuple[State, int]:
    """The state as it was last saved, and the position that it stands at."""
    return STATE.load(connection), load_position(connection, FACTS)


def record(
    connection: sqlite3.Connection,
    position: int,
    state: State,
    planned: Iterable[tuple[int, Planned]],
    now: datetime,
    *,
    hold: timedelta = timedelta(),
    traces: Mapping[int, str] = NO_TRACES,
) -> None:
    """
    Plan mails, save the state that they follow from, and move the position.

    Args:
        planned: each with the position of the fact that it follows from.
        now: what the service's clock says; nothing becomes due later than that because two clocks differ.
        hold: how long mails that are held wait from now, for what else may change.
        traces: the ``traceparent`` of facts, by position, as far as they have one.
    """
    present, later = text(now), text(now + hold)
    insert_rows(
        connection,
        "INSERT INTO mails (id, fact, purpose, person, programme, enrolment, session, uid, detail, planned_at, due_at,"
        " answer, traceparent, by_stranger) VALUES",
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
                write_detail(mail.detail),
                present,
                later if mail.held and hold else min(text(mail.due_at), present),
                HELD if mail.held and hold else None,
                traces.get(fact),
                mail.by_stranger,
            )
            for fact, mail in planned
        ],
    )
    STATE.save(connection, state)
    save_position(connection, FACTS, position)


def forget_bytes(connection: sqlite3.Connection, person: str, position: int, *, readdressed: bool) -> None:
    """
    Of a person whose name or address was corrected: what did not go out yet is written anew.

    Where the address is another one, the fact at ``position`` called for all of that, and what was planned before it
    would say it twice. What stands against the old address stays: nothing goes there, also not to take something back.
    """
    hand_on(connection, person)
    forget_unsent(connection, person)
    if readdressed:
        connection.execute(
            "UPDATE suppressed SET reason = reason || ', before the address was corrected'"
            " WHERE person = ? AND address IS NOT NULL",
            (person,),
        )
        connection.execute(
            "UPDATE mails SET status = 'dropped', answer = 'the mail to the corrected address says it'"
            " WHERE person = ? AND status = 'planned' AND fact < ?"
            " AND purpose IN ('confirmation', 'promotion', 'waiting', 'confirmation-request')",
            (person, position),
        )


def erase(connection: sqlite3.Connection, person: str) -> None:
    """Drop what is planned for a person, and everything that says who the person is."""
    forget_received(connection, person, addresses(connection, person))
    hand_on(connection, person)
    connection.execute(
        "DELETE FROM archive WHERE ordinal IN (SELECT ordinal FROM mails WHERE person = ?)",
        (person,),
    )
    connection.execute(
        "UPDATE mails SET answer = CASE status WHEN 'planned' THEN 'the person was erased' END,"
        " status = CASE status WHEN 'planned' THEN 'dropped' ELSE status END WHERE person = ?",
        (person,),
    )
    for table in ("suppressed", "former_addresses"):
        connection.execute(f"DELETE FROM {table} WHERE person = ?", (person,))  # noqa: S608  (our own words)
