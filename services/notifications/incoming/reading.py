"""
What a mail that came in says. Pure, and deaf to every kind of malformed input: what can't be read is ``Unclear``.

A mail's headers and parts were written by anybody: nothing here decides whether they are to be believed.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from email.message import Message

from services.notifications.incoming.addresses import mentioned
from services.notifications.incoming.bounds import LONGEST_ADDRESS, MOST_REPORTED, MOST_WITH_WORDS, TooMuch, parse
from services.notifications.incoming.calendars import calendar_content
from services.notifications.incoming.content import Automatic, Content, OddReport, Read, Report, Unclear
from services.notifications.incoming.headers import header, sender
from services.notifications.incoming.headers import recipients as addressed
from services.notifications.incoming.machines import answers_by_itself, is_mail_system, is_of_a_machine, only_warns
from services.notifications.incoming.reporting import STATUS_TYPES, has_fields, recipients, status_text
from services.notifications.incoming.words import about, in_lines, words_of

_MESSAGE_ID = re.compile(r"<[^<>\s]{3,250}>")
_RECEIPTS = frozenset({"message/disposition-notification", "message/global-disposition-notification"})
_DISPOSITION = re.compile(r"^[ \t]*disposition[ \t]*:[ \t]*([^\r\n]{1,200})", re.IGNORECASE | re.MULTILINE)
_FINAL = re.compile(
    r"^[ \t]*final-recipient[ \t]*:[ \t]*(?:[a-z0-9-]{1,20}[ \t]*;)?[ \t]*<?([^<>\s;]{3,320})",
    re.IGNORECASE | re.MULTILINE,
)
_NOT_READ = re.compile(r"\b(?:without being read|not read|ongelezen|niet gelezen|ungelesen)", re.IGNORECASE)
_NOT_DELIVERED = re.compile(
    r"\breject|\brefus|\bdenied|\bundeliver|\bfail(?:ed|ure)|\breturned (?:mail|message|to sender)|\bfatal errors?"
    r"|(?:\bnot|n't|\bunable to) (?:be |been )?(?:\S+ )?(?:deliver|accept|sen[dt]\b|reach)|\btranscript of session"
    r"|\bdelivery (?:errors?|problems?)|\berrors?:|\ban error\b|\bgeweiger|\bniet (?:\S+ ){0,3}(?:bezorg|aflever|verz)"
    r"|\bonbestelbaar|\bzugestellt|\bunzustellbar|\babgelehnt|\bnon remis|\brecapit|\bno pudo ser",
    re.IGNORECASE,
)
_SPEAKS_AS_SERVERS_DO = re.compile(
    r"(?<![\w.])(?:[45]\d\d[ -]|[45]\.\d{1,3}\.\d{1,3}(?!\.?\d))|\bundeliver|\bunzustellbar|\bonbestelbaar"
    r"|(?:\bnot|n't|\bunable to) (?:be |been )?deliver|\bdelivery\b.{0,40}\bfail|\bdid not (?:receive|reach)"
    r"|\breturned (?:mail|message|to sender)|\bniet (?:\S+ ){0,3}(?:bezorg|aflever)|\bzugestellt",
    re.IGNORECASE,
)
_PLAUSIBLE = re.compile(r"[^\s<>\"'(),:;\[\]{}]{1,64}@[\w.-]{1,255}")
_MOST_PARTS = 200
_MOST_RETURNED = 20
_LONGEST_WORDS = 2_000
_ODD_OCTETS = 250_000
_ODD_LINES = 20_000
"""Where words stand instead of a standard's form, they stand first, before a mail that they return."""


def read(raw: bytes, null_sender: bool | None = None) -> Read:
    """
    What a mail says. Never raises for what somebody may send.

    Args:
        null_sender: whether the envelope says that nobody sent it (RFC 5321 §4.5.5); None where no envelope is known.

    Raises:
        MemoryError: there is not enough memory for it.
    """
    try:
        message = parse(raw)
        if null_sender is None:
            null_sender = header(message, "Return-Path") in ("<>", "<MAILER-DAEMON>")
        content = _content(message, raw, null_sender=null_sender)
        return Read(content, tuple(addressed(message)), mentioned(raw, message), sender(message))
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


