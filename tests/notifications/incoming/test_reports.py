"""Reports of failed deliveries in the shapes that mail systems give them, and what is none and looks like one."""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from quopri import encodestring

import pytest

from benchmarks import bounces
from services.notifications.domain.failures import about
from services.notifications.incoming.content import OddReport, Read, Report
from services.notifications.incoming.reading import read
from tests.notifications.inbox import returned

TO = "bounce+1@deelname.example"
NOOR = "noor@bibliotheek.example"
MAILS = Path(__file__).with_name("mails")


def verdict(raw: bytes, null_sender: bool | None = None, mailed: str = NOOR) -> str:
    """What a mail is taken for, in a word."""
    return meaning(read(raw, null_sender), mailed)


def meaning(found: Read, mailed: str = NOOR) -> str:
    content = found.content
    if isinstance(content, Report | OddReport):
        said = about(content, mailed)
        return (said.verdict or "kept") if said.done == "failed" else said.done
    return {"Automatic": "automatic", "Unclear": "kept"}.get(type(content).__name__, type(content).__name__)


VERDICTS = Path(__file__).with_name("verdicts.tsv")


def test_each_mail_that_once_was_misread_is_taken_for_what_it_is() -> None:
    """With the words of those who measure: mails and verdicts of others can be put in their place."""
    found = list(bounces.judged(MAILS, VERDICTS))
    assert [each for each in found if not each.right] == []
    figures = bounces.figures(found)
    assert figures == bounces.Figures(mails=17, gone=(9, 9), alive=(7, 0), lost=0, answers=0, right=17)


def test_what_is_wrong_is_counted_as_what_it_costs() -> None:
    def judged(wanted: str, found: str) -> bounces.Judged:
        return bounces.Judged("x.eml", "x", wanted, found)

    wrong = [
        judged("gone", "failing"),
        judged("alive", "gone"),
        judged("ours", "gone"),
        judged("person", "automatic"),
        judged("alive", "delayed"),
        judged("automatic", "failing"),
    ]
    assert bounces.figures(wrong) == bounces.Figures(mails=6, gone=(1, 0), alive=(3, 2), lost=2, answers=1, right=0)


def report(part: str, *, words: str = "It did not arrive.", kind: str = "message/delivery-status") -> bytes:
    return (
        f"Return-Path: <>\r\nFrom: MAILER-DAEMON@relay.example\r\nTo: {TO}\r\nSubject: Undelivered\r\n"
        "MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=delivery-status; boundary=q7\r\n\r\n"
        f"--q7\r\nContent-Type: text/plain\r\n\r\n{words}\r\n\r\n--q7\r\nContent-Type: {kind}\r\n{part}\r\n--q7--\r\n"
    ).encode()


FIELDS = (
    f"Reporting-MTA: dns; relay.example\r\n\r\nFinal-Recipient: rfc822; {NOOR}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
)
IN_BASE64 = "Content-Transfer-Encoding: base64\r\n\r\n" + b64encode(FIELDS.encode()).decode()
QUOTED = "Content-Transfer-Encoding: quoted-printable\r\n\r\n" + encodestring(FIELDS.encode()).decode()


@pytest.mark.parametrize("kind", ["message/delivery-status", "message/global-delivery-status"])
@pytest.mark.parametrize("part", ["\r\n" + FIELDS, IN_BASE64, QUOTED], ids=["as it is", "base64", "quoted-printable"])
def test_the_fields_of_a_report_are_read_however_its_part_is_named_and_encoded(kind: str, part: str) -> None:
    if kind == "message/global-delivery-status":
        part = part.replace("rfc822;", "utf-8;")
    found = read(report(part, kind=kind)).content
    assert isinstance(found, Report)
    (recipient,) = found.recipients
    assert (recipient.action, recipient.status, recipient.addresses) == ("failed", "5.1.1", (NOOR,))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ("Action: failed (Bad destination mailbox address)\r\nStatus: 5.1.1", "gone"),
        ("Action: failure\r\nStatus: 553 Exceeded maximum inbound message size", "ours"),
        ("Action: error\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; 550 user unknown", "gone"),
        ("Action: expired\r\nStatus: \r\nDiagnostic-Code: Connection timed out", "unreachable"),
        ("Action: faild\r\nStatus: 5.1.1", "gone"),
        ("Akcja: failed\r\nStatus: 5.1.1 (user unknown)", "gone"),
        ("Status: 5.0.0 (recipient reached disk quota)\r\nAction: failed", "failing"),
        ("Diagnostic-Code: smtp; 550 5.1.1 no such user", "gone"),
        ("Action: delayed\r\nStatus: 4.4.1", "delayed"),
        ("Action: Delayed\r\nStatus: 4.4.1", "delayed"),
        ("Status: 2.1.5\r\nDiagnostic-Code: smtp; 250 2.1.5 OK", "other"),
        ("Action: relayed\r\nStatus: 2.1.9", "other"),
    ],
)
def test_a_recipients_block_is_read_with_the_words_that_programs_have_for_it(fields: str, expected: str) -> None:
    assert (
        verdict(report(f"\r\nReporting-MTA: dns; x\r\n\r\nFinal-Recipient: rfc822; {NOOR}\r\n{fields}\r\n")) == expected
    )


