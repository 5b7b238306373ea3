"""
What comes back by mail: reports of failed deliveries and answers to invitations.

Nothing here ever answers a mail, so that it goes round in no circle. What is not understood is kept for a person.
"""

from services.notifications.inbox.lmtp import Lmtp, parse_inbox
from services.notifications.inbox.postbox import Postbox
from services.notifications.inbox.receiving import Inbox, TryLater

__all__ = ["Inbox", "Lmtp", "Postbox", "TryLater", "parse_inbox"]
