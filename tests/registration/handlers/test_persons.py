"""A person is an address and a name: who is who, and what stays as it was."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts.base import same_address, same_name
from contracts.commands import AddParticipant, ChangeParticipant, CorrectPerson, ErasePerson, WithdrawParticipant
from contracts.enrolment import ParticipantRequest, Person
from contracts.intake import ChangeParticipantRequest, WithdrawParticipantRequest
from contracts.programme import WaitingList
from contracts.queries import AddressQuestion, EnrolmentsQuestion, PersonQuestion, ProgrammeQuestion
from services.chassis.database import Database
from services.registration import store
from services.registration.batch import Batch
from services.registration.domain.retention import Terms
from services.registration.handlers import enrolments, people, queries
from services.registration.handlers.retention import Retention
from services.registration.store import Answer
from tests.registration.conftest import Desk, desk_at, rules_of, told
from tests.registration.domain.given import IN_ORDER, LIBRARY, SESSION, programme

MAILBOX = "jeugd@bieb-twee.example"
FATIMA = Person(name="Fatima El Amrani", email=MAILBOX, language="nl")
PIET = Person(name="Piet Bakker", email=MAILBOX, language="en")
DOORS = ("staff", "demo", "web")


def of(who: Person, **more: Any) -> ParticipantRequest:
    return ParticipantRequest(person=who, **more)


def respelt(who: Person, **changes: Any) -> Person:
    return Person.model_validate(who.model_dump() | changes)


@pytest.fixture
async def both(desk: Desk) -> Desk:
    """A desk with two programmes, of two organisers."""
    await desk.open()
    await desk.publish(programme().model_copy(update={"id": "zomer"}))
    return desk


async def enrolled(desk: Desk, id_: str) -> list[dict[str, Any]]:
    """What whoever leads a programme reads of its people."""
    question = EnrolmentsQuestion(programme=id_)
    answer = await desk.writer.read(lambda batch: queries.enrolment_list(batch, question))
    return [one for view in json.loads(answer.body)["enrolments"] for one in view["participants"]]


async def names(desk: Desk, id_: str) -> list[str]:
    return [one["contact"]["name"] for one in await enrolled(desk, id_)]


async def rows(desk: Desk) -> list[tuple[str, str, str]]:
    """Name, address and language of everybody, as they are stored."""
    select = "SELECT name, email, language FROM people ORDER BY person"
    return await desk.database.run(lambda raw: raw.execute(select).fetchall())


async def ask(desk: Desk, question: Any, answer: Any) -> tuple[int, dict[str, Any]]:
    return told(await desk.writer.read(lambda batch: answer(batch, question)))


async def erase(desk: Desk, who: Person) -> None:
    assert (await desk.ask(people.erase(ErasePerson(email=who.email, name=who.name), desk.now)))[0] == 200


# Who is who -----------------------------------------------------------------------------------------------------------


async def test_two_who_share_a_mailbox_are_two_people(both: Desk) -> None:
    await both.request(of(FATIMA))
    await both.request(of(PIET), programme="zomer")
    (fatima,) = await enrolled(both, "ontmoeting")
    (piet,) = await enrolled(both, "zomer")
    assert fatima["person"] != piet["person"]
    assert (fatima["contact"], piet["contact"]) == (FATIMA.model_dump(), PIET.model_dump())
    assert (fatima["shares_address"], piet["shares_address"]) == (1, 1)


async def test_colleagues_with_one_mailbox_take_part_in_one_programme(desk: Desk) -> None:
    await desk.open()
    assert (await desk.request(of(FATIMA), of(PIET)))[0] == 200
    assert (await desk.request(of(respelt(PIET, name="Anna Smit"))))[0] == 200
    _, refused = await desk.request(of(respelt(PIET, name="piet  BAKKER", email="Jeugd@Bieb-Twee.example")))
    assert rules_of(refused) == ["already-enrolled"]
    _, refused = await desk.request(of(respelt(PIET, name="Mo")), of(respelt(PIET, name="MÓ")))
    assert "named-twice" in rules_of(refused)


async def test_the_same_new_person_in_one_batch_and_in_the_next_is_one(both: Desk) -> None:
    """Requests that wait together are decided in one transaction, before any of them is in the table."""
    await asyncio.gather(both.request(of(FATIMA)), both.request(of(respelt(FATIMA, name="fatima el-amrani"))))
    await asyncio.gather(*(both.request(of(FATIMA), programme=id_) for id_ in ("ontmoeting", "zomer")))
    assert await rows(both) == [(FATIMA.name, FATIMA.email, "nl")]
    assert [view["status"] for view in await statuses(both)] == ["confirmed", "refused", "refused"]
    persons = {one["person"] for id_ in ("ontmoeting", "zomer") for one in await enrolled(both, id_)}
    assert len(persons) == 1


async def statuses(desk: Desk) -> list[dict[str, Any]]:
    answer = await desk.writer.read(
        lambda batch: queries.enrolment_list(batch, EnrolmentsQuestion(programme="ontmoeting"))
    )
    return list(json.loads(answer.body)["enrolments"])


_SPELLINGS = st.sampled_from(
    [str.lower, str.upper, str.title, lambda text: text.replace(" ", "  "), lambda text: text.replace("e", "é")]
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(
        st.tuples(
            st.sampled_from(DOORS),
            st.sampled_from([FATIMA, PIET]),
            st.lists(_SPELLINGS, max_size=2),
            st.sampled_from(["nl", "en"]),
        ),
        min_size=1,
        max_size=6,
    )
)
async def test_nobodys_name_or_language_is_changed_by_what_somebody_types(
    asked: list[tuple[str, Person, list[Any], Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever the door; each programme reads what was said for it, and the two stay two."""
    async with desk_at(tmp_path_factory.mktemp("doors") / "registration.db") as desk:
        await desk.register()
        first: dict[str, tuple[str, str, str]] = {}
        for number, (door, who, spelt, language) in enumerate(asked):
            id_ = f"programma-{number}"
            await desk.publish(programme().model_copy(update={"id": id_}))
            name, email = who.name, who.email
            for respell in spelt:
                name = respell(name)
                email = email.upper() if email.islower() else email
            said = respelt(who, name=name, email=email, language=language)
            first.setdefault(same_name(name), (said.name, said.email, said.language))
            await desk.request(of(said), source=door, programme=id_)
            assert sorted(await rows(desk)) == sorted(first.values())
            (read,) = await enrolled(desk, id_)
            assert (read["contact"]["name"], read["contact"]["email"]) == (said.name, said.email)
            assert read["contact"]["language"] == first[same_name(name)][2]


