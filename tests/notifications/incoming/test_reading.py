"""What comes back is read in the shapes that it really has, and nothing that anybody may send stops the reading."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.incoming.addresses import mentioned
from services.notifications.incoming.content import Automatic, OddReport, Reply, Report, Unclear
from services.notifications.incoming.reading import read
from tests.notifications.inbox import returned

TO = "bounce+1@deelname.example"
NOOR = "noor@bibliotheek.example"
UID = "gezinsaanpak-2023.kick-off.0123456789abcdef0123.1@deelname"


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (returned.postfix(TO, NOOR), "5.1.1"),
        (returned.exchange(TO, NOOR), "5.1.10"),
        (returned.gmail(TO, NOOR), "5.2.2"),
    ],
    ids=["postfix", "exchange", "gmail"],
)
def test_a_report_says_what_became_of_which_mail(raw: bytes, status: str) -> None:
    found = read(raw)
    assert isinstance(found.content, Report)
    (about,) = found.content.recipients
    assert (about.action, about.status, about.addresses[0]) == ("failed", status, NOOR)
    assert found.content.message_ids == ("<x@deelname.example>",)
    assert TO in found.recipients


def test_a_code_that_stands_only_in_the_diagnosis_is_found() -> None:
    found = read(returned.postfix(TO, NOOR, status="?")).content
    assert isinstance(found, Report)
    assert found.recipients[0].status == "5.1.1"


def test_an_address_of_a_machine_is_no_status_code() -> None:
    found = read(returned.postfix(TO, NOOR, status="", diagnostic="host 5.1.1.20 said no")).content
    assert isinstance(found, Report)
    assert found.recipients[0].status is None


def test_a_report_without_the_standards_form_is_recognised() -> None:
    found = read(returned.qmail(TO, NOOR)).content
    assert isinstance(found, OddReport)
    assert found.addresses == (NOOR,)


def test_who_is_away_is_no_bounce_whatever_the_words() -> None:
    assert isinstance(read(returned.out_of_office(TO, NOOR)).content, Automatic)


def test_a_persons_words_are_for_a_person() -> None:
    assert isinstance(read(returned.person(TO, NOOR)).content, Unclear)


def test_a_reply_of_thunderbird_is_read_with_its_folded_uid() -> None:
    found = read(returned.reply(UID, NOOR, "TENTATIVE", sequence=2)).content
    assert isinstance(found, Reply)
    (answer,) = found.answers
    assert (answer.uid, answer.attendee, answer.partstat, answer.sequence) == (UID, NOOR, "TENTATIVE", 2)
    assert found.sender == NOOR
    assert answer.stamp is not None
    assert answer.stamp.isoformat() == "2023-03-02T12:00:00+00:00"


def test_a_reply_without_a_sequence_answers_the_first_invitation() -> None:
    found = read(returned.reply(UID, NOOR, sequence=None)).content
    assert isinstance(found, Reply)
    assert found.answers[0].sequence == 0


def test_a_proposal_of_another_time_is_for_a_person_and_says_about_what() -> None:
    found = read(returned.reply(UID, NOOR, method="COUNTER")).content
    assert isinstance(found, Unclear)
    assert found.uids == (UID,)


def test_two_senders_are_no_sender() -> None:
    found = read(returned.reply(UID, NOOR, sender=f"{NOOR}>, <sam@bibliotheek.example")).content
    assert isinstance(found, Reply)
    assert found.sender is None


def test_addresses_are_found_in_encoded_parts_too() -> None:
    raw = (
        b"From: a@one.example\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        b"bWFpbCBub29yQHR3by5leGFtcGxlIG5vdw==\r\n"
    )
    assert read(raw).mentioned == {"a@one.example", "noor@two.example"}


@pytest.mark.parametrize(
    ("content", "address"),
    [
        ("Van: noël@biblio.example, en".encode(), "noël@biblio.example"),
        ("Van: noël@biblio.example".encode("windows-1252"), "noël@biblio.example"),
        ("Van: noe\u0308l@biblio.example".encode(), "noël@biblio.example"),
        ("<noor@bücher.example>".encode(), "noor@bücher.example"),
        ("„noor@zeist.example“".encode(), "noor@zeist.example"),
        ("请noor@zeist.example请".encode(), "noor@zeist.example"),
        ("\u00a0noor@zeist.example\u2026".encode(), "noor@zeist.example"),
    ],
)
def test_addresses_with_letters_beyond_ascii_are_found_and_so_are_those_that_touch_some(
    content: bytes, address: str
) -> None:
    assert address in mentioned(content, None)


def test_addresses_are_found_in_encoded_headers_and_in_letters_of_two_octets() -> None:
    part = b64encode("ATTENDEE:mailto:noor@two.example".encode("utf-16"))
    raw = (
        b"From: a@one.example\r\nSubject: =?utf-8?B?bm9vckB6ZWlzdC5leGFtcGxl?= =?utf-8?q?_sam=40b=2Eexample?=\r\n"
        b"X-Broken: =?utf-8?b?a?=\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\n" + part
    )
    assert {"noor@zeist.example", "sam@b.example", "noor@two.example"} <= read(raw).mentioned


def test_looking_for_addresses_takes_no_time_that_grows_with_the_square() -> None:
    assert mentioned(b"a" * 2_000_000, None) == frozenset()


SHAPES = [
    returned.postfix(TO, NOOR),
    returned.exchange(TO, NOOR),
    returned.gmail(TO, NOOR),
    returned.qmail(TO, NOOR),
    returned.reply(UID, NOOR),
]


@given(st.binary(max_size=600) | st.text(max_size=300).map(str.encode))
def test_any_bytes_can_be_read(raw: bytes) -> None:
    assert read(raw).content is not None


@given(st.sampled_from(SHAPES), st.data())
def test_a_mail_that_was_damaged_on_the_way_can_be_read(raw: bytes, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(raw)))
    end = data.draw(st.integers(begin, min(len(raw), begin + 200)))
    assert read(raw[:begin] + data.draw(st.binary(max_size=20)) + raw[end:]).content is not None


@pytest.mark.parametrize("head", [b"", b"From: ,\r\n", b"From:\r\n"])
def test_a_mail_that_nobody_signed_is_read_and_leaves_no_traceback(
    head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A library that knows odd bounces fails on it, and would write down each one that somebody sends."""
    found = read(head + b"Subject: x\r\n\r\nx\r\n").content
    assert found == Unclear("somebody wrote")
    assert not caplog.records


def test_parts_within_parts_without_end_are_read_to_an_end() -> None:
    deep = b"".join(b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(3000))
    assert isinstance(read(deep).content, Unclear)
