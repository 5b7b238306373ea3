"""Every SQL statement of the service. Each function runs inside the caller's transaction, on the database's thread."""

from pathlib import Path

from services.chassis.going_back import Moments
from services.notifications.store.again import resend, retry
from services.notifications.store.answers import (
    Answer,
    answer_of,
    answers,
    intentions,
    mark_told,
    put_answer,
    tell_answer,
)
from services.notifications.store.archive import forget_old_bytes
from services.notifications.store.asking import addresses, mails, messages, people_with_address
from services.notifications.store.doubting import doubt, doubt_until, doubtful_until, take_back
from services.notifications.store.inbox import (
    Kept,
    Mailed,
    bounced,
    forget_old_received,
    keep,
    mail_of_id,
    mail_of_item,
    mail_of_message,
    number_of,
    received,
    received_about,
    received_piece,
    said_of,
)
from services.notifications.store.items import histories
from services.notifications.store.key import fingerprint, key
from services.notifications.store.measuring import Queue, queue, unreached
from services.notifications.store.news import LOG, SOURCE, News, append
from services.notifications.store.planning import FACTS, STATE, erase, forget_bytes, load, record
from services.notifications.store.rows import ALL, Due, Outcome, Written, text
from services.notifications.store.sending import (
    REPEATABLE,
    Tried,
    begin,
    due,
    release,
    sending,
    settle,
    tried_since,
    under_way,
)
from services.notifications.store.strangers import known
from services.notifications.store.suppression import count_failure, lift, suppress, suppressions, tell
from services.notifications.store.waiting import (
    Unread,
    dismiss,
    oldest_unread,
    unread,
    unread_of,
    unread_of_strangers,
)

NEVER_LATER = (
    # What was to be tried again, or waited for its turn, is looked at again at once.
    Moments("mails", "due_at", where="status = 'planned'", planned=True),
    Moments("mails", "planned_at"),
    Moments("mails", "first_at"),
    # Within how many days mails came back, and how many came in.
    Moments("bounces", "at"),
    Moments("received", "at"),
    Moments("suppressed", "since"),
)
"""What a clock that went back must not make wait (``chassis.going_back``)."""

MIGRATIONS = Path(__file__).parent.with_name("migrations")

__all__ = [
    "ALL",
    "FACTS",
    "LOG",
    "MIGRATIONS",
    "NEVER_LATER",
    "REPEATABLE",
    "SOURCE",
    "STATE",
    "Answer",
    "Due",
    "Kept",
    "Mailed",
    "News",
    "Outcome",
    "Queue",
    "Tried",
    "Unread",
    "Written",
    "addresses",
    "answer_of",
    "answers",
    "append",
    "begin",
    "bounced",
    "count_failure",
    "dismiss",
    "doubt",
    "doubt_until",
    "doubtful_until",
    "due",
    "erase",
    "fingerprint",
    "forget_bytes",
    "forget_old_bytes",
    "forget_old_received",
    "histories",
    "intentions",
    "keep",
    "key",
    "known",
    "lift",
    "load",
    "mail_of_id",
    "mail_of_item",
    "mail_of_message",
    "mails",
    "mark_told",
    "messages",
    "number_of",
    "oldest_unread",
    "people_with_address",
    "put_answer",
    "queue",
    "received",
    "received_about",
    "received_piece",
    "record",
    "release",
    "resend",
    "retry",
    "said_of",
    "sending",
    "settle",
    "suppress",
    "suppressions",
    "take_back",
    "tell",
    "tell_answer",
    "text",
    "tried_since",
    "under_way",
    "unreached",
    "unread",
    "unread_of",
    "unread_of_strangers",
]
