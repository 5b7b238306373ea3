"""Requests of strangers: who has to confirm, what they hold until then, and what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as some
from hypothesis import strategies as st

from contracts.enrolment import Participant
from contracts.facts import (
    EnrolmentConfirmed,
    EnrolmentLapsed,
    EnrolmentPending,
    EnrolmentRefused,
    ParticipantAdded,
    ParticipantConfirmed,
    ProgrammeCapacityLowered,
    ProgrammeWithdrawn,
    RegistrationFact,
)
from contracts.programme import Confirmation, PriceRule
from contracts.session import Session
from services.registration.domain import commands as asked
from services.registration.domain import reasons
from services.registration.domain.strangers import expected
from tests.registration.domain.given import (
    IN_ORDER,
    LIBRARY,
    NOW,
    SESSION,
    TEAM,
    Given,
    confirmed,
    end_of_day,
    given,
    later,
    missing,
    people,
    published,
    published_track,
    request,
    sitting,
    waitlisted,
)

TWO_DAYS = NOW + timedelta(hours=48)


def stranger(
    enrolment: str,
    who: Sequence[Participant] | int = 1,
    known: Iterable[str] = (),
    now: datetime = NOW,
    organisation: Any = None,
    **more: Any,
) -> asked.RequestEnrolment:
    """Ask for a place by the public channel; whoever is not ``known`` never confirmed anything."""
    made = request(enrolment, who, organisation, now)
    persons = [one.person for one in made.participants]
    mailboxes = more.pop("mailboxes", {person: person for person in persons})
    terms: dict[str, Any] = {
        "enrolments": tuple(f"{enrolment}.{number}" for number in range(1, len(persons) + 1)),
        "unknown": frozenset(persons) - set(known),
        "mailboxes": mailboxes,
        "mails_left": dict.fromkeys(mailboxes.values(), 3),
    }
    return made._replace(channel="web", source="web", stranger=asked.Stranger(**terms | more))


def pending(
    enrolment: str, who: Sequence[Participant] | None = None, held: int = 1, until: datetime = TWO_DAYS, **more: Any
) -> EnrolmentPending:
    """That somebody has yet to confirm an enrolment."""
    participants = tuple(who) if who is not None else people(enrolment.partition(".")[0], 1)
    persons = tuple(one.person for one in participants)
    terms = {"unconfirmed": persons, "asked": persons, "cause": "address-unknown"}
    return EnrolmentPending(
        enrolment=enrolment,
        units=1,
        participants=participants,
        channel="web",
        source="web",
        held=held,
        confirm_by=until,
        **terms | more,
    )


def confirm(enrolment: str, *persons: str, now: datetime = NOW, organisation: Any = None) -> asked.ConfirmEnrolment:
    """Somebody follows the link and presses the button."""
    return asked.ConfirmEnrolment(enrolment, frozenset(persons), organisation, now)


def vouch(enrolment: str, now: datetime = NOW) -> asked.ConfirmEnrolment:
    """The staff vouch for everybody who has yet to confirm."""
    return asked.ConfirmEnrolment(enrolment, None, None, now)


def from_web(fact: Any) -> Any:
    """The same by the public channel."""
    return fact.model_copy(update={"channel": "web", "source": "web"})


class TestWhoHasToConfirm:
    def test_who_is_not_known_waits_and_holds_a_place(self) -> None:
        given(published(capacity=20)).when(stranger("zeist")).then(pending("zeist.1"))

    def test_who_is_known_comes_in_at_once_and_notices_nothing(self) -> None:
        came = from_web(confirmed("zeist", who=people("zeist", 1)))
        given(published(capacity=20)).when(stranger("zeist", known=["zeist-1"])).then(came)

    def test_who_is_known_has_to_confirm_as_well_where_the_programme_says_so(self) -> None:
        rule = Confirmation(needed="always")
        given(published(capacity=20, confirmation=rule)).when(stranger("zeist", known=["zeist-1"])).then(
            pending("zeist.1", cause="always", unconfirmed=())
        )

    def test_nobody_has_to_where_the_programme_says_so_and_mails_stay_careful(self) -> None:
        came = from_web(confirmed("zeist", unconfirmed=("zeist-1",)))
        given(published(capacity=20, confirmation=Confirmation(needed="never"))).when(stranger("zeist")).then(came)

    def test_partners_and_staff_vouch_for_their_people(self) -> None:
        rule = Confirmation(needed="always")
        given(published(capacity=20, confirmation=rule)).when(request("zeist")).then(confirmed("zeist"))

    def test_each_person_confirms_alone(self) -> None:
        one, two, three = people("zeist", 3)
        given(published(capacity=40)).when(stranger("zeist", 3, known=["zeist-2"])).then(
            from_web(confirmed("zeist", who=[two])), pending("zeist.1", [one]), pending("zeist.3", [three])
        )

    def test_a_team_has_one_unit_and_a_mail_for_each_mailbox(self) -> None:
        mailboxes = {"noor": "jeugd@", "sam": "sam@", "eva": "jeugd@"}
        given(published_track(capacity=5)).when(stranger("zeist", TEAM, mailboxes=mailboxes)).then(
            pending("zeist", TEAM, asked=("noor", "sam"), complete_by=end_of_day(14))
        )

    def test_of_a_team_who_is_known_comes_in_and_the_others_count_as_open_until_they_confirm(self) -> None:
        noor, sam, eva = TEAM
        result = given(published_track(capacity=5)).when(stranger("zeist", TEAM, known=["sam"]))
        result.then_brief(("pending", "zeist"), ("confirmed", "zeist"))
        assert result.facts[0] == pending(
            "zeist", [noor, eva], held=0, missing=missing("basis"), complete_by=end_of_day(14)
        )
        assert isinstance(result.facts[1], EnrolmentConfirmed)
        assert result.facts[1].participants == (sam,)
        assert result.facts[1].missing == missing("jeugd", "manager")
        assert (result.state.confirmed, result.state.held) == (1, 0)


class TestWhoTakesPartAlready:
    def test_is_told_so_and_nobody_else_learns_it(self) -> None:
        zeist, other = people("zeist", 1)[0], Participant(person="urk-1")
        taken = given(published(capacity=40), confirmed("urk")).when(stranger("zeist", [zeist, other]))
        free = given(published(capacity=40)).when(stranger("zeist", [zeist, other]))
        assert [fact for fact in taken.facts if "zeist-1" in fact.to_json().decode()] == [
            fact for fact in free.facts if "zeist-1" in fact.to_json().decode()
        ]
        (_, told) = taken.facts
        assert isinstance(told, EnrolmentRefused)
        assert (told.present, told.participants) == (("urk-1",), (other,))
        assert [reason.rule for reason in told.reasons] == ["already-enrolled"]

    def test_is_told_the_same_whether_somebody_else_comes_in_or_not(self) -> None:
        result = given(published(capacity=40), confirmed("urk")).when(
            stranger("zeist", [Participant(person="urk-1"), Participant(person="zeist-1")], known=["zeist-1"])
        )
        (came,) = result.facts
        assert isinstance(came, EnrolmentConfirmed)
        assert (came.participants, came.present) == ((Participant(person="zeist-1"),), ("urk-1",))

    def test_somebody_known_gets_the_same_whether_another_who_is_known_takes_part_or_not(self) -> None:
        """A price for two, or for one, would tell whoever typed both addresses."""
        both = people("zeist", 2)
        rules = published(capacity=40, prices=(PriceRule(amount=Decimal(25)),))
        own = []
        for before in ((), (confirmed("urk", who=[both[1]]),)):
            result = given(rules, *before).when(stranger("zeist", both, known=["zeist-1", "zeist-2"]))
            own.append(next(fact for fact in result.facts if "zeist-1" in fact.to_json().decode()))
        assert own[0].model_copy(update={"present": ("zeist-2",)}) == own[1]

    def test_who_is_awaited_already_is_not_asked_again(self) -> None:
        given(published(capacity=20), pending("zeist.1")).when(stranger("zeist")).then_nothing()

    def test_the_public_is_told_the_same_of_everybody(self) -> None:
        strangers = given(published(capacity=2), confirmed("urk"))
        definition = strangers.state.definition
        assert definition is not None
        unknown = expected(strangers.state, definition, stranger("zeist"))
        known = expected(strangers.state, definition, stranger("zeist", known=["zeist-1"]))
        inside = expected(strangers.state, definition, stranger("urk", known=["urk-1"]))
        assert unknown == known == inside


class TestWhatStrangersHold:
    def test_is_a_quarter_of_the_programme_and_the_rest_is_told_when_to_try_again(self) -> None:
        held = [pending(f"e{number}.1") for number in range(5)]
        result = given(published(capacity=20), *held).when(stranger("zeist"))
        result.then_nothing()
        definition = result.before.definition
        assert definition is not None
        assert expected(result.before, definition, stranger("zeist")).try_again == TWO_DAYS

    def test_is_a_tenth_of_it_for_one_source_within_an_hour(self) -> None:
        before = given(published(capacity=20))
        free = NOW + timedelta(minutes=20)
        before.when(stranger("zeist", source_held=1, source_free=free)).then(pending("zeist.1"))
        before.when(stranger("zeist", source_held=2, source_free=free)).then_nothing()
        definition = before.state.definition
        assert definition is not None
        told = expected(before.state, definition, stranger("zeist", source_held=2, source_free=free))
        assert told.try_again == free

    def test_is_told_of_in_minutes_never_too_early(self) -> None:
        """Whoever comes back at the minute that was named finds that the time is up."""
        until = TWO_DAYS + timedelta(seconds=42)
        minute = TWO_DAYS + timedelta(minutes=1)
        (full,) = given(published(capacity=1), pending("urk.1", until=until)).when(stranger("zeist")).facts
        assert isinstance(full, EnrolmentRefused)
        assert full.reasons == (reasons.full_for_now(minute),)
        shared = given(published(capacity=2), pending("urk.1", until=until)).state
        assert shared.definition is not None
        assert expected(shared, shared.definition, stranger("zeist")).try_again == minute

    def test_is_never_less_than_a_unit(self) -> None:
        given(published(capacity=1)).when(stranger("zeist")).then(pending("zeist.1", until=NOW + timedelta(hours=48)))

    def test_takes_no_place_of_who_is_known(self) -> None:
        held = [pending(f"e{number}.1") for number in range(5)]
        given(published(capacity=20), *held).when(stranger("zeist", known=["zeist-1"])).then(
            from_web(confirmed("zeist"))
        )

    def test_what_cannot_be_held_waits_where_there_is_a_waiting_list(self) -> None:
        held = [pending(f"e{number}.1") for number in range(5)]
        given(published(capacity=20, waiting_list=IN_ORDER), *held).when(stranger("zeist")).then(
            pending("zeist.1", held=0)
        )

    def test_is_nothing_while_others_wait(self) -> None:
        given(published(capacity=1, waiting_list=IN_ORDER), confirmed("urk"), waitlisted("emmen")).when(
            stranger("zeist")
        ).then(pending("zeist.1", held=0, until=NOW + timedelta(hours=12)))

    def test_is_unlimited_where_the_programme_is(self) -> None:
        held = [pending(f"e{number}.1") for number in range(30)]
        given(published(), *held).when(stranger("zeist", source_held=30)).then(pending("zeist.1"))

    def test_does_not_count_for_the_maximum_of_an_organisation(self) -> None:
        rules = {"maximum_per_organisation": 1, "capacity": 40}
        given(published(**rules), pending("urk.1", organisation=LIBRARY.id)).when(
            stranger("zeist", organisation=LIBRARY)
        ).then(pending("zeist.1", organisation=LIBRARY.id))

    def test_a_full_programme_says_when_a_place_may_come_free(self) -> None:
        given(published(capacity=1), pending("urk.1")).when(stranger("zeist")).then_refused("full-for-now")
        given(published(capacity=1), confirmed("urk")).when(stranger("zeist")).then_refused("full")

    def test_no_more_than_ten_people_may_be_named_at_once(self) -> None:
        given(published()).when(stranger("zeist", 11)).then_refused("too-many-people")
        assert len(given(published()).when(stranger("zeist", 10)).facts) == 10
        assert len(given(published()).when(request("zeist", 11)).facts) == 1

    def test_a_mailbox_is_asked_a_bounded_number_of_times(self) -> None:
        same = dict.fromkeys(("zeist-1", "zeist-2", "zeist-3"), "zeist@")
        command = stranger("zeist", 3, mailboxes=same, mails_left={"zeist@": 2})
        given(published()).when(command).then_brief(("pending", "zeist.1"), ("pending", "zeist.2"))

    def test_nor_is_a_mailbox_enrolled_more_often_where_nobody_has_to_confirm(self) -> None:
        never = Confirmation(needed="never")
        same = dict.fromkeys(("zeist-1", "zeist-2", "zeist-3"), "zeist@")
        command = stranger("zeist", 3, mailboxes=same, mails_left={"zeist@": 2})
        came = given(published(confirmation=never)).when(command).facts
        assert all(isinstance(fact, EnrolmentConfirmed) for fact in came)
        assert tuple(one for fact in came for one in getattr(fact, "participants", ())) == people("zeist", 2)

    def test_one_source_has_a_bounded_number_of_people_mailed_within_an_hour(self) -> None:
        free = NOW + timedelta(minutes=20)
        command = stranger("zeist", 3, source_mails_left=2, source_free=free)
        before = given(published())
        before.when(command).then_brief(("pending", "zeist.1"), ("pending", "zeist.2"))
        definition = before.state.definition
        assert definition is not None
        known = stranger("zeist", 3, known=["zeist-1", "zeist-2", "zeist-3"], source_mails_left=2, source_free=free)
        assert expected(before.state, definition, command).try_again == free
        assert expected(before.state, definition, known).try_again == free

    def test_nor_does_it_fill_the_log_by_what_is_refused_or_changes_nothing(self) -> None:
        """What was answered leaves a fact each time, until so many people stand in those of one source."""
        full = given(published(capacity=1), confirmed("urk"))
        assert isinstance(full.when(stranger("zeist", 2, source_mails_left=2)).facts[0], EnrolmentRefused)
        full.when(stranger("zeist", 2, source_mails_left=1)).then_rejected("larger-than-capacity", kind="refused")
        inside = given(published(), confirmed("zeist", who=people("zeist", 1)))
        assert len(inside.when(stranger("nog", people("zeist", 1), source_mails_left=1)).facts) == 1
        inside.when(stranger("nog", people("zeist", 1), source_mails_left=0)).then_nothing()


class TestHowLong:
    def test_a_place_is_held_as_long_as_the_programme_says(self) -> None:
        (fact,) = given(published(confirmation=Confirmation(within_hours=5))).when(stranger("zeist")).facts
        assert isinstance(fact, EnrolmentPending)
        assert fact.confirm_by == NOW + timedelta(hours=5)

    def test_shorter_where_places_are_scarce(self) -> None:
        (fact,) = given(published(capacity=20), confirmed("urk", 19)).when(stranger("zeist")).facts
        assert isinstance(fact, EnrolmentPending)
        assert fact.confirm_by == NOW + timedelta(hours=12)

    def test_and_not_beyond_the_beginning(self) -> None:
        begins = datetime(2023, 4, 13, 12, 0, tzinfo=UTC)
        now = begins - timedelta(hours=3)
        (fact,) = given(published()).when(stranger("zeist", now=now)).facts
        assert isinstance(fact, EnrolmentPending)
        assert fact.confirm_by == begins

    def test_but_long_enough_to_read_a_mail(self) -> None:
        now = datetime(2023, 4, 13, 11, 50, tzinfo=UTC)
        (fact,) = given(published()).when(stranger("zeist", now=now)).facts
        assert isinstance(fact, EnrolmentPending)
        assert fact.confirm_by == now + timedelta(hours=1)


class TestConfirming:
    def test_gives_the_place_that_was_held(self) -> None:
        result = given(published(capacity=1, waiting_list=IN_ORDER), pending("zeist.1"), waitlisted("urk")).when(
            confirm("zeist.1", "zeist-1")
        )
        result.then(
            ParticipantConfirmed(enrolment="zeist.1", person="zeist-1"),
            from_web(confirmed("zeist.1", who=people("zeist", 1))),
        )
        assert (result.state.confirmed, result.state.held) == (1, 0)

    def test_twice_changes_nothing(self) -> None:
        came = given(published(), pending("zeist.1")).when(confirm("zeist.1", "zeist-1"))
        given(*[published(), pending("zeist.1"), *came.facts]).when(confirm("zeist.1", "zeist-1")).then_nothing()

    def test_without_a_held_place_finds_one_or_waits_for_one(self) -> None:
        rules = {"capacity": 1, "waiting_list": IN_ORDER}
        given(published(**rules), pending("zeist.1", held=0)).when(confirm("zeist.1", "zeist-1")).then_brief(
            ("participantconfirmed", "zeist.1"), ("confirmed", "zeist.1")
        )
        given(published(**rules), confirmed("urk"), pending("zeist.1", held=0)).when(
            confirm("zeist.1", "zeist-1")
        ).then_brief(("participantconfirmed", "zeist.1"), ("waitlisted", "zeist.1"))

    def test_when_the_places_are_gone_is_refused_with_the_reason(self) -> None:
        result = given(published(capacity=1), confirmed("urk"), pending("zeist.1", held=0)).when(
            confirm("zeist.1", "zeist-1")
        )
        result.then_brief(("participantconfirmed", "zeist.1"), ("refused", "zeist.1"))
        assert isinstance(result.facts[1], EnrolmentRefused)
        assert [reason.rule for reason in result.facts[1].reasons] == ["full"]
        assert not result.state.awaited

    def test_never_goes_beyond_a_capacity_that_was_lowered_meanwhile(self) -> None:
        lowered = ProgrammeCapacityLowered(before=3, after=2)
        before: list[RegistrationFact] = [
            published(capacity=3),
            confirmed("urk"),
            pending("a.1"),
            pending("b.1"),
            lowered,
        ]
        first = given(*before).when(confirm("b.1", "b-1"))
        first.then_brief(("participantconfirmed", "b.1"), ("confirmed", "b.1"))
        second = given(*before, *first.facts).when(confirm("a.1", "a-1"))
        second.then_brief(("participantconfirmed", "a.1"), ("refused", "a.1"))
        assert second.state.confirmed == 2

    def test_counts_for_the_maximum_of_the_organisation(self) -> None:
        rules = {"maximum_per_organisation": 1}
        before = given(
            published(**rules), pending("zeist.1", organisation=LIBRARY.id), confirmed("urk", organisation=LIBRARY.id)
        )
        result = before.when(confirm("zeist.1", "zeist-1", organisation=LIBRARY))
        assert isinstance(result.facts[1], EnrolmentRefused)
        assert [reason.rule for reason in result.facts[1].reasons] == ["organisation-maximum"]

    def test_too_late_says_so(self) -> None:
        given(published(), pending("zeist.1")).when(confirm("zeist.1", "zeist-1", now=TWO_DAYS)).then_rejected(
            "confirmed-too-late"
        )

    def test_what_does_not_take_place_says_so(self) -> None:
        given(published(), pending("zeist.1"), ProgrammeWithdrawn()).when(confirm("zeist.1", "zeist-1")).then_rejected(
            "programme-withdrawn"
        )

    def test_of_somebody_whom_the_enrolment_does_not_name_is_not_possible(self) -> None:
        given(published(), pending("zeist.1")).when(confirm("zeist.1", "urk-1")).then_rejected("nobody-awaited")

    def test_after_coming_in_by_another_way_is_answered_and_gives_the_held_place_back(self) -> None:
        before: list[RegistrationFact] = [
            published(capacity=2),
            pending("zeist.1"),
            confirmed("urk", who=people("zeist", 1)),
        ]
        result = given(*before).when(confirm("zeist.1", "zeist-1"))
        result.then_brief(("participantconfirmed", "zeist.1"), ("refused", "zeist.1"))
        assert isinstance(result.facts[1], EnrolmentRefused)
        assert result.facts[1].present == ("zeist-1",)
        assert (result.state.confirmed, result.state.held) == (1, 0)

    def test_the_first_of_a_team_takes_the_unit_and_the_others_join(self) -> None:
        noor, sam, eva = TEAM
        before: list[RegistrationFact] = [published_track(capacity=1), pending("zeist", TEAM)]
        first = given(*before).when(confirm("zeist", "noor"))
        first.then_brief(("participantconfirmed", "zeist"), ("confirmed", "zeist"))
        assert isinstance(first.facts[1], EnrolmentConfirmed)
        assert (first.facts[1].participants, first.facts[1].missing) == ((noor,), missing("basis", "manager"))
        assert first.facts[1].complete_by == end_of_day(14)
        both = given(*before, *first.facts).when(confirm("zeist", "sam", "eva", now=later(1)))
        assert both.facts[2:4] == (
            ParticipantAdded(enrolment="zeist", participant=sam, units=1),
            ParticipantAdded(enrolment="zeist", participant=eva, units=1),
        )
        both.then_brief(
            ("participantconfirmed", "zeist"),
            ("participantconfirmed", "zeist"),
            ("participantadded", "zeist"),
            ("participantadded", "zeist"),
            ("completed", "zeist"),
        )

    def test_a_team_has_until_the_day_that_the_form_named_when_it_was_sent(self) -> None:
        (asked_,) = given(published_track(14, capacity=1)).when(stranger("zeist", TEAM[:2])).facts
        assert isinstance(asked_, EnrolmentPending)
        assert asked_.complete_by == end_of_day(14)
        first = given(published_track(14, capacity=1), asked_).when(confirm("zeist", "noor", now=later(1.5)))
        assert isinstance(first.facts[1], EnrolmentConfirmed)
        assert first.facts[1].complete_by == end_of_day(14)

    def test_a_team_that_is_whole_at_once_has_no_day_that_it_could_miss(self) -> None:
        (asked_,) = given(published_track(14, capacity=1)).when(stranger("zeist", TEAM)).facts
        whole = given(published_track(14, capacity=1), asked_).when(vouch("zeist"))
        (came,) = [fact for fact in whole.facts if isinstance(fact, EnrolmentConfirmed)]
        assert (came.missing, came.complete_by) == ((), None)
        assert not whole.state.deadlines

    def test_a_team_whose_day_is_over_when_it_confirms_gets_another(self) -> None:
        before = pending("zeist", TEAM[:2], complete_by=end_of_day(1), missing=missing("manager"), until=later(3))
        first = given(published_track(1, capacity=1), before).when(confirm("zeist", "noor", now=later(2)))
        assert isinstance(first.facts[1], EnrolmentConfirmed)
        assert first.facts[1].complete_by == end_of_day(3)

    def test_a_team_that_must_be_complete_has_until_the_others_had_to_confirm(self) -> None:
        before: list[RegistrationFact] = [published_track(None, capacity=1), pending("zeist", TEAM)]
        first = given(*before).when(confirm("zeist", "noor"))
        assert isinstance(first.facts[1], EnrolmentConfirmed)
        assert first.facts[1].complete_by == TWO_DAYS
        given(*before, *first.facts).when(asked.LetDeadlinesPass(TWO_DAYS)).then_brief(
            ("lapsed", "zeist"), ("withdrawn", "zeist")
        )

    def test_a_seat_that_somebody_else_took_meanwhile_is_said(self) -> None:
        added = ParticipantAdded(enrolment="zeist", participant=sitting(basis="piet")[0], units=1)
        noor = confirmed("zeist", who=TEAM[:1])
        given(published_track(), pending("zeist", TEAM), noor, added).when(confirm("zeist", "sam")).then_rejected(
            "seat-taken"
        )

    def test_staff_may_vouch_for_everybody(self) -> None:
        given(published_track(capacity=1), pending("zeist", TEAM)).when(vouch("zeist")).then(
            from_web(confirmed("zeist", who=TEAM))
        )


class TestLapsing:
    def test_what_is_not_confirmed_in_time_comes_free(self) -> None:
        result = given(published(capacity=1, waiting_list=IN_ORDER), pending("zeist.1"), waitlisted("urk")).when(
            asked.LetDeadlinesPass(TWO_DAYS)
        )
        result.then_brief(("lapsed", "zeist.1"), ("promoted", "urk", "unit-free"))
        assert result.facts[0] == EnrolmentLapsed(enrolment="zeist.1", people=1, units=1, cause="expired")
        assert result.state.enrolments["zeist.1"].status == "lapsed"

    def test_names_nobody(self) -> None:
        (fact,) = given(published(), pending("zeist.1")).when(asked.LetDeadlinesPass(TWO_DAYS)).facts
        assert b"zeist-1" not in fact.to_json()

    def test_of_a_team_that_stands_takes_away_who_never_confirmed(self) -> None:
        noor = from_web(confirmed("zeist", who=TEAM[:1], missing=missing("basis", "manager")))
        result = given(published_track(), pending("zeist", TEAM), noor).when(asked.LetDeadlinesPass(TWO_DAYS))
        result.then(EnrolmentLapsed(enrolment="zeist", people=2, units=0, cause="expired"))
        assert result.state.enrolments["zeist"].status == "confirmed"
        assert not result.state.awaited

    def test_lets_them_try_again(self) -> None:
        lapsed = EnrolmentLapsed(enrolment="zeist.1", people=1, units=1, cause="expired")
        given(published(), pending("zeist.1"), lapsed).when(stranger("zeist", now=TWO_DAYS)).then(
            pending("zeist.1", until=TWO_DAYS + timedelta(hours=48))
        )

    def test_staff_may_let_it_lapse(self) -> None:
        result = given(published(capacity=1), pending("zeist.1")).when(asked.WithdrawEnrolment("zeist.1", NOW))
        result.then(EnrolmentLapsed(enrolment="zeist.1", people=1, units=1, cause="withdrawn"))

    def test_comes_with_the_cancellation_of_the_programme(self) -> None:
        given(published(), pending("zeist.1")).when(asked.WithdrawProgramme(None, NOW)).then(
            EnrolmentLapsed(enrolment="zeist.1", people=1, units=1, cause="withdrawn"), ProgrammeWithdrawn()
        )


@some(
    capacity=st.integers(1, 60),
    sizes=st.lists(st.integers(1, 10), max_size=12),
    percent=st.integers(1, 100),
    source=st.integers(1, 100),
)
def test_however_many_ask_strangers_hold_their_share_and_each_source_its_own(
    capacity: int, sizes: list[int], percent: int, source: int
) -> None:
    rule = Confirmation(held_percent=percent, source_percent=source)
    state = given(published(capacity=capacity, confirmation=rule)).state
    held = 0
    for number, size in enumerate(sizes):
        command = stranger(f"e{number}", size, source_held=held, source_free=NOW)
        result = Given(state).when(command)
        state = result.state
        held += sum(fact.held for fact in result.facts if isinstance(fact, EnrolmentPending))
        assert state.held == held <= max(1, capacity * percent // 100)
        assert held <= max(1, capacity * source // 100)
        assert state.held <= capacity


@pytest.mark.parametrize("needed", ["unknown", "never"])
def test_who_is_known_gets_what_a_request_of_the_staff_gets(needed: Any) -> None:
    session = Session(id="later", title=SESSION.title)
    before = given(published(sessions=(session,), capacity=2, confirmation=Confirmation(needed=needed)))
    by_web = before.when(stranger("zeist", 1, known=["zeist-1"]))
    by_web.then(from_web(confirmed("zeist", 1)))
