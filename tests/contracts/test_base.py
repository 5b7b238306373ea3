"""The small values of which messages are made let nothing through that could forge a header or a subject."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.base import EmailAddress, Identity, Line, Link, Prose, Slug, same_address, same_mailbox, same_name
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
        ("victim@fastmail.com", "shop@victim.fastmail.com"),
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


SAME_NAMES = [
    ("Fatima El Amrani", "fatima el  amrani"),
    ("Fatima El-Amrani", "FATIMA EL AMRANI"),
    ("Zoë Müller", "Zoe Muller"),
    ("Zoe\u0308 Mu\u0308ller", "ZOË MÜLLER"),
    ("Jan-Willem", "Jan Willem"),
    ("O'Brien", "O’Brien"),
    ("O'Brien", "OʼBrien"),
    ("محمد", "محـــمد"),
    ("佐々木", "佐々 木"),
    ("A. de Vries", "A de Vries"),
    ("A.de Vries", "a. de vries"),
    ("St.Maarten", "St. Maarten"),
    ("Đặng Thị Hồng", "Dang Thi Hong"),
    ("Łukasz Żółw", "Lukasz Zolw"),
    ("Søren Ærø", "Soren Aero"),
    ("Çağrı Işık", "ÇAĞRI IŞIK"),
    ("Straße", "STRASSE"),
    ("ĳsbrand", "IJsbrand"),
    ("Αλέξης Παπάς", "ΑΛΕΞΗΣ ΠΑΠΑΣ"),
    ("Фёдор", "ФЕДОР"),
    ("محمّد", "محمد"),
    ("علی\u200cرضا", "علی رضا"),
    ("שָׁלוֹם", "שלום"),
    ("ﾊﾟｸ", "パク"),
    ("박지성", "박 지성"),
    ("王\ufe00明", "王明"),
]
"""By hand, or by a keyboard that lacks a key: one person."""

OTHER_NAMES = [
    ("Noor de Wit", "Noor de Wit-Bakker"),
    ("A. de Vries", "Anna de Vries"),
    ("dr. A. de Vries", "A. de Vries"),
    ("Jan", "Jans"),
    ("किरण", "कीरण"),
    ("राम", "रम"),
    ("สมชาย", "สมชย"),
    ("ก่อ", "ก้อ"),
    ("ハナ", "バナ"),
    ("박지성", "박지상"),
    ("王明", "王朋"),
    ("佐々木", "佐木"),
    ("!", "?"),
]
"""Another letter, a vowel sign, a tone or a voicing makes another name."""


@pytest.mark.parametrize(("one", "other"), SAME_NAMES)
def test_the_same_person_may_write_a_name_in_two_ways(one: str, other: str) -> None:
    assert same_name(one) == same_name(other)


@pytest.mark.parametrize(("one", "other"), OTHER_NAMES)
def test_who_is_called_otherwise_is_somebody_else(one: str, other: str) -> None:
    assert same_name(one) != same_name(other)


@given(st.text(max_size=80))
def test_comparing_a_name_with_itself_needs_no_second_try_and_leaves_something(name: str) -> None:
    folded = same_name(name)
    assert same_name(folded) == folded
    assert bool(folded) == bool(name.split())


_LETTERS = st.characters(categories=("Lu", "Ll"), max_codepoint=0x24F)
"""Latin in all its extensions: what libraries' colleagues are written with."""


@given(st.lists(st.text(_LETTERS, min_size=1, max_size=12), min_size=1, max_size=4), st.data())
def test_neither_case_nor_spaces_nor_accents_nor_signs_make_another_name(words: list[str], data: st.DataObject) -> None:
    between = st.sampled_from([" ", "  ", "-", ". ", "\u00a0", "'", "’ "])
    marks = st.sampled_from(["", "\u0301", "\u0308", "\u0327", "\u0302\u0323"])
    name = " ".join(words)
    cases: list[Callable[[str], str]] = [str.lower, str.upper, str]
    cased = st.sampled_from(cases)
    other = "".join(
        data.draw(between) if letter == " " else data.draw(cased)(letter) + data.draw(marks) for letter in name
    )
    assert same_name(other) == same_name(name)
    assert same_name(unicodedata.normalize("NFD", other)) == same_name(unicodedata.normalize("NFC", other))
