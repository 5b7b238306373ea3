"""Mails that a person has to decide on, and addresses to which nothing is sent."""

from __future__ import annotations

from cli.connection import Connection
from cli.doctor.findings import Report, Section
from cli.failure import Failure
from contracts.problem import ProblemError
from contracts.queries import (
    Everything,
    MailList,
    MailsQuestion,
    ReceivedList,
    ReceivedQuestion,
    SuppressionList,
)


def examine(report: Report, connection: Connection) -> None:
    """What a person has to decide; when notifications does not answer that is a finding already."""
    try:
        uncertain = connection.ask("notifications", "mail", "list", MailsQuestion(status="uncertain"), MailList)
        received = connection.ask(
            "notifications", "received", "list", ReceivedQuestion(unread=True, limit=1), ReceivedList
        )
        failed = connection.ask("notifications", "mail", "list", MailsQuestion(status="failed"), MailList)
        suppressed = connection.ask("notifications", "suppression", "list", Everything(), SuppressionList)
    except (ProblemError, Failure):
        return
    report.checked.append("mails")
    ours = sum(mail.verdict == "ours" for mail in failed.mails)
    waiting: tuple[tuple[int, str, str, str, Section], ...] = (
        (
            len(uncertain.mails),
            "mails-uncertain",
            "of how many nobody knows whether they arrived: {}.",
            "'deelname mail list --status uncertain' lists them; then 'deelname mail retry MAIL' for each that should"
            " go again.",
            "mails-of-unknown-fate",
        ),
        (
            ours,
            "mails-refused-because-of-us",
            "how many were refused because of the sender, the way or the content: {}.",
            "'deelname mail list --status failed' has the servers' words (SPF, a block list, too large …); once it is"
            " mended, 'deelname mail retry MAIL' for each. It counts against no address.",
            "mails-refused-because-of-us",
        ),
        (
            len(failed.mails) - ours,
            "mails-failed",
            "how many did not arrive: {}.",
            "'deelname mail list --status failed' says why; once it is mended, 'deelname mail retry MAIL' for each. Of"
            " addresses that do not exist the programmes' contacts were told.",
            "addresses-to-which-nothing-is-sent",
        ),
        (
            received.unread or len(received.received),
            "mails-unread",
            "how many came in and wait for a person: {}.",
            "'deelname mail received --unread' lists them, 'deelname mail received NUMBER' shows one; then"
            " 'deelname mail dismiss NUMBER' for each that is dealt with.",
            "mails-that-wait-for-a-person",
        ),
        (
            len(suppressed.suppressed),
            "addresses-suppressed",
            "how many addresses get nothing, because mails to them came back: {}.",
            "'deelname mail suppressed' lists them; correct a person's address, or 'deelname mail lift' one.",
            "addresses-to-which-nothing-is-sent",
        ),
    )
    for number, code, what, remedy, section in waiting:
        if number:
            text = what.format(f"{number} or more" if number >= 100 else number)
            report.add("mails", code, text, remedy, section, wrong=False)
