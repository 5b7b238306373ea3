"""For how long people are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts.facts import ProgrammeClosed, ProgrammeWithdrawn, RegistrationFact, SessionCancelled
from contracts.session import Session
from services.registration.domain.retention import (
    AT_ONCE,
    Appearance,
    Ending,
    Standing,
    Terms,
    ending,
    field_known_until,
    known_until,
)
from tests.registration.domain.given import NOW, SESSION, confirmed, fold, published, waitlisted

TERMS = Terms(people=timedelta(days=400), others=timedelta(days=30))
END = datetime(2023, 4, 13, 14, 0, tzinfo=UTC)
UNDATED = SESSION.model_copy(update={"id": "later", "start": None, "end": None})


def local(text: str) -> datetime:
    """A local time in Amsterdam, as programmes have it."""
    return datetime.fromisoformat(text)


def appears(standing: Standing, ends: datetime | None = END, keep: int | None = None) -> Appearance:
    return Appearance("ontmoeting", standing, NOW, Ending(ends, timedelta(days=keep) if keep else None))


class TestAProgrammeEnds:
    """The moment from which its term runs."""

    def test_with_its_last_session(self) -> None:
        earlier = SESSION.model_copy(
            update={"id": "eerder", "start": local("2023-03-01T09:00"), "end": local("2023-03-01T10:00")}
        )
        assert ending(fold([published(sessions=(SESSION, earlier))]), None) == Ending(END)

    def test_when_the_staff_close_it_while_a_session_has_no_date(self) -> None:
        closed = ProgrammeClosed(since=NOW + timedelta(days=3))
        for sessions in ((UNDATED,), (SESSION, UNDATED), ()):
            assert ending(fold([published(sessions=sessions), closed]), None) == Ending(closed.since)
        # It has ended before: nobody is known for longer.
        assert (
            ending(fold([published(sessions=(SESSION,)), ProgrammeClosed(since=END + TERMS.people)]), None).ends == END
        )

    def test_with_the_closing_of_enrolment_while_a_session_has_no_date(self) -> None:
        closes = local("2023-03-10T12:00")
        before = fold([published(sessions=(UNDATED,), closes=closes)])
        assert ending(before, None) == Ending(datetime(2023, 3, 10, 11, 0, tzinfo=UTC))
        with_one = fold([published(sessions=(SESSION, UNDATED), closes=closes)])
        assert ending(with_one, None) == Ending(END)

    def test_nobody_knows_when_while_nothing_has_a_date(self) -> None:
        assert ending(fold([published(sessions=(UNDATED,))]), None) == Ending(None)
        assert ending(fold([published(sessions=())]), None) == Ending(None)
        assert ending(fold([]), None) == Ending(None)

    def test_when_it_was_withdrawn(self) -> None:
        assert ending(fold([published(), ProgrammeWithdrawn()]), NOW) == Ending(NOW)

    def test_and_may_have_a_term_of_its_own(self) -> None:
        assert ending(fold([published(keep_people_days=7)]), None) == Ending(END, timedelta(days=7))


@pytest.mark.parametrize(
    ("appearance", "until"),
    [
        (appears("confirmed"), END + timedelta(days=400)),
        (appears("confirmed", keep=7), END + timedelta(days=7)),
        (appears("confirmed", ends=None), None),
        (appears("waiting"), END + timedelta(days=400)),
        (appears("waiting", ends=None), None),
        (appears("withdrawn", ends=None), NOW + timedelta(days=30)),
        (appears("refused", ends=None), NOW + timedelta(days=30)),
    ],
)
def test_who_took_part_is_known_for_longer_than_who_did_not(appearance: Appearance, until: datetime | None) -> None:
    assert known_until([appearance], TERMS) == until


def test_the_last_of_all_enrolments_counts() -> None:
    assert known_until([appears("confirmed"), appears("refused")], TERMS) == END + timedelta(days=400)
    assert known_until([appears("refused"), appears("waiting", ends=None)], TERMS) is None


def lunch(id_: str, day: int | None) -> Session:
    times: dict[str, Any] = {"start": None, "end": None}
    if day is not None:
        times = {"start": local(f"2023-04-{day:02}T10:00"), "end": local(f"2023-04-{day:02}T16:00")}
    return SESSION.model_copy(update={"id": id_, "lunch": True, **times})


class TestADiet:
    """What somebody eats, for the lunch."""

    def test_is_gone_the_day_after_the_last_lunch(self) -> None:
        state = fold([published(sessions=(lunch("a", 11), lunch("b", 13), SESSION)), confirmed("e")])
        # Midnight in Amsterdam, in summer time.
        assert field_known_until("diet", "e-1", state) == datetime(2023, 4, 13, 22, 0, tzinfo=UTC)

    def test_stays_while_a_lunch_has_no_date(self) -> None:
        state = fold([published(sessions=(lunch("a", 11), lunch("b", None))), waitlisted("e")])
        assert field_known_until("diet", "e-1", state) is None

    def test_is_gone_with_the_place(self) -> None:
        state = fold([published(sessions=(lunch("a", 11),)), confirmed("e")])
        assert field_known_until("diet", "somebody-else", state) == AT_ONCE

    def test_is_gone_with_the_lunch(self) -> None:
        facts: tuple[RegistrationFact, ...] = (published(sessions=(lunch("a", 11),)), confirmed("e"))
        for gone in (SessionCancelled(session="a"), ProgrammeWithdrawn()):
            assert field_known_until("diet", "e-1", fold([*facts, gone])) == AT_ONCE


def test_what_has_no_rule_is_not_kept() -> None:
    assert field_known_until("shoe-size", "e-1", fold([published(), confirmed("e")])) == AT_ONCE
