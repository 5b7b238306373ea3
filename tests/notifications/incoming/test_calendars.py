"""Answers to invitations are read as calendars and gateways write them, whatever RFC 5545 says of it."""

from __future__ import annotations

import base64
import quopri
from datetime import UTC, datetime
from email.message import Message
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.incoming.calendars import calendar_content
from services.notifications.incoming.content import Answered, Automatic, Reply, Unclear
from services.notifications.incoming.contentlines import calendars, text_of
from services.notifications.incoming.reading import read
from tests.notifications.inbox import returned

NOOR = "noor@bibliotheek.example"
UID = "gezinsaanpak-2023.kick-off.0123456789abcdef0123.1@deelname"
OTHER = UID.replace("kick-off", "slot")
ATTENDEE = f'ATTENDEE;CN="Noor de Wit";PARTSTAT=DECLINED:mailto:{NOOR}'


def calendar(attendee: str = ATTENDEE, *more: str, uid: str = UID, end: str = "\r\n") -> str:
    lines = (
        "BEGIN:VCALENDAR",
        "PRODID:-//Microsoft Corporation//Outlook 16.0 MIMEDIR//EN",
        "VERSION:2.0",
        "METHOD:REPLY",
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20230301T090000Z",
        "SEQUENCE:0",
        attendee,
        *more,
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
    return end.join(lines)


def mail(content: bytes, kind: str = "text/calendar; method=REPLY; charset=utf-8", *headers: str) -> bytes:
    head = [
        f"From: Noor de Wit <{NOOR}>",
        "To: Deelname <deelname@deelname.example>",
        "Subject: Geweigerd: Kick-off",
        "Date: Thu, 2 Mar 2023 13:03:00 +0100",
        "MIME-Version: 1.0",
        f"Content-Type: {kind}",
        *headers,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + content


def answer(raw: bytes) -> Answered:
    found = read(raw).content
    assert isinstance(found, Reply), found
    assert found.sender == NOOR
    (one,) = found.answers
    return one


def read_right(raw: bytes) -> None:
    found = answer(raw)
    assert (found.uid, found.attendee.lower(), found.partstat) == (UID, NOOR, "DECLINED")
    assert (found.sequence, found.stamp) == (0, datetime(2023, 3, 1, 9, tzinfo=UTC))


@pytest.mark.parametrize("name", ["as-octet-stream", "cn-unquoted-colon", "mailto-space"])
def test_what_outlook_and_gateways_really_sent_is_an_answer(name: str) -> None:
    found = answer((Path(__file__).with_name("mails") / f"ics-{name}.eml").read_bytes())
    assert (found.uid, found.attendee, found.partstat) == (UID, NOOR, "ACCEPTED")
    assert found.replied == datetime(2023, 3, 2, 12, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "attendee",
    [
        f"ATTENDEE;CN=Bieb: Noor;PARTSTAT=DECLINED:mailto:{NOOR}",
        f"ATTENDEE;CN=Bieb: Noor <{NOOR}>;PARTSTAT=DECLINED:mailto:{NOOR}",
        f"ATTENDEE;CN=de Wit; Noor;PARTSTAT=DECLINED:mailto:{NOOR}",
        f"ATTENDEE;CN=de Wit; Noor: x;PARTSTAT=DECLINED;RSVP=TRUE:mailto:{NOOR}",
        f'ATTENDEE;CN="Noor de Wit;PARTSTAT=DECLINED:mailto:{NOOR}',
        f'ATTENDEE;CN="Noor" de Wit;PARTSTAT=DECLINED:mailto:{NOOR}',
        f'ATTENDEE;CN="Wit; PARTSTAT=ACCEPTED:mailto:x@y.example";PARTSTAT=DECLINED:mailto:{NOOR}',
        f"ATTENDEE;PARTSTAT=DECLINED;CN=Bibliotheek: afdeling Jeugd, Noor:mailto:{NOOR}",
        f"ATTENDEE;PARTSTAT=DECLINED: mailto:{NOOR}",
        f"ATTENDEE;PARTSTAT=DECLINED:mailto: {NOOR} ",
        f"ATTENDEE;PARTSTAT=DECLINED:MAILTO:{NOOR.upper()}",
        f"ATTENDEE;PARTSTAT=DECLINED:Mailto:<{NOOR}>",
        f"ATTENDEE;PARTSTAT=DECLINED:<mailto:{NOOR}>",
        f"ATTENDEE;PARTSTAT=DECLINED:mailto:Noor de Wit <{NOOR}>",
        f'ATTENDEE;PARTSTAT=DECLINED:"mailto:{NOOR}"',
        f"ATTENDEE;PARTSTAT=DECLINED:mailto:mailto:{NOOR}",
        f"ATTENDEE;PARTSTAT=DECLINED:mailto:{NOOR.replace('@', '%40')}",
        f"ATTENDEE;PARTSTAT=DECLINED:mailto:{NOOR}?subject=x",
        f"ATTENDEE;PARTSTAT=DECLINED:{NOOR}",
        f"ATTENDEE ; partstat = declined : mailto:{NOOR}",
        f'attendee;partstat="Declined":mailto:{NOOR}',
        f'ATTENDEE;SENT-BY="mailto:secretariaat@bibliotheek.example";PARTSTAT=DECLINED:mailto:{NOOR}',
        f"ATTENDEE;SENT-BY=mailto:secretariaat@bibliotheek.example;PARTSTAT=DECLINED:mailto:{NOOR}",
        f'ATTENDEE;CN=Noor;EMAIL="{NOOR}";PARTSTAT=DECLINED:/aMTIzNDU2/principal/',
        f"ATTENDEE;PARTSTAT=DECLINED;EMAIL={NOOR}:urn:uuid:0b5f9a1e-1111-4222-8333-944455556666",
        f"ATTENDEE;CN=Noël Größe;PARTSTAT=DECLINED:mailto:{NOOR}",
        f"ATTENDEE;CN=^'Noor^';X-A=b;X-EMPTY=;PARTSTAT=DECLINED:mailto:{NOOR}",
        "ATTENDEE;PARTSTAT=DECLINED;CN=Noor\r\n  de Wit:mailto:noor@biblio\r\n theek.example",
    ],
)
def test_an_attendee_is_read_whatever_stands_in_the_name_and_around_the_address(attendee: str) -> None:
    read_right(mail(calendar(attendee).encode()))


@pytest.mark.parametrize("codec", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "utf-32", "windows-1252", "utf-8"])
@pytest.mark.parametrize("said", ["utf-8", "utf-16", "utf-16le", "windows-1252", "us-ascii", "nonsense", "punycode"])
def test_a_calendar_is_understood_whatever_its_character_set_is_and_is_said_to_be(codec: str, said: str) -> None:
    content = calendar(ATTENDEE, "COMMENT:Ik ben al één dag weg").encode(codec)
    raw = mail(
        base64.encodebytes(content), f"text/calendar; charset={said}; method=REPLY", "Content-Transfer-Encoding: base64"
    )
    read_right(raw)
    # Eight bits say nothing of where they come from: of these, the label decides.
    if codec != "windows-1252" or said in ("windows-1252", "us-ascii", "nonsense", "punycode", "utf-8"):
        assert answer(raw).words in ("Ik ben al één dag weg", "Ik ben al Ã©Ã©n dag weg")
    if codec not in ("windows-1252", "utf-8") or said in ("utf-8", codec):
        assert answer(raw).words == "Ik ben al één dag weg"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (base64.encodebytes(calendar().encode()), "base64"),
        (quopri.encodestring(calendar().encode()), "quoted-printable"),
        (calendar().encode("utf-16"), "binary"),
        (calendar(end="\n").encode(), "8bit"),
        (calendar(end="\r").encode(), "8bit"),
        (calendar(end="\r\r\n").encode(), "8bit"),
        (b"\r\n\r\n" + calendar().encode(), "7bit"),
    ],
)
def test_a_calendar_is_read_however_it_was_carried(content: bytes, encoding: str) -> None:
    read_right(mail(content, "text/calendar", f"Content-Transfer-Encoding: {encoding}"))


