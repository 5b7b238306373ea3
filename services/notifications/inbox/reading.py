"""
What a mail that came in says. Pure, and deaf to every kind of malformed input: what can't be read is ``Unclear``.

A mail's headers and parts were written by anybody: nothing here decides whether they are to be believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.errors import MessageError
from email.message import Message
from email.utils import getaddresses
from typing import Any

_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
# The counts are bounded: an unbounded one takes quadratic time on a long run of letters without an @.
_ADDRESS = re.compile(rb"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,255}")
_MESSAGE_ID = re.compile(r"<[^<>\s]{3,250}>")
_POSTMASTERS = frozenset({"mailer-daemon", "postmaster", "mail-daemon", "mdaemon", "root"})
_MOST_PARTS = 200
_MOST_ADDRESSES = 2000
_LONGEST_DIAGNOSTIC = 300


@dataclass(frozen=True, slots=True)
class RecipientReport:
    """What became of a mail for one recipient (RFC 3464 §2.3). ``action`` is in lower case, addresses without type."""

    action: str
    status: str | None
    addresses: tuple[str, ...]
    diagnostic: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A delivery status notification; ``message_ids`` are those of the mail that it returns."""

    recipients: tuple[RecipientReport, ...]
    message_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OddReport:
    """A bounce in no standard's form: addresses that failed, for good or for now."""

    addresses: tuple[str, ...]
    message_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answered:
    """One attendee's answer about one calendar item, its words in upper case (RFC 5545 §3.2.12)."""

    uid: str
    attendee: str
    partstat: str
    sequence: int
    stamp: datetime


@dataclass(frozen=True, slots=True)
class Reply:
    """Answers to invitations (RFC 5546 §3.2.3); ``sender`` is the one address of the header From, if it has one."""

    sender: str | None
    answers: tuple[Answered, ...]


@dataclass(frozen=True, slots=True)
class Automatic:
    """An answering machine, or a receipt: nobody needs to read it. ``what`` says which, in English for staff."""

    what: str


@dataclass(frozen=True, slots=True)
class Unclear:
    """Something that a person should look at; ``why`` says so in English, without quoting the mail."""

    why: str
    uids: tuple[str, ...] = ()


Content = Report | OddReport | Reply | Automatic | Unclear


@dataclass(frozen=True, slots=True)
class Read:
    """What a mail says, to whom its headers say that it goes, and every address that stands anywhere in it."""

    content: Content
    recipients: tuple[str, ...] = ()
    mentioned: frozenset[str] = frozenset()


def read(raw: bytes) -> Read:
    """What a mail says. Never raises for what somebody may send."""
    try:
        message = message_from_bytes(raw, policy=policy.compat32)
        return Read(_content(message), tuple(_recipients(message)), mentioned(raw, message))
    except Exception as error:
        # The library's parsers fail in many ways on what nobody should send.
        return Read(Unclear(f"it cannot be parsed ({type(error).__name__})"), (), mentioned(raw, None))


def _content(message: Message) -> Content:
    parts = list(_parts(message))
    for part in parts:
        if part.get_content_type() == "message/delivery-status":
            return _report(part, parts)
    kind = str(message.get_param("report-type", "")).lower()
    if kind == "disposition-notification" or any(
        part.get_content_type() == "message/disposition-notification" for part in parts
    ):
        return Automatic("a receipt")
    if any(part.get_content_type() == "message/feedback-report" for part in parts):
        return Unclear("somebody reported a mail as unwanted")
    calendars = [part for part in parts if part.get_content_type() in ("text/calendar", "application/ics")]
    if calendars:
        return _calendar(message, calendars)
    return _without_form(message, parts)


