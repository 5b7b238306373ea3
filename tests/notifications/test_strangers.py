"""What anybody can cause, and that it delays nobody else: caps and turns of mails to addresses that strangers typed."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifications.sender.limits import HOUR, Gate, Limits, Passenger
from services.notifications.sender.strangers import HORIZON, Strangers
from tests.notifications.lives import START

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
TOMORROW = START + timedelta(hours=24)
HOUR_OF_START = START.replace(minute=0)

LIMITS = Limits(person=20, programme=50, relay=10, domain=5, strangers_domain=8)


class Coming(NamedTuple):
    """A mail and how many seconds after the one before it becomes due."""

    wait: int
    address: str
    programme: str
    by_stranger: bool


ADDRESSES = ("noor@a.example", "noor+1@a.example", "sam@a.example", "eva@b.example")
COMING = st.builds(
    Coming,
    st.integers(0, 900),
    st.sampled_from(ADDRESSES),
    st.sampled_from(("x", "y")),
    st.booleans(),
)


def times(coming: list[Coming], *, strangers_too: bool) -> list[datetime]:
    """When the mails that are no strangers' pass, each looked at again when it was told to come back."""
    gate, strangers = Gate(LIMITS), Strangers(LIMITS)
    passed: dict[int, datetime] = {}
    due, now = [], START
    for ordinal, each in enumerate(coming):
        now += each.wait * SECOND
        if strangers_too or not each.by_stranger:
            due.append((now, ordinal, each))
    while due:
        due.sort(key=lambda one: one[:2])
        now, ordinal, each = due.pop(0)
        mail = Passenger(
            ordinal, "p", each.programme, each.address, before=now + 7 * HOUR if each.by_stranger else None
        )
        wait = (strangers if each.by_stranger else gate).passes(mail, now)
        if wait is None:
            passed[ordinal] = now
        elif not each.by_stranger or wait.until < now + 7 * HOUR:
            assert wait.until > now
            due.append((wait.until, ordinal, each))
        gate.tidy(now)
        strangers.tidy(now)
    return [passed[ordinal] for ordinal, each in enumerate(coming) if not each.by_stranger]


@given(st.lists(COMING, max_size=60))
def test_whatever_strangers_do_the_mails_of_others_pass_when_they_would_without_them(coming: list[Coming]) -> None:
    assert times(coming, strangers_too=True) == times(coming, strangers_too=False)


@given(st.lists(st.tuples(st.integers(0, 600), st.sampled_from(ADDRESSES), st.sampled_from("xy")), max_size=80))
def test_in_no_hour_of_the_clock_strangers_cause_more_than_their_share(coming: list[tuple[int, str, str]]) -> None:
    strangers = Strangers(LIMITS, paced=False)
    went: list[tuple[datetime, str, str]] = []
    now = START
    for ordinal, (wait, address, programme) in enumerate(coming):
        now += wait * SECOND
        mail = Passenger(ordinal, "p", programme, address)
        if (told := strangers.passes(mail, now)) is None:
            went.append((now, address, programme))
        elif told.until < now + HORIZON:
            assert strangers.passes(mail, told.until) is None, "who comes in the hour that was given goes"
            went.append((told.until, address, programme))
    hours = [at.replace(minute=0, second=0) for at, _, _ in went]
    mailboxes = Counter((hour, address.replace("+1", "")) for hour, (_, address, _) in zip(hours, went, strict=True))
    domains = Counter((hour, address.partition("@")[2]) for hour, (_, address, _) in zip(hours, went, strict=True))
    programmes = Counter((hour, programme) for hour, (_, _, programme) in zip(hours, went, strict=True))
    assert max(mailboxes.values(), default=0) <= 4
    assert max(domains.values(), default=0) <= 8
    assert max(programmes.values(), default=0) <= 10


