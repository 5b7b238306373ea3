"""What strangers ask for: who is to confirm it, who is told what, and that nobody reads what a stranger typed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts import facts
from contracts.enrolment import KnownPerson, Participant
from services.chassis.links import Link
from services.notifications.domain import Planned, enrolment_of, obstacle
from services.notifications.letters import (
    AlreadyEnrolled,
    Confirmation,
    ConfirmationRequest,
    Lacking,
    Letter,
    TeamIncomplete,
)
from services.notifications.writing import NothingToSay, Writer
from tests.notifications.lives import (
    PRESENT,
    PROGRAMME,
    START,
    TEAM,
    Life,
    confirmed,
    lapsed,
    missing,
    occasion,
    pending,
    people,
    promoted,
    refused,
    session,
    told,
    waitlisted,
    withdrawn,
    words,
)

JUNE, LATER = occasion("2023-06-20"), occasion("2023-06-27", venue="Bibliotheek Gouda")
SPAM = KnownPerson(name="U heeft 1000 euro gewonnen", email="noor@bibliotheek.example", language="en")


def one_session(**more: Any) -> Life:
    return Life(session("kick-off", JUNE), **more)


def confirms(enrolment: str, person: str) -> facts.ParticipantConfirmed:
    return facts.ParticipantConfirmed(enrolment=enrolment, person=person)


def letter(life: Life, mail: Planned, **more: Any) -> Letter:
    return Writer(life.state, life.time).letter(mail, SPAM, **more)


def in_the_way(life: Life, mail: Planned) -> str | None:
    return obstacle(life.state, mail, life.time)


# Asking -------------------------------------------------------------------------------------------------------------


def test_one_mail_goes_to_each_of_those_who_are_asked_and_to_nobody_else() -> None:
    life = one_session(team=TEAM)
    mails = life.happens(pending("e1", ("noor", "maker"), ("sam", "maker"), ("eva", "manager"), asked=("noor", "eva")))
    assert told(mails) == [("confirmation-request", "noor"), ("confirmation-request", "eva")]
    assert {each.by_stranger for each in mails} == {True}
    assert [in_the_way(life, each) for each in mails] == [None, None]


def test_the_mail_says_until_when_and_leads_to_what_nobody_else_can_make() -> None:
    life = one_session()
    (mail,) = life.happens(pending("e1", "noor", hours=12))
    asked: list[Link] = []

    def address_of(link: Link) -> str:
        asked.append(link)
        return "https://deelname.example/confirm/x"

    said = Writer(life.state, life.time, address_of).letter(mail, SPAM)
    assert asked == [Link("confirm", "noor", PROGRAMME, life.time, START + timedelta(hours=12))]
    assert said.occasion == ConfirmationRequest(START + timedelta(hours=12), "https://deelname.example/confirm/x")
    assert letter(life, mail).occasion == ConfirmationRequest(START + timedelta(hours=12)), "staff see no link"
    assert "confirm/x" not in repr(said), "nor does a traceback"


def test_an_incomplete_team_that_is_awaited_is_not_asked_for_names() -> None:
    life = one_session(team=TEAM)
    deadline = START + timedelta(days=20)
    mails = life.happens(pending("e1", ("noor", "maker"), missing=missing("manager"), complete_by=deadline))
    assert told(mails) == [("confirmation-request", "noor")]


@pytest.mark.parametrize(
    ("since", "reason"),
    [
        ((confirmed("e1", "noor"),), "the person has confirmed already"),
        ((confirms("e1", "noor"), refused("e1", "noor", channel="web")), "the person has confirmed already"),
        ((lapsed("e1"),), "the person is not asked to confirm any more: the enrolment is lapsed"),
        ((facts.ProgrammeWithdrawn(),), "the programme was withdrawn"),
    ],
)
def test_who_need_not_confirm_any_more_is_not_asked(since: tuple[Any, ...], reason: str) -> None:
    life = one_session()
    (mail,) = life.happens(pending("e1", "noor"))
    for each in since:
        life.happens(each)
    assert in_the_way(life, mail) == reason


def test_when_the_time_is_up_nobody_is_asked_and_not_after_the_last_session() -> None:
    life = one_session()
    (mail,) = life.happens(pending("e1", "noor"))
    (late,) = life.happens(pending("e2", "sam", hours=24 * 300))
    life.time = START + timedelta(hours=48)
    assert in_the_way(life, mail) == "the time to confirm is up"
    life.later("2023-06-21")
    assert in_the_way(life, late) == "the programme is over"
    assert life.happens(pending("e3", "eva", hours=24 * 300)) == [], "of what is over nobody hears"
    with pytest.raises(NothingToSay):
        letter(life, mail._replace(person="eva"))


def test_who_does_not_confirm_hears_nothing_more_of_the_programme() -> None:
    life = one_session()
    life.happens(pending("e1", "noor"))
    life.happens(pending("e2", "sam"))
    assert life.happens(lapsed("e1")) == []
    for fact in (
        facts.SessionMoved(session="kick-off", before=JUNE, after=LATER),
        facts.SessionCancelled(session="kick-off"),
        facts.EnrolmentLapsed(enrolment="e2", people=1, units=1, cause="withdrawn"),
        facts.ProgrammeWithdrawn(reason=words("Te weinig deelnemers.")),
        lapsed("unheard-of"),
    ):
        assert life.happens(fact) == []
    assert [getattr(enrolment_of(life.state, PROGRAMME, id_), "status", None) for id_ in ("e1", "e2")] == ["lapsed"] * 2


@pytest.mark.parametrize("first", ["pending", "confirmed"])
def test_of_a_team_some_may_stand_while_others_are_awaited(first: str) -> None:
    life = one_session(team=TEAM)
    both = [pending("e1", ("sam", "maker")), confirmed("e1", ("noor", "maker"), channel="web")]
    for fact in both if first == "pending" else reversed(both):
        life.happens(fact)
    enrolment = enrolment_of(life.state, PROGRAMME, "e1")
    assert enrolment is not None
    assert (enrolment.status, enrolment.participants) == ("confirmed", people(("noor", "maker")))
    assert [each.participant.person for each in enrolment.awaited] == ["sam"]
    assert told(life.happens(confirms("e1", "sam"))) == []
    added = facts.ParticipantAdded(enrolment="e1", participant=Participant(person="sam", seat="maker"), units=1)
    assert told(life.happens(added)) == [("confirmation", "sam"), ("invite", "sam", "kick-off")]


def test_of_a_team_that_stands_only_those_who_never_confirmed_are_gone() -> None:
    life = one_session(team=TEAM)
    life.happens(pending("e1", ("noor", "maker"), ("sam", "maker")))
    life.happens(confirms("e1", "noor"))
    life.happens(confirmed("e1", ("noor", "maker"), channel="web"))
    assert life.happens(lapsed("e1")) == []
    enrolment = enrolment_of(life.state, PROGRAMME, "e1")
    assert enrolment is not None
    assert (enrolment.status, enrolment.awaited) == ("confirmed", ())
    assert told(life.moves("kick-off", LATER, JUNE)) == [("session-moved", "noor", "kick-off")]


def test_who_confirmed_is_told_as_anybody_is_and_by_name() -> None:
    life = one_session()
    life.happens(pending("e1", "noor"))
    life.happens(confirms("e1", "noor"))
    mails = life.happens(confirmed("e1", "noor", channel="web"))
    assert told(mails) == [("confirmation", "noor"), ("invite", "noor", "kick-off")]
    assert {each.by_stranger for each in mails} == {False}
    assert letter(life, mails[0]).recipient.name == SPAM.name


@pytest.mark.parametrize(("channel", "awaiting"), [("web", True), ("intake", False)])
def test_an_incomplete_team_of_the_public_is_told_that_others_may_have_to_confirm(channel: Any, awaiting: bool) -> None:
    life = one_session(team=TEAM)
    deadline = START + timedelta(days=20)
    mails = life.happens(
        confirmed("e1", ("noor", "maker"), channel=channel, missing=missing("manager"), complete_by=deadline)
    )
    lacking = Lacking(("Manager (en)",), deadline, awaiting)
    welcome = letter(life, mails[0]).occasion
    assert isinstance(welcome, Confirmation)
    assert welcome.lacking == lacking
    later = replace(lacking, deadline=deadline + timedelta(days=1))
    lacks = facts.EnrolmentIncomplete(enrolment="e1", missing=missing("manager"), complete_by=later.deadline)
    (mail,) = life.happens(lacks)
    assert letter(life, mail).occasion == TeamIncomplete(later)


# What a stranger typed ----------------------------------------------------------------------------------------------


def unconfirmed(*more: Any) -> tuple[Life, list[Planned]]:
    """All mails to somebody named by a stranger, where nobody is asked to confirm."""
    life = one_session()
    life.happens(
        waitlisted("e1", "noor", channel="web", unconfirmed=("noor",), organisation="probiblio", price="49.50")
    )
    life.happens(promoted("e1"))
    life.moves("kick-off", LATER, JUNE)
    for each in more:
        life.happens(each)
    life.happens(facts.SessionCancelled(session="kick-off"))
    life.happens(withdrawn("e1"))
    return life, life.mails


def test_nobody_is_greeted_by_a_name_that_a_stranger_typed_and_nothing_else_of_it_is_repeated() -> None:
    life, mails = unconfirmed()
    assert [each.purpose for each in mails] == [
        "waiting",
        "promotion",
        "invite",
        "session-moved",
        "session-cancelled",
        "withdrawn",
    ]
    for mail in mails:
        said = letter(life, mail)
        assert said.recipient == ("", SPAM.email, "en")
        assert (said.organisation, said.seat, said.role, said.price) == (None, None, None, None)
        assert mail.by_stranger


def test_who_answered_an_invitation_or_confirmed_anything_is_nobody_that_a_stranger_made_up() -> None:
    life, mails = unconfirmed()
    assert all(letter(life, mail, answered=True).recipient.name == SPAM.name for mail in mails)
    elsewhere = pending("e9", "noor")
    life, mails = unconfirmed(elsewhere, confirms("e9", "noor"))
    assert [each.by_stranger for each in mails if each.purpose == "withdrawn"] == [False]
    assert all(letter(life, mail).recipient.name for mail in mails if mail.purpose != "confirmation-request")


def test_whom_a_colleague_enrols_is_greeted_by_name_also_when_a_stranger_did_so_before() -> None:
    life = one_session()
    life.happens(pending("e1", "noor"))
    life.happens(lapsed("e1"))
    mails = life.happens(confirmed("e2", "noor"))
    assert {letter(life, each).recipient.name for each in mails} == {SPAM.name}
    assert not any(each.by_stranger for each in mails)


def test_who_was_erased_is_known_no_more() -> None:
    life = one_session()
    life.happens(pending("e1", "noor"))
    life.happens(confirms("e1", "noor"))
    life.happens(facts.PersonErased(person="noor"), subject=facts.NO_PROGRAMME)
    assert life.happens(confirmed("e2", "noor", channel="web", unconfirmed=("noor",)))[0].by_stranger


def test_the_contact_of_a_programme_reads_no_name_that_a_stranger_typed() -> None:
    life, _ = unconfirmed()
    notice = Planned("x", "undeliverable", "noor", PROGRAMME, life.time, "e1")
    assert in_the_way(life, notice) == "nobody has confirmed anything from this address"


def test_a_mail_has_the_language_of_the_request_else_the_persons() -> None:
    life = one_session()
    in_dutch = (Participant(person="noor", language="nl"),)
    (asked,) = life.happens(pending("e1", participants=in_dutch))
    (waits,) = life.happens(waitlisted("e2", "noor").model_copy(update={"participants": in_dutch}))
    (other,) = life.happens(waitlisted("e3", "noor"))
    assert [letter(life, each).recipient.language for each in (asked, waits, other)] == ["nl", "nl", "en"]
    assert letter(life, asked, language="en").recipient.language == "en"


# Who takes part already ---------------------------------------------------------------------------------------------


def also_named(*persons: str, **more: Any) -> Any:
    """A request in which strangers named people who take part."""
    return refused("again", *persons, channel="web", reasons=(PRESENT,), present=persons, **more)


def test_who_takes_part_is_told_so_once_a_day_and_by_itself() -> None:
    life = one_session()
    life.happens(confirmed("e1", "noor"))
    life.happens(waitlisted("e2", "sam"))
    mails = life.happens(also_named("noor", "sam", "unknown"))
    assert told(mails) == [("already-enrolled", "noor"), ("already-enrolled", "sam")]
    assert [each.enrolment for each in mails] == ["e1", "e2"]
    assert {each.by_stranger for each in mails} == {True}
    assert [letter(life, each).occasion for each in mails] == [
        AlreadyEnrolled(waiting=False, sessions=letter(life, mails[0]).occasion.sessions),  # type: ignore[union-attr]
        AlreadyEnrolled(waiting=True),
    ]
    for again in (
        also_named("noor"),
        pending("e3", "eva", present=("noor",)),
        confirmed("e4", "ans", present=("sam",)),
    ):
        assert [each.purpose for each in life.happens(again) if each.person in ("noor", "sam")] == []
    # Midnight in Amsterdam, an hour before that of UTC.
    life.time = START.replace(hour=22, minute=58)
    assert told(life.happens(also_named("noor"))) == []
    assert told(life.happens(also_named("noor"))) == [("already-enrolled", "noor")]


def test_whom_only_partners_vouched_for_is_greeted_by_no_name_because_of_a_stranger() -> None:
    life = one_session()
    life.happens(confirmed("e1", "noor"))
    (by_stranger,) = life.happens(also_named("noor"))
    assert letter(life, by_stranger).recipient.name == ""
    life.time += timedelta(days=1)
    life.happens(facts.ParticipantConfirmed(enrolment="elsewhere", person="noor"))
    (known,) = life.happens(also_named("noor"))
    assert letter(life, known).recipient.name != ""


@pytest.mark.parametrize("fact", [pending, confirmed, waitlisted])
def test_whatever_becomes_of_the_others_who_takes_part_is_told_so(fact: Any) -> None:
    life = one_session()
    life.happens(confirmed("e1", "noor"))
    mails = life.happens(fact("e2", "sam", present=("noor",)))
    assert told(mails)[-1] == ("already-enrolled", "noor")
    assert [each.person for each in mails].count("noor") == 1


def test_what_is_told_is_how_it_stands_when_the_mail_goes_out() -> None:
    life = one_session()
    life.happens(waitlisted("e1", "noor"))
    (mail,) = life.happens(also_named("noor"))
    life.happens(promoted("e1"))
    occasion_ = letter(life, mail).occasion
    assert isinstance(occasion_, AlreadyEnrolled)
    assert not occasion_.waiting
    life.happens(withdrawn("e1"))
    assert in_the_way(life, mail) == "the person takes part no more"


def test_of_a_programme_that_is_over_or_off_nobody_is_told_that_they_take_part() -> None:
    life = one_session()
    life.happens(confirmed("e1", "noor"))
    (mail,) = life.happens(also_named("noor"))
    life.happens(facts.ProgrammeWithdrawn())
    assert in_the_way(life, mail) == "the programme was withdrawn"
    assert life.happens(also_named("noor")) == []


def test_who_has_a_place_is_not_told_that_the_enrolment_came_to_nothing_whoever_asked() -> None:
    life = one_session()
    life.happens(confirmed("e1", "noor"))
    mails = life.happens(refused("e2", "noor", "sam", reasons=(PRESENT,)))
    assert told(mails) == [("refusal", "sam"), ("already-enrolled", "noor")]
    assert not any(each.by_stranger for each in mails)


# Refusals -----------------------------------------------------------------------------------------------------------


def test_a_refusal_is_mailed_to_nobody_whose_address_is_unknown_and_once_a_day_to_others() -> None:
    life = one_session()
    mails = life.happens(refused("e1", "noor", "sam", channel="web", unconfirmed=("sam",)))
    assert told(mails) == [("refusal", "noor")]
    assert mails[0].by_stranger
    assert life.happens(refused("e2", "noor", channel="web")) == []
    assert told(life.happens(refused("e3", "noor"))) == [("refusal", "noor")], "a partner answers for its requests"
    life.time += timedelta(days=1)
    assert told(life.happens(refused("e4", "noor", channel="web"))) == [("refusal", "noor")]


def test_who_takes_part_is_refused_nothing_because_somebody_typed_the_address_too_late() -> None:
    life = one_session()
    life.happens(confirmed("e1", "noor"))
    assert told(life.happens(refused("e2", "noor", "sam", channel="web"))) == [
        ("refusal", "sam"),
        ("already-enrolled", "noor"),
    ]
    assert told(life.happens(refused("e3", "noor"))) == [("refusal", "noor")], "a partner is told what was refused"


def test_who_confirmed_and_found_it_full_is_told_so_each_time() -> None:
    life = one_session()
    for id_ in ("e1", "e2"):
        life.happens(pending(id_, "noor"))
        life.happens(confirms(id_, "noor"))
        mails = life.happens(refused(id_, "noor", channel="web"))
        assert told(mails) == [("refusal", "noor")]
        assert not mails[0].by_stranger
