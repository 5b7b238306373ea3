"""Personal links in mails: how their addresses are made, and what is left of them in mails that come back."""

from __future__ import annotations

import quopri
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.chassis.links import Link
from services.notifications.links import NoAddress, PersonalLinks, blanked
from services.notifications.quoted import quoted_printable
from tests.notifications.conftest import LINK_KEYS
from tests.notifications.lives import PROGRAMME, START

LINK = Link("confirm", "0191e0a6-5d61-7b2c-a0c1-b7f1c2d3e4f5", PROGRAMME, START, START + timedelta(hours=1))
ADDRESS = PersonalLinks(LINK_KEYS, "https://deelname.example/base/").address_of(LINK)


def test_an_address_is_made_of_where_the_pages_stand_and_what_the_keys_make() -> None:
    assert f"https://deelname.example/base/confirm/{LINK_KEYS.made(LINK)}" == ADDRESS
    assert LINK_KEYS.opened(ADDRESS.rpartition("/")[2]) == LINK


def test_where_nobody_has_said_where_the_pages_stand_there_is_no_address() -> None:
    with pytest.raises(NoAddress, match="DEELNAME_PUBLIC_URL"):
        PersonalLinks(LINK_KEYS, "").address_of(LINK)


@given(before=st.text(max_size=90), after=st.text('\n .,>"', min_size=1, max_size=3))
def test_what_is_quoted_of_a_link_of_ours_cannot_be_followed(before: str, after: str) -> None:
    text = f"{before} {ADDRESS}{after}"
    token = ADDRESS.rpartition("/")[2].encode()
    for raw in (
        text.encode("utf-8", "replace"),
        quoted_printable(text),
        quopri.encodestring(text.encode("utf-8", "replace")),
    ):
        left = blanked(raw)
        assert token not in quopri.decodestring(left)
        assert b"[personal link]" in left


@given(st.binary(max_size=300))
def test_whatever_else_comes_back_stays_as_it_came(raw: bytes) -> None:
    assert b"/confirm/" in raw or blanked(raw) == raw


def test_a_mail_made_to_take_long_takes_no_time() -> None:
    raw = b"/" * 25_000_000
    assert blanked(raw) == raw
