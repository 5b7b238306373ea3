"""What exceeds a bound is not parsed, and no mail within them takes long, whatever stands in it."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from time import process_time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.notifications.incoming import bounds
from services.notifications.incoming.bounds import TooMuch, parse
from services.notifications.incoming.content import Read, Reply, Report, Unclear
from services.notifications.incoming.reading import read
from services.notifications.incoming.speaking import LARGEST_MEMORY, LONGEST_CPU
from tests.notifications.inbox import attacks, returned

TO = "bounce+1@deelname.example"
NOOR = "noor@bibliotheek.example"
UID = "gezinsaanpak-2023.kick-off.0123456789abcdef0123.1@deelname"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (attacks.parameters(9_000), "parameters has more than 8000 octets"),
        (attacks.parameters(101), "more than 100 parameters"),
        (attacks.parts(4, 40_000), "parameters has more than 8000 octets"),
        (attacks.parts(1_001, 3), "more than 1000 parts"),
        (attacks.deep(25), "more than 20 deep"),
        (attacks.nested_mails(25), "more than 20 deep"),
        (attacks.headers(5_001), "more than 5000 headers"),
        (attacks.headers(11, "y" * 99_000), "headers have more than 1000000 octets"),
        (attacks.headers(1, "y" * 100_001), "one of its headers has more than 100000 octets"),
        (attacks.letters(10_000_000), "more than 10000000 octets"),
        (attacks.HEAD.encode() + b"\n" * 300_001, "more than 300000 lines"),
        (attacks.HEAD.encode() + b"\r" * 300_001, "more than 300000 lines"),
        (attacks.replies(21), "more than 20 events"),
        (attacks.calendars(2), "more than 250000 octets"),
        (attacks.calendar("BE\r\n GIN:VEVENT\r\n" * 21), "more than 20 events"),
        (attacks.calendar("begin:vEvent\r\n" * 21), "more than 20 events"),
        (attacks.calendar("BEGIN:X\r\n" * 100), "more than 100 components"),
        (attacks.calendar("X:y\r\n" * 5_000), "more than 5000 lines"),
        (attacks.calendar("X:" + "y" * 250_000 + "\r\n"), "more than 250000 octets"),
        (attacks.calendar("X;" * 5_001 + ":\r\n"), "more than 5000 parameters"),
    ],
)
def test_what_exceeds_a_bound_is_left_to_a_person_who_is_told_which(raw: bytes, why: str) -> None:
    found = read(raw)
    assert isinstance(found.content, Unclear)
    assert found.content.why.startswith("it was not read: ")
    assert why in found.content.why
    # Erasing somebody finds it all the same.
    assert "a@b.example" in found.mentioned


def test_a_header_that_the_library_finds_in_a_mail_that_is_returned_is_bounded_too() -> None:
    inner = b'Content-Type: text/plain; x="' + b";" * 9_000 + b"\r\n\r\nx\r\n"
    with pytest.raises(TooMuch):
        parse(attacks.HEAD.encode() + b"Content-Type: message/rfc822\r\n\r\n" + inner)
    returned_headers = returned.postfix(TO, NOOR).replace(b"Subject: Je bent ingeschreven\r\n", inner[:-7])
    assert isinstance(read(returned_headers).content, Unclear)


def test_what_is_large_and_honest_is_read() -> None:
    """A report that returns a mail with an attachment, and one about many recipients; long words in HTML."""
    attachment = (b"QUJD" * 19 + b"\r\n") * 100_000
    large = returned.exchange(TO, NOOR).replace(b"Beste Noor,\r\n", attachment)
    assert len(large) > 7_000_000
    assert isinstance(read(large).content, Report)
    html = b"<p style='a:b;'>" * 50_000
    assert isinstance(read(returned.exchange(TO, NOOR).replace(b"Beste Noor,", html)).content, Report)
    block = b"\r\n\r\nFinal-Recipient: rfc822; sam@bibliotheek.example\r\nAction: failed\r\nStatus: 5.1.1"
    many = returned.postfix(TO, NOOR).replace(b"\r\n\r\nFinal-Recipient", block * 150 + b"\r\n\r\nFinal-Recipient", 1)
    found = read(many).content
    assert isinstance(found, Report)
    assert len(found.recipients) == 151
    note = "X-ALT-DESC;FMTTYPE=text/html:" + "\r\n ".join(["<p>Tot dan;</p>"] * 2_000) + "\r\n"
    reply = returned.reply(UID, NOOR).replace(b"SUMMARY:", note.encode() + b"SUMMARY:")
    assert isinstance(read(reply).content, Reply)


def test_a_second_sender_is_seen_behind_however_much() -> None:
    """Else who fills the header could write in the name of its first address."""
    for more in (
        b"From: " + b"x" * 20_000 + b" <sam@bibliotheek.example>\r\n",
        b"From: " + b"x" * 400 + b"@b.example\r\n",
    ):
        found = read(more.join([b"", returned.reply(UID, NOOR)])).content
        assert not isinstance(found, Reply) or found.sender is None
        raw = returned.reply(UID, NOOR).replace(b"To: ", more + b"To: ", 1)
        found = read(raw).content
        assert isinstance(found, Reply)
        assert found.sender is None


@pytest.mark.parametrize("digits", [10, 20, 5_000])
def test_a_number_that_no_database_holds_is_no_answer(digits: int) -> None:
    raw = returned.reply(UID, NOOR).replace(b"SEQUENCE:0", b"SEQUENCE:" + b"9" * digits)
    assert isinstance(read(raw).content, Unclear)


# Whatever may come ----------------------------------------------------------------------------------------------------

SHAPES = [
    returned.postfix(TO, NOOR),
    returned.exchange(TO, NOOR),
    returned.gmail(TO, NOOR),
    returned.qmail(TO, NOOR),
    returned.reply(UID, NOOR),
    returned.out_of_office(TO, NOOR),
    *(each.read_bytes() for each in sorted(Path(__file__).with_name("mails").iterdir())),
    *(make(min(size, 50)) for make, size in attacks.SIZES.values()),
]
PIECES = st.sampled_from(
    [
        b'Content-Type: multipart/mixed; boundary="b"\r\n',
        b"Content-Type: multipart/digest; boundary=b; x*0=",
        b"Content-Type: message/rfc822\r\n\r\n",
        b"Content-Type: message/delivery-status\r\n\r\n",
        b"Content-Type: text/rfc822-headers\r\n\r\n",
        b"Content-Type: text/calendar; method=REPLY\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REPLY\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n",
        b"Content-Transfer-Encoding: x-uuencode\r\n",
        b"From: ",
        b"To: ",
        b"Action: failed\r\n",
        b"Final-Recipient: rfc822;",
        b"Diagnostic-Code: smtp; 550 5.1.1 ",
        b"BEGIN:VEVENT\r\nUID:u\r\nDTSTAMP:20260101T000000Z\r\nATTENDEE:mailto:a@b.example\r\n",
        b"BEGIN:VTIMEZONE\r\nTZID:X\r\nBEGIN:STANDARD\r\nDTSTART:16010101T000000\r\nRRULE:FREQ=SECONDLY\r\n",
        b"END:VEVENT\r\nEND:VCALENDAR\r\n",
        b'ATTENDEE;CN="',
        b"--b\r\n",
        b"--b--\r\n",
        b"\r\n",
        b"\r\n ",
        b"\n\n",
        b"\r",
        b';x="',
        b";",
        b'"',
        b"(",
        b"<",
        b"@",
        b"a@b.example",
        b"\\",
        b"=?utf-8?b?",
        b"=",
        b"\x00",
        b"\xff",
        b"\xed\xa0\x80",
        b"a",
    ]
)
REPEATED = st.tuples(PIECES, st.sampled_from([1, 1, 1, 2, 50, 2_000, 60_000])).map(lambda each: each[0] * each[1])
MADE = st.lists(REPEATED, max_size=12).map(b"".join).map(lambda raw: raw[:2_000_000])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A mail as it comes, some of it left out, doubled, or replaced."""
    raw = draw(st.sampled_from(SHAPES))
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(raw)))
        end = draw(st.integers(begin, min(len(raw), begin + 200)))
        raw = raw[:begin] + draw(REPEATED | st.binary(max_size=20) | st.just(raw[begin:end] * 2)) + raw[end:]
    return raw[:2_000_000]


def within_bounds(raw: bytes, reads: Callable[[bytes], Read] = read) -> None:
    begun = process_time()
    found = reads(raw)
    assert process_time() - begun < LONGEST_CPU / 4
    assert found.content is not None
    assert len(found.mentioned) <= 2_000


@settings(max_examples=150)
@given(MADE | damaged())
@example(b"\n" * 249_000)
@example(b"From: mailer-daemon@x.example\n" + b"a\n" * 100_000)
def test_no_mail_takes_long_or_raises(raw: bytes) -> None:
    within_bounds(raw)


def test_the_largest_mails_take_a_part_of_the_memory_that_there_is() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for raw in (
        attacks.HEAD.encode() + b"\r\n" + b"\n" * (bounds.MOST_LINES - 10),
        attacks.HEAD.encode() + b"\r\n" + (b"x" * 31 + b"\n") * (bounds.MOST_LINES - 10),
        attacks.letters(bounds.LARGEST_MAIL - 200),
        attacks.HEAD.encode() + b"\r\n" + b"\xff" * (bounds.LARGEST_MAIL - 200),
    ):
        read(raw)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < LARGEST_MEMORY * 2 / 3