def _parts(message: Message) -> Iterator[Message]:
    """The mail and all its parts but those of a mail that it returns, whose parts say nothing about this one."""
    waiting = [message]
    for _ in range(_MOST_PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        yield part
        kind = part.get_content_type()
        if kind.startswith("multipart/") and part.is_multipart():
            waiting = [*_inner(part), *waiting]


def _inner(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [each for each in payload if isinstance(each, Message)] if isinstance(payload, list) else []


# Reports -------------------------------------------------------------------------------------------------------------


def _report(status: Message, parts: Sequence[Message]) -> Content:
    recipients = []
    for block in _inner(status):
        action = _text(block, "Action").lower()
        if not action:
            continue
        diagnostic = _text(block, "Diagnostic-Code")
        recipients.append(
            RecipientReport(
                action=action.split()[0],
                status=_status(_text(block, "Status")) or _status(diagnostic),
                addresses=tuple(
                    address
                    for field in ("Final-Recipient", "Original-Recipient")
                    if (address := _typed_address(_text(block, field)))
                ),
                diagnostic=diagnostic[:_LONGEST_DIAGNOSTIC],
            )
        )
    if not recipients:
        return Unclear("a report of a delivery that names no recipient")
    return Report(tuple(recipients), _returned_ids(parts))


def _text(part: Message, field: str) -> str:
    return " ".join(str(part.get(field, "")).split())


def _status(text: str) -> str | None:
    found = _STATUS.search(text)
    return found[0] if found else None


def _typed_address(text: str) -> str:
    """The address of ``rfc822; noor@example.org`` (RFC 3464 §2.1.2), which some write without the type."""
    return text.rpartition(";")[2].strip().strip("<>")


def _returned_ids(parts: Sequence[Message]) -> tuple[str, ...]:
    """The Message-ID in the mail, or the headers, that a report returns (RFC 3462 §2)."""
    found = []
    for part in parts:
        kind = part.get_content_type()
        if kind == "message/rfc822":
            returned = _inner(part)
        elif kind in ("text/rfc822-headers", "message/rfc822-headers"):
            payload = part.get_payload(decode=True)
            returned = [message_from_bytes(payload, policy=policy.compat32)] if isinstance(payload, bytes) else []
        else:
            continue
        for each in returned:
            found += _MESSAGE_ID.findall(_text(each, "Message-ID"))
    return tuple(found)


def _without_form(message: Message, parts: Sequence[Message]) -> Content:
    automatic = _text(message, "Auto-Submitted").partition(";")[0].strip().lower() not in ("", "no")
    automatic = automatic or any(message.get(field) is not None for field in ("X-Autoreply", "X-Autorespond"))
    automatic = automatic or _text(message, "Precedence").lower() == "auto_reply"
    local = (_sender(message) or "").partition("@")[0].lower()
    if local not in _POSTMASTERS and automatic:
        return Automatic("an answering machine")
    if local in _POSTMASTERS or _text(message, "Return-Path") == "<>":
        # It takes a twentieth of a second to import, and almost every bounce is in the standard's form.
        from flufl.bounce import all_failures  # noqa: PLC0415

        temporary, permanent = all_failures(message)
        addresses = {each.decode("ascii", "replace") if isinstance(each, bytes) else each for each in permanent}
        if addresses:
            return OddReport(tuple(sorted(addresses)), _returned_ids(parts))
        if temporary:
            return Automatic("a mail server that still tries")
    return Automatic("an answering machine") if automatic else Unclear("somebody wrote")


# Calendars -----------------------------------------------------------------------------------------------------------


def _calendar(message: Message, parts: Sequence[Message]) -> Content:
    # It takes a seventh of a second to import, which a service that starts need not wait for.
    from icalendar import Calendar  # noqa: PLC0415

    why = "a calendar message that cannot be read"
    for part in parts:
        payload = part.get_payload(decode=True)
        if not isinstance(payload, bytes):
            continue
        try:
            calendar = Calendar.from_ical(payload)
            method = str(calendar.get("METHOD", part.get_param("method", ""))).upper()
            events = list(calendar.walk("VEVENT"))
            uids = tuple(str(each["UID"]) for each in events if "UID" in each)
            if method == "COUNTER":
                return Unclear("somebody proposes another time for a session", uids)
            if method != "REPLY":
                return Unclear("a calendar message that is no answer to an invitation", uids)
            answers = tuple(answer for event in events for answer in _answers(event))
        except (ValueError, KeyError, IndexError, AttributeError, TypeError, MessageError):
            continue
        if answers:
            return Reply(_sender(message), answers)
        why = "an answer to an invitation that does not say whose or which"
    return Unclear(why)


def _answers(event: Any) -> Iterator[Answered]:
    """Each attendee of one event. Raises what a parser raises for what is missing or malformed."""
    attendees = event["ATTENDEE"]
    stamp = event["DTSTAMP"].dt
    if not isinstance(stamp, datetime):
        raise TypeError("DTSTAMP has no time")
    for attendee in attendees if isinstance(attendees, list) else [attendees]:
        yield Answered(
            uid=str(event["UID"]),
            attendee=re.sub(r"(?i)^mailto:", "", str(attendee)).strip(),
            partstat=str(attendee.params.get("PARTSTAT", "NEEDS-ACTION")).upper(),
            sequence=int(event.get("SEQUENCE", 0)),
            # RFC 5545 §3.8.7.2 wants UTC.
            stamp=stamp if stamp.tzinfo is not None else stamp.replace(tzinfo=UTC),
        )


# Addresses -----------------------------------------------------------------------------------------------------------


def _sender(message: Message) -> str | None:
    """The address of the header From; None where it has none or several."""
    found = [address for _, address in getaddresses([str(each) for each in message.get_all("From", [])]) if address]
    return found[0] if len(found) == 1 else None


def _recipients(message: Message) -> Iterator[str]:
    for field in ("Delivered-To", "X-Original-To", "Envelope-To", "To"):
        for _, address in getaddresses([str(each) for each in message.get_all(field, [])]):
            if address:
                yield address


def mentioned(raw: bytes, message: Message | None) -> frozenset[str]:
    """Every address that stands in a mail, as it is or in its encoded parts, and in the mails that those return."""
    found: set[str] = set()

    def look(content: bytes) -> None:
        for each in _ADDRESS.finditer(content):
            if len(found) >= _MOST_ADDRESSES:
                return
            found.add(each[0].decode("ascii").strip(".").lower())

    look(raw)
    if message is not None:
        for number, part in enumerate(message.walk()):
            if number >= _MOST_PARTS:
                break
            payload = None if part.is_multipart() else part.get_payload(decode=True)
            if isinstance(payload, bytes):
                look(payload)
    return frozenset(found)
