"""Answers to invitations, and other messages of calendars (RFC 5546)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from email.errors import MessageError
from email.message import Message
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

from services.notifications.incoming.bounds import LONGEST_ADDRESS, check_calendar
from services.notifications.incoming.content import Answered, Content, Reply, Unclear
from services.notifications.incoming.contentlines import calendars, holds_one, text_of
from services.notifications.incoming.own_words import LONGEST, own_words

_CALENDARS = ("text/calendar", "application/ics", "text/x-vcalendar")
_ANYTHING = ("application/octet-stream", "text/plain")
"""What gateways make of a calendar that do not know it."""

_UNLIKE = {
    "COUNTER": "somebody proposes another time for a session",
    "REPLY": "an answer to an invitation that does not say whose or which",
}
_MOST_ANSWERS = 50
_LONGEST_UID = 500
_LONGEST_WORD = 40
_LONGEST_DATE = 100
_LARGEST_INTEGER = 2**31 - 1
"""RFC 5545 §3.3.8."""
_BROKEN = (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError, MessageError)
"""What the parser raises for what is missing or malformed."""


class _Part(NamedTuple):
    content: bytes
    message: Message
    named: bool


def calendar_content(message: Message, sender: str | None, parts: Sequence[Message], words: str) -> Content | None:
    """
    What the calendars in a mail say; None where it has none.

    What is only by its name or its look a calendar counts where it answers something: else it is an attachment.

    Args:
        sender: the one address of the header From.
        words: what the mail says to a person.

    Raises:
        TooMuch: one of them exceeds a bound.
    """
    found = list(_calendar_parts(parts))
    if not found:
        return None
    # It takes a seventh of a second to import.
    from icalendar import Calendar  # noqa: PLC0415

    why = "a calendar message that cannot be read"
    uids: dict[str, None] = {}
    answers: dict[Answered, None] = {}
    # All of them together: who sends many makes them no cheaper.
    check_calendar(b"\n".join(part.content for part in found))
    texts = [text_of(part.content, part.message.get_content_charset()) for part in found]
    check_calendar("\n".join(texts).encode("utf-8", "replace"))
    for part, text in zip(found, texts, strict=True):
        for each in calendars(text):
            try:
                calendar = Calendar.from_ical(each)
            except _BROKEN:
                continue
            method = str(calendar.get("METHOD") or part.message.get_param("method", "")).strip().upper()
            why = _UNLIKE.get(method, "a calendar message that is no answer to an invitation")
            for event in calendar.walk("VEVENT"):
                with contextlib.suppress(*_BROKEN):
                    uids[str(event["UID"])[:_LONGEST_UID]] = None
                    if method == "REPLY":
                        answers |= dict.fromkeys(_answers(event))
    about = tuple(uids)[:_MOST_ANSWERS]
    if len(answers) > _MOST_ANSWERS:
        return Unclear(f"more than {_MOST_ANSWERS} answers to invitations in one mail", about)
    if answers:
        own = own_words(words, sender)
        given = (each if each.words else replace(each, words=own) for each in answers)
        return Reply(sender, tuple(dict.fromkeys(given)), _date(message))
    return Unclear(why, about) if any(part.named for part in found) else None


def _calendar_parts(parts: Sequence[Message]) -> Iterator[_Part]:
    for part in parts:
        kind = part.get_content_type()
        named = kind in _CALENDARS
        if part.is_multipart() or not (named or kind in _ANYTHING or _file_name(part).endswith(".ics")):
            continue
        payload = part.get_payload(decode=True)
        if isinstance(payload, bytes) and (named or holds_one(payload)):
            yield _Part(payload, part, named)


def _file_name(part: Message) -> str:
    return (part.get_filename() or "").strip().lower()


def _date(message: Message) -> datetime | None:
    """When the mail says that it was written."""
    try:
        return _in_utc(parsedate_to_datetime(str(message.get("Date", ""))[:_LONGEST_DATE]))
    except _BROKEN:
        return None


def _answers(event: Any) -> Iterator[Answered]:
    """Each attendee of one event. Raises what a parser raises for what is missing or malformed."""
    attendees = event["ATTENDEE"]
    sequence = int(event.get("SEQUENCE", 0))
    if abs(sequence) > _LARGEST_INTEGER:
        raise ValueError("SEQUENCE is no INTEGER")
    comments = event.get("COMMENT", "")
    words = "\n".join(map(str, comments if isinstance(comments, list) else [comments]))
    for attendee in attendees if isinstance(attendees, list) else [attendees]:
        yield Answered(
            uid=str(event["UID"])[:_LONGEST_UID],
            attendee=str(attendee).partition(":")[2][:LONGEST_ADDRESS],
            partstat=str(attendee.params.get("PARTSTAT", "NEEDS-ACTION")).upper()[:_LONGEST_WORD],
            sequence=sequence,
            stamp=_stamp(event),
            replied=_reply_time(event),
            words=words.strip()[:LONGEST],
        )


def _stamp(event: Any) -> datetime | None:
    try:
        stamp = event["DTSTAMP"].dt
    except _BROKEN:
        return None
    return _in_utc(stamp) if isinstance(stamp, datetime) else None


def _reply_time(event: Any) -> datetime | None:
    from icalendar import vDDDTypes  # noqa: PLC0415

    parse: Any = vDDDTypes.from_ical

    given = event.get("X-REPLYTIME")
    try:
        found = parse(str(given[-1] if isinstance(given, list) else given)) if given else None
    except _BROKEN:
        return None
    return _in_utc(found) if isinstance(found, datetime) else None


def _in_utc(moment: datetime) -> datetime:
    """RFC 5545 §3.8.7.2 wants UTC, and so is what comes without a zone."""
    return moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