async def test_a_request_is_mailed_in_its_own_language_and_the_person_keeps_theirs(both: Desk) -> None:
    await both.request(of(PIET))
    await both.request(of(respelt(PIET, language="nl")), programme="zomer")
    silent = Person(name=PIET.name, email=PIET.email)
    await both.publish(programme().model_copy(update={"id": "herfst"}))
    await both.request(of(silent), programme="herfst")
    languages = {
        id_: [one.language for each in (await both.state(id_)).enrolments.values() for one in each.participants]
        for id_ in ("ontmoeting", "zomer", "herfst")
    }
    assert languages == {"ontmoeting": [None], "zomer": ["nl"], "herfst": [None]}
    assert [language for *_, language in await rows(both)] == ["en"]


async def test_a_corrected_language_is_that_of_all_mails(both: Desk) -> None:
    await both.request(of(PIET))
    _, made = await both.request(of(respelt(PIET, language="nl"), role="directeur"), programme="zomer")
    stricter = programme(eligible={"roles": ["taalhuis"], "without_organisation": True})
    await both.publish(stricter.model_copy(update={"id": "zomer"}))
    for expected in ("corrected", "unchanged"):
        assert (await both.correct(MAILBOX, language="en"))[1]["result"] == expected
        (piet,) = (await both.state("zomer")).enrolments[made["enrolment"]].participants
        assert (piet.language, piet.role) == (None, "directeur")


