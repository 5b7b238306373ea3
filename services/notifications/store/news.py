"""Our own log: what others should know of mails, and may read."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from contracts import subjects
from contracts.envelope import Envelope, schema_name
from contracts.facts import NAMES, NotificationsFact
from services.chassis.identity import new_id
from services.chassis.log import FACTS_APPENDED, Entry, SqliteLog

SOURCE = "notifications"
LOG = SqliteLog("log")

_News = Envelope[NotificationsFact]


@dataclass(frozen=True, slots=True)
class News:
    """A fact of our own, to be appended to our log."""

    programme: str
    data: NotificationsFact
    trace: str | None = None
    """The ``traceparent`` of what it follows from."""
    actor: str | None = None
    """The account of whoever of the staff caused it."""


def append(connection: sqlite3.Connection, news: Sequence[News], now: datetime) -> None:
    """Append facts to our log, each with the next position, in the caller's transaction."""
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
            causationid=getattr(each.data, "mail", None),
            traceparent=each.trace,
            actor=each.actor,
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
    for type_, number in Counter(NAMES[type(each.data)] for each in news).items():
        FACTS_APPENDED.labels(type_).inc(number)