@pytest.mark.parametrize(
    "kind",
    [
        'application/octet-stream; name="invite.ics"',
        'application/octet-stream; name="meeting.dat"',
        "application/octet-stream",
        "text/plain",
        "application/ics",
        'application/x-unknown; name="INVITE.ICS"',
        "text/calendar",
    ],
)
def test_a_calendar_is_known_by_its_look_where_a_gateway_knows_no_better(kind: str) -> None:
    read_right(mail(calendar().encode(), kind))
    read_right(mail(calendar().encode("utf-16"), kind, "Content-Transfer-Encoding: 8bit"))


@pytest.mark.parametrize(
    "line",
    [
        "DESCRIPTION no colon at all",
        'X-ALT-DESC;FMTTYPE="text/html:<p style="a:b">x</p>',
        "<html><body>some gateway's page",
        "DTSTART;TZID=Nowhere/Known:20230620T100000",
        "RRULE:FREQ=NEVER",
        "DTEND:tomorrow",
        "ORGANIZER;CN=De: Bieb; x:mailto:deelname@deelname.example",
        "BEGIN:VALARM\r\nTRIGGER:soon\r\nATTENDEE;PARTSTAT=ACCEPTED:mailto:x@y.example\r\nEND:VALARM",
        "BEGIN:VALARM\r\nTRIGGER:soon",
        "END:VTODO",
    ],
)
def test_a_line_that_nobody_needs_stops_no_answer(line: str) -> None:
    lines = calendar().split("\r\n")
    read_right(mail("\r\n".join([*lines[:8], lines[8], *line.split("\r\n"), *lines[9:]]).encode()))


