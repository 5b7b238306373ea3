"""What comes back by mail and addresses that nothing is sent to, by the tool, in a system that runs."""

from __future__ import annotations

import re
from base64 import b64decode
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from tests.cli.conftest import Deelname, until
from tests.cli.test_enrolments import enrol
from tests.notifications.inbox.returned import person, postfix, reply

# One system for all of them, not one for each worker.


def mailed(running: Path, address: str) -> list[EmailMessage]:
    """What lies in the maildir for somebody."""
    raw = [path.read_bytes() for path in sorted((running.parent / "mail" / "new").iterdir())]
    # The other tests' mails lie there too: they need not be taken apart.
    mails = [message_from_bytes(each, policy=policy.default) for each in raw if address.encode() in each]
    return [each for each in mails if isinstance(each, EmailMessage) and each["Delivered-To"] == address]


def written(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.fixture
def noor(deelname: Deelname, programme: str, running: Path) -> str:
    """The address of somebody who was mailed a confirmation and an invitation."""
    enrol(deelname, programme, "Noor")
    address = f"noor@{programme}.example"
    until(lambda: len(mailed(running, address)) == 2)
    until(lambda: {each["status"] for each in mails_of(deelname, programme)} == {"sent"})
    return address


def mails_of(deelname: Deelname, programme: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = deelname("mail", "list", "--programme", programme, "--json").json["mails"]
    return found


def test_a_bounce_is_handed_in_and_the_address_gets_nothing_until_that_is_lifted(
    deelname: Deelname, programme: str, noor: str, running: Path, tmp_path: Path
) -> None:
    confirmation = next(each for each in mailed(running, noor) if not list(each.iter_attachments()))
    bounce = written(tmp_path, "bounce.eml", postfix(confirmation["Return-Path"].strip("<>"), noor))
    result = deelname("mail", "receive", bounce, "--json").json
    assert (result["kind"], "does not exist" in result["note"]) == ("bounce", True)
    again = deelname("mail", "receive", bounce)
    assert (again.code, "✓ bounce" in again.said) == (0, True)
    listed = deelname("mail", "received", "--json").json["received"]
    assert [each["mail"] for each in listed if each["mail"] == result["mail"]]
    assert "bounce" in deelname("mail", "received").said

    who = next(each["person"] for each in mails_of(deelname, programme))
    (suppressed,) = [
        each for each in deelname("mail", "suppressed", "--json").json["suppressed"] if each["person"] == who
    ]
    assert (suppressed["source"], suppressed["status"]) == ("bounce", "5.1.1")
    assert noor not in deelname("mail", "suppressed").said, "staff see whose it is, by the id"

    lifted = deelname("mail", "lift", noor)
    assert (lifted.code, lifted.said) == (0, "✓ lifted: mails go to it again; 'deelname mail retry' sends what failed")
    assert deelname("mail", "retry", result["mail"]).code == 0
    until(lambda: {each["status"] for each in mails_of(deelname, programme)} <= {"sent"})
    assert "nothing was suppressed" in deelname("mail", "lift", noor).said


def test_the_words_of_a_strangers_report_are_shown_and_not_obeyed(
    deelname: Deelname, noor: str, running: Path, tmp_path: Path
) -> None:
    confirmation = next(each for each in mailed(running, noor) if not list(each.iter_attachments()))
    report = postfix(confirmation["Return-Path"].strip("<>"), noor)
    escapes = b"\x1b]0;TITLE\x07\x1b[2J\x1b[31mRED\x1b[8m \x9b31m"
    assert b"Diagnostic-Code: smtp; " in report
    report = report.replace(b"Diagnostic-Code: smtp; ", b"Diagnostic-Code: smtp; " + escapes + b" ")
    result = deelname("mail", "receive", written(tmp_path, "report.eml", report))
    assert (result.code, "bounce" in result.said) == (0, True)
    number = deelname("mail", "received", "--json").json["received"][0]["received"]
    for words in (("mail", "list"), ("mail", "received"), ("mail", "received", number), ("mail", "suppressed")):
        for more in ((), ("--json",)):
            shown = deelname(*words, *more)
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", shown.out + shown.err)
    assert deelname("mail", "lift", noor).code == 0


def test_staff_take_an_address_out_and_let_it_in_again(deelname: Deelname, programme: str, noor: str) -> None:
    who = next(each["person"] for each in mails_of(deelname, programme))
    assert deelname("mail", "suppress", who, "--reason", "asked by telephone", "--json").json == {"changed": 1}
    assert "already" in deelname("mail", "suppress", noor, "--reason", "once more").said
    assert "asked by telephone" in deelname("mail", "suppressed").said
    assert deelname("mail", "lift", who, "--json").json == {"changed": 1}


def test_an_answer_is_taken_and_what_is_no_answer_waits_for_a_person(
    deelname: Deelname, programme: str, noor: str, running: Path, tmp_path: Path
) -> None:
    invite = next(each for each in mailed(running, noor) if list(each.iter_attachments()))
    calendar = next(each for each in invite.walk() if each.get_content_type() == "text/calendar").get_content()
    uid = calendar.replace("\r\n ", "").partition("UID:")[2].split()[0]
    stamp = calendar.partition("DTSTAMP:")[2].split()[0]
    answer = written(tmp_path, "answer.eml", reply(uid, noor, "DECLINED", stamp=stamp))
    assert deelname("mail", "receive", answer, "--json").json["note"] == "declined"
    # The programme's contact hears of it, and nobody else.
    until(lambda: ("declined", "sent") in [(each["purpose"], each["status"]) for each in mails_of(deelname, programme)])

    words = person("deelname@deelname.example", noor, "Gr\xfc\xdfe \x1b[2J").replace("ü".encode(), b"\xfc")
    question = written(tmp_path, "question.eml", words)
    number = deelname("mail", "receive", question, "--json").json["received"]
    assert f"deelname mail dismiss {number}" in deelname("mail", "receive", question).said
    unread = deelname("mail", "received", "--unread", "--json").json["received"]
    assert [each["received"] for each in unread if each["received"] == number]
    shown = deelname("mail", "received", number)
    assert "e \\x1b[2J" in shown.said
    assert "\x1b" not in shown.out, "a stranger's control characters do not reach the terminal"
    copy = tmp_path / "copy.eml"
    assert deelname("mail", "received", number, "--raw", copy).code == 0
    assert copy.read_bytes() == words, "byte for byte, whatever its character set"
    assert b64decode(deelname("mail", "received", number, "--json").json["raw"]) == words
    assert deelname("mail", "dismiss", number).said == "✓ dealt with: 1"
    assert deelname("mail", "dismiss", number).said == "Nothing is kept under these numbers: nothing changed"
    assert deelname("mail", "received", number).code == 1


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("receive", "nowhere.eml"), 2, "nowhere.eml cannot be read"),
        (("receive", "{empty}"), 2, "is empty"),
        (("receive", "{large}"), 2, "DEELNAME_INBOX"),
        (("received", "987654"), 1, "987654"),
        (("suppress", "noor@", "--reason", "x"), 2, "'noor@' is no address"),
        (("suppress", "nobody-has-this-id", "--reason", "x"), 1, "nobody-has-this-id"),
        (("lift", "@"), 2, "'@' is no address"),
        (("suppress", "noor@bibliotheek.example"), 2, "--reason"),
    ],
)
def test_a_mistake_is_answered_with_what_to_do(
    deelname: Deelname, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    files = {
        "{empty}": written(tmp_path, "empty.eml", b" \r\n"),
        "{large}": written(tmp_path, "large.eml", b"x" * 900_000),
    }
    outcome = deelname("mail", *(files.get(each, each) for each in words))
    assert (outcome.code, said in outcome.said) == (code, True), outcome.said
    assert "Traceback" not in outcome.said