async def test_who_takes_a_place_over_does_not_inherit_a_language(both: Desk) -> None:
    await both.request(of(PIET))
    _, made = await both.request(of(respelt(PIET, language="nl")), programme="zomer")
    change = ChangeParticipant(enrolment=made["enrolment"], email=MAILBOX, replacement=FATIMA)
    work = enrolments.change_participant(change, both.arrival(), who=change, seat=None, role=None, replacement=FATIMA)
    assert (await both.ask(work))[0] == 200
    (fatima,) = (await both.state("zomer")).enrolments[made["enrolment"]].participants
    assert fatima.language is None


# How somebody is written ----------------------------------------------------------------------------------------------


async def test_whoever_leads_a_programme_reads_what_was_said_for_it(both: Desk) -> None:
    lunch = SESSION.model_copy(update={"lunch": True})
    await both.publish(programme(sessions=(lunch,)).model_copy(update={"id": "lunch"}))
    shouted = respelt(FATIMA, name="fatima el amrani", email=MAILBOX.upper())
    await both.request(of(FATIMA))
    await both.request(of(shouted), programme="zomer")
    await both.request(of(shouted, diet="geen noten"), programme="lunch")
    assert await names(both, "ontmoeting") == ["Fatima El Amrani"]
    assert [one["contact"]["email"] for one in await enrolled(both, "zomer")] == ["JEUGD@bieb-twee.example"]
    assert await names(both, "zomer") == ["fatima el amrani"]
    question = ProgrammeQuestion(programme="lunch")
    answer = await both.writer.read(lambda batch: queries.lunch_list(batch, question, both.now))
    assert [one["name"] for one in json.loads(answer.body)["lunches"][0]["diets"]] == ["fatima el amrani"]
    _, export = await ask(both, PersonQuestion(email=MAILBOX), queries.person_export)
    assert export["contact"]["name"] == "Fatima El Amrani"
    read = {view["programme"]: view["participants"][0]["contact"]["name"] for view in export["enrolments"]}
    assert read == {"ontmoeting": "Fatima El Amrani", "zomer": "fatima el amrani", "lunch": "fatima el amrani"}


async def test_the_last_that_was_said_for_a_programme_counts(both: Desk) -> None:
    await both.request(of(FATIMA), programme="zomer")
    for name in ("FATIMA EL AMRANI", "Fatima El Amrani"):
        _, made = await both.request(of(respelt(FATIMA, name=name)))
        assert (await names(both, "ontmoeting"))[-1] == name
        await both.withdraw(made["enrolment"])


async def test_who_is_added_or_takes_over_is_written_as_it_was_said(both: Desk) -> None:
    await both.request(of(FATIMA), of(PIET))
    _, made = await both.request("noor@x.example", programme="zomer")
    joining = of(respelt(FATIMA, name="F\u00e1tima el Amrani"))
    add = AddParticipant(enrolment=made["enrolment"], participant=joining)
    assert (await both.ask(enrolments.add_participant(add, joining, both.arrival())))[0] == 200
    piet = respelt(PIET, name="piet bakker")
    change = ChangeParticipant(enrolment=made["enrolment"], email="noor@x.example", replacement=piet)
    work = enrolments.change_participant(change, both.arrival(), who=change, seat=None, role=None, replacement=piet)
    assert (await both.ask(work))[0] == 200
    assert sorted(await names(both, "zomer")) == ["F\u00e1tima el Amrani", "piet bakker"]
    assert sorted(await names(both, "ontmoeting")) == ["Fatima El Amrani", "Piet Bakker"]


async def test_a_correction_says_what_is_another_and_not_what_it_is(both: Desk) -> None:
    """Whoever tells people things by mail has to know that mail goes elsewhere now; no log says where."""
    await both.request(of(FATIMA))
    for changes in (
        {"new_name": "Fatima de Wit"},
        {"new_email": MAILBOX.upper()},
        {"new_email": "fatima@bieb-twee.example", "language": "en"},
    ):
        assert (await both.correct(MAILBOX, **changes))[0] == 200
    bodies = await both.database.run(lambda raw: raw.execute("SELECT body FROM log ORDER BY position").fetchall())
    corrected = [fact["data"] for (body,) in bodies if (fact := json.loads(body))["type"] == "person.corrected.v1"]
    assert [each["changed"] for each in corrected] == [["name"], [], ["email", "language"]]
    assert not any(b"bieb-twee.example" in body for (body,) in bodies)