def test_three_hundred_posts_about_one_mailbox_leave_no_more_mail_than_until_they_have_to_be_confirmed() -> None:
    strangers = Strangers(Limits(person=60), paced=False)
    addresses = [f"v.ictim+{n}@gmail.com" if n % 2 else "victim@googlemail.com" for n in range(300)]
    told = [
        strangers.passes(Passenger(n, f"p{n}", "x", address, before=START + 2 * HOUR), START)
        for n, address in enumerate(addresses)
    ]
    assert told.count(None) == 12
    in_time = [each for each in told if each is not None and each.until < START + 2 * HOUR]
    assert Counter(each.until for each in in_time) == {HOUR_OF_START + HOUR: 12, HOUR_OF_START + 2 * HOUR: 12}
    late = [each for each in told if each is not None and each.until >= START + 2 * HOUR]
    assert len(late) == 300 - 36
    assert (
        late[0].reason == "waits: 12 mails to one mailbox an hour are the most that people who are not known may cause"
    )


def test_each_of_ten_thousand_mails_is_looked_at_twice_at_most() -> None:
    strangers = Strangers(Limits(programme=5000), paced=False)
    waits = [strangers.passes(Passenger(n, f"p{n}", "x", f"p{n}@d.example"), START) for n in range(10_000)]
    for n, wait in enumerate(waits):
        assert wait is None or strangers.passes(Passenger(n, f"p{n}", "x", f"p{n}@d.example"), wait.until) is None
    assert Counter((wait.until - HOUR_OF_START) // HOUR if wait else 0 for wait in waits) == dict.fromkeys(
        range(10), 1000
    )


def test_a_domain_of_which_nobody_has_a_share_yet_has_a_cap_by_the_hour() -> None:
    strangers = Strangers(Limits(strangers_domain=3), paced=False)
    told = [strangers.passes(Passenger(n, f"p{n}", "x", f"p{n}@victim.example"), START) for n in range(5)]
    assert [each is None for each in told] == [True, True, True, False, False]
    assert strangers.passes(Passenger(9, "p9", "x", "p9@other.example"), START) is None


def test_an_hour_that_passed_while_the_mail_server_was_away_is_not_made_up_for_at_once() -> None:
    strangers = Strangers(Limits(person=5), paced=False)
    mails = [Passenger(n, "p", "x", "victim@d.example") for n in range(5)]
    given = [strangers.passes(each, START) for each in mails]
    assert [each.until - HOUR_OF_START if each else None for each in given] == [None, *(n * HOUR for n in (1, 2, 3, 4))]
    later = HOUR_OF_START + 6 * HOUR
    assert [strangers.passes(each, later) is None for each in mails[1:]] == [True, False, False, False]


def test_a_turn_that_comes_too_late_is_taken_from_nobody() -> None:
    strangers = Strangers(Limits(relay=10))
    before = START + 45 * SECOND
    told = [strangers.passes(Passenger(n, f"p{n}", "x", f"p{n}@d.example", before=before), START) for n in range(1000)]
    assert [each.until - START for each in told if each is not None and each.until < before] == [30 * SECOND]
    patient = strangers.passes(Passenger(5000, "q", "x", "q@d.example", before=TOMORROW), START)
    assert patient is not None
    assert patient.until == START + MINUTE


def test_who_starts_anew_knows_what_strangers_caused_in_this_hour() -> None:
    strangers = Strangers(Limits(person=5, programme=10, strangers_domain=2), paced=False)
    strangers.remember(START, "x", "noor+1@d.example")
    strangers.remember(START - HOUR, "x", "sam@d.example")
    strangers.remember(START, "x", None)
    assert strangers.passes(Passenger(1, "p", "y", "noor@d.example"), START) is not None
    assert strangers.passes(Passenger(2, "p", "x", "eva@e.example"), START) is not None
    assert strangers.passes(Passenger(3, "p", "y", "sam@d.example"), START) is None


def test_a_further_attempt_needs_no_hour_of_its_own() -> None:
    strangers = Strangers(Limits(person=5), paced=False)
    mail = Passenger(1, "p", "x", "noor@d.example")
    assert strangers.passes(mail, START) is None
    assert strangers.passes(mail._replace(ordinal=2), START) is not None
    assert strangers.passes(mail._replace(again=True), START) is None


@pytest.mark.parametrize("percent", [0, 51, 100, -1])
def test_neither_strangers_nor_others_can_be_left_without_a_share(percent: int) -> None:
    with pytest.raises(ValueError, match="a share of 1 to 50 percent"):
        Limits(strangers_percent=percent)
