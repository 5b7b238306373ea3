"""Each mail leaves from an address of its own, which only this installation can make."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.hygiene import UnusableAddress
from services.notifications.return_path import ReturnPaths

MAIL = "0123456789abcdef0123456789abcdef"
PATHS = ReturnPaths("bounce@deelname.example", b"k" * 32)


def test_it_says_which_mail_comes_back_whatever_case_a_relay_makes_of_it() -> None:
    address = PATHS.of(MAIL)
    assert address.startswith(f"bounce+{MAIL}")
    assert len(address.partition("@")[0]) <= 64
    assert PATHS.mail(address) == PATHS.mail(address.upper()) == MAIL
    assert PATHS.of(MAIL) == address


def test_another_installation_makes_another_address() -> None:
    assert PATHS.mail(ReturnPaths("bounce@deelname.example", b"other").of(MAIL)) is None
    assert PATHS.mail(ReturnPaths("bounce@elsewhere.example", b"k" * 32).of(MAIL)) is None


@given(st.text(alphabet="0123456789abcdef", min_size=16, max_size=16))
def test_an_address_with_another_code_is_nobodys(code: str) -> None:
    address = f"bounce+{MAIL}{code}@deelname.example"
    assert (PATHS.mail(address) is None) == (address != PATHS.of(MAIL))


@given(st.text(max_size=80))
def test_any_text_can_be_asked_about(text: str) -> None:
    assert PATHS.mail(text) is None
    assert PATHS.covers(text) in (True, False)


def test_the_mailbox_and_all_that_look_like_ours_are_taken() -> None:
    for address in ("bounce@deelname.example", "Bounce+x@Deelname.Example", PATHS.of(MAIL)):
        assert PATHS.covers(address)
    for address in ("bounces@deelname.example", "bounce@elsewhere.example", "x+bounce@deelname.example"):
        assert not PATHS.covers(address)


def test_a_mailbox_that_leaves_no_room_is_refused() -> None:
    ReturnPaths("a" * 15 + "@deelname.example", b"")
    for wrong in ("a" * 16 + "@deelname.example", "bounce", "béü@deelname.example"):
        with pytest.raises(UnusableAddress):
            ReturnPaths(wrong, b"")
