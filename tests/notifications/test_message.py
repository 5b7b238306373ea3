"""The bytes of a mail: what every mail program expects, and nothing that a typed name could turn them into."""

import email
import email.header
import email.policy
import email.quoprimime
import os
import re
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from email.message import EmailMessage
from email.parser import BytesParser
from email.utils import parseaddr, parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from services.notifications import message
from services.notifications.domain.mails import TO_CONTACT
from services.notifications.hygiene import UnusableAddress, line, shortened
from services.notifications.letters import (
    Address,
    Confirmation,
    Contact,
    Declined,
    Invite,
    Letter,
    Occasion,
    Recipient,
    ToContact,
    Undeliverable,
)
from services.notifications.quoted import Piece, quoted_printable
from services.notifications.rendering import Rendered
from tests.notifications.samples import (
    CALENDAR,
    FIRST_MAIL,
    PROGRAMME,
    RECIPIENTS,
    SENDER,
    SESSIONS,
    WORK_1,
    letter,
    life_cycle,
    render,
    renderer,
)

GOLDEN = Path(__file__).parent / "golden"
STRICT = email.policy.default.clone(raise_on_defect=True)
ID = "<4f0c1d2e3a4b5c6d7e8f901234567890@deelname.example>"
MAILS = {name: (sample, rendered, raw) for name, sample, rendered, raw in life_cycle()}


def parsed(raw: bytes) -> EmailMessage:
    found = BytesParser(policy=STRICT).parsebytes(raw)
    for part in found.walk():
        assert part.defects == []
        assert all(not header.defects for header in part.values())
    return found


def saying(subject: str, text: str = "", html: str = "") -> Rendered:
    return Rendered(subject, (Piece.of(text),), (Piece.of(html),))


def composed(rendered: Rendered | None = None, sample: Letter | None = None, sender: Address = SENDER) -> EmailMessage:
    return parsed(raw_mail(rendered, sample, sender))


def raw_mail(rendered: Rendered | None = None, sample: Letter | None = None, sender: Address = SENDER) -> bytes:
    return message.compose(
        rendered or saying("Onderwerp", "Tekst\n", "<p>Tekst</p>"),
        sample or letter(Confirmation(SESSIONS)),
        sender=sender,
        message_id=ID,
        date=FIRST_MAIL,
    )


def header_lines(raw: bytes) -> list[str]:
    return raw.partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")


def header_names(raw: bytes) -> list[str]:
    return [line.partition(":")[0] for line in header_lines(raw) if not line.startswith(" ")]


@pytest.mark.parametrize("name", sorted(MAILS))
def test_every_step_of_the_life_cycle_gives_the_same_bytes_as_before(name: str) -> None:
    """DEELNAME_REGENERATE=1 writes the golden files anew; read the difference before committing it."""
    _, rendered, raw = MAILS[name]
    files = {GOLDEN / f"{name}.eml": raw}
    if rendered.calendar is not None:
        files[GOLDEN / f"{name}.ics"] = rendered.calendar
    for path, content in files.items():
        if os.environ.get("DEELNAME_REGENERATE"):
            path.write_bytes(content)
        assert path.read_bytes() == content


def test_no_golden_file_is_left_over() -> None:
    wanted = {f"{name}.eml" for name in MAILS} | {f"{name}.ics" for name, mail in MAILS.items() if mail[1].calendar}

    assert {path.name for path in GOLDEN.iterdir()} == wanted


@pytest.mark.parametrize("name", sorted(MAILS))
def test_pythons_strict_parser_finds_every_part_as_it_was_put_in(name: str) -> None:
    sample, rendered, raw = MAILS[name]
    mail = parsed(raw)

    assert mail["Subject"] == rendered.subject
    assert mail["From"].addresses[0].addr_spec == SENDER.mailbox
    assert mail["From"].addresses[0].display_name == SENDER.name
    assert [to.addr_spec for to in mail["To"].addresses] == [sample.recipient.mailbox]
    assert mail["To"].addresses[0].display_name == sample.recipient.name
    if sample.purpose in TO_CONTACT:
        assert mail["Reply-To"] is None, "the reader is the contact"
    else:
        assert mail["Reply-To"].addresses[0].addr_spec == "aanmelden@bisc.example"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Auto-Response-Suppress"] == "DR, RN, NRN, OOF"
    assert mail["Content-Language"] == sample.recipient.language
    assert "Precedence" not in mail
    assert "List-Unsubscribe" not in mail
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert text.get_content().replace("\r\n", "\n").rstrip("\n") == rendered.text.rstrip("\n")
    assert html.get_content().replace("\r\n", "\n").rstrip("\n") == rendered.html.rstrip("\n")


