"""An address is whatever mail can go to, and is said to be none in words that help whoever typed it."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from contracts.addresses import LONGEST, LONGEST_LOCAL_PART, address, needs_smtputf8
from contracts.base import EmailAddress
from contracts.characters import Unfit
from contracts.complaints import unfit_of

ADDRESS: TypeAdapter[str] = TypeAdapter(EmailAddress)
PATTERN = re.compile(ADDRESS.json_schema()["pattern"])


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("noor@bibliotheek.example", "noor@bibliotheek.example"),
        ("Noor.de+Wit@Bibliotheek-Zeist.EXAMPLE", "Noor.de+Wit@bibliotheek-zeist.example"),
        ("n_o'o-r@a-b.example", "n_o'o-r@a-b.example"),
        ("!#$%&*/=?^`{|}~@x.example", "!#$%&*/=?^`{|}~@x.example"),
        (" noor@x.example\n", "noor@x.example"),
        ("noor@x.example\u200b", "noor@x.example"),
        ("\u202anoor@x.example\u202c", "noor@x.example"),
        ("\ufeffnoor@x.example\u00a0", "noor@x.example"),
        ("noor@bücher.example", "noor@xn--bcher-kva.example"),
        ("noor@xn--bcher-kva.example", "noor@xn--bcher-kva.example"),
        ("zoë@bücher.example", "zoë@xn--bcher-kva.example"),
        ("zoe\u0308@x.example", "zoë@x.example"),
        ("ж" * 32 + "@x.example", "ж" * 32 + "@x.example"),
        ("a" * LONGEST_LOCAL_PART + "@x.example", "a" * LONGEST_LOCAL_PART + "@x.example"),
    ],
)
def test_an_address_is_kept_as_it_goes_on_an_envelope(typed: str, kept: str) -> None:
    assert ADDRESS.validate_python(typed) == kept
    assert ADDRESS.validate_python(kept) == kept
    assert PATTERN.search(kept)


@pytest.mark.parametrize(
    ("typed", "english"),
    [
        ("", "An e-mail address must not be empty."),
        ("\u200b \u202a", "An e-mail address must not be empty."),
        ("noor", "An e-mail address has one @"),
        ("noor@a.example@b.example", "An e-mail address has one @"),
        ("@x.example", "A name stands before the @."),
        ("a" * 65 + "@x.example", "At most 64 characters can stand before the @."),
        ("ж" * 33 + "@x.example", "At most 64 characters can stand before the @."),
        (".noor@x.example", "Before the @ a dot stands between other characters"),
        ("noor.@x.example", "Before the @ a dot stands between other characters"),
        ("no..or@x.example", "Before the @ a dot stands between other characters"),
        ("no or@x.example", "Character 3 cannot stand here: SPACE, U+0020."),
        ("noor@x.example, sam@x.example", "Character 15 cannot stand here: , (COMMA, U+002C)."),
        ("<noor@x.example>", "Character 1 cannot stand here: < (LESS-THAN SIGN, U+003C)."),
        ('"no or"@x.example', 'Character 1 cannot stand here: " (QUOTATION MARK, U+0022).'),
        ("noor@[127.0.0.1]", "Character 6 cannot stand here: [ (LEFT SQUARE BRACKET, U+005B)."),
        ("no\u200bor@x.example", "Character 3 cannot stand here: ZERO WIDTH SPACE, U+200B."),
        ("no\u200dor@x.example", "Character 3 cannot stand here: ZERO WIDTH JOINER, U+200D."),
        ("a@x.example\r\nBcc: b@x.example", "Character 12 cannot stand here: CARRIAGE RETURN, U+000D."),
        ("a@exam\x00ple.org", "Character 7 cannot stand here: NULL, U+0000."),
        ("noor@localhost", "What stands after the @ is no host that mail can go to"),
        ("noor@", "What stands after the @ is no host that mail can go to"),
        ("noor@-x.example", "What stands after the @ is no host that mail can go to"),
        ("noor@x..example", "What stands after the @ is no host that mail can go to"),
        ("noor@a_b.example", "What stands after the @ is no host that mail can go to"),
        ("noor@127.0.0.1", "What stands after the @ is no host that mail can go to"),
        ("noor@" + "b" * 64 + ".example", "What stands after the @ is no host that mail can go to"),
        ("a@" + ".".join(["b" * 60] * 4) + ".example.org", "An e-mail address has at most 254 characters."),
        ("x" * 5000 + "@x.example", "An e-mail address has at most 254 characters."),
    ],
)
def test_what_is_no_address_is_refused_with_what_to_do_in_both_languages(typed: str, english: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ADDRESS.validate_python(typed)
    (item,) = caught.value.errors()
    unfit = unfit_of(item)
    assert unfit is not None
    assert unfit.english.startswith(english)
    assert unfit.dutch.endswith(".")
    assert len(typed) < 6 or (typed not in unfit.english and typed not in unfit.dutch)


@given(st.text(max_size=80) | st.emails() | st.from_regex(PATTERN, fullmatch=True))
@example("a@b.example\u2028c")
@example("a@b。example")
def test_whatever_is_typed_is_kept_the_same_for_ever_or_refused_in_words(typed: str) -> None:
    try:
        kept = address(typed)
    except Unfit:
        return
    assert address(kept) == kept
    assert len(kept.encode()) <= LONGEST
    local, _, host = kept.rpartition("@")
    assert host.isascii()
    assert host == host.lower()
    assert not set(kept) & set(' <>(),;:\\"[]\r\n\t')
    assert kept.isprintable()
    assert needs_smtputf8(kept) is not local.isascii()
    assert PATTERN.search(kept)