async def test_a_correction_goes_for_all_programmes(both: Desk) -> None:
    await both.request(of(FATIMA))
    await both.request(of(respelt(FATIMA, name="FATIMA EL AMRANI")), programme="zomer")
    assert (await both.correct(MAILBOX, language="en"))[1]["result"] == "corrected"
    assert await names(both, "zomer") == ["FATIMA EL AMRANI"]
    # As it is stored already, but not as the organiser of the second one reads it.
    assert (await both.correct(MAILBOX, new_name=FATIMA.name))[1]["result"] == "corrected"
    assert await names(both, "zomer") == [FATIMA.name]
    assert (await both.correct(MAILBOX, new_name=FATIMA.name))[1]["result"] == "unchanged"


async def test_what_was_said_is_kept_as_long_as_the_person(both: Desk) -> None:
    terms = Terms(people=timedelta(days=400), others=timedelta(days=30))
    keeping = Retention(both.writer, lambda: both.now, terms)
    await both.request(of(FATIMA))
    _, spelt = await both.request(of(respelt(FATIMA, name="fatima el amrani")), programme="zomer")
    await both.withdraw(spelt["enrolment"])
    await keeping.let_go(both.now + timedelta(days=20))
    assert "fatima el amrani" in await names(both, "zomer")
    await erase(both, FATIMA)
    assert await both.count("particulars") == 0


# How the staff name somebody ------------------------------------------------------------------------------------------


async def test_an_address_that_names_two_is_refused_with_their_number_and_without_their_names(both: Desk) -> None:
    _, made = await both.request(of(FATIMA), of(PIET))
    about = {"enrolment": made["enrolment"], "email": MAILBOX}
    change, leave = ChangeParticipant(**about, role="taalhuis"), WithdrawParticipant(**about)
    partner_change, partner_leave = ChangeParticipantRequest(**about), WithdrawParticipantRequest(**about)
    answers = [
        await both.ask(people.correct(CorrectPerson(email=MAILBOX, new_name="Piet"), both.now)),
        await both.ask(people.erase(ErasePerson(email=MAILBOX), both.now)),
        await ask(both, PersonQuestion(email=MAILBOX), queries.person_export),
        *[
            await both.ask(
                enrolments.change_participant(
                    body, both.arrival(), who=body, seat=None, role="taalhuis", replacement=None
                )
            )
            for body in (change, partner_change)
        ],
        *[
            await both.ask(enrolments.withdraw_participant(body, both.arrival(), who=body))
            for body in (leave, partner_leave)
        ],
    ]
    assert {(status, problem["type"]) for status, problem in answers} == {(409, "urn:deelname:problem:ambiguous")}
    for _, problem in answers:
        assert problem["detail"].startswith("2 people share this address.")
        assert "name" in problem["detail"]
        assert not any(word in str(problem) for word in ("Fatima", "Piet", MAILBOX))


async def test_the_name_beside_the_address_says_who_is_meant(both: Desk) -> None:
    _, made = await both.request(of(FATIMA), of(PIET))
    about = {"enrolment": made["enrolment"], "email": MAILBOX}
    for name, status in (("Eva", 404), ("PIET  bakker", 200)):
        leave = WithdrawParticipant(**about, name=name)
        assert (await both.ask(enrolments.withdraw_participant(leave, both.arrival(), who=leave)))[0] == status
    assert await names(both, "ontmoeting") == [FATIMA.name]
    # Within the enrolment the address names one person by now; among all it still names two.
    role = ChangeParticipant(**about, role="taalhuis")
    work = enrolments.change_participant(role, both.arrival(), who=role, seat=None, role="taalhuis", replacement=None)
    assert (await both.ask(work))[0] == 200
    assert (await both.erase(MAILBOX))[0] == 409
    status, problem = await both.ask(people.erase(ErasePerson(email=MAILBOX, name="Eva"), both.now))
    assert (status, problem["detail"]) == (404, "Nobody at this address has this name.")
    _, export = await ask(both, PersonQuestion(email=MAILBOX, name="Piet Bakker"), queries.person_export)
    assert (export["contact"]["name"], export["shares_address"]) == ("Piet Bakker", 1)
    await erase(both, PIET)
    assert [name for name, *_ in await rows(both)] == [FATIMA.name]
    _, export = await ask(both, PersonQuestion(email=MAILBOX), queries.person_export)
    assert "shares_address" not in export