def _content(message: Message, raw: bytes, *, null_sender: bool) -> Content:
    parts = list(_parts(message))
    words = words_of(parts)
    for part in parts:
        if part.get_content_type() in STATUS_TYPES:
            delayed = only_warns(message, words)
            found = recipients(status_text(part), words, delayed=delayed)
            if found:
                return Report(found, _returned_ids(parts))
    kind = str(message.get_param("report-type", "")).lower()
    if any(part.get_content_type() == "message/feedback-report" for part in parts):
        return Unclear("somebody reported a mail as unwanted")
    receipts = [part for part in parts if part.get_content_type() in _RECEIPTS]
    if receipts or kind == "disposition-notification":
        return _receipt(receipts, parts, words)
    answer = calendar_content(message, sender(message), parts, words)
    if answer is not None:
        return answer
    if answers_by_itself(message, null_sender=null_sender):
        return Automatic("an answering machine")
    return _without_form(message, parts, raw, words, null_sender=null_sender)


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


def _receipt(receipts: Sequence[Message], parts: Sequence[Message], words: str) -> Content:
    """
    A notification of what became of a mail (RFC 8098): a receipt, or how a filter refuses one (RFC 5429 §2.1).

    What its recipient deleted has arrived.
    """
    text = "\n".join(status_text(part) for part in receipts)
    said = _DISPOSITION.search(text)
    disposition = said[1].lower() if said else ""
    kind, _, outcome = disposition.partition(";")
    refused = re.search(r"\b(?:failed|denied|error|rejected)\b", outcome) is not None
    deleted = "deleted" in outcome and "automatic-action" in kind and not _NOT_READ.search(words)
    if not refused and not (deleted and _NOT_DELIVERED.search(words)):
        return Automatic("a receipt")
    addresses = [each for each in _FINAL.findall(text) if len(each) <= LONGEST_ADDRESS][:MOST_REPORTED]
    if not addresses:
        return Unclear("a mail system refused a mail and does not say for whom")
    returned = (*_returned_ids(parts), *_MESSAGE_ID.findall(text))[:_MOST_RETURNED]
    return OddReport(tuple(addresses), returned, tuple(_about_each(words, addresses)))


def _about_each(words: str, addresses: Sequence[str]) -> Iterator[str]:
    for address in addresses[:MOST_WITH_WORDS]:
        yield about(words, [address], [each for each in addresses if each != address])


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
            found += _MESSAGE_ID.findall(header(each, "Message-ID"))
    return tuple(found[:_MOST_RETURNED])


def _failures(message: Message) -> tuple[set[bytes], set[bytes]]:
    """The addresses that failed for now and for good, as far as flufl.bounce knows the form."""
    # It takes a twentieth of a second to import, and almost every bounce is in the standard's form.
    from flufl.bounce import all_failures  # noqa: PLC0415

    # It would write a traceback for each mail that one of its detectors fails on.
    logging.getLogger("flufl.bounce").disabled = True
    nameless = "From" not in message
    if nameless:
        # One of them takes it for granted, and all that come after it would not be asked.
        message["From"] = "nobody@invalid"
    try:
        temporary, permanent = all_failures(message)
    except MemoryError:
        raise
    except Exception:
        return set(), set()
    finally:
        if nameless:
            del message["From"]
    return set(temporary), set(permanent)


def _without_form(message: Message, parts: Sequence[Message], raw: bytes, words: str, *, null_sender: bool) -> Content:
    reports = is_mail_system(message) or message.get_content_type() == "multipart/report"
    machine = reports or null_sender
    if machine and has_fields(words):
        found = recipients(words, words, delayed=only_warns(message, words))
        if found:
            return Report(found, _returned_ids(parts))
    beginning = b"\n".join(raw[:_ODD_OCTETS].split(b"\n", _ODD_LINES)[:_ODD_LINES])
    temporary, permanent = _failures(message if beginning == raw else parse(beginning))
    known = {each.decode("ascii", "replace") if isinstance(each, bytes) else each for each in permanent}
    addresses = sorted(each for each in known if _PLAUSIBLE.fullmatch(each))[:MOST_REPORTED]
    if machine and (only_warns(message, words) or (temporary and not addresses)):
        return Automatic("a mail server that still tries")
    if addresses:
        return OddReport(tuple(addresses), _returned_ids(parts), tuple(_about_each(words, addresses)))
    # Programs that answer for people have no sender either: only what speaks as servers do is a report.
    tells = reports or (null_sender and _SPEAKS_AS_SERVERS_DO.search(words))
    if tells and _NOT_DELIVERED.search(f"{header(message, 'Subject')[:300]} {words}"):
        return OddReport((), _returned_ids(parts), (in_lines(words)[:_LONGEST_WORDS],))
    if machine:
        return Unclear("a mail system wrote, and not what about")
    return Automatic("an answering machine") if is_of_a_machine(message) else Unclear("somebody wrote")
