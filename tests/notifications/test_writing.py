"""A planned mail becomes a letter by what is known at that moment."""

from __future__ import annotations

from decimal import Decimal

from contracts import facts
from contracts.enrolment import Correspondent, KnownPerson, Participant
from contracts.session import Occasion, Online
from services.notifications import letters
from services.notifications.letters import Letter
from services.notifications.writing import Writer
from tests.notifications.lives import TEAM, Life, confirmed, occasion, promoted, session, waitlisted

NOOR = KnownPerson(name="Noor de Wit", email="noor@bibliotheek-zeist.example")


def last_letter(life: Life, person: str) -> Letter:
    mail = [each for each in life.mails if each.person == person and each.purpose != "invite"][-1]
    return Writer(life.state, life.time).letter(mail, NOOR)


def test_a_programmes_mails_call_people_as_was_said_for_it() -> None:
    life = Life()
    life.happens(confirmed("e1", "noor"))
    (mail,) = [each for each in life.mails if each.purpose == "confirmation"]
    called = {}
    for programme in (mail.programme, "another"):
        noor = Correspondent(name=NOOR.name, email=NOOR.email, spellings={programme: "NOOR DE WIT"})
        called[programme] = Writer(life.state, life.time).letter(mail, noor).recipient.name
    assert called == {mail.programme: "NOOR DE WIT", "another": "Noor de Wit"}


def test_a_confirmation_lists_the_sessions_in_the_order_of_time() -> None:
    life = Life(session("slot"), session("tweede", occasion("2023-09-05")), session("eerste", occasion("2023-06-20")))
    life.happens(confirmed("e1", "noor"))
    told = last_letter(life, "noor").occasion
    assert isinstance(told, letters.Confirmation)
    assert [each.id for each in told.sessions] == ["eerste", "tweede", "slot"]


def test_the_price_is_the_one_of_the_whole_enrolment_as_it_stands() -> None:
    life = Life()
    life.happens(confirmed("e1", "noor", price=Decimal("49.50")))
    assert last_letter(life, "noor").price == letters.Price(Decimal("49.50"))
    newcomer = Participant(person="sam")
    life.happens(facts.ParticipantAdded(enrolment="e1", participant=newcomer, units=2, price=Decimal("99.00")))
    assert last_letter(life, "sam").price == letters.Price(Decimal("99.00"), people=2)
    life.happens(facts.ParticipantWithdrawn(enrolment="e1", person="noor", units=1, price=Decimal("49.50")))
    assert last_letter(life, "sam").price == letters.Price(Decimal("49.50"))


def test_who_waits_is_told_the_price_too_and_pays_it_when_promoted() -> None:
    life = Life(team=TEAM)
    life.happens(waitlisted("e1", ("noor", "maker"), ("eva", "manager"), price=Decimal(250)))
    waits = last_letter(life, "noor")
    life.happens(promoted("e1"))
    assert [waits.purpose, last_letter(life, "noor").purpose] == ["waiting", "promotion"]
    assert waits.price == last_letter(life, "noor").price == letters.Price(Decimal(250), people=2, team=True)


def test_where_nobody_named_a_price_there_is_none() -> None:
    life = Life()
    life.happens(confirmed("e1", "noor"))
    assert last_letter(life, "noor").price is None


def test_a_session_is_at_the_platform_that_the_programme_names() -> None:
    life = Life(session("afronding", Occasion(online=Online(platform="Jitsi"))))
    life.happens(confirmed("e1", "noor"))
    occasion = last_letter(life, "noor").occasion
    assert isinstance(occasion, letters.Confirmation)
    assert occasion.sessions[0].slot.place == letters.Online(None, "Jitsi")