@pytest.mark.parametrize(
    "named",
    [{}, {"name": "Piet"}, {"person": "p-1", "email": MAILBOX}, {"person": "p-1", "name": "Piet"}],
)
def test_somebody_is_named_in_one_way(named: dict[str, str]) -> None:
    for model, more in ((ErasePerson, {}), (ErasePerson, {"everybody": True}), (CorrectPerson, {"new_name": "Noor"})):
        with pytest.raises(ValidationError, match="Name the person"):
            model.model_validate({**named, **more})


@pytest.mark.parametrize("named", [{"person": "p-1"}, {"email": MAILBOX, "name": "Piet"}])
async def test_everybody_goes_with_an_address_alone(desk: Desk, named: dict[str, str]) -> None:
    status, problem = await desk.ask(people.erase(ErasePerson(**named, everybody=True), desk.now))
    assert (status, problem["errors"][0]["field"]) == (422, "everybody")


async def test_everybody_at_an_address_is_listed_and_erased(desk: Desk) -> None:
    await desk.open(capacity=2, waiting_list=WaitingList())
    await desk.request(of(FATIMA), of(PIET))
    await desk.request("noor@x.example")
    _, found = await ask(desk, AddressQuestion(email=MAILBOX.upper()), queries.people_list)
    assert [(one["contact"]["name"], one["programmes"]) for one in found["people"]] == [
        (FATIMA.name, ["ontmoeting"]),
        (PIET.name, ["ontmoeting"]),
    ]
    everybody = [one["person"] for one in found["people"]]
    status, erased = await desk.ask(people.erase(ErasePerson(email=MAILBOX, everybody=True), desk.now))
    assert (status, erased["result"], erased["people"]) == (200, "erased", everybody)
    assert [email for _, email, _ in await rows(desk)] == ["noor@x.example"]
    assert [one["contact"]["email"] for one in await enrolled(desk, "ontmoeting") if "contact" in one] == [
        "noor@x.example"
    ]
    assert (await desk.ask(people.erase(ErasePerson(email=MAILBOX, everybody=True), desk.now)))[0] == 404


async def test_a_correction_that_would_make_two_people_one_is_refused_with_a_word_on_merging(both: Desk) -> None:
    noor = Person(name="Fatima el-Amrani", email="noor@x.example")
    await both.request(of(FATIMA), of(noor), of(PIET))
    status, problem = await both.correct("noor@x.example", new_email=MAILBOX)
    assert (status, problem["type"]) == (409, "urn:deelname:problem:would-merge")
    assert "never merged" in problem["detail"]
    rename = CorrectPerson(email=MAILBOX, name="Piet Bakker", new_name="FATIMA EL AMRANI")
    assert (await both.ask(people.correct(rename, both.now)))[1]["type"] == "urn:deelname:problem:would-merge"
    # To share an address with others is nothing special.
    move = CorrectPerson(email="noor@x.example", new_email=MAILBOX, new_name="Noor")
    assert (await both.ask(people.correct(move, both.now)))[1]["result"] == "corrected"
    # Nor is it to write one's own name otherwise.
    accent = CorrectPerson(email=MAILBOX, name="piet bakker", new_name="Piét Bakker")
    assert (await both.ask(people.correct(accent, both.now)))[1]["result"] == "corrected"
    assert {name for name, *_ in await rows(both)} == {FATIMA.name, "Noor", "Piét Bakker"}


# Who is known ------------------------------------------------------------------------------------------------------


