"""The small values of which messages are made let nothing through that could forge a header or a subject."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.base import EmailAddress, Identity, Line, Link, Prose, Slug, same_address, same_mailbox
from contracts.characters import JOINERS

LINE: TypeAdapter[str] = TypeAdapter(Line)
PROSE: TypeAdapter[str] = TypeAdapter(Prose)
SLUG: TypeAdapter[str] = TypeAdapter(Slug)
IDENTITY: TypeAdapter[str] = TypeAdapter(Identity)
ADDRESS: TypeAdapter[str] = TypeAdapter(EmailAddress)
LINK: TypeAdapter[str] = TypeAdapter(Link)

UNSEEN = st.characters(categories=["Cc", "Cf", "Zl", "Zp"], exclude_characters=JOINERS)


@pytest.mark.parametrize("text", ["Noor de Wit", "Zoë Đặng", "O’Brien – Smit", "北京", "x" * 200])
def test_a_line_may_be_in_any_script(text: str) -> None:
    assert LINE.validate_python(text) == text


@given(
    UNSEEN.filter(lambda each: each not in JOINERS),
    st.text(alphabet="ab", min_size=1),
    st.text(alphabet="ab", min_size=1),
)
def test_a_line_has_no_character_that_nobody_sees(unseen: str, before: str, after: str) -> None:
    with pytest.raises(ValidationError):
        LINE.validate_python(before + unseen + after)


@pytest.mark.parametrize("text", ["", "   ", "x" * 201, "Noor\r\nBcc: all@example.com", "Noor\x00", "Noor\u2028Wit"])
def test_a_line_is_one_line_of_a_bounded_length(text: str) -> None:
    with pytest.raises(ValidationError):
        LINE.validate_python(text)


def test_a_line_loses_the_spaces_around_it() -> None:
    assert LINE.validate_python("  Noor de Wit\n") == "Noor de Wit"


def test_joiners_stand_where_letters_need_them_and_marks_at_the_edges_go() -> None:
    assert LINE.validate_python("\ufeffکتاب‌خانه \u200f") == "کتاب‌خانه"
    with pytest.raises(ValidationError, match="ZERO WIDTH SPACE, U\\+200B"):
        LINE.validate_python("Noor\u200bWit")


@pytest.mark.parametrize("around", ["\u202a{}\u202c", "{}\u200b", "\ufeff{}\u00a0", "\u200e{}\u00ad"])
def test_an_address_loses_what_address_books_put_around_it(around: str) -> None:
    assert ADDRESS.validate_python(around.format("noor@v.example")) == "noor@v.example"


@pytest.mark.parametrize(
    "text", ["no\u200bor@v.example", "noor\u200d@v.example", "\u200b@v.example", "noor@v\u202e.example"]
)
def test_an_address_has_nothing_inside_that_nobody_sees(text: str) -> None:
    with pytest.raises(ValidationError):
        ADDRESS.validate_python(text)


def test_prose_has_paragraphs_and_nothing_else_that_nobody_sees() -> None:
    assert PROSE.validate_python("One.\n\nTwo.") == "One.\n\nTwo."
    for text in ("One.\r\nTwo.", "One.\x1b[2J", "One.\u202etwo"):
        with pytest.raises(ValidationError):
            PROSE.validate_python(text)


@pytest.mark.parametrize("text", ["a", "gezinsaanpak-2023", "2023", "x" * 64])
def test_a_slug_fits_into_a_subject(text: str) -> None:
    assert SLUG.validate_python(text) == text


@pytest.mark.parametrize(
    "text", ["", "_", "-a", "a-", "a--b", "A", "a.b", "a b", "a*", ">", "a/b", "é", "a\n", "x" * 65, "../a"]
)
def test_what_does_not_fit_into_a_subject_is_no_slug(text: str) -> None:
    with pytest.raises(ValidationError):
        SLUG.validate_python(text)


@given(st.text(max_size=70))
def test_whatever_is_a_slug_is_one_word_of_a_subject(text: str) -> None:
    try:
        slug = SLUG.validate_python(text)
    except ValidationError:
        return
    assert slug.isascii()
    assert not set(slug) & set(" .*>\r\n\t")


@pytest.mark.parametrize("text", ["", "-a", ".a", "a b", "a\n", "a>", "a*", "x" * 65])
def test_a_bad_identity_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        IDENTITY.validate_python(text)


@pytest.mark.parametrize("text", ["noor@example.org", "n.de+x@a-b.example", "zoë@bücher.example"])
def test_an_address_may_be_international(text: str) -> None:
    assert ADDRESS.validate_python(f" {text} ") == text


@pytest.mark.parametrize(
    "text",
    [
        "noor",
        "@example.org",
        "noor@",
        "a@b@c",
        "a b@example.org",
        "a@example.org\r\nBcc: b@example.org",
        "a@example.org,b@example.org",
        "<a@example.org>",
        '"a b"@example.org',
        "a@exam\x00ple.org",
        "a@" + "x" * 260,
    ],
)
def test_what_could_forge_a_header_is_no_address(text: str) -> None:
    with pytest.raises(ValidationError):
        ADDRESS.validate_python(text)


@pytest.mark.parametrize("text", ["ftp://a.example", "javascript:alert(1)", "https://a b", "https://a\r\nX: y", "//a"])
def test_a_link_leads_to_the_web_and_nowhere_else(text: str) -> None:
    with pytest.raises(ValidationError):
        LINK.validate_python(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Noor@Example.org", "noor@example.org"),
        (" noor@example.org ", "noor@example.org"),
        ("no or@ example.org", "NOOR@example.org"),
        ("straße@example.org", "STRASSE@example.org"),
    ],
)
def test_the_same_person_may_write_an_address_in_two_ways(one: str, other: str) -> None:
    assert same_address(one) == same_address(other)


@given(st.emails())
def test_comparing_an_address_with_itself_needs_no_second_try(address: str) -> None:
    assert same_address(same_address(address)) == same_address(address)


def test_two_people_at_one_host_are_two() -> None:
    assert same_address("noor@example.org") != same_address("noor.w@example.org")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("victim@bieb.example", "Victim+1@bieb.example"),
        ("victim@gmail.com", "v.i.c.tim+x@googlemail.com"),
        ("victim@gmail.com", "victim@GMAIL.com."),
        ("victim@yahoo.co.uk", "victim-sale@yahoo.co.uk"),
        ("victim@proton.me", "vic_tim@protonmail.com"),
        ("victim@icloud.com", "victim+a+b@me.com"),
    ],
)
def test_addresses_of_one_mailbox_count_as_one(one: str, other: str) -> None:
    assert same_mailbox(one) == same_mailbox(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("jan.smit@bieb.example", "jansmit@bieb.example"),
        ("jan-smit@bieb.example", "jan@bieb.example"),
        ("a@gmail.com", "a@gmail.example"),
        ("+@bieb.example", "@bieb.example"),
    ],
)
def test_addresses_that_may_be_two_peoples_count_as_two(one: str, other: str) -> None:
    assert same_mailbox(one) != same_mailbox(other)


@given(st.text(max_size=40), st.text(max_size=40))
def test_counting_a_mailbox_needs_no_second_try(local: str, domain: str) -> None:
    once = same_mailbox(f"{local}@{domain}")
    assert same_mailbox(once) == once or domain.endswith(".")
