"""
What comes back by mail: reports of failed deliveries and answers to invitations.

Nothing here ever answers a mail, so that it goes round in no circle. What is not understood is kept for a person.
"""

from services.notifications.inbox.lmtp import Lmtp, parse_inbox
from services.notifications.inbox.postbox import Postbox
from services.notifications.inbox.reader import MailReader
from services.notifications.inbox.receiving import Inbox
from services.notifications.inbox.room import MOST_UNREAD, MOST_UNREAD_MAILS, Room
from services.notifications.inbox.taking import TryLater

__all__ = [
    "MOST_UNREAD",
    "MOST_UNREAD_MAILS",
    "Inbox",
    "Lmtp",
    "MailReader",
    "Postbox",
    "Room",
    "TryLater",
    "parse_inbox",
]
