"""What was written about calendar items, read back from the mails that said it."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from pydantic import TypeAdapter

from services.notifications.domain import History, Said
from services.notifications.domain.mails import Appointment
from services.notifications.store.rows import read_detail

APPOINTMENT: TypeAdapter[Appointment] = TypeAdapter(Appointment)
_MAY_HAVE_ARRIVED = ("sending", "sent", "uncertain")


class Line(NamedTuple):
    """One mail that said something about an item, whether that may have arrived, and whether it certainly has."""

    ordinal: int
    said: Said
    arrived: bool
    certain: bool = True


def lines(connection: sqlite3.Connection, uids: Collection[str]) -> dict[str, list[Line]]:
    """What was ever written about each of these items, in the order of planning."""
    marks = ", ".join("?" * len(uids))
    rows = connection.execute(
        "SELECT uid, ordinal, purpose, status, perhaps, said FROM mails"  # noqa: S608  (question marks alone)
        f" WHERE uid IN ({marks}) AND said IS NOT NULL ORDER BY ordinal",
        (*uids,),
    )
    found: dict[str, list[Line]] = {}
    for uid, ordinal, purpose, status, perhaps, said in rows:
        line = Line(
            ordinal,
            Said(purpose, APPOINTMENT.validate_json(said), bool(perhaps)),
            status in _MAY_HAVE_ARRIVED or bool(perhaps),
            status == "sent",
        )
        found.setdefault(uid, []).append(line)
    return found


def history(written: Sequence[Line], ordinal: int | None = None) -> History:
    """These lines as the mail with this ordinal sees them."""
    if not written:
        return History()
    others = [each for each in written if each.ordinal != ordinal]
    arrived = sorted((each for each in others if each.arrived), key=lambda line: line.said.appointment.sequence)
    last_certain = max((number for number, each in enumerate(arrived) if each.certain), default=0)
    return History(
        told=arrived[-1].said if arrived else None,
        before=tuple(each.said for each in arrived[last_certain:-1]),
        own=next((each.said for each in written if each.ordinal == ordinal), None),
        sequence=max(each.said.appointment.sequence for each in written),
        stamp=max(each.said.appointment.stamp for each in written),
    )


def histories(connection: sqlite3.Connection, uids: Collection[str]) -> dict[str, History]:
    """What was written about each of these items until now, those left out about which nothing was."""
    written: dict[str, list[Line]] = lines(connection, uids)
    written |= {uid: [line] for uid, line in inherited(connection, set(uids) - written.keys()).items()}
    return {uid: history(found) for uid, found in written.items()}


def inherited(connection: sqlite3.Connection, uids: Collection[str]) -> Mapping[str, Line]:
    """
    What people know of items that were taken up silently (``DEELNAME_QUIET_UNTIL``), told by an earlier database.

    Its SEQUENCE cannot have been higher than the number of changes before the first one that is mailed here.
    """
    found = {}
    for uid in uids:
        first = connection.execute(
            "SELECT purpose, detail FROM mails WHERE uid = ? ORDER BY ordinal LIMIT 1", (uid,)
        ).fetchone()
        appointment = read_detail(first[1]).appointment if first and first[0] != "invite" else None
        if appointment is not None and appointment.sequence > 0:
            before = replace(
                appointment,
                sequence=appointment.sequence - 1,
                stamp=appointment.created,
                occasion=appointment.before or appointment.occasion,
                before=None,
            )
            found[uid] = Line(0, Said("invite", before), arrived=True)
    return found
