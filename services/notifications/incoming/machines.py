"""Who wrote a mail: a mail system that reports, a machine that answers for a person, or a person."""

from __future__ import annotations

import re
from email.message import Message

from services.notifications.incoming.headers import header

_MAIL_SYSTEM = re.compile(
    r"\b(?:mailer|mail|post|delivery)[-_. ]?(?:daemon|master|system|deliver)|\bmdaemon|<root@|^root@"
    r"|\bdeliver[a-z]*[-_. ](?:sub)?system|\bmicrosoftexchange[0-9a-f]{8}",
    re.IGNORECASE,
)
_ABSENT = re.compile(
    r"\s*(?:automatic (?:reply|response)|auto[- ]?(?:reply|response)|automatische? (?:antwoord|antwort)"
    r"|out of (?:the )?office|afwezig|abwesenheit|r.ponse automatique|respuesta autom.tica|risposta automatica)",
    re.IGNORECASE,
)
"""How the subjects begin of what programs answer for who is away."""
_WARNS = re.compile(
    r"\bwarning (?:message )?only\b|\bonly a (?:notification about a delay|warning)|\bjust a warning|\badvisory-only"
    r"|\b(?:do not|don't|no) need to re-?send|\bdelivery attempts will continue|\bwill continue to (?:attempt|try)"
    r"|\btemporary failure report|\bstill being retried|\bis still awaiting delivery|\bhas not yet been delivered"
    r"|\bwill be retried (?:for|until)",
    re.IGNORECASE,
)
_WARNING = re.compile(
    r"(?:(?:mail )?delivery status notification) \((?:mail delivery )?delay(?:ed)?\)|\W*delayed mail|\W*message delayed"
    r"|\W*(?:mail )?delivery (?:delayed|warning)|\W*delivery notification: delivery has been delayed"
    r"|\W*warning\W{1,3}(?:could not send|message .{0,60}(?:delayed|not yet))",
    re.IGNORECASE,
)
"""How the subject of such a report begins; a subject of ours that it repeats stands behind other words."""
_SAY_VACATION = ("X-Apple-Action", "X-Apple-Criteria", "Auto-Submitted")
_LOOKED_AT = 4_000


def is_mail_system(message: Message) -> bool:
    """Whether the header From is that of a mail system, or of nobody."""
    sender = header(message, "From")
    return sender.endswith("<>") or _MAIL_SYSTEM.search(sender) is not None


def answers_by_itself(message: Message, *, null_sender: bool) -> bool:
    """
    Whether a machine answered for a person (RFC 3834 §5, and what came before it).

    What a mail system calls an answer is none: filters' reports do. Nor is what has a report's type.
    """
    if message.get_content_type() == "multipart/report":
        return False
    if any("VACATION" in header(message, field).upper() for field in _SAY_VACATION):
        return True
    if is_mail_system(message):
        return False
    if _submitted(message) == "auto-replied" or header(message, "Precedence").lower() == "auto_reply":
        return True
    if any(message.get(field) is not None for field in ("X-Autoreply", "X-Autorespond", "X-Autoresponder")):
        return True
    # Exchange before 2013 said it by this alone; what it wants suppressed is what would answer an answer.
    return null_sender and (
        message.get("X-Auto-Response-Suppress") is not None or _ABSENT.match(header(message, "Subject")) is not None
    )


def is_of_a_machine(message: Message) -> bool:
    """Whether no person wrote a mail, by its own word."""
    return _submitted(message) not in ("", "no")


def only_warns(message: Message, words: str) -> bool:
    """Whether a report says in words that the mail is still tried."""
    beginning = " ".join(words[:_LOOKED_AT].split())
    return _WARNS.search(beginning) is not None or _WARNING.match(header(message, "Subject")[:300]) is not None


def _submitted(message: Message) -> str:
    return header(message, "Auto-Submitted").partition(";")[0].partition("(")[0].strip().lower()