def test_an_invitation_has_the_calendar_as_last_alternative_and_once_more_as_a_file() -> None:
    _, rendered, raw = MAILS["02-invite.nl"]
    mail = parsed(raw)

    tree = [part.get_content_type() for part in mail.walk()]
    assert tree == [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "text/calendar",
        "application/ics",
    ]
    calendar, attachment = (
        part for part in mail.walk() if "calendar" in part.get_content_type() or part.get_filename()
    )
    assert calendar["Content-Type"].params == {"charset": "utf-8", "method": "REQUEST"}
    assert "Content-Disposition" not in calendar
    assert "Content-ID" not in calendar
    assert calendar["Content-Transfer-Encoding"] == "base64"
    assert attachment.get_content_disposition() == "attachment"
    assert attachment.get_filename() == "uitnodiging.ics"
    assert calendar.get_payload(decode=True) == attachment.get_payload(decode=True) == rendered.calendar
    assert rendered.calendar is not None
    assert b"METHOD:REQUEST\r\n" in rendered.calendar


@pytest.mark.parametrize("name", sorted(name for name in MAILS if MAILS[name][1].calendar))
def test_the_calendar_in_a_mail_is_between_its_sender_and_its_recipient(name: str) -> None:
    sample, rendered, raw = MAILS[name]
    mail = parsed(raw)
    assert rendered.calendar is not None
    text = rendered.calendar.decode().replace("\r\n ", "")

    assert f":mailto:{mail['From'].addresses[0].addr_spec}\r\n" in text[text.index("ORGANIZER") :]
    assert f":mailto:{mail['To'].addresses[0].addr_spec}\r\n" in text[text.index("ATTENDEE") :]
    assert mail["From"].addresses[0].addr_spec != sample.recipient.mailbox
    assert f"METHOD:{rendered.method}\r\n" in text


@pytest.mark.parametrize("name", sorted(name for name in MAILS if not MAILS[name][1].calendar))
def test_a_mail_without_a_calendar_is_text_and_html_alone(name: str) -> None:
    assert [part.get_content_type() for part in parsed(MAILS[name][2]).walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]


@pytest.mark.parametrize("name", sorted(MAILS))
def test_no_line_is_long_no_octet_is_foreign_and_every_line_ends_in_crlf(name: str) -> None:
    raw = MAILS[name][2]

    assert raw.isascii()
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    assert all(len(line) <= 78 for line in raw.split(b"\r\n"))
    assert b"\x00" not in raw


def test_changes_are_threaded_under_what_they_change() -> None:
    confirmation, invite, moved = (
        parsed(MAILS[f"{name}.nl"][2]) for name in ("01-confirmation", "02-invite", "03-session-moved")
    )

    assert invite["In-Reply-To"] == confirmation["Message-ID"]
    assert moved["In-Reply-To"] == invite["Message-ID"]
    assert moved["References"].split() == [confirmation["Message-ID"], invite["Message-ID"]]
    assert confirmation["References"] is None


def test_long_threads_are_never_mangled_into_encoded_words() -> None:
    ids = [
        message.message_id(f"mail-{number}", "a@b.example", "a-rather-long-domain.deelname.example")
        for number in range(20)
    ]
    raw = message.compose(
        render(Confirmation(SESSIONS)),
        letter(Confirmation(SESSIONS)),
        sender=SENDER,
        message_id=ID,
        date=FIRST_MAIL,
        in_reply_to=ids[-1],
        references=ids,
    )

    assert parsed(raw)["References"].split() == ids
    for row in header_lines(raw):
        if row.startswith((" <", "References", "In-Reply-To", "Message-ID")):
            assert "=?" not in row
            assert len(row) <= 90


def test_a_reply_to_a_mail_outside_its_references_completes_them() -> None:
    raw = message.compose(
        render(Confirmation(SESSIONS)),
        letter(Confirmation(SESSIONS)),
        sender=SENDER,
        message_id=ID,
        date=FIRST_MAIL,
        in_reply_to="<b@x.example>",
        references=["<a@x.example>"],
    )

    assert parsed(raw)["References"].split() == ["<a@x.example>", "<b@x.example>"]