def test_a_calendar_that_was_cut_off_is_read_as_far_as_it_goes() -> None:
    read_right(mail(calendar().partition("END:VEVENT")[0].encode()))


def test_two_calendars_one_after_another_and_in_parts_are_both_read_and_the_same_answer_counts_once() -> None:
    other = ATTENDEE.replace("DECLINED", "ACCEPTED")
    one, two = calendar(), calendar(other, uid=OTHER)
    boundary = "--b\r\nContent-Type: text/calendar\r\n\r\n"
    for raw in (
        mail((one + two).encode()),
        mail((one.removesuffix("END:VCALENDAR\r\n") + two + one).encode()),
        mail(
            f"{boundary}{one}\r\n{boundary}{two}\r\n{boundary}{one}\r\n--b--\r\n".encode(),
            "multipart/mixed; boundary=b",
        ),
    ):
        found = read(raw).content
        assert isinstance(found, Reply)
        assert [(each.uid, each.partstat) for each in found.answers] == [(UID, "DECLINED"), (OTHER, "ACCEPTED")]


def test_an_event_that_says_nothing_does_not_hide_the_one_beside_it() -> None:
    broken = calendar().replace(f"UID:{UID}\r\n", "")
    read_right(mail((broken + calendar()).encode()))


def test_when_somebody_answered_is_read_as_far_as_it_is_said() -> None:
    plain = read(mail(calendar().encode())).content
    assert isinstance(plain, Reply)
    assert plain.date == datetime(2023, 3, 2, 12, 3, tzinfo=UTC)
    for line in (
        "X-MICROSOFT-CDO-REPLYTIME:20230302T120100Z",
        "X-MS-REPLYTIME:20230302T120100",
        "REPLYTIME:20230302T120100Z",
    ):
        assert answer(mail(calendar(ATTENDEE, line).encode())).replied == datetime(2023, 3, 2, 12, 1, tzinfo=UTC)
    with_parameter = ATTENDEE.replace(";PARTSTAT", ";X-REPLYTIME=20230302T120100Z;PARTSTAT")
    assert answer(mail(calendar(with_parameter).encode())).replied == datetime(2023, 3, 2, 12, 1, tzinfo=UTC)
    assert answer(mail(calendar(ATTENDEE, "X-MICROSOFT-CDO-REPLYTIME:soon").encode())).replied is None
    odd = mail(calendar().replace("20230301T090000Z", "yesterday").encode()).replace(
        b"Thu, 2 Mar 2023", b"Thu, 42 Mar 0"
    )
    found = read(odd).content
    assert isinstance(found, Reply)
    assert (found.date, found.answers[0].stamp) == (None, None)


