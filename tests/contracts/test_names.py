"""A name is whatever people are called, and nothing that somebody could advertise with."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.base import Name
from contracts.commands import CorrectPerson
from contracts.complaints import unfit_of
from contracts.enrolment import KnownPerson, Person
from contracts.problem import invalid

NAME: TypeAdapter[str] = TypeAdapter(Name)
REAL = Path(__file__).with_name("real_names.txt").read_text(encoding="utf-8").splitlines()


def refused(text: object) -> str:
    with pytest.raises(ValidationError) as caught:
        NAME.validate_python(text)
    (item,) = caught.value.errors()
    unfit = unfit_of(item)
    assert unfit is not None
    assert unfit.english.endswith(".")
    assert unfit.dutch.endswith(".")
    return unfit.english


def test_two_hundred_names_are_many_cultures() -> None:
    assert len(REAL) == len(set(REAL)) >= 200


@pytest.mark.parametrize("text", REAL)
def test_a_real_name_passes_as_it_is_written(text: str) -> None:
    assert NAME.validate_python(text) == " ".join(unicodedata.normalize("NFC", text).split())
    assert NAME.validate_json(f'"{text}"' if '"' not in text else '"x"')


@pytest.mark.parametrize(
    "text",
    [
        "https://evil.example/win",
        "u heeft 1000 euro gewonnen https://evil.example",
        "hxxps evil example",
        "HTTP: evil",
        "https：／／evil.example",
        "//evil.example",
        "javascript:alert(1)",
        "mailto:win",
        "www.evil.example",
        "WWW.Evil",
        "ｗｗｗ.evil",
        "w\u200dw\u200dw.evil",
        "Win op www evil com",
        "evil.example/win",
        "evil.example",
        "EVIL.COM",
        "evil。example",
        "evil｡example",
        "evil．com",
        "evil\u2024com",
        "evil\u200c.com",
        "Gewonnen: zie bit.ly/win",
        "bit.ly",
        "goo.gl",
        "t.me/win",
        "x.com",
        "a.nl",
        "Noor evil.nl",
        "evil.nl Noor",
        "evil.online.",
        "dr.evil.shop",
        "evil.xn--p1ai",
        "пример.рф",
        "例え.みんな",
        "casino-gratis.de",
        "noor@x.example",
        "noor＠x",
        "noor﹫x",
        "1000 euro",
        "06 12345678",
        "0 6 1 2 3 4",
        "1.0.0.0",
        "１０００",
        "𝟏𝟎𝟎",
        "١٠٠ درهم",
        "1️⃣0️⃣",
        "²³",
        "❶❷",
        "€ gewonnen",
        "Win $",
        "Noor 😀",
        "<b>Noor</b>",
        "=cmd|calc",
        "Noor & Co; gratis",
        "[url=x]Noor",
        "Klik! Nu!",
        "Noor\r\nBcc: x@y.example",
        "Noor\nWit",
        "Noor\u2028Wit",
        "Noor\tWit",
        "Noor\x00",
        "Noor\x1b[31mWit",
        "Noor\x9b31m",
        "Noor\u202etiW ed",
        "Noor\u2067Wit\u2069",
        "Noor\u200b de Wit",
        "Noor\u00adde Wit",
        "Noor\U000e0041Wit",
        "Noor\u3164Wit",
        "Noor\ue000",
        "Noor\ufffe",
        "Noor\ud800",
        "",
        "  ",
        "\u200b\ufeff",
        "\u200d",
        "-",
        "3",
        "...",
        "u heeft een hele mooie prijs gewonnen klik hier",
        "x" * 81,
        "\u0344" * 300,
        "ﷺ" * 81,
        "x" * 10_000_000,
    ],
    ids=lambda text: ascii(text[:24]),
)
def test_what_could_be_used_against_others_is_no_name(text: str) -> None:
    assert "evil" not in refused(text).lower()


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("\ufeffNoor de Wit\u200b", "Noor de Wit"),
        ("\u202aNoor de Wit\u202c", "Noor de Wit"),
        ("\u00a0Noor\u00a0de  Wit\u3000\n", "Noor de Wit"),
        ("\u200eعلی‌رضا\u200f", "علی‌رضا"),
        ("\u00adNoor\u2060", "Noor"),
        ("Zoe\u0308", "Zoë"),
    ],
    ids=ascii,
)
def test_what_nobody_sees_at_the_edges_is_taken_away(typed: str, kept: str) -> None:
    assert NAME.validate_python(typed) == kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x" * 81, "at most 80 characters"),
        ("a b c d e f g h i", "at most 8 words"),
        ("Noor 12", "no digits in a row"),
        ("Noor@x", "no @"),
        ("evil.example/win", "the address of a website"),
        ("Noor\u200b de Wit", "Character 5 cannot stand here: ZERO WIDTH SPACE, U+200B"),
        ("Noor\u202ede Wit", "RIGHT-TO-LEFT OVERRIDE, U+202E"),
        ("Noor\nde Wit", "LINE BREAK, U+000A"),
        ("Noor\x1b", "ESCAPE, U+001B"),
        ("Noor €", "€ (EURO SIGN, U+20AC)"),
        ("...", "at least one letter"),
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_it_is_said_what_is_wrong_and_where(text: str, said: str) -> None:
    assert said in refused(text)


def test_a_problem_says_it_in_both_languages() -> None:
    with pytest.raises(ValidationError) as caught:
        Person.model_validate({"name": "Noor 12", "email": "noor@x.example"})
    (fault,) = invalid(caught.value).errors
    assert (fault.field, fault.detail) == ("name", "a name has no digits in a row")
    assert fault.detail_nl == "In een naam staan geen cijfers achter elkaar."


def test_every_message_that_names_a_person_judges_the_name() -> None:
    for model, field in ((Person, "name"), (CorrectPerson, "new_name")):
        with pytest.raises(ValidationError):
            model.model_validate({field: "win op evil.example", "email": "noor@x.example"})


def test_who_is_known_stays_readable_whatever_later_rules_say() -> None:
    stored = KnownPerson(name="Noor 1000 www.x.example", email="noor@x.example").to_json()
    assert KnownPerson.model_validate_json(stored).name == "Noor 1000 www.x.example"


FRAGMENTS = st.sampled_from(
    [
        "@",
        "＠",
        "://",
        "：／／",
        "www.",
        "ＷＷＷ．",
        ".",
        "。",
        "com",
        "nl",
        "1",
        "２",
        "\u200d",
        "\u200b",
        " ",
        "e\u0301",
        "é",
        "'",
    ]
)


@given(st.lists(st.text(max_size=6) | FRAGMENTS, max_size=12).map("".join))
@example("\u0344" * 50)
@example("a\u0338" * 40)
@example("ﷺ ﷺ")
def test_whatever_passes_has_nothing_that_a_name_has_not_in_whatever_disguise(text: str) -> None:
    try:
        kept = NAME.validate_python(text)
    except ValidationError:
        return
    assert 1 <= len(kept) <= 80
    assert len(kept.split(" ")) <= 8
    assert unicodedata.is_normalized("NFC", kept)
    assert NAME.validate_python(kept) == kept, "what is kept is taken again as it is"
    seen = unicodedata.normalize("NFKC", kept).casefold().replace("\u200d", "").replace("\u200c", "")
    assert not any(each in seen for each in ("@", "://", "www.", "\\", "<"))
    assert not re.search(r"\d\s*\d|\w\.(com|nl)\b(?![\w'])", seen)
    assert all(unicodedata.category(each) not in {"Cc", "Cs", "Co", "Cn", "Zl", "Zp"} for each in kept)
    assert all(each in "\u200c\u200d" for each in kept if unicodedata.category(each) == "Cf")