def test_the_message_id_follows_from_mail_and_recipient_alone() -> None:
    own = message.message_id("mail-1", "noor@x.example", "Bücher.example")

    assert own == message.message_id("mail-1", "noor@x.example", "Bücher.example")
    assert re.fullmatch(r"<[0-9a-f]{32}@xn--bcher-kva\.example>", own)
    assert own != message.message_id("mail-2", "noor@x.example", "Bücher.example")
    assert own != message.message_id("mail-1", "eva@x.example", "Bücher.example")
    with pytest.raises(ValueError, match="message id"):
        message.message_id("mail-1", "noor@x.example", ".".join(["label"] * 12))


@pytest.mark.parametrize(
    "bad", ["", "a@b", "<a b@c.example>", "<a@b.example>\r\nX: y", "<" + "a" * 70 + "@b.example>", "<=?q?@b.example>"]
)
def test_a_malformed_id_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="message id"):
        message.compose(
            render(Confirmation(SESSIONS)),
            letter(Confirmation(SESSIONS)),
            sender=SENDER,
            message_id=bad,
            date=FIRST_MAIL,
        )


def test_the_date_keeps_its_zone_and_must_have_one() -> None:
    sample = letter(Confirmation(SESSIONS))
    date = FIRST_MAIL.astimezone(timezone(timedelta(hours=-3, minutes=-30)))
    raw = message.compose(render(sample.occasion), sample, sender=SENDER, message_id=ID, date=date)

    assert parsedate_to_datetime(parsed(raw)["Date"]) == FIRST_MAIL
    assert b"Date: Thu, 2 Mar 2023 05:44:00 -0330\r\n" in raw
    with pytest.raises(ValueError, match="time zone"):
        message.compose(render(sample.occasion), sample, sender=SENDER, message_id=ID, date=datetime(2023, 1, 1))  # noqa: DTZ001


NAMES = st.text(max_size=150) | st.text(st.sampled_from('ab ,;:"\\<>@()=?_.éß漢😀\r\n\t\x00\u2028\u202e'), max_size=150)
ORDINARY = ["Date", "From", "To", "Subject", "Message-ID", "Reply-To", "Auto-Submitted", "X-Auto-Response-Suppress"]
ORDINARY += ["Content-Language", "MIME-Version", "Content-Type"]


@given(NAMES, NAMES, NAMES, NAMES)
def test_no_text_whatsoever_adds_a_header_or_a_recipient(
    recipient: str, sender: str, subject: str, contact: str
) -> None:
    sample = letter(Confirmation(SESSIONS))._replace(
        recipient=Recipient(recipient, "noor@x.example"),
        programme=replace(PROGRAMME, enrolment=Contact(contact, "help@x.example")),
    )
    raw = raw_mail(saying(subject, subject, subject), sample, Address(sender, SENDER.mailbox))

    assert header_names(raw) == ORDINARY
    mail = parsed(raw)
    for field, address in (("To", "noor@x.example"), ("From", SENDER.mailbox), ("Reply-To", "help@x.example")):
        assert [found.addr_spec for found in mail[field].addresses] == [address]
        assert parseaddr(str(mail[field]))[1] == address
    assert all(len(line) <= 78 for line in header_lines(raw))


@given(NAMES)
@example("0" * 29 + "é" * 40)
def test_a_name_and_a_subject_are_read_back_as_they_were_but_for_control_characters(text: str) -> None:
    wanted = shortened(line(text), message.LONGEST_NAME)
    sample = letter(Confirmation(SESSIONS))._replace(recipient=Recipient(text, "noor@x.example"))
    raw = raw_mail(saying(wanted), sample)

    assert parsed(raw)["Subject"] == wanted
    # The header parser of Python 3.11 puts a space between the encoded words of a name, against RFC 2047 §6.2.
    name, address = parseaddr(email.message_from_bytes(raw)["To"])
    assert str(email.header.make_header(email.header.decode_header(name))) == wanted
    assert address == "noor@x.example"


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1))
def test_encoded_words_are_short_whole_and_decodable_one_by_one(text: str) -> None:
    cleaned = shortened(line("é" + text), message.LONGEST_SUBJECT)
    raw = raw_mail(saying(cleaned))
    words = re.findall(rb"=\?utf-8\?[qb]\?([^?]*)\?=", raw.partition(b"Subject:")[2].partition(b"\r\nMessage-ID")[0])

    assert words
    assert parsed(raw)["Subject"] == cleaned
    for word in re.findall(rb"=\?[^ \r\n]*\?=", raw):
        assert len(word) <= 75
        found = email.header.decode_header(word.decode())
        assert isinstance(found[0][0], bytes)
        found[0][0].decode("utf-8")


