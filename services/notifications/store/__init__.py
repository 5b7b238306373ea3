"""Every SQL statement of the service. Each function runs inside the caller's transaction, on the database's thread."""

from pathlib import Path

from services.notifications.store.asking import mails, messages, people_with_address
from services.notifications.store.news import LOG, SOURCE, News
from services.notifications.store.planning import FACTS, STATE, erase, forget_bytes, load, record
from services.notifications.store.rows import ALL, Due, Outcome, Written, text
from services.notifications.store.sending import (
    REPEATABLE,
    begin,
    due,
    forget_old_bytes,
    retry,
    sending,
    settle,
    tried_since,
)

MIGRATIONS = Path(__file__).parent.with_name("migrations")

__all__ = [
    "ALL",
    "FACTS",
    "LOG",
    "MIGRATIONS",
    "REPEATABLE",
    "SOURCE",
    "STATE",
    "Due",
    "News",
    "Outcome",
    "Written",
    "begin",
    "due",
    "erase",
    "forget_bytes",
    "forget_old_bytes",
    "load",
    "mails",
    "messages",
    "people_with_address",
    "record",
    "retry",
    "sending",
    "settle",
    "text",
    "tried_since",
]