def test_of_several_recipients_each_has_a_verdict_of_its_own_also_within_one_block() -> None:
    block = "Final-Recipient: rfc822; {}\r\nAction: failed\r\nStatus: 5.0.0\r\nDiagnostic-Code: smtp; 550 {}\r\n"
    both = block.format("sam@bibliotheek.example", "Mailbox full") + block.format(NOOR, "User unknown")
    raw = report(f"\r\nReporting-MTA: dns; x\r\n\r\n{both}")
    assert (verdict(raw), verdict(raw, mailed="sam@bibliotheek.example")) == ("gone", "failing")


def test_of_words_about_several_recipients_each_has_his_own() -> None:
    raw = returned.qmail(TO, NOOR).replace(
        b"(#5.1.1)\r\n", b"(#5.1.1)\r\n\r\n<sam@bibliotheek.example>:\r\nThe mailbox is full. (#5.2.2)\r\n"
    )
    assert (verdict(raw), verdict(raw, mailed="sam@bibliotheek.example")) == ("gone", "failing")


def test_of_words_of_no_known_form_each_recipient_has_the_lines_from_his_address_on() -> None:
    raw = (
        b"From: Mailer Daemon <mailer-daemon@x.example>\r\nSubject: Delivery status notification: error\r\n\r\n"
        b"An error has occurred for this list of recipients:\r\n\r\n"
        b"sam@bibliotheek.example: 550 5.2.2 Mailbox full\r\nnoor@bibliotheek.example:\r\n 550 5.1.1 User unknown\r\n"
    )
    assert (verdict(raw), verdict(raw, mailed="sam@bibliotheek.example")) == ("gone", "failing")
    reason_first = raw.partition(b"sam@")[0] + b"User unknown:\r\nnoor@bibliotheek.example\r\n"
    assert verdict(reason_first) == "gone"


def test_words_of_ours_that_a_report_repeats_say_nothing() -> None:
    words = "Your message\r\n  Subject: Spam en virussen: wat doe je eraan?\r\nwas not delivered to noor: user unknown"
    fields = f"\r\nFinal-Recipient: rfc822; {NOOR}\r\nAction: failed\r\nStatus: 5.0.0\r\n"
    assert verdict(report(fields, words=words)) == "gone"
    returned_mail = (
        "User unknown\r\n\r\n----- Original message -----\r\nSubject: x\r\n\r\nYour mailbox is full of spam."
    )
    assert verdict(report(fields, words=returned_mail)) == "gone"


RECEIPT = (
    f"From: {{sender}}\r\nTo: {TO}\r\nAuto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/report; report-type=disposition-notification; boundary=q7\r\n\r\n"
    "--q7\r\nContent-Type: text/plain\r\n\r\n{words}\r\n\r\n--q7\r\n"
    f"Content-Type: message/disposition-notification\r\n\r\nFinal-Recipient: rfc822;{NOOR}\r\n"
    "Disposition: {disposition}\r\n\r\n--q7--\r\n"
)


@pytest.mark.parametrize(
    ("disposition", "words", "expected"),
    [
        ("manual-action/MDN-sent-manually; displayed", "Uw bericht is gelezen.", "automatic"),
        ("manual-action/MDN-sent-manually; deleted", "It was deleted without being read.", "automatic"),
        ("automatic-action/MDN-sent-automatically; deleted", "It was deleted without being read.", "automatic"),
        (
            "automatic-action/MDN-sent-automatically; deleted",
            "It was automatically rejected: Quota exceeded",
            "failing",
        ),
        ("automatic-action/MDN-sent-automatically; deleted", "It was rejected: user unknown", "gone"),
        ("automatic-action/MDN-sent-automatically; failed", "It looks like spam.", "ours"),
        ("automatic-action/MDN-sent-automatically; processed/error", "Geen idee.", "failing"),
    ],
)
def test_a_refusal_that_comes_as_a_receipt_is_none(disposition: str, words: str, expected: str) -> None:
    raw = RECEIPT.format(sender=NOOR, words=words, disposition=disposition)
    assert verdict(raw.encode()) == expected


AWAY = f"From: Noor de Wit <{NOOR}>\r\nTo: {TO}\r\nSubject: {{subject}}\r\n{{headers}}\r\n{{words}}\r\n"


