"""What a failed delivery says about an address (RFC 3463, RFC 5321 §4.2, RFC 7504), whoever reports it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final, TypeAlias

from contracts.facts import DeliveryVerdict
from services.notifications.domain.wording import (
    Stage,
    code_within,
    is_certain,
    is_hearsay,
    is_temporary,
    kind_of,
    probably_gone,
    stage_of,
)

Verdict: TypeAlias = DeliveryVerdict

WINDOW = timedelta(days=14)
DAYS_FAILING = 3
"""An address that fails on so many days within this time gets nothing more."""
DAYS_UNREACHABLE = 5
"""The same where its server did not answer on some of the days: those pass more often."""

_DETAILS: Final[dict[str, Verdict]] = {
    "1.7": "ours",
    "1.8": "ours",
    "1.20": "ours",
    "1.90": "ours",
    "2.3": "ours",
    "3.4": "ours",
    "4.4": "gone",
    "4.310": "gone",
    "7.13": "failing",
}
"""
What codes say that differ from their subject's others.

The sender's address (RFC 3463 §3.2, RFC 7372, Exchange), too large (§3.3, §3.4), no such domain (§3.5, Exchange), and a
mailbox that is disabled (RFC 5248).
"""
_SUBJECTS: Final[dict[str, Verdict]] = {"1": "gone", "2": "failing", "4": "unreachable", "6": "ours", "7": "ours"}
_GENERIC: Final = frozenset({"2.0", "5.0"})
_DIRECTORY: Final = frozenset({"4.3", "4.6", "4.14"})
"""What the network's subject has of a recipient's own system: its directory, its loops."""


def judge(status: str | None, said: str, words: str = "", stage: Stage | None = None) -> Verdict | None:
    """
    What one failed delivery says; None where neither code nor words say anything.

    Words correct the code: servers give one code for everything that they refuse, and reports repeat it.

    Args:
        status: the enhanced code of the report or the reply (RFC 3463), if it has one.
        said: what the refusing server said: a Diagnostic-Code (RFC 3464 §2.3.6), or a reply.
        words: what else the report says about this recipient, to a person.
        stage: at what it was refused, where that is known by other than words.
    """
    code = code_within(said) or (status if status and not _says_nothing(status) else None)
    stage = stage or stage_of(said) or stage_of(words)
    for text in (said, words):
        kind = kind_of(text)
        if kind == "gone" and stage is Stage.MESSAGE and not is_certain(text) and not (code or "").startswith("5.1."):
            # A server that took the address before it saw the mail has it: filters say such things afterwards.
            return "failing"
        if kind == "gone" and code is None and is_hearsay(text):
            return "failing"
        if text and stage is Stage.SENDER and kind in (None, "gone"):
            # Whom the mail was for had not been said yet.
            return "ours"
        if kind is not None:
            return kind
        # What may pass by its code may have passed into something else by its words.
        if code is not None and code.startswith("5.") and (verdict := _of_code(code)) is not None:
            # A code that no server's words stand beside is the reporter's own: what else he says may be milder.
            milder = kind_of(words) if verdict == "gone" and not said else None
            return milder or verdict
        code = code or code_within(words)
        if probably_gone(text) and not is_temporary(code, text):
            return "gone" if stage is not Stage.MESSAGE else "failing"
    return _of_code(code) if code is not None else None


def _of_code(code: str) -> Verdict | None:
    kind, _, detail = code.partition(".")
    subject = detail.partition(".")[0]
    if kind != "5":
        return {"1": "failing", "4": "failing" if detail in _DIRECTORY else "unreachable"}.get(
            subject, _SUBJECTS.get(subject)
        )
    if detail in _DETAILS:
        return _DETAILS[detail]
    if detail in _GENERIC or subject == "3":
        return None
    if detail in _DIRECTORY:
        return "failing"
    # Everything else about the protocol is between their server and ours.
    return "ours" if subject == "5" else _SUBJECTS.get(subject)


def _says_nothing(code: str) -> bool:
    return code[1:] == ".0.0"


def worn_out(failures: Iterable[tuple[date, Verdict]]) -> str:
    """
    Why an address that failed on these days gets nothing more; "" while it does.

    Several mails of one day count once: they met the same moment.
    """
    counted = [(day, verdict) for day, verdict in failures if verdict != "ours"]
    answered = {day for day, verdict in counted if verdict != "unreachable"}
    if len(answered) >= DAYS_FAILING:
        return f"mails came back on {DAYS_FAILING} days within {WINDOW.days}"
    if len({day for day, _ in counted}) >= DAYS_UNREACHABLE:
        return f"mails came back on {DAYS_UNREACHABLE} days within {WINDOW.days}, its server did not answer"
    return ""
