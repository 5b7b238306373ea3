"""Reports of deliveries in the fields of RFC 3464 §2 and RFC 6533 §4, wherever a mail has them."""

from __future__ import annotations

import base64
import binascii
import quopri
import re
from collections.abc import Iterator
from email.generator import BytesGenerator
from email.message import Message
from io import BytesIO
from typing import Final

from services.notifications.incoming.bounds import LONGEST_ADDRESS, MOST_REPORTED, MOST_WITH_WORDS
from services.notifications.incoming.content import RecipientReport
from services.notifications.incoming.words import about, readable

STATUS_TYPES: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})

_FIELD = re.compile(
    r"[ \t]*(final-recipient|original-recipient|action|status|diagnostic-code)[ \t]*:[ \t]*(.*)", re.IGNORECASE
)
_OTHER_FIELD = re.compile(r"[ \t]*[A-Za-z][A-Za-z0-9_-]{0,40}[ \t]*:")
_STATUS = re.compile(r"(?<![\d.])[245]\.\d{1,3}\.\d{1,3}(?!\d|\.\d)")
_REPLY = re.compile(r"(?<![\w.])([245])\d\d(?![\w.])")
_ACTIONS: Final = {"undeliverable": "failed", "undelivered": "failed", "bounced": "failed", "rejected": "failed"}
_BEGINNINGS: Final = (("fail", "failed"), ("err", "failed"), ("expire", "failed"), ("delay", "delayed"))
"""What programs write in place of RFC 3464 §2.3.3's words."""
_WORDS = frozenset({"delivered", "relayed", "expanded", "deliverable", "queued"})
_MOST_LINES = 20_000
_LONGEST_DIAGNOSTIC = 600

_Fields = dict[str, str]


def status_text(part: Message) -> str:
    """The fields of a part that has them, however it is encoded: the library parses such a part without decoding it."""
    written = BytesIO()
    payload = part.get_payload()
    for each in payload if isinstance(payload, list) else [part]:
        if isinstance(each, Message):
            whole = BytesIO()
            BytesGenerator(whole, mangle_from_=False, maxheaderlen=0).flatten(each)
            # Without blocks of its own it is the part itself, whose headers end with the first blank line.
            written.write(whole.getvalue() if each is not part else whole.getvalue().partition(b"\n\n")[2])
            written.write(b"\n\n")
    text = written.getvalue()
    match str(part.get("Content-Transfer-Encoding", "")).strip().lower():
        case "base64":
            try:
                text = base64.b64decode(b"".join(text.split()))
            except binascii.Error:
                return ""
        case "quoted-printable":
            text = quopri.decodestring(text)
        case _:
            pass
    return text.decode("utf-8", "replace")


def recipients(text: str, words: str, *, delayed: bool = False) -> tuple[RecipientReport, ...]:
    """
    What a text with such fields says of each recipient; nothing of those about whom it says nothing.

    Args:
        words: what the report says to a person.
        delayed: whether those words say that it is still tried: for fields without a word that says what was done.
    """
    found = [fields for fields in _blocks(text) if _addresses(fields)][:MOST_REPORTED]
    everybody = [address for fields in found for address in _addresses(fields)]
    reports = []
    for number, fields in enumerate(found):
        report = _report(fields, delayed=delayed)
        if report is None:
            continue
        own = set(report.addresses)
        said = ""
        if number < MOST_WITH_WORDS:
            said = about(words, report.addresses, [each for each in everybody if each not in own])
        reports.append(RecipientReport(report.action, report.status, report.addresses, report.diagnostic, said))
    return tuple(reports)


def _report(fields: _Fields, *, delayed: bool) -> RecipientReport | None:
    diagnostic = readable(fields.get("diagnostic-code", ""))
    written = readable(fields.get("status", ""))
    status = _STATUS.search(written) or _STATUS.search(diagnostic)
    action = _action(fields.get("action", ""))
    if action is None:
        replied = _REPLY.search(diagnostic)
        kind = status[0][0] if status else replied[1] if replied else None
        if kind is None:
            return None
        action = "delivered" if kind == "2" else "delayed" if delayed else "failed"
    comment = written.replace(status[0], "", 1).strip() if status else written
    said = " ".join(each for each in (diagnostic, comment) if each)
    return RecipientReport(
        action, status[0] if status else None, _addresses(fields), said[:_LONGEST_DIAGNOSTIC].strip()
    )


def _action(text: str) -> str | None:
    word = "".join(text.lower().split()[:1]).strip("();,.")
    if word in _WORDS:
        return word
    return _ACTIONS.get(word) or next((action for begin, action in _BEGINNINGS if word.startswith(begin)), None)


def _addresses(fields: _Fields) -> tuple[str, ...]:
    """
    The addresses of ``rfc822; noor@example.org`` (RFC 3464 §2.1.2), which some write without the type.

    In the order of who was mailed last and first: an address may have been forwarded.
    """
    found = (
        readable(fields.get(field, "")).rpartition(";")[2].strip().strip("<>")
        for field in ("final-recipient", "original-recipient")
    )
    return tuple(each for each in found if 0 < len(each) <= LONGEST_ADDRESS)


def _blocks(text: str) -> Iterator[_Fields]:
    """The fields of each recipient: blank lines part them, or one that comes again."""
    fields: _Fields = {}
    last = ""
    for line in text.splitlines()[:_MOST_LINES]:
        found = _FIELD.match(line)
        if found:
            last = found[1].lower()
            if last in fields:
                yield fields
                fields = {}
            fields[last] = found[2]
        elif not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif last and line[:1] in " \t" and not _OTHER_FIELD.match(line):
            fields[last] += f" {line.strip()}"
        else:
            last = ""
    if fields:
        yield fields


def has_fields(text: str) -> bool:
    """Whether a text may be a report in fields that somebody wrote as words."""
    lowered = text.lower()
    return "final-recipient" in lowered or "original-recipient" in lowered
