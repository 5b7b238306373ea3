"""Our own log: what others should know of mails, and may read."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from contracts import subjects
from contracts.envelope import schema_name
from contracts.facts import NAMES, NotificationsFact
from services.chassis.clock import written
from services.chassis.identity import new_id
from services.chassis.log import FACTS_APPENDED, Entry, SqliteLog

SOURCE = "notifications"
LOG = SqliteLog("log")


class News(NamedTuple):
    """A fact of our own, to be appended to our log."""

    programme: str
    data: NotificationsFact
    trace: str | None = None
    """The ``traceparent`` of what it follows from."""
    actor: str | None = None
    """The account of whoever of the staff caused it."""


@lru_cache(maxsize=4096)
def _published(fact: type[NotificationsFact], programme: str) -> tuple[str, str, str]:
    """The name, the schema and the subject with which a type of fact is published."""
    type_ = NAMES[fact]
    return type_, schema_name(type_), subjects.fact_subject(SOURCE, type_, programme)


def append(connection: sqlite3.Connection, news: Sequence[News], now: datetime) -> list[Entry]:
    """Append facts to our log, each with the next position, in the caller's transaction; returns them as they stand."""
    if not news:
        return []
    position = LOG.head(connection)
    versions: dict[str, int] = {}
    entries = []
    time = written(now)
    for programme, data, trace, actor in news:
        position += 1
        before = versions.get(programme)
        version = (LOG.version(connection, programme) if before is None else before) + 1
        versions[programme] = version
        type_, schema, subject = _published(type(data), programme)
        id_ = new_id()
        mail = getattr(data, "mail", None)
        because = f'"causationid":"{mail}",' if mail is not None else ""
        traced = f'"traceparent":{json.dumps(trace)},' if trace is not None else ""
        caused = f'"actor":{json.dumps(actor)},' if actor is not None else ""
        # Put together by hand: making an envelope model only to write it out costs more than the row. That it reads
        # back as the envelope is tested for every type of fact.
        head = (
            f'{{"specversion":"1.0","id":"{id_}","source":"{SOURCE}","type":"{type_}","subject":"{programme}",'
            f'"time":"{time}","datacontenttype":"application/json","dataschema":"{schema}",'
            f'"position":{position},"version":{version},{because}{traced}{caused}"data":'
        )
        body = b"%b%b}" % (head.encode(), data.to_json())
        entries.append(Entry(position, programme, version, subject, body, id_))
    LOG.append(connection, entries)
    for type_, number in Counter(NAMES[type(each.data)] for each in news).items():
        FACTS_APPENDED.labels(type_).inc(number)
    return entries
