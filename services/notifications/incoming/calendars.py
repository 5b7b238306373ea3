"""Answers to invitations, and other messages of calendars (RFC 5546)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import Message
from typing import Any

from services.notifications.incoming.bounds import check_calendar
from services.notifications.incoming.content import Answered, Content, Reply, Unclear

_MOST_ANSWERS = 50
_LONGEST_UID = 500
_LONGEST_ADDRESS = 320
_LONGEST_WORD = 40
_LARGEST_INTEGER = 2**31 - 1
"""RFC 5545 §3.3.8."""


def calendar_content(sender: str | None, parts: Sequence[Message]) -> Content:
    """
    What calendar parts say; ``sender`` is the one address of the mail's header From.

    Raises:
        TooMuch: one of them exceeds a bound.
    """
    # It takes a seventh of a second to import.
    from icalendar import Calendar  # noqa: PLC0415

    why = "a calendar message that cannot be read"
    for part in parts:
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        check_calendar(payload)
        try:
            calendar = Calendar.from_ical(payload)
            method = str(calendar.get("METHOD", part.get_param("method", ""))).upper()
            events = list(calendar.walk("VEVENT"))
            uids = tuple(str(each["UID"])[:_LONGEST_UID] for each in events if "UID" in each)
            if method == "COUNTER":
                return Unclear("somebody proposes another time for a session", uids)
            if method != "REPLY":
                return Unclear("a calendar message that is no answer to an invitation", uids)
            answers = tuple(answer for event in events for answer in _answers(event))
        except (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError, MessageError):
            continue
        if len(answers) > _MOST_ANSWERS:
            return Unclear(f"more than {_MOST_ANSWERS} answers to invitations in one mail", uids)
        if answers:
            return Reply(sender, answers)
        why = "an answer to an invitation that does not say whose or which"
    return Unclear(why)


def _answers(event: Any) -> Iterator[Answered]:
    """Each attendee of one event. Raises what a parser raises for what is missing or malformed."""
    attendees = event["ATTENDEE"]
    stamp = event["DTSTAMP"].dt
    if not isinstance(stamp, datetime):
        raise TypeError("DTSTAMP has no time")
    sequence = int(event.get("SEQUENCE", 0))
    if abs(sequence) > _LARGEST_INTEGER:
        raise ValueError("SEQUENCE is no INTEGER")
    for attendee in attendees if isinstance(attendees, list) else [attendees]:
        yield Answered(
            uid=str(event["UID"])[:_LONGEST_UID],
            attendee=re.sub(r"(?i)^mailto:", "", str(attendee)).strip()[:_LONGEST_ADDRESS],
            partstat=str(attendee.params.get("PARTSTAT", "NEEDS-ACTION")).upper()[:_LONGEST_WORD],
            sequence=sequence,
            # RFC 5545 §3.8.7.2 wants UTC.
            stamp=stamp.astimezone(UTC) if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC),
        )