def test_the_words_that_came_are_the_comment_or_what_stands_first_in_the_mail() -> None:
    comment = ATTENDEE.replace(";PARTSTAT", ';X-RESPONSE-COMMENT="Ziek, helaas; sorry";PARTSTAT')
    assert answer(mail(calendar(comment).encode())).words == "Ziek, helaas; sorry"
    assert (
        answer(mail(calendar(ATTENDEE, "COMMENT:Ziek\\, helaas\\nTot later").encode())).words
        == "Ziek, helaas\nTot later"
    )
    text = (
        "--b\r\nContent-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
        f"Noor de Wit <{NOOR}> has declined.\r\n\r\nIk ben op cursus, =e9cht jammer.\r\n\r\n"
        "Van: Deelname\r\nBeste Noor\r\n"
        f"--b\r\nContent-Type: text/calendar\r\n\r\n{calendar()}\r\n--b--\r\n"
    )
    assert answer(mail(text.encode(), "multipart/alternative; boundary=b")).words == "Ik ben op cursus, écht jammer."
    assert answer(mail(calendar(ATTENDEE, f"COMMENT:{'x' * 5_000}").encode())).words == "x" * 1_000


def test_a_gateway_that_makes_one_text_of_words_and_calendar_loses_neither() -> None:
    raw = mail(b"Ik kan dan niet.\r\n\r\n" + calendar().encode(), "text/plain; charset=utf-8")
    read_right(raw)
    assert answer(raw).words == "Ik kan dan niet."
    quoted = "> ".join(["", *calendar().splitlines(keepends=True)])
    assert read(mail(quoted.encode(), "text/plain")).content == Unclear("somebody wrote")


def test_words_in_html_alone_are_words() -> None:
    html = "<html><style>p {color: red}</style><p>Ik ben <b>ziek</b>.</p></html>"
    parts = f"--b\r\nContent-Type: text/html\r\n\r\n{html}\r\n--b\r\nContent-Type: text/calendar\r\n\r\n"
    text = f"{parts}{calendar()}\r\n--b--"
    assert answer(mail(text.encode(), "multipart/alternative; boundary=b")).words.split() == ["Ik", "ben", "ziek", "."]


def test_a_calendar_that_is_only_attached_makes_no_letter_and_no_answering_machine_something_else() -> None:
    attached = (
        "--b\r\nContent-Type: text/plain\r\n\r\nMag mijn collega?\r\n--b\r\n"
        'Content-Type: application/octet-stream; name="invite.ics"\r\n\r\n'
        + calendar().replace("METHOD:REPLY", "METHOD:REQUEST")
        + "\r\n--b--\r\n"
    ).encode()
    assert read(mail(attached, "multipart/mixed; boundary=b")).content == Unclear("somebody wrote")
    away = mail(attached, "multipart/mixed; boundary=b", "Auto-Submitted: auto-replied")
    assert isinstance(read(away).content, Automatic)
    assert calendar_content(Message(), NOOR, [], "") is None


def test_what_is_no_address_is_nobodys_answer() -> None:
    for attendee in ("ATTENDEE;PARTSTAT=DECLINED:invalid:nomail", "ATTENDEE;PARTSTAT=DECLINED:mailto:", "ATTENDEE"):
        assert isinstance(read(mail(calendar(attendee).encode())).content, Unclear)


@given(st.text(alphabet='ab:;="\\ \r\n\t<>@,%^é\0', max_size=80))
def test_whatever_stands_in_a_name_the_answer_is_the_one_that_follows(name: str) -> None:
    attendee = f"ATTENDEE;CN={name.replace(chr(13), '').replace(chr(10), '')};PARTSTAT=DECLINED:mailto:{NOOR}"
    assert (
        answer(
            mail(base64.encodebytes(calendar(attendee).encode()), "text/calendar", "Content-Transfer-Encoding: base64")
        ).attendee
        == NOOR
    )


@given(st.binary(max_size=400), st.sampled_from([None, "utf-16", "utf-7", "idna", "x" * 100, "\0"]))
def test_any_octets_are_text_and_any_text_is_read_as_calendars(content: bytes, charset: str | None) -> None:
    for each in calendars("BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + text_of(content, charset)):
        assert each.count("BEGIN:") == each.count("END:")


def test_the_answer_of_thunderbird_that_comes_twice_is_one() -> None:
    assert len(answer(returned.reply(UID, NOOR, "DECLINED")).uid) == len(UID)
