"""Requests of strangers over HTTP: they wait, the mail's link confirms them, and nobody learns another's business."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.queries import ProgrammeView
from services.registration.handlers.strangers import MOST_UNASKED
from services.registration.words import WORDS
from tests.registration.domain.given import IN_ORDER, TEAM, track
from tests.registration.system import running_system
from tests.registration.test_pages import Page, Site
from tests.registration.test_web import wish

WORD = WORDS["nl"]


@dataclass
class Hall(Site):
    """A site at which people come in by links; the mails are played."""

    def open_to_strangers(self, id_: str, **rules: Any) -> None:
        asyncio.run(self.system.open(id_, **rules))

    def ask(self, programme: str, *emails: str, **more: Any) -> tuple[int, Any]:
        return self.system.post("/api/enrolments", wish(programme, *emails, **more))

    def enrolments(self, programme: str) -> list[dict[str, Any]]:
        return asyncio.run(self.system.enrolments(programme))

    def link(self, programme: str, email: str, **changes: Any) -> str:
        """The address in the mail that asks this mailbox."""
        person = next(
            one["person"]
            for enrolment in self.enrolments(programme)
            for one in enrolment["participants"]
            if one["contact"]["email"] == email
        )
        return self.system.link(programme, person, **changes)

    def shown(self, programme: str) -> ProgrammeView:
        """What everybody sees of a programme, which the list of all has likewise."""
        status, document = self.system.get(f"/api/programmes/{programme}")
        assert status == 200
        view = ProgrammeView.model_validate(document)
        (row,) = [one for one in self.system.get("/api/programmes")[1]["programmes"] if one["id"] == programme]
        assert (row["confirmed"], row.get("held", 0)) == (view.confirmed, view.held)
        return view

    def press(self, link: str) -> Page:
        return self.send(link, b"")


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with running_system(tmp_path_factory.mktemp("hall")) as system:
        yield Hall(system)


def test_a_stranger_waits_until_the_button_is_pressed(hall: Hall) -> None:
    hall.open_to_strangers("knop")
    status, receipt = hall.ask("knop", "knop@x.example")
    assert (status, receipt["expected"]) == (202, "confirmed")
    (stands,) = hall.enrolments("knop")
    assert (stands["status"], stands["held"], stands["channel"]) == ("pending", 1, "web")
    assert stands["participants"][0]["unconfirmed"] is True
    link = hall.link("knop", "knop@x.example")
    asked = hall.get(link)
    assert (asked.status, asked.heading) == (200, WORD["confirm_asked"])
    assert hall.standing("knop") == ["pending"], "looking does nothing"
    done = hall.press(link)
    assert (done.status, done.heading) == (200, WORD["confirm_confirmed"])
    (stands,) = hall.enrolments("knop")
    assert (stands["status"], stands["held"]) == ("confirmed", 0)
    assert stands["participants"][0]["unconfirmed"] is False


def test_who_opens_links_before_the_person_does_changes_nothing(hall: Hall) -> None:
    """Mail scanners follow every link, also by HEAD, and in both languages."""
    hall.open_to_strangers("scanner")
    hall.ask("scanner", "scanner@x.example")
    link = hall.link("scanner", "scanner@x.example")
    for _ in range(3):
        assert hall.get(link).status == 200
        assert hall.get(f"{link}?lang=en").heading == WORDS["en"]["confirm_asked"]
        assert hall.system.call("HEAD", link)[0] == 200
    assert hall.standing("scanner") == ["pending"]


def test_pressing_twice_is_pressing_once(hall: Hall) -> None:
    hall.open_to_strangers("twee-keer")
    hall.ask("twee-keer", "twee@x.example")
    link = hall.link("twee-keer", "twee@x.example")
    first = hall.press(link)
    assert hall.press(link).source == first.source == hall.get(link).source
    assert hall.standing("twee-keer") == ["confirmed"]


def test_who_has_confirmed_once_comes_in_at_once_elsewhere(hall: Hall) -> None:
    hall.open_to_strangers("eerst")
    hall.open_to_strangers("daarna")
    hall.ask("eerst", "bekend@x.example")
    hall.press(hall.link("eerst", "bekend@x.example"))
    unknown, known = hall.ask("daarna", "vreemd@x.example"), hall.ask("daarna", "Bekend@x.example")
    assert unknown == known
    assert hall.standing("daarna") == ["pending", "confirmed"]


def test_the_page_of_a_link_says_nothing_that_was_typed_and_is_kept_nowhere(hall: Hall) -> None:
    hall.open_to_strangers("stil")
    hall.ask("stil", "stil@x.example")
    link = hall.link("stil", "stil@x.example")
    for page in (hall.get(link), hall.press(link)):
        assert "Noor" not in page.source
        assert "x.example" not in re.sub(r"mailto:\S+", "", page.source)
        assert page.headers["cache-control"] == "no-store"
        assert "noindex" in page.headers["x-robots-tag"]
        assert page.headers["referrer-policy"] == "same-origin"
    assert link.rpartition("/")[2] not in hall.system.journal.read_text()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-1] + ("A" if text[-1] != "A" else "B"),
        lambda text: text.replace(".", "", 1),
        lambda text: text + "=",
        lambda text: text * 20,
        lambda _: "x",
        lambda _: "%00",
        lambda _: "%E2%80%AE" * 60,
    ],
)
def test_a_link_that_is_not_ours_leads_to_a_page_that_says_so(hall: Hall, spoil: Any) -> None:
    hall.open_to_strangers("vals")
    hall.ask("vals", "vals@x.example")
    link = spoil(hall.link("vals", "vals@x.example").rpartition("/")[2])
    for page in (hall.get(f"/confirm/{link}"), hall.press(f"/confirm/{link}")):
        assert (page.status, page.heading) == (404, WORD["confirm_none"])
    assert hall.standing("vals") == ["pending"]


def test_a_link_whose_time_is_up_says_what_to_do(hall: Hall) -> None:
    hall.open_to_strangers("te-laat")
    hall.ask("te-laat", "laat@x.example")
    late = hall.link("te-laat", "laat@x.example", expires=datetime(2023, 3, 2, 9, 14, tzinfo=UTC))
    assert (hall.press(late).status, hall.press(late).heading) == (410, WORD["confirm_ended"])
    assert hall.standing("te-laat") == ["pending"]


def test_who_is_late_for_a_team_is_not_sent_to_enrol_a_second_one(hall: Hall) -> None:
    asyncio.run(hall.system.publish(track().model_copy(update={"id": "laat-team"})))
    who = {"person": {"name": "Noor", "email": "laat@x.example"}, "seat": TEAM[0].seat, "role": TEAM[0].role}
    assert hall.ask("laat-team", participants=[who])[0] == 202
    late = hall.press(hall.link("laat-team", "laat@x.example", expires=datetime(2023, 3, 2, 9, 14, tzinfo=UTC)))
    assert WORD["confirm_ended_text_team"] in late.text
    assert WORD["confirm_ended_text"] not in late.text


def test_who_is_told_that_a_programme_is_full_is_told_whom_to_ask(hall: Hall) -> None:
    hall.open_to_strangers("vol", capacity=1)
    hall.ask("vol", "vol@x.example")
    page = hall.enrol("vol", name="Noor de Wit", email="later@x.example", language="nl")
    assert (page.status, "Alle plekken zijn nu bezet of gereserveerd." in page.text) == (409, True)
    assert "Vragen? Mail naar Team aanmelden" in page.text


def test_a_form_on_another_site_cannot_press_the_button(hall: Hall) -> None:
    hall.open_to_strangers("elders")
    hall.ask("elders", "elders@x.example")
    refused = hall.send(hall.link("elders", "elders@x.example"), b"", sec_fetch_site="cross-site")
    assert (refused.status, hall.standing("elders")) == (403, ["pending"])


def test_when_the_places_are_gone_the_page_says_how_it_stands(hall: Hall) -> None:
    hall.open_to_strangers("rij", capacity=1, waiting_list=IN_ORDER)
    hall.ask("rij", "rij-1@x.example")
    hall.ask("rij", "rij-2@x.example")
    second, first = (hall.press(hall.link("rij", f"rij-{number}@x.example")) for number in (2, 1))
    assert second.heading == WORD["confirm_waiting"]
    assert "nummer 1" in second.text
    assert first.heading == WORD["confirm_confirmed"]
    assert sorted(hall.standing("rij")) == ["confirmed", "waiting"]


def test_one_mailbox_confirms_for_everybody_of_the_team_who_reads_it(hall: Hall) -> None:
    asyncio.run(hall.system.publish(track().model_copy(update={"id": "team"})))
    seats = {one.seat: one.role for one in TEAM}
    people = [
        {"person": {"name": name, "email": email}, "seat": seat, "role": seats[seat]}
        for name, email, seat in (
            ("Noor", "gedeeld@x.example", "jeugd"),
            ("Sam", "gedeeld@x.example", "basis"),
            ("Eva", "eva-team@x.example", "manager"),
        )
    ]
    assert hall.system.post("/api/enrolments", {"programme": "team", "participants": people})[0] == 202
    hall.press(hall.link("team", "eva-team@x.example"))
    (stands,) = hall.enrolments("team")
    assert (stands["status"], [one["seat"] for one in stands["missing"]]) == ("confirmed", ["jeugd", "basis"])
    hall.press(hall.link("team", "gedeeld@x.example"))
    (stands,) = hall.enrolments("team")
    assert [(one["contact"]["name"], one["unconfirmed"]) for one in stands["participants"]] == [
        ("Eva", False),
        ("Noor", False),
        ("Sam", False),
    ]
    assert stands.get("missing", []) == []


def test_strangers_hold_a_share_and_are_told_when_to_try_again(hall: Hall) -> None:
    """A programme for twenty: one source holds two places within an hour."""
    hall.open_to_strangers("druk", capacity=20)
    answers = [hall.ask("druk", f"druk-{number}@x.example") for number in range(4)]
    assert [status for status, _ in answers] == [202] * 4
    assert [bool(told.get("try_again")) for _, told in answers] == [False, False, True, True]
    assert hall.standing("druk") == ["pending", "pending"]
    view = hall.shown("druk")
    assert (view.confirmed, view.held) == (2, 0), "the public sees no difference"
    assert sum(one["held"] for one in hall.enrolments("druk")) == 2, "the staff do"
    page = hall.enrol("druk", name="Noor de Wit", email="druk-9@x.example", language="nl")
    assert "Meld je dan na donderdag 2 maart 2023" in page.text
    assert page.heading == WORD["perhaps_received"]
    assert "krijg je een mail" not in page.text.removeprefix(page.heading), "no mail is promised that nobody sends"


def test_what_everybody_sees_does_not_tell_who_is_known(hall: Hall) -> None:
    """Somebody known has a place at once, and who is not known holds one: the numbers change by as much."""
    hall.open_to_strangers("eerder")
    hall.ask("eerder", "bekend@x.example")
    hall.press(hall.link("eerder", "bekend@x.example"))
    seen = []
    for programme, email in (("bekenden", "bekend@x.example"), ("onbekenden", "onbekend@x.example")):
        hall.open_to_strangers(programme, capacity=20)
        assert hall.ask(programme, email)[0] == 202
        view = hall.shown(programme)
        seen.append((view.confirmed, view.held, view.waiting, view.version, view.open))
    assert (hall.standing("bekenden"), hall.standing("onbekenden")) == (["confirmed"], ["pending"])
    assert seen[0] == seen[1]


def test_asking_twice_shows_nobody_who_is_known(hall: Hall) -> None:
    """Who takes part is told so, which is a fact; who was asked is not asked again, which is none."""
    hall.open_to_strangers("vooraf")
    hall.ask("vooraf", "trouwe@x.example")
    hall.press(hall.link("vooraf", "trouwe@x.example"))
    seen = []
    for programme, email in (("tweemaal-a", "trouwe@x.example"), ("tweemaal-b", "nieuwe@x.example")):
        hall.open_to_strangers(programme, capacity=20)
        for _ in range(2):
            hall.ask(programme, email)
        seen.append(hall.shown(programme).model_dump(exclude={"id", "definition"}))
    assert seen[0] == seen[1]


def test_a_name_that_never_confirmed_waits_also_where_another_at_the_address_did(hall: Hall) -> None:
    """Otherwise whoever knows one such address takes all places, and mails it names of their own making."""
    hall.open_to_strangers("vroeger")
    hall.ask("vroeger", "gedeeld@bieb.example")
    hall.press(hall.link("vroeger", "gedeeld@bieb.example"))
    hall.open_to_strangers("namen", capacity=30)
    for first in ("Anna", "Bram", "Cato"):
        people = [{"person": {"name": f"{first} {one}", "email": "gedeeld@bieb.example"}} for one in "abcdefghij"]
        assert hall.system.post("/api/enrolments", {"programme": "namen", "participants": people})[0] == 202
    asked = hall.enrolments("namen")
    assert [one["status"] for one in asked] == ["pending"] * 3
    assert all(one["unconfirmed"] for each in asked for one in each["participants"])
    assert hall.ask("namen", "gedeeld@bieb.example")[0] == 202
    assert hall.standing("namen")[-1] == "confirmed", "who did confirm notices nothing"


def test_who_confirms_makes_room_for_a_colleague_on_the_same_network(hall: Hall) -> None:
    hall.open_to_strangers("kantoor", capacity=10)
    for number in range(4):
        _, told = hall.ask("kantoor", f"kantoor-{number}@x.example")
        assert "try_again" not in told
        hall.press(hall.link("kantoor", f"kantoor-{number}@x.example"))
    assert hall.standing("kantoor") == ["confirmed"] * 4


def test_twenty_nine_invented_people_in_one_request_take_no_place(hall: Hall) -> None:
    hall.open_to_strangers("alles", capacity=30)
    status, problem = hall.ask("alles", *(f"v{number}@nowhere.example" for number in range(29)))
    assert (status, [one["rule"] for one in problem["errors"]]) == (409, ["too-many-people"])
    assert hall.ask("alles", "echt@x.example")[0] == 202
    assert [one["status"] for one in hall.enrolments("alles")] == ["refused", "pending"]


def test_whom_nobody_is_asked_about_is_not_known_afterwards(hall: Hall) -> None:
    """Two of twenty may be held: the third leaves nothing behind, in the log or among the people."""
    hall.open_to_strangers("spoorloos", capacity=20)
    for number in range(4):
        assert hall.ask("spoorloos", f"spoor-{number}@x.example")[0] == 202
    known = [asyncio.run(_people_at(hall, f"spoor-{number}@x.example")) for number in range(4)]
    assert known == [1, 1, 0, 0]


async def _people_at(hall: Hall, email: str) -> int:
    async with hall.system.staff() as ask:
        return len((await ask("ask.registration.person.list", {"email": email}))[1].get("people", []))


def test_a_mailbox_is_asked_three_times_whatever_it_is_called(hall: Hall) -> None:
    for number in range(5):
        hall.open_to_strangers(f"slachtoffer-{number}")
        assert hall.ask(f"slachtoffer-{number}", f"v.ictim+{number}@gmail.example")[0] == 202
    hall.open_to_strangers("slachtoffer-6")
    page = hall.enrol("slachtoffer-6", name="Noor", email="v.ictim+9@gmail.example", language="nl")
    assert page.status == 202
    assert hall.enrolments("slachtoffer-6") == [], "nobody is mailed"
    assert "Komt er niets? Mail dan naar Team aanmelden" in page.text
    asked = [len(hall.enrolments(f"slachtoffer-{number}")) for number in range(5)]
    assert asked == [1, 1, 1, 0, 0]


def test_where_nobody_has_to_confirm_a_mailbox_is_not_buried_either(hall: Hall) -> None:
    hall.open_to_strangers("nooit", confirmation={"needed": "never"})
    for first in ("Noor", "Sam"):
        people = [
            {"person": {"name": f"{first} {letter}", "email": f"begraven+{letter}@x.example"}}
            for letter in "abcdefghij"
        ]
        body = {"programme": "nooit", "participants": people}
        assert hall.system.post("/api/enrolments", body)[0] == 202
    assert sum(len(one["participants"]) for one in hall.enrolments("nooit")) == MOST_UNASKED


def test_a_mailbox_that_answers_may_be_asked_again(hall: Hall) -> None:
    for number in range(5):
        hall.open_to_strangers(f"altijd-{number}", confirmation={"needed": "always"})
        hall.ask(f"altijd-{number}", "trouw@x.example")
        assert hall.press(hall.link(f"altijd-{number}", "trouw@x.example")).heading == WORD["confirm_confirmed"]


def test_the_staff_vouch_for_somebody_whom_they_know(hall: Hall) -> None:
    hall.open_to_strangers("balie")
    hall.ask("balie", "balie@x.example")
    (stands,) = hall.enrolments("balie")

    async def vouch() -> Any:
        async with hall.system.staff() as ask:
            return await ask("do.registration.enrolment.confirm", {"enrolment": stands["enrolment"]})

    status, result = asyncio.run(vouch())
    assert (status, result["status"]) == (200, "confirmed")
    assert hall.press(hall.link("balie", "balie@x.example")).heading == WORD["confirm_confirmed"]


def test_who_was_erased_has_no_link_any_more(hall: Hall) -> None:
    hall.open_to_strangers("weg")
    hall.ask("weg", "weg@x.example")
    link = hall.link("weg", "weg@x.example")

    async def erase() -> Any:
        async with hall.system.staff() as ask:
            return await ask("do.registration.person.erase", {"email": "weg@x.example"})

    assert asyncio.run(erase())[0] == 200
    assert hall.press(link).status == 404
    assert hall.standing("weg") == ["lapsed"]
