"""Who is told what: given what came true before, when a fact comes true, then these mails are planned."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts import facts
from contracts.enrolment import KnownPerson, Participant, Reason
from contracts.programme import TeamRule
from services.chassis.state import State
from services.notifications.domain import NOTHING, Planned, evolve, invitation_of, obstacle, plan, settle
from services.notifications.letters import Confirmation, Lacking, Occasion, Promotion, Withdrawn
from services.notifications.writing import Writer
from tests.notifications.lives import (
    PROGRAMME,
    TEAM,
    UNDATED,
    Life,
    confirmed,
    envelope,
    missing,
    occasion,
    programme,
    promoted,
    refused,
    sequences,
    session,
    title,
    told,
    waitlisted,
    withdrawn,
    words,
)

SOMEBODY = KnownPerson(id="noor", name="Noor", email="noor@bibliotheek.example", language="nl")
JUNE, LATER = occasion("2023-06-20"), occasion("2023-06-27", venue="Bibliotheek Gouda")


BOTH = (*missing("manager"), *missing("maker"))


def said(life: Life, mail: Planned) -> Occasion:
    return Writer(life.state, life.time).letter(mail, SOMEBODY, "nl").occasion


def lacking(life: Life, mail: Planned) -> Lacking | None:
    occasion = said(life, mail)
    assert isinstance(occasion, Confirmation | Promotion)
    return occasion.lacking


def two_sessions() -> Life:
    return Life(session("kick-off", JUNE), session("werk", occasion("2023-09-05")), session("slot"))


def test_a_confirmed_person_gets_one_confirmation_and_one_invite_for_each_session_with_a_date() -> None:
    assert told(two_sessions().happens(confirmed("e1", "noor"))) == [
        ("confirmation", "noor"),
        ("invite", "noor", "kick-off"),
        ("invite", "noor", "werk"),
    ]


def test_sessions_are_told_in_the_order_of_time() -> None:
    life = Life(
        session("slot", occasion("2023-11-07")), session("kick-off", JUNE), session("werk", occasion("2023-09-05"))
    )
    mails = life.happens(confirmed("e1", "noor"))
    assert [each.session for each in mails] == [None, "kick-off", "werk", "slot"]
    (mail, *_) = life.happens(withdrawn("e1"))
    assert [each.session for each in mail.detail.taken] == ["kick-off", "werk", "slot"]


def test_every_person_and_session_has_a_calendar_item_of_its_own() -> None:
    uids = [uid for uid, _ in sequences(two_sessions().happens(confirmed("e1", "noor", "sam")))]
    assert len(uids) == len(set(uids)) == 4
    assert not any("noor" in uid for uid in uids)


def test_who_sits_in_a_seat_is_invited_to_the_sessions_of_that_seat_alone() -> None:
    life = Life(session("kick-off", JUNE), session("werk", LATER), team=TEAM)
    mails = life.happens(confirmed("e1", ("noor", "maker"), ("eva", "manager")))
    assert told(mails) == [
        ("confirmation", "noor"),
        ("invite", "noor", "kick-off"),
        ("invite", "noor", "werk"),
        ("confirmation", "eva"),
        ("invite", "eva", "kick-off"),
    ]


def test_a_moved_session_goes_to_the_same_item_one_sequence_later_and_says_what_it_was() -> None:
    life = two_sessions()
    ((uid, _), _) = sequences(life.happens(confirmed("e1", "noor")))
    mails = life.moves("kick-off", LATER)
    assert told(mails) == [("session-moved", "noor", "kick-off")]
    assert sequences(mails) == [(uid, 1)]
    appointment = mails[0].detail.appointment
    assert appointment is not None
    assert (appointment.before, appointment.occasion) == (JUNE, LATER)


def test_each_message_about_an_item_has_a_later_stamp_even_within_one_second() -> None:
    life = two_sessions()
    mails = life.happens(confirmed("e1", "noor"))
    for day in ("2023-06-21", "2023-06-22", "2023-06-23"):
        fact = envelope(
            facts.SessionMoved(session="kick-off", before=JUNE, after=occasion(day)), len(life.facts) + 1, life.time
        )
        life.facts.append(fact)
        mails += plan(life.state, fact)
        life.state = evolve(life.state, fact)
    stamps = [
        each.detail.appointment.stamp
        for each in mails
        if each.detail.appointment is not None and each.session == "kick-off"
    ]
    assert stamps == [stamps[0] + timedelta(seconds=n) for n in range(4)]
    assert stamps[0].microsecond == 0


@pytest.mark.parametrize(
    "cosmetic",
    [
        facts.SessionDescribed(session="kick-off", title=title("Aftrap"), lunch=True),
        facts.ProgrammeDescribed(title=title("Anders"), description=words("Anders"), kind="track"),
        facts.ProgrammeClassified(themes=()),
        facts.ProgrammeCapacityRaised(before=3, after=None),
        facts.SessionMoved(
            session="slot", before=UNDATED, after=UNDATED.model_copy(update={"period": title("februari")})
        ),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_other_words_are_mailed_to_nobody(cosmetic: facts.RegistrationFact) -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    assert life.happens(cosmetic) == []


def test_a_cancelled_session_is_taken_out_of_every_agenda() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    life.happens(waitlisted("e2", "sam"))
    mails = life.happens(facts.SessionCancelled(session="kick-off"))
    assert told(mails) == [("session-cancelled", "noor", "kick-off")]
    assert [sequence for _, sequence in sequences(mails)] == [1]


def test_who_attends_a_session_without_a_date_is_told_that_it_is_cancelled() -> None:
    life = Life(session("kick-off", JUNE), session("slot"), team=TEAM)
    life.happens(confirmed("e1", ("noor", "maker"), ("eva", "manager")))
    life.happens(waitlisted("e2", ("sam", "maker")))
    mails = life.happens(facts.SessionCancelled(session="slot"))
    assert told(mails) == [("session-cancelled", "noor", "slot")], "the manager's seat does not attend it"
    assert (mails[0].enrolment, mails[0].detail.appointment) == ("e1", None)
    assert life.happens(facts.SessionCancelled(session="slot")) == []


def test_a_session_whose_date_was_never_told_is_still_called_off_in_words() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    life.moves("slot", LATER)
    (cancel,) = life.happens(facts.SessionCancelled(session="slot"))
    item = invitation_of(life.state, PROGRAMME, "noor", "slot")
    settled = settle(item, cancel, NOTHING, life.time)
    assert isinstance(settled, Planned)
    assert (settled.purpose, settled.detail.appointment) == ("session-cancelled", None)


def test_a_session_that_loses_its_date_is_postponed_and_a_new_date_is_a_new_item() -> None:
    life = two_sessions()
    ((first, _), _) = sequences(life.happens(confirmed("e1", "noor")))
    mails = life.moves("kick-off", UNDATED)
    assert told(mails) == [("session-cancelled", "noor", "kick-off")]
    assert mails[0].detail.appointment is not None
    assert mails[0].detail.appointment.postponed
    ((second, sequence),) = sequences(life.moves("kick-off", LATER))
    assert (second != first, sequence) == (True, 0)


def test_a_session_that_gets_a_date_and_one_that_is_added_are_invited_to() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    assert told(life.moves("slot", occasion("2024-01-18"))) == [("invite", "noor", "slot")]
    added = facts.SessionAdded(session=session("extra", occasion("2023-10-03")))
    assert told(life.happens(added)) == [("invite", "noor", "extra")]
    assert life.happens(facts.SessionAdded(session=session("ooit"))) == []


def again(mails: list[Planned]) -> list[tuple[str, str | None, bool, bool]]:
    """Who is told of which session that it takes place after all, whether in words alone, and of which by its item."""
    return [
        (each.person, each.session, each.detail.appointment is None, each.detail.former is not None)
        for each in mails
        if each.detail.again
    ]


def test_a_session_that_was_off_goes_ahead_after_all_for_who_was_told_and_is_an_invitation_for_others() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    life.happens(facts.SessionCancelled(session="kick-off"))
    life.happens(confirmed("e2", "sam"))
    mails = life.happens(facts.SessionAdded(session=session("kick-off", LATER)))
    assert told(mails) == [("invite", "noor", "kick-off"), ("invite", "sam", "kick-off")]
    assert again(mails) == [("noor", "kick-off", False, True)]
    (noor, _) = mails
    assert noor.detail.appointment is not None
    # A second life of the same UID would be ignored by calendars.
    assert noor.detail.appointment.uid != noor.detail.former
    # Once is enough.
    assert again(life.happens(facts.SessionMoved(session="kick-off", before=LATER, after=JUNE))) == []


def test_a_session_that_comes_back_without_a_date_is_told_in_words_and_its_date_is_a_plain_invitation() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    for gone, came, by_item in (("slot", session("slot"), False), ("kick-off", session("kick-off"), True)):
        life.happens(facts.SessionCancelled(session=gone))
        mails = life.happens(facts.SessionAdded(session=came))
        assert again(mails) == [("noor", gone, True, by_item)]
        dated = life.moves(gone, LATER)
        assert told(dated) == [("invite", "noor", gone)]
        assert again(dated) == []


def test_who_attends_some_sessions_alone_hears_it_once_the_team_rule_names_the_session_again() -> None:
    life = Life(session("kick-off"), session("slot"), team=TEAM)
    life.happens(confirmed("e1", ("noor", "manager"), ("sam", "maker")))
    life.happens(facts.SessionCancelled(session="kick-off"))
    assert again(life.happens(facts.SessionAdded(session=session("kick-off")))) == [("sam", "kick-off", True, False)]
    assert again(life.happens(facts.ProgrammeTeamRuleChanged(team=TEAM))) == [("noor", "kick-off", True, False)]
    assert again(life.happens(facts.ProgrammeTeamRuleChanged(team=TEAM))) == []


def test_a_session_called_off_in_words_may_come_back_with_a_date() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    life.happens(facts.SessionCancelled(session="slot"))
    assert again(life.happens(facts.SessionAdded(session=session("slot", LATER)))) == [("noor", "slot", False, False)]


def test_a_session_put_into_the_past_and_back_goes_ahead_after_all() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    past = occasion("2022-06-20")
    life.moves("kick-off", past, JUNE)
    assert again(life.moves("kick-off", JUNE, past)) == [("noor", "kick-off", False, True)]


def test_what_was_postponed_or_left_by_the_person_does_not_go_ahead_after_all() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    life.moves("kick-off", UNDATED, JUNE)
    assert again(life.moves("kick-off", JUNE)) == []
    life.happens(withdrawn("e1"))
    assert again(life.happens(confirmed("e2", "noor"))) == []


def test_who_withdraws_is_told_once_and_each_session_is_taken_out() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    mails = life.happens(withdrawn("e1"))
    assert told(mails) == [
        ("withdrawn", "noor"),
        ("withdrawn-invite", "noor", "kick-off"),
        ("withdrawn-invite", "noor", "werk"),
    ]
    assert [each.session for each in mails[0].detail.taken] == ["kick-off", "werk"]


def test_who_withdraws_while_waiting_is_told_and_no_agenda_is_touched() -> None:
    life = two_sessions()
    assert told(life.happens(waitlisted("e1", "noor", place=4))) == [("waiting", "noor")]
    assert life.mails[-1].detail.place == 4
    mails = life.happens(withdrawn("e1", "waiting"))
    assert told(mails) == [("withdrawn", "noor")]
    assert mails[0].detail.taken == ()


def test_who_comes_back_after_withdrawing_gets_new_items() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    life.happens(withdrawn("e1"))
    mails = life.happens(confirmed("e2", "noor"))
    assert told(mails)[0] == ("confirmation", "noor")
    uids = [uid for uid, _ in sequences(life.mails)]
    assert len(set(uids)) == 4
    assert [sequence for _, sequence in sequences(mails)] == [0, 0]


def test_promotion_is_one_mail_with_the_invites_behind_it() -> None:
    life = two_sessions()
    life.happens(waitlisted("e1", "noor"))
    assert told(life.happens(promoted("e1"))) == [
        ("promotion", "noor"),
        ("invite", "noor", "kick-off"),
        ("invite", "noor", "werk"),
    ]
    assert life.happens(promoted("e1")) == [], "a second promotion promotes nobody"


def test_a_refused_enrolment_is_refused_to_everybody_in_it() -> None:
    assert told(two_sessions().happens(refused("e1", "noor", "sam"))) == [("refusal", "noor"), ("refusal", "sam")]
    assert two_sessions().happens(refused("e1")) == []


def test_a_newcomer_is_welcomed_and_the_replaced_one_is_taken_out() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor", "sam"))
    mails = life.happens(facts.ParticipantReplaced(enrolment="e1", person="sam", participant=Participant(person="eva")))
    assert told(mails) == [
        ("withdrawn", "sam"),
        ("withdrawn-invite", "sam", "kick-off"),
        ("withdrawn-invite", "sam", "werk"),
        ("confirmation", "eva"),
        ("invite", "eva", "kick-off"),
        ("invite", "eva", "werk"),
    ]


def test_a_participant_added_is_welcomed_and_one_taken_out_is_told_while_the_others_hear_nothing() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    added = facts.ParticipantAdded(enrolment="e1", participant=Participant(person="sam"), units=2)
    assert {each.person for each in life.happens(added)} == {"sam"}
    gone = facts.ParticipantWithdrawn(enrolment="e1", person="noor", units=1)
    assert told(life.happens(gone)) == [
        ("withdrawn", "noor"),
        ("withdrawn-invite", "noor", "kick-off"),
        ("withdrawn-invite", "noor", "werk"),
    ]


def test_who_joins_a_waiting_enrolment_waits() -> None:
    life = two_sessions()
    life.happens(waitlisted("e1", "noor"))
    added = facts.ParticipantAdded(enrolment="e1", participant=Participant(person="sam"), units=2)
    assert told(life.happens(added)) == [("waiting", "sam")]
    assert {each.person for each in life.happens(promoted("e1"))} == {"noor", "sam"}


def test_another_seat_means_other_sessions_and_no_further_mail() -> None:
    life = Life(session("kick-off", JUNE), session("werk", LATER), team=TEAM)
    life.happens(confirmed("e1", ("noor", "manager")))
    changed = facts.ParticipantChanged(enrolment="e1", participant=Participant(person="noor", seat="maker"))
    assert told(life.happens(changed)) == [("invite", "noor", "werk")]
    back = facts.ParticipantChanged(enrolment="e1", participant=Participant(person="noor", seat="manager"))
    assert told(life.happens(back)) == [("withdrawn-invite", "noor", "werk")]


def test_another_team_rule_changes_who_attends_what() -> None:
    life = Life(session("kick-off", JUNE), session("werk", LATER), team=TEAM)
    life.happens(confirmed("e1", ("noor", "manager")))
    everywhere = TEAM.seats[1].model_copy(update={"sessions": None})
    rule = TeamRule(seats=(TEAM.seats[0], everywhere), complete_within_days=30)
    assert told(life.happens(facts.ProgrammeTeamRuleChanged(team=rule))) == [("invite", "noor", "werk")]


def test_an_incomplete_team_is_told_what_it_lacks_until_it_is_complete() -> None:
    deadline = datetime(2023, 4, 1, 10, tzinfo=UTC)
    life = Life(session("kick-off", JUNE), team=TEAM)
    mails = life.happens(confirmed("e1", ("noor", "maker"), missing=missing("manager"), complete_by=deadline))
    assert told(mails) == [("confirmation", "noor"), ("invite", "noor", "kick-off")], "one mail says both"
    added = facts.ParticipantAdded(enrolment="e1", participant=Participant(person="eva", seat="manager"), units=1)
    assert ("team-incomplete", "eva") not in told(life.happens(added))
    assert life.happens(facts.EnrolmentCompleted(enrolment="e1")) == []
    lacks = facts.EnrolmentIncomplete(enrolment="e1", missing=missing("maker"), complete_by=deadline)
    assert told(life.happens(lacks)) == [("team-incomplete", "noor"), ("team-incomplete", "eva")]
    assert life.happens(lacks) == [], "what was told is not told again"


def test_who_comes_into_a_team_that_lacks_others_has_one_mail_that_says_so() -> None:
    deadline = datetime(2023, 4, 1, 10, tzinfo=UTC)
    life = Life(session("kick-off", JUNE), team=TEAM)
    life.happens(confirmed("e1", ("noor", "maker"), missing=BOTH, complete_by=deadline))
    added = facts.ParticipantAdded(enrolment="e1", participant=Participant(person="eva", seat="maker"), units=1)
    (welcome, _) = life.happens(added)
    # The mail may be written before the next fact is read.
    assert lacking(life, welcome) == Lacking(("Manager (nl)",), deadline)
    lacks = facts.EnrolmentIncomplete(enrolment="e1", missing=missing("manager"), complete_by=deadline)
    assert told(life.happens(lacks, minutes=0)) == [("team-incomplete", "noor")]
    later = facts.EnrolmentIncomplete(enrolment="e1", missing=BOTH, complete_by=deadline)
    assert told(life.happens(later)) == [("team-incomplete", "noor"), ("team-incomplete", "eva")]


def test_a_waiting_team_is_told_what_it_lacks_when_it_is_promoted() -> None:
    life = Life(session("kick-off", JUNE), team=TEAM)
    deadline = datetime(2023, 4, 1, 10, tzinfo=UTC)
    life.happens(waitlisted("e1", ("noor", "maker"), missing=missing("manager"), complete_by=deadline))
    assert told(life.happens(promoted("e1"))) == [
        ("promotion", "noor"),
        ("invite", "noor", "kick-off"),
    ]
    assert lacking(life, life.mails[-2]) == Lacking(("Manager (nl)",), deadline)


@pytest.mark.parametrize(
    ("why", "cause", "told_why"),
    [
        ("on-request", "asked", ""),
        ("team-incomplete", "lapsed", "Waarom."),
        ("something-new", "other", "Waarom."),
    ],
)
def test_who_is_withdrawn_is_told_why(why: str, cause: str, told_why: str) -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    reason = Reason(rule=why, nl="Waarom.", en="Why.")
    mails = life.happens(facts.EnrolmentWithdrawn(enrolment="e1", before="confirmed", reason=reason))
    told = said(life, mails[0])
    assert isinstance(told, Withdrawn)
    assert (told.cause, told.reason, told.waited) == (cause, told_why, False)
    life.happens(waitlisted("e2", "sam"))
    mails = life.happens(facts.EnrolmentWithdrawn(enrolment="e2", before="waiting", reason=reason))
    told = said(life, mails[0])
    assert isinstance(told, Withdrawn)
    assert told.waited


def test_a_withdrawn_programme_is_told_once_to_everybody_who_came_or_waited() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    life.happens(waitlisted("e2", "sam"))
    life.happens(refused("e3", "eva"))
    mails = life.happens(facts.ProgrammeWithdrawn(reason=words("Te weinig deelnemers.")))
    assert told(mails) == [
        ("programme-cancelled", "noor"),
        ("session-cancelled", "noor", "kick-off"),
        ("session-cancelled", "noor", "werk"),
        ("programme-cancelled", "sam"),
    ]
    assert [each.session for each in mails[0].detail.taken] == ["kick-off", "werk"]
    assert life.happens(withdrawn("e1")) == [], "who was told that all is off needs no withdrawal"


def test_nobody_is_mailed_about_a_session_that_is_over() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    life.later("2023-07-01")
    assert told(life.happens(confirmed("e2", "sam"))) == [("confirmation", "sam"), ("invite", "sam", "werk")]
    assert life.happens(facts.SessionCancelled(session="kick-off")) == []
    assert told(life.happens(withdrawn("e1"))) == [("withdrawn", "noor"), ("withdrawn-invite", "noor", "werk")]


def test_nobody_is_mailed_about_a_programme_that_is_over_but_a_refusal_is_an_answer() -> None:
    life = Life(session("kick-off", JUNE))
    life.happens(confirmed("e1", "noor"))
    life.later("2023-07-01")
    assert life.happens(confirmed("e2", "sam")) == []
    assert life.happens(withdrawn("e1")) == []
    assert told(life.happens(refused("e3", "eva"))) == [("refusal", "eva")]
    assert life.happens(facts.ProgrammeWithdrawn()) == []


def test_a_session_put_into_the_past_leaves_the_agendas() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    assert told(life.moves("kick-off", occasion("2023-01-10"))) == [("session-cancelled", "noor", "kick-off")]
    assert told(life.moves("kick-off", LATER)) == [("invite", "noor", "kick-off")]


def test_a_move_that_may_not_have_been_told_before_it_took_place_is_not_forgotten() -> None:
    life = Life(session("kick-off", LATER), session("slot"))
    life.happens(confirmed("e1", "noor"))
    life.moves("kick-off", JUNE, LATER)
    life.later("2023-06-22")
    life.happens(facts.SessionCancelled(session="slot"))
    item = invitation_of(life.state, PROGRAMME, "noor", "kick-off")
    assert item is not None
    assert item.standing, "other facts do not take it out: it is still to be told when it took place"
    mails = life.happens(withdrawn("e1"))
    assert told(mails) == [("withdrawn-invite", "noor", "kick-off")], "the later date may stand in the agenda"


def test_nobody_hears_that_a_programme_is_closed_nor_anything_after_it() -> None:
    life = Life(session("ooit"))
    life.happens(confirmed("e1", "noor"))
    life.happens(waitlisted("e2", "sam"))
    (waiting,) = life.happens(confirmed("e3", "kim"))
    assert life.happens(facts.ProgrammeClosed(since=life.time)) == []
    assert obstacle(life.state, waiting, life.time) == "the programme is over"
    assert life.happens(promoted("e2")) == []
    assert life.happens(withdrawn("e1")) == []
    assert life.happens(facts.ProgrammeWithdrawn()) == []


def test_publishing_anew_after_a_withdrawal_of_the_programme_invites_those_who_still_take_part() -> None:
    life = Life(session("kick-off", JUNE))
    life.happens(confirmed("e1", "noor"))
    life.happens(facts.ProgrammeWithdrawn())
    mails = life.happens(facts.ProgrammePublished(programme=programme(session("kick-off", LATER))))
    assert told(mails) == [("invite", "noor", "kick-off")]
    assert len({uid for uid, _ in sequences(life.mails)}) == 2


def test_a_mail_has_the_same_id_whoever_plans_it() -> None:
    life = two_sessions()
    before = life.state
    mails = life.happens(confirmed("e1", "noor"))
    assert [each.id for each in plan(before, life.facts[-1])] == [each.id for each in mails]
    assert len({each.id for each in life.mails}) == len(life.mails)


def test_planning_changes_nothing_that_it_was_given() -> None:
    life = two_sessions()
    before = life.state
    keys = set(before.partition(PROGRAMME))
    life.happens(confirmed("e1", "noor"))
    assert set(before.partition(PROGRAMME)) == keys
    assert invitation_of(before, PROGRAMME, "noor", "kick-off") is None


def test_a_fact_about_what_is_not_known_changes_nothing() -> None:
    empty = Life(publish=False)
    for stray in (promoted("e9"), withdrawn("e9"), facts.SessionCancelled(session="x"), facts.ProgrammeWithdrawn()):
        assert empty.happens(stray) == []
    assert empty.state.partitions() == State().partitions()


class TestTheLastLook:
    """What is still true when the mail goes out."""

    def test_what_is_still_true_goes_out(self) -> None:
        life = two_sessions()
        life.happens(confirmed("e1", "noor"))
        assert [obstacle(life.state, each, life.time) for each in life.mails] == [None, None, None]

    def test_who_was_withdrawn_meanwhile_gets_the_withdrawal_and_not_the_welcome(self) -> None:
        life = two_sessions()
        life.happens(confirmed("e1", "noor"))
        life.happens(withdrawn("e1"))
        stopped = [each.purpose for each in life.mails if obstacle(life.state, each, life.time)]
        assert stopped == ["confirmation", "invite", "invite"]

    def test_who_was_promoted_meanwhile_is_not_told_to_wait(self) -> None:
        life = two_sessions()
        life.happens(waitlisted("e1", "noor"))
        (waiting,) = life.mails
        life.happens(promoted("e1"))
        assert obstacle(life.state, waiting, life.time) == "the person is not waiting any more"

    def test_who_comes_back_meanwhile_gets_the_new_invitation_only(self) -> None:
        life = Life(session("kick-off", JUNE))
        life.happens(confirmed("e1", "noor"))
        life.happens(withdrawn("e1"))
        life.happens(confirmed("e2", "noor"))
        invites = [each for each in life.mails if each.purpose == "invite"]
        assert [obstacle(life.state, each, life.time) for each in invites] == [
            "the person has a newer invitation",
            None,
        ]

    def test_a_team_that_was_completed_meanwhile_is_not_told_that_it_is_not(self) -> None:
        life = Life(session("kick-off", JUNE), team=TEAM)
        deadline = datetime(2023, 4, 1, 10, tzinfo=UTC)
        life.happens(confirmed("e1", ("noor", "maker"), missing=missing("manager"), complete_by=deadline))
        lacks = facts.EnrolmentIncomplete(enrolment="e1", missing=BOTH, complete_by=deadline)
        (mail,) = life.happens(lacks)
        assert obstacle(life.state, mail, life.time) is None
        assert obstacle(life.state, mail, deadline) == "the team's deadline is over"
        life.happens(facts.EnrolmentCompleted(enrolment="e1"))
        assert obstacle(life.state, mail, life.time) == "the team is complete"

    def test_who_left_meanwhile_is_not_told_of_a_session_without_a_date(self) -> None:
        life = two_sessions()
        life.happens(confirmed("e1", "noor"))
        (cancel,) = life.happens(facts.SessionCancelled(session="slot"))
        assert obstacle(life.state, cancel, life.time) is None
        life.happens(withdrawn("e1"))
        assert obstacle(life.state, cancel, life.time) == "the person is not enrolled any more"

    def test_a_withdrawn_programme_stops_every_welcome(self) -> None:
        life = two_sessions()
        life.happens(confirmed("e1", "noor"))
        life.happens(waitlisted("e2", "sam"))
        planned = list(life.mails)
        life.happens(facts.ProgrammeWithdrawn())
        assert all(obstacle(life.state, each, life.time) for each in planned)
        assert not any(obstacle(life.state, each, life.time) for each in life.mails[len(planned) :])


def corrected(life: Life, person: str, *changed: str) -> list[Planned]:
    return life.happens(facts.PersonCorrected.model_validate({"person": person, "changed": changed}), subject="_")


def test_whoever_has_another_address_is_told_there_what_still_holds_and_the_old_one_loses_its_items() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor", "sam"))
    items = {each.session: each for each in life.mails if each.purpose == "invite" and each.person == "noor"}
    mails = corrected(life, "noor", "email")
    assert told(mails) == [
        ("confirmation", "noor"),
        ("readdressed", "noor", "kick-off"),
        ("invite", "noor", "kick-off"),
        ("readdressed", "noor", "werk"),
        ("invite", "noor", "werk"),
    ]
    for mail in mails[1:]:
        before, now = items[mail.session].detail.appointment, mail.detail.appointment
        assert before is not None
        assert now is not None
        assert (now.uid == before.uid) is (mail.purpose == "readdressed"), "one mailbox may have both addresses"
    assert told(life.moves("kick-off", LATER)) == [
        ("session-moved", "noor", "kick-off"),
        ("session-moved", "sam", "kick-off"),
    ]


def test_who_heard_that_a_session_is_off_hears_at_another_address_that_it_goes_ahead_after_all() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    life.happens(facts.SessionCancelled(session="kick-off"))
    corrected(life, "noor", "email")
    added = facts.SessionAdded(session=session("kick-off", LATER))
    assert again(life.happens(added)) == [("noor", "kick-off", False, True)]


def test_a_corrected_name_or_language_is_told_to_nobody() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    assert corrected(life, "noor", "name", "language") == []
    assert corrected(life, "noor") == []


def test_at_another_address_is_told_only_what_is_to_come() -> None:
    life = two_sessions()
    life.happens(waitlisted("e1", "noor"))
    life.happens(confirmed("e2", "sam"))
    assert told(corrected(life, "noor", "email")) == [("waiting", "noor")]
    life.happens(withdrawn("e2"))
    assert corrected(life, "sam", "email") == []
    life.happens(confirmed("e3", "eva"))
    life.time = datetime(2023, 7, 1, tzinfo=UTC)
    assert [each[2:] for each in told(corrected(life, "eva", "email"))] == [(), ("werk",), ("werk",)]
    life.happens(facts.ProgrammeWithdrawn())
    assert corrected(life, "eva", "email") == []


def test_a_session_of_one_name_in_two_programmes_is_taken_back_in_both() -> None:
    life = two_sessions()
    life.happens(confirmed("e1", "noor"))
    other = programme(session("kick-off", JUNE)).model_copy(update={"id": "tweede"})
    life.happens(facts.ProgrammePublished(programme=other), subject="tweede")
    life.happens(confirmed("e2", "noor"), subject="tweede")
    mails = corrected(life, "noor", "email")
    assert [each.programme for each in mails if each.session == "kick-off"] == [*[PROGRAMME] * 2, *["tweede"] * 2]
    assert len({each.id for each in mails}) == len(mails)
