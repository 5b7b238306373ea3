"""
What a mail that came in says. Pure, and deaf to every kind of malformed input: what can't be read is ``Unclear``.

A mail's headers and parts were written by anybody: nothing here decides whether they are to be believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from email.message import Message
from email.utils import getaddresses

from services.notifications.incoming.addresses import mentioned
from services.notifications.incoming.bounds import ADDRESSED, TooMuch, parse
from services.notifications.incoming.calendars import calendar_content
from services.notifications.incoming.content import (
    Automatic,
    Content,
    OddReport,
    Read,
    RecipientReport,
    Report,
    Unclear,
)

_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?![\d.])")
_MESSAGE_ID = re.compile(r"<[^<>\s]{3,250}>")
_POSTMASTERS = frozenset({"mailer-daemon", "postmaster", "mail-daemon", "mdaemon", "root"})
_MOST_PARTS = 200
_MOST_REPORTED = 200
_MOST_RETURNED = 20
_MOST_RECIPIENTS = 100
_LONGEST_ADDRESS = 320
_LONGEST_WORD = 20
_LONGEST_DIAGNOSTIC = 300
_ODD_OCTETS = 250_000
"""Where words stand instead of a standard's form, they stand first, before a mail that they return."""


def read(raw: bytes) -> Read:
    """
    What a mail says. Never raises for what somebody may send.

    Raises:
        MemoryError: there is not enough memory for it.
    """
    try:
        message = parse(raw)
        return Read(_content(message, raw), tuple(_recipients(message)), mentioned(raw, message))
    except MemoryError:
        raise
    except TooMuch as error:
        return unread(raw, str(error))
    except Exception as error:
        # The library's parsers fail in many ways on what nobody should send.
        return Read(Unclear(f"it cannot be parsed ({type(error).__name__})"), (), mentioned(raw, None))


def unread(raw: bytes, why: str) -> Read:
    """What is known about a mail that was not parsed."""
    return Read(Unclear(f"it was not read: {why}"), (), mentioned(raw, None))


def _content(message: Message, raw: bytes) -> Content:
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
    return calendar_content(message, _sender(message), parts) or _without_form(message, parts, raw)


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
    for block in _inner(status)[:_MOST_REPORTED]:
        action = _text(block, "Action").lower()
        if not action:
            continue
        diagnostic = _text(block, "Diagnostic-Code")
        recipients.append(
            RecipientReport(
                action=action.split()[0][:_LONGEST_WORD],
                status=_status(_text(block, "Status")) or _status(diagnostic),
                addresses=tuple(
                    address
                    for field in ("Final-Recipient", "Original-Recipient")
                    if 0 < len(address := _typed_address(_text(block, field))) <= _LONGEST_ADDRESS
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
            returned = [parse(payload)] if isinstance(payload, bytes) else []
        else:
            continue
        for each in returned:
            found += _MESSAGE_ID.findall(_text(each, "Message-ID"))
    return tuple(found[:_MOST_RETURNED])


def _without_form(message: Message, parts: Sequence[Message], raw: bytes) -> Content:
    automatic = _text(message, "Auto-Submitted").partition(";")[0].strip().lower() not in ("", "no")
    automatic = automatic or any(message.get(field) is not None for field in ("X-Autoreply", "X-Autorespond"))
    automatic = automatic or _text(message, "Precedence").lower() == "auto_reply"
    local = (_sender(message) or "").partition("@")[0].lower()
    if local not in _POSTMASTERS and automatic:
        return Automatic("an answering machine")
    if local in _POSTMASTERS or _text(message, "Return-Path") == "<>":
        # It takes a twentieth of a second to import, and almost every bounce is in the standard's form.
        from flufl.bounce import all_failures  # noqa: PLC0415

        temporary, permanent = all_failures(message if len(raw) <= _ODD_OCTETS else parse(raw[:_ODD_OCTETS]))
        addresses = {each.decode("ascii", "replace") if isinstance(each, bytes) else each for each in permanent}
        if addresses:
            fit = sorted(each for each in addresses if len(each) <= _LONGEST_ADDRESS)
            return OddReport(tuple(fit[:_MOST_REPORTED]), _returned_ids(parts))
        if temporary:
            return Automatic("a mail server that still tries")
    return Automatic("an answering machine") if automatic else Unclear("somebody wrote")


# Addresses -----------------------------------------------------------------------------------------------------------


def _sender(message: Message) -> str | None:
    """The address of the header From; None where it has none or several."""
    found = _addresses([str(each) for each in message.get_all("From", [])])
    return found[0] if len(found) == 1 and len(found[0]) <= _LONGEST_ADDRESS else None


def _recipients(message: Message) -> Iterator[str]:
    for field in ("Delivered-To", "X-Original-To", "Envelope-To", "To"):
        found = _addresses([str(each) for each in message.get_all(field, [])])
        yield from (each for each in found[:_MOST_RECIPIENTS] if len(each) <= _LONGEST_ADDRESS)


def _addresses(values: list[str]) -> list[str]:
    """All addresses of a header; none where they are too many octets."""
    if sum(map(len, values)) > ADDRESSED:
        return []
    return [address for _, address in getaddresses(values) if address]