@pytest.mark.parametrize(
    ("headers", "subject"),
    [
        ("Auto-Submitted: auto-replied\r\n", "Re: x"),
        ("Auto-Submitted: auto-replied (vacation)\r\n", "Re: x"),
        ("Auto-Submitted: auto-replied; owner-email=noor@bibliotheek.example\r\n", "Re: x"),
        ("X-Auto-Response-Suppress: All\r\nReturn-Path: <>\r\n", "Re: x"),
        ("X-Apple-Action: VACATION\r\n", "Auto reply: x"),
        ("X-Apple-Criteria: {kind=VACATION,startDate=2019-11-30T15:00:00Z}\r\n", "x"),
        ("X-Autoreply: yes\r\n", "x"),
        ("X-Autorespond: x\r\n", "x"),
        ("Precedence: auto_reply\r\n", "x"),
        ("Return-Path: <>\r\n", "Automatisch antwoord: x"),
        ("Return-Path: <>\r\n", "Out of Office: x"),
    ],
)
@pytest.mark.parametrize("words", ["Ik ben er niet.", "My address does not exist any more: 550 5.1.1 user unknown."])
def test_who_is_away_does_not_bounce(headers: str, subject: str, words: str) -> None:
    assert verdict(AWAY.format(headers=headers, subject=subject, words=words).encode()) == "automatic"


@pytest.mark.parametrize(
    "words", ["Ik ben er niet.", "Noor no longer works here and cannot be reached.", "Lees het beleid."]
)
def test_an_answer_of_nobody_in_no_form_is_kept_for_a_person(words: str) -> None:
    assert verdict(AWAY.format(headers="", subject="Re: x", words=words).encode(), null_sender=True) == "kept"


def test_the_envelope_says_who_sent_a_mail_whatever_its_headers_say() -> None:
    words = f"Your mail to {NOOR} was refused: 550 5.1.1 user unknown"
    raw = AWAY.format(headers="{}", subject="Bericht", words=words)
    assert verdict(raw.format("").encode(), null_sender=True) == "gone"
    assert verdict(raw.format("").encode(), null_sender=False) == "kept"
    assert verdict(raw.format("Return-Path: <>\r\n").encode()) == "gone"
    assert verdict(raw.format("Return-Path: <>\r\n").encode(), null_sender=False) == "kept"


def test_a_mail_of_nobody_that_speaks_of_a_delivery_and_names_the_address_is_about_it() -> None:
    words = "This message was undeliverable. The following recipients did not receive it:\r\n\r\n    {}"
    raw = AWAY.format(headers="", subject="Bericht", words=words).replace(f"<{NOOR}>", "<system@hosting.example>", 1)
    assert verdict(raw.format(f"<{NOOR}>").encode(), null_sender=True) == "failing"
    assert verdict(raw.format("sam").encode(), null_sender=True) == "kept"


def test_a_mail_system_that_calls_itself_an_answering_machine_is_a_mail_system() -> None:
    words = f"{NOOR}: 550 User unknown. Your message could not be delivered."
    raw = AWAY.format(headers="Auto-Submitted: auto-replied\r\n", subject="Niet bezorgd", words=words)
    for sender in (
        b"Mailsysteem <mailer-daemon@x.example>",
        b"Postmaster <postmaster@x.example>",
        b"Mail Delivery System <>",
    ):
        assert verdict(raw.encode().replace(f"Noor de Wit <{NOOR}>".encode(), sender)) == "gone"


def test_a_report_without_its_part_is_asked_about_in_its_words_and_never_thrown_away() -> None:
    """Its Content-Type says that it is a report, whatever else it says of itself."""
    raw = report(
        "\r\nnothing here\r\n",
        words=f"Delivery has failed to these recipients:\r\n\r\n{NOOR}\r\n\r\n550 5.1.10 not found",
    )
    answers = raw.replace(b"Subject:", b"Auto-Submitted: auto-replied\r\nSubject:")
    sent_by_noor = answers.replace(b"MAILER-DAEMON@relay.example", NOOR.encode())
    assert [verdict(each) for each in (raw, answers, sent_by_noor)] == ["gone"] * 3
    assert verdict(report("\r\nnothing here\r\n", words="Tja.")) == "kept"


@pytest.mark.parametrize(
    "subject",
    [
        "Delivery Status Notification (Delay)",
        "Delayed Mail (still being retried)",
        "Warning: could not send message for past 4 hours",
    ],
)
def test_a_warning_that_a_mail_is_still_tried_is_no_failure(subject: str) -> None:
    raw = returned.qmail(TO, NOOR).replace(b"failure notice", subject.encode())
    assert verdict(raw) == "automatic"


def test_a_subject_of_ours_that_speaks_of_delay_makes_no_warning_of_a_failure() -> None:
    raw = returned.qmail(TO, NOOR).replace(
        b"failure notice", b"Undeliverable: Warning: message delayed, we begin later"
    )
    assert verdict(raw) == "gone"


def test_who_writes_about_a_bounce_is_no_bounce() -> None:
    words = "Ik kreeg dit: 'user unknown'. Klopt mijn adres? Het andere bestaat niet meer."
    assert verdict(returned.person(TO, NOOR, words)) == "kept"
    assert verdict(returned.person(TO, NOOR, words), null_sender=False) == "kept"
