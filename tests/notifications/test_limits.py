"""What may go out when: caps by the hour, and turns by the minute."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.links import keep_link_keys
from services.notifications.sender.limits import HOUR, Bucket, Gate, Limits, Passenger, Window
from services.notifications.settings import Settings
from tests.notifications.lives import START

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def mail(ordinal: int, address: str = "noor@d.example", *, programme: str = "x", again: bool = False) -> Passenger:
    return Passenger(ordinal, address.partition("@")[0], programme, address, again)


@given(most=st.integers(1, 5), waits=st.lists(st.integers(0, 2000), max_size=40))
def test_in_no_hour_there_are_more_than_the_cap_and_whoever_waits_as_told_gets_through(
    most: int, waits: list[int]
) -> None:
    window, now, went = Window(most), START, []
    for wait in waits:
        now += wait * SECOND
        if (until := window.full_until("noor", now)) is not None:
            assert now < until <= now + HOUR
            now = until
            assert window.full_until("noor", now) is None
        window.add("noor", now)
        went.append(now)
    for at in went:
        assert sum(at <= each < at + HOUR for each in went) <= most
    assert window.full_until("sam", now) is None


@given(a_minute=st.integers(1, 50), waits=st.lists(st.floats(0, 20), min_size=1, max_size=80))
def test_turns_come_in_order_at_the_rate_and_each_waits_once(a_minute: int, waits: list[float]) -> None:
    bucket, now, turns = Bucket(a_minute), START, []
    for ordinal, wait in enumerate(waits):
        now += wait * SECOND
        turn = bucket.turn(ordinal, now)
        turns.append(turn or now)
        if turn is not None:
            assert turn > now
            assert bucket.turn(ordinal, turn) is None, "who comes at its turn goes"
    assert turns == sorted(turns)
    for at in turns:
        # One bucket full, and what flows in during a minute; the last microsecond is rounding.
        assert sum(at <= each < at + MINUTE - timedelta(milliseconds=1) for each in turns) <= 2 * a_minute


def test_a_bucket_lets_one_minutes_worth_go_at_once_and_the_next_one_a_moment_later() -> None:
    bucket = Bucket(60)
    assert {bucket.turn(ordinal, START) for ordinal in range(60)} == {None}
    assert bucket.turn(60, START) == START + SECOND
    assert bucket.turn(61, START) == START + 2 * SECOND


def test_a_turn_once_given_is_kept_until_the_mail_went_and_is_not_kept_for_ever() -> None:
    bucket = Bucket(1)
    assert bucket.turn(1, START) is None
    assert bucket.turn(2, START) == START + MINUTE
    assert bucket.turn(2, START) == START + MINUTE
    assert bucket.turn(3, START + MINUTE) == START + 2 * MINUTE, "who waited is not overtaken"
    assert bucket.tidy(START + 2 * HOUR) is False


def test_the_mail_server_as_a_whole_has_a_pace_too_and_a_maildir_has_none() -> None:
    limits = Limits(relay=4, domain=60, strangers_percent=50)
    gate = Gate(limits)
    waits = [gate.passes(mail(n, f"p{n}@d{n}.example"), START) for n in range(4)]
    assert [each.until - START if each else None for each in waits] == [None, None, 30 * SECOND, MINUTE]
    assert waits[2] is not None
    assert waits[2].reason == "waits for its turn: 2 mails a minute to the mail server"
    assert gate.passes(mail(2, "p2@d2.example"), START + 30 * SECOND) is None
    maildir = Gate(limits, paced=False)
    assert {maildir.passes(mail(n, f"p{n}@d.example"), START) for n in range(100)} == {None}


def test_a_further_attempt_does_not_count_against_the_caps() -> None:
    gate = Gate(Limits(person=1))
    assert gate.passes(mail(1), START) is None
    assert gate.passes(mail(1, again=True), START) is None
    assert gate.passes(mail(2), START) is not None
    assert gate.capped(START) == ["person:noor"]
    assert gate.capped(START + 2 * HOUR) == []


def test_tags_and_dots_lead_past_no_cap_and_no_address_is_told() -> None:
    gate = Gate(Limits(person=2))
    same = ("victim@gmail.com", "victim+1@gmail.com", "v.i.c.tim@googlemail.com")
    waits = [gate.passes(Passenger(n, f"id{n}", "x", address), START) for n, address in enumerate(same)]
    assert [each is None for each in waits] == [True, True, False]
    assert gate.capped(START) == ["person:id2"]
    assert gate.passes(mail(9, "other@gmail.com"), START) is None


def test_by_itself_a_track_and_a_programme_of_five_hundred_go_out_at_once(tmp_path: Path) -> None:
    settings = Settings.model_validate(
        {
            "transport": "maildir:/x",
            "sender": "D <d@d.example>",
            "nats_url": "nats://x",
            "data": "/x",
            "link_keys": keep_link_keys(tmp_path / "links.keys"),
        }
    )
    gate = Gate(settings.limits, paced=False)
    ordinal = 0
    for person in range(500):
        for _ in range(1 + 6 + 1):
            ordinal += 1
            assert gate.passes(mail(ordinal, f"p{person}@d.example", programme="track"), START) is None
    bomb = [gate.passes(mail(ordinal + n, "victim@d.example", programme="other"), START) for n in range(1, 101)]
    assert sum(each is None for each in bomb) == 60


def test_the_numbers_of_domains_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DEELNAME_DOMAINS", '{"Outlook.com": 30}')
    monkeypatch.setenv("DEELNAME_HOLD", "PT5M")
    settings = Settings.model_validate(
        {
            "transport": "maildir:/x",
            "sender": "D <d@d.example>",
            "nats_url": "nats://x",
            "data": "/x",
            "link_keys": keep_link_keys(tmp_path / "links.keys"),
        }
    )
    assert (settings.limits.of_domain("outlook.com"), settings.limits.of_domain("x.example")) == (30, 120)
    assert settings.hold == timedelta(minutes=5)