@pytest.mark.parametrize("name", sorted(MAILS))
def test_what_was_encoded_piece_by_piece_is_the_whole_encoded(name: str) -> None:
    _, rendered, _ = MAILS[name]

    for whole, pieces in ((rendered.text, rendered.text_pieces), (rendered.html, rendered.html_pieces)):
        assert b"".join(piece.encoded for piece in pieces) == quoted_printable(whole)


BODIES = st.text(max_size=400) | st.text(st.sampled_from("a .=\t\n\r\x00é漢-_?"), max_size=400)


@given(BODIES)
def test_quoted_printable_is_short_lined_and_read_back_the_same(text: str) -> None:
    encoded = quoted_printable(text)

    assert encoded.isascii()
    assert all(len(line) <= 76 for line in encoded.split(b"\r\n"))
    assert not any(line.endswith((b" ", b"\t")) for line in encoded.split(b"\r\n"))
    assert encoded.count(b"\n") == encoded.count(b"\r\n")
    assert b"=_" not in encoded
    breaks = text.replace("\r\n", "\n").replace("\r", "\n")
    kept = "".join(
        character for character in breaks if character in "\n\t" or not (ord(character) < 32 or ord(character) == 127)
    )
    quoted = email.quoprimime.body_decode(encoded.decode().replace("\r\n", "\n"))
    assert quoted.encode("latin-1").decode() == kept.encode("utf-8", "replace").decode()


def test_an_international_domain_travels_as_punycode_in_headers_and_calendar() -> None:
    sample = letter(Invite(WORK_1, CALENDAR))._replace(recipient=Recipient("Jürgen", "j@bücher.example"))
    rendered = renderer().render(sample)
    raw = raw_mail(rendered, sample)

    assert b"<j@xn--bcher-kva.example>\r\n" in raw
    assert rendered.calendar is not None
    assert b"mailto:j@xn--bcher-kva.example\r\n" in rendered.calendar.replace(b"\r\n ", b"")


def test_a_recipient_that_no_mail_can_reach_is_refused() -> None:
    for address in ("a..b@x.example", "a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example"):
        with pytest.raises(UnusableAddress):
            raw_mail(sample=letter(Confirmation(SESSIONS))._replace(recipient=Recipient("Zoë", address)))


def test_replies_go_to_the_first_contact_that_can_be_reached() -> None:
    def reply_to(enrolment: Contact | None, content: Contact | None) -> Any:
        programme = replace(PROGRAMME, enrolment=enrolment, content=content)
        found = composed(sample=letter(Confirmation(SESSIONS), programme=programme))["Reply-To"]
        return found and found.addresses[0].addr_spec

    good, odd = Contact("A", "a@x.example"), Contact("B", "zoë@x.example")
    assert reply_to(good, odd) == "a@x.example"
    assert reply_to(odd, good) == "a@x.example"
    assert reply_to(Contact("C"), good) == "a@x.example"
    assert reply_to(odd, None) is None
    assert reply_to(None, None) is None


def test_both_languages_have_their_own_mail() -> None:
    assert RECIPIENTS["nl"].language != RECIPIENTS["en"].language
    assert parsed(MAILS["01-confirmation.nl"][2])["Subject"] != parsed(MAILS["01-confirmation.en"][2])["Subject"]


@pytest.mark.parametrize(
    "occasion",
    [
        Undeliverable("Ada van Elders"),
        Declined("Ada van Elders", "e1", "p1", (WORK_1,), words=("Ziek.",)),
        Invite(WORK_1, CALENDAR),
    ],
    ids=lambda each: each.purpose,
)
def test_who_a_mail_was_about_is_not_kept_in_memory(occasion: Occasion) -> None:
    sample = letter(occasion)._replace(recipient=Recipient("Zoë van Dam", "zoe@elsewhere.example"))
    rendered = render(occasion)
    personal = [sample.recipient.name, sample.recipient.mailbox]
    if isinstance(occasion, ToContact):
        personal.append(rendered.subject)
        assert occasion.name in rendered.subject
    before = [sys.getrefcount(each) for each in personal]
    renderer().render(sample)
    raw_mail(rendered, sample)
    assert [sys.getrefcount(each) for each in personal] == before