async def test_who_confirmed_is_known_at_that_address_and_nobody_else_who_shares_it(both: Desk) -> None:
    await both.request(of(FATIMA), of(PIET))

    async def known() -> set[str]:
        return await both.database.run(lambda raw: store.confirmed_people(raw, [fatima, piet, "nobody"]))

    _, found = await ask(both, AddressQuestion(email=MAILBOX), queries.people_list)
    fatima, piet = (
        next(one["person"] for one in found["people"] if one["contact"]["name"] == who.name) for who in (FATIMA, PIET)
    )
    assert await known() == set()
    await both.database.run(lambda raw: store.confirm_person(raw, fatima, both.now))
    assert await known() == {fatima}
    by_id = {"person": fatima}
    for change, expected in (
        ({"new_name": "Fatima"}, {fatima}),
        ({"new_email": MAILBOX.title()}, {fatima}),
        ({"new_email": "noor@x.example"}, set()),
    ):
        assert (await both.ask(people.correct(CorrectPerson(**by_id, **change), both.now)))[0] == 200
        assert await known() == expected


# One request ----------------------------------------------------------------------------------------------------------


async def test_the_maximum_of_an_organisation_is_that_of_a_request_without_one(desk: Desk) -> None:
    await desk.open(capacity=9, waiting_list=IN_ORDER, maximum_per_organisation=2)
    crowd = [of(respelt(PIET, name=name)) for name in ("Anna", "Bram", "Cato")]
    status, refused = await desk.request(*crowd)
    assert (status, rules_of(refused)) == (409, ["request-maximum"])
    assert "2 places" in refused["errors"][0]["detail"]
    assert rules_of((await desk.request(*crowd, organisation=LIBRARY.id))[1]) == ["organisation-maximum"]
    _, made = await desk.request(*crowd[:2])
    joining = crowd[2]
    add = AddParticipant(enrolment=made["enrolment"], participant=joining)
    assert rules_of((await desk.ask(enrolments.add_participant(add, joining, desk.arrival())))[1]) == [
        "request-maximum"
    ]
    # Another request is nobody else's, as far as anybody can tell.
    assert (await desk.request(joining))[0] == 200


# Databases of the last release ----------------------------------------------------------------------------------------


async def test_people_of_an_older_database_are_found_by_address_and_name(tmp_path: Path) -> None:
    older = tmp_path / "migrations"
    older.mkdir()
    for script in sorted(store.MIGRATIONS.glob("000[123]_*.sql")):
        (older / script.name).write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    database = await Database.open(tmp_path / "registration.db", older)
    kept = [
        ("p-1", "noor@x.example", "Noör de Wit", "Noor@x.example", "en", "2023-01-02T00:00:00+00:00"),
        ("p-2", "sam@x.example", "سامَر", "sam@x.example", "nl", "2023-01-03T00:00:00+00:00"),
    ]
    await database.run(lambda raw: raw.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?, ?)", kept))
    await database.close()

    async with desk_at(tmp_path / "registration.db") as desk:
        select = "SELECT person, address, name, email, language, since FROM people ORDER BY person"
        assert await desk.database.run(lambda raw: raw.execute(select).fetchall()) == kept
        await desk.open()
        _, made = await desk.request(of(Person(name="noor de wit", email="noor@X.example")))
        await desk.request(of(Person(name="سامر", email="sam@x.example")))
        persons = [one["person"] for one in await enrolled(desk, "ontmoeting")]
        assert persons == ["p-1", "p-2"]
        assert await desk.database.run(lambda raw: store.confirmed_people(raw, ["p-1"])) == set()
        assert made["status"] == "confirmed"


async def test_who_is_looked_up_beforehand_and_who_is_looked_up_alone_is_the_same(both: Desk) -> None:
    await both.request(of(FATIMA), of(PIET))
    keys = [store.PersonKey.of(FATIMA), store.PersonKey.of(PIET), store.PersonKey(same_address(MAILBOX), "eva")]

    def look(batch: Batch) -> Answer:
        found = [batch.person_by(key) for key in keys]
        together = store.people_by(batch.connection, keys)
        assert [together.get(key) for key in keys] == found
        assert [one and one.contact.name for one in found] == [FATIMA.name, PIET.name, None]
        return Answer(204, b"")

    assert (await both.writer.perform(look)).status == 204
