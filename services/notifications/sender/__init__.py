"""Sending: what is due is looked at once more, written, stored, sent, and its outcome stored."""

from services.notifications.sender.composing import Sending
from services.notifications.sender.judging import UNKNOWN_PERSON_PATIENCE, UNKNOWN_PERSON_WAIT
from services.notifications.sender.limits import Limits
from services.notifications.sender.loop import BATCH, BATCHES_UNDER_WAY, Sender
from services.notifications.sender.under_way import UnderWay

__all__ = [
    "BATCH",
    "BATCHES_UNDER_WAY",
    "UNKNOWN_PERSON_PATIENCE",
    "UNKNOWN_PERSON_WAIT",
    "Limits",
    "Sender",
    "Sending",
    "UnderWay",
]
