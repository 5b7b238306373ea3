"""The pages for participants, over HTTP."""

from __future__ import annotations

import asyncio
import html
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from html.parser import HTMLParser
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

import pytest

from contracts.base import OrganisationKind, Title
from contracts.organisation import Organisation
from contracts.programme import Eligibility, PriceRule, Programme, Role, Seat, TeamRule
from contracts.session import Online, Session, Venue
from contracts.theme import ThemeReference
from services.chassis.web import LARGEST_BODY
from services.registration.form import MOST_FIELDS, MOST_PEOPLE
from services.registration.words import WORDS
from tests.registration.domain.given import IN_ORDER, SESSION, programme, track, trusting
from tests.registration.system import System, running_system

LINK = "https://vergaderen.example/geheim"
SENT = {"content-type": "application/x-www-form-urlencoded"}
PERSON = {"name": "Noor de Wit", "email": "noor@x.example", "language": "nl"}
RECEIVED = WORDS["nl"]["received"]
PERSONS = {"eligible": {"without_organisation": True}}


class Shape(HTMLParser):
    """What a page consists of, for who does not see it."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.language = ""
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.pointers: list[str] = []
        self.labels: set[str] = set()
        self.fields: dict[str, dict[str, str | None]] = {}
        self.links: list[str] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        had = dict(attrs)
        self.tags.append(tag)
        if tag == "html":
            self.language = had["lang"] or ""
        if id_ := had.get("id"):
            self.ids.append(id_)
        self.pointers += (had.get("aria-describedby") or "").split()
        if tag == "label":
            self.labels.add(had["for"] or "")
        if tag in ("input", "select"):
            self.fields[had["name"] or ""] = had
        self.links += [value for name in ("href", "src", "action") if (value := had.get(name))]
        assert "style" not in had
        assert not any(name.startswith("on") for name in had)


@dataclass
class Page:
    """An answer that a browser shows."""

    status: int
    headers: Any
    source: str

    @property
    def text(self) -> str:
        """What can be read, with one space between words."""
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", self.source)).split())

    @property
    def heading(self) -> str:
        (heading,) = re.findall(r"<h1>(.*?)</h1>", self.source)
        return html.unescape(heading)

    @property
    def shape(self) -> Shape:
        return Shape(self.source)

    @property
    def key(self) -> str:
        return self.shape.fields["key"]["value"] or ""


@dataclass
class Site:
    system: System

    def get(self, path: str, **headers: str) -> Page:
        return self._ask("GET", path, None, headers)

    def send(self, path: str, fields: Any, **headers: str) -> Page:
        body = fields if isinstance(fields, bytes) else urlencode(fields).encode()
        return self._ask("POST", path, body, SENT | headers)

    def enrol(self, id_: str, query: str = "", /, **fields: str) -> Page:
        """Open the programme's page, fill its form in, send it."""
        form = self.get(f"/programmes/{id_}{query}").shape
        typed = {name: had.get("value") or "" for name, had in form.fields.items()} | fields
        return self.send(f"/programmes/{id_}/enrolments{query}", typed)

    def _ask(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Page:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.system.http + path, body, named, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return Page(answer.status, answer.headers, answer.read().decode())
        except urllib.error.HTTPError as error:
            with error:
                return Page(error.code, error.headers, error.read().decode())

    def publish(self, id_: str, definition: Programme) -> None:
        asyncio.run(self.system.publish(trusting(definition).model_copy(update={"id": id_})))

    def open(self, id_: str, **rules: Any) -> None:
        self.publish(id_, programme(**rules))

    def standing(self, id_: str) -> list[str]:
        """How each enrolment of a programme stands."""
        return [one["status"] for one in asyncio.run(self.system.enrolments(id_))]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_system(tmp_path_factory.mktemp("pages")) as system:
        system.make_known(PERSON["email"])
        yield Site(system)


def local(text: str) -> datetime:
    return datetime.fromisoformat(text)


def withdraw(site: Site, id_: str, **why: Any) -> None:
    async def ask() -> None:
        async with site.system.staff() as staff:
            assert (await staff("do.registration.programme.withdraw", {"programme": id_} | why))[0] == 200

    asyncio.run(ask())


OVER = SESSION.model_copy(update={"start": local("2023-02-01T10:00"), "end": local("2023-02-01T12:00")})
STATES: dict[str, tuple[dict[str, Any], str]] = {
    "komt": ({"opens": "2023-03-03T09:00"}, "Aanmelden kan vanaf vrijdag 3 maart 2023 om 09:00 uur."),
    "loopt": ({"closes": "2023-04-01T00:00"}, "Je kunt je aanmelden tot en met vrijdag 31 maart 2023."),
    "dag": ({"closes": "2023-03-31"}, "Je kunt je aanmelden tot en met vrijdag 31 maart 2023."),
    "morgen": ({"opens": "2023-03-03"}, "Aanmelden kan vanaf vrijdag 3 maart 2023."),
    "uur": ({"closes": "2023-04-01T12:00"}, "Je kunt je aanmelden tot zaterdag 1 april 2023 om 12:00 uur."),
    "dicht": (
        {"closes": "2023-03-01T00:00"},
        "De aanmelding is gesloten. Dat kon tot en met dinsdag 28 februari",
    ),
    "voorbij": ({"sessions": (OVER,)}, "Dit programma is voorbij."),
    "ruim": ({"capacity": 3}, "Er zijn nog 2 plekken vrij."),
    "krap": ({"capacity": 2}, "Er is nog 1 plek vrij."),
    "rij": ({"capacity": 1, "waiting_list": IN_ORDER}, "vol. Je kunt wel op de wachtlijst. De wachtlijst is nog leeg."),
    "vol": ({"capacity": 1}, "Het programma is vol."),
    "weg": ({}, "Dit programma gaat niet door."),
}


@pytest.mark.parametrize("id_", STATES)
def test_a_programme_says_how_it_stands(site: Site, id_: str) -> None:
    rules, sentence = STATES[id_]
    site.open(id_, **rules)
    if "capacity" in rules:
        assert site.enrol(id_, **PERSON).status == 202
    if id_ == "weg":
        withdraw(site, id_)
    page = site.get(f"/programmes/{id_}")
    assert (page.status, page.heading) == (200, "Ontmoeting")
    assert sentence in page.text
    assert ("<form" in page.source) == (id_ in {"loopt", "dag", "uur", "ruim", "krap", "rij"})


def test_a_diet_of_nobody_is_asked_about(site: Site) -> None:
    """Thrown away without a word, somebody would eat the wrong thing."""
    definition = track()
    lunch = definition.sessions[0].model_copy(update={"lunch": True})
    site.publish("eten", definition.model_copy(update={"sessions": (lunch, *definition.sessions[1:])}))
    named = {"basis-1-name": "Noor", "basis-1-email": "noor@x.example", "basis-1-role": "taalhuis"}
    page = site.enrol("eten", **named, **{"jeugd-1-diet": "geen noten"})
    assert page.status == 422
    assert page.shape.fields["jeugd-1-diet"]["aria-invalid"] == "true"
    assert page.text.count(WORDS["nl"]["fault_diet_alone"]) == 2
    assert site.standing("eten") == []


def test_a_diet_is_asked_for_the_lunch_and_may_stay_empty(site: Site) -> None:
    site.open("lunch", sessions=(SESSION.model_copy(update={"lunch": True}),))
    assert "diet" in site.get("/programmes/lunch").shape.fields
    assert site.enrol("lunch", **PERSON).status == 202
    sam = PERSON | {"email": "sam@x.example", "name": "Sam Smit", "diet": "geen noten"}
    assert site.enrol("lunch", **sam).status == 202
    wrong = site.enrol("lunch", **PERSON | {"email": "eva@x.example", "diet": "x" * 201})
    assert (wrong.status, WORDS["nl"]["fault_diet"] in wrong.text) == (422, True)

    async def asked() -> Any:
        async with site.system.staff() as ask:
            return await ask("ask.registration.lunch.list", {"programme": "lunch"})

    status, answer = asyncio.run(asked())
    assert status == 200
    assert [(one["name"], one["diet"]) for one in answer["lunches"][0]["diets"]] == [("Sam Smit", "geen noten")]
    site.open("zonder")
    assert "diet" not in site.get("/programmes/zonder").shape.fields


def test_a_withdrawn_programme_says_why(site: Site) -> None:
    site.open("jammer")
    withdraw(site, "jammer", reason={"nl": "De spreker is ziek.\n\nHet spijt ons.", "en": "The speaker is ill."})
    page = site.get("/programmes/jammer")
    assert "Dit programma gaat niet door. De spreker is ziek. Het spijt ons. Een ontmoeting." in page.text
    assert "The speaker is ill." in site.get("/programmes/jammer?lang=en").text


def test_a_programme_of_which_all_sessions_were_cancelled_says_so(site: Site) -> None:
    site.open("leeg")
    site.open("leeg", sessions=())
    page = site.get("/programmes/leeg")
    assert "Er staat nu geen bijeenkomst gepland." in page.text
    assert "Gaat niet door Bijeenkomst (donderdag 13 april 2023, 14:00–16:00 uur)" in page.text
    assert WORDS["nl"]["no_sessions"] not in page.text


def test_a_session_that_comes_back_is_no_longer_cancelled(site: Site) -> None:
    other = SESSION.model_copy(update={"id": "tweede", "title": Title(nl="De tweede", en="The second")})
    site.open("terug", sessions=(SESSION, other))
    site.open("terug", sessions=(SESSION,))
    assert "Gaat niet door De tweede" in site.get("/programmes/terug").text
    site.open("terug", sessions=(SESSION, other))
    assert "Gaat niet door" not in site.get("/programmes/terug").text


def test_sessions_stand_in_the_order_of_time(site: Site) -> None:
    def named(id_: str, day: int | None) -> Session:
        start, end = (local(f"2023-04-{day}T{hour}:00") if day else None for hour in (14, 16))
        title = Title(nl=f"De {id_}", en=f"The {id_}")
        return SESSION.model_copy(update={"id": id_, "title": title, "start": start, "end": end})

    sessions = (named("vierde", None), named("tweede", 20), named("derde", 27), named("eerste", 13))
    site.open("volgorde", sessions=sessions)
    text = site.get("/programmes/volgorde").text
    order = ["De eerste", "De tweede", "De derde", "De vierde"]
    assert sorted(order, key=text.index) == order
    site.open("volgorde", sessions=sessions[:1])
    text = site.get("/programmes/volgorde").text
    assert sorted(order, key=text.index) == ["De vierde", *order[:3]]


def test_programmes_to_enrol_in_come_before_the_others(site: Site) -> None:
    site.open("eerst", closes="2023-04-01T00:00")
    site.open("laatst", closes="2023-03-01T00:00")
    source = site.get("/").source
    places = [source.index(f'"/programmes/{id_}"') for id_ in ("eerst", "laatst")]
    parted = source.index(f"<h2>{WORDS['nl']['other_programmes']}</h2>")
    assert places[0] < parted < places[1]
    assert "13 april 2023; aanmelden tot en met vrijdag 31 maart 2023" in html.unescape(source)


def test_a_page_tells_what_a_programme_is_and_never_the_link_into_it(site: Site) -> None:
    online = SESSION.model_copy(update={"online": Online(join_link=LINK, platform="Teams"), "lunch": True})
    hall = SESSION.model_copy(update={"id": "zaal", "venue": Venue(name="De Zaal", address="Dorpsstraat 1, Zeist")})
    wrap_up = SESSION.model_copy(
        update={"id": "slot", "start": None, "end": None, "period": Title(nl="januari 2024", en="January 2024")}
    )
    unknown = SESSION.model_copy(update={"id": "ooit", "start": None, "end": None})
    definition = programme(
        sessions=(online, hall, wrap_up, unknown),
        eligible={"kinds": ["library"], "provinces": ["utrecht", "fryslan"], "roles": ["taal-coach"]},
        prices=[PriceRule(kinds=("library",), amount="0"), PriceRule(amount="12.5")],
        maximum_per_organisation=2,
    )
    site.publish("alles", definition.model_copy(update={"page": "https://bibliotheek.example/alles"}))
    dutch, english = site.get("/programmes/alles"), site.get("/programmes/alles?lang=en")
    for said in (
        "Georganiseerd door Probiblio",
        "donderdag 13 april 2023, 14:00–16:00 uur",
        "online (Teams)",
        "De Zaal, Dorpsstraat 1, Zeist",
        "januari 2024",
        "datum volgt",
        "Voor medewerkers van bibliotheken in Utrecht of Fryslân.",
        "Met de rol taal coach.",
        "Maximaal 2 plekken per organisatie.",
        "Bibliotheken: gratis",
        "Anderen: € 12,50 per persoon",
        "aanmelden@probiblio.example",
    ):
        assert said in dutch.text.replace("\xa0", " "), said
    for said in ("Thursday 13 April 2023, 14:00–16:00 (Amsterdam time)", "January 2024", "Others: €12.50 per person"):
        assert said in english.text, said
    assert "https://bibliotheek.example/alles" in dutch.shape.links
    assert "geheim" not in dutch.source + english.source


def test_a_page_tells_of_the_theme_and_of_the_goals_that_the_programme_works_on(site: Site) -> None:
    goals = [{"id": id_, "title": {"nl": f"{id_} in woorden", "en": f"{id_} in words"}} for id_ in ("taal", "rekenen")]
    theme = {
        "id": "basis",
        "title": {"nl": "Basisvaardigheden", "en": "Basic skills"},
        "description": {"nl": "Taal is de sleutel.\n\nRekenen ook.", "en": "Language is the key."},
        "goals": goals,
    }

    async def publish_theme() -> None:
        async with site.system.staff() as ask:
            assert (await ask("do.registration.theme.publish", {"theme": theme}))[0] == 200

    asyncio.run(publish_theme())
    for id_, named in (("een-doel", ("taal",)), ("alle-doelen", ())):
        reference = ThemeReference(theme="basis", goals=named)
        site.publish(id_, programme().model_copy(update={"themes": (reference,)}))
    text = site.get("/programmes/een-doel").text
    for said in ("Thema: Basisvaardigheden", "Taal is de sleutel.", "Rekenen ook.", "taal in woorden"):
        assert said in text
    assert "rekenen in woorden" not in text
    english = site.get("/programmes/alle-doelen?lang=en").text
    assert "Theme: Basic skills Language is the key. What this programme works on taal in words rekenen in" in english


def test_roles_are_read_by_their_titles(site: Site) -> None:
    directors = Title(nl="directeuren", en="directors"), Title(nl="adjunct-directeuren", en="deputy directors")
    roles = (
        Role(id="directeur", title=Title(nl="directeur", en="director"), plural=directors[0]),
        Role(id="adjunct", title=Title(nl="adjunct-directeur", en="deputy director"), plural=directors[1]),
    )
    who = Eligibility(kinds=(OrganisationKind.LIBRARY,), roles=("directeur", "adjunct"))
    site.open("rollen", eligible=who, roles=roles)
    assert "Voor directeuren en adjunct-directeuren." in site.get("/programmes/rollen").text
    assert "deputy director" in site.get("/programmes/rollen?lang=en").text
    site.open("rol", eligible=who, roles=[each.model_copy(update={"plural": None}) for each in roles])
    assert "Met de rol directeur of adjunct-directeur." in site.get("/programmes/rol").text


@pytest.mark.parametrize("path", ["/", "/programmes/toegankelijk", "/programmes/toegankelijk-team"])
@pytest.mark.parametrize("lang", ["nl", "en"])
def test_a_page_can_be_read_and_filled_in_by_all(site: Site, path: str, lang: str) -> None:
    """WCAG 2.2: 3.1.1 language, 2.4.2 title, 1.3.1 structure, 3.3.2 labels; and nothing is asked of third parties."""
    site.open("toegankelijk")
    site.publish("toegankelijk-team", track())
    _judge(site.get(f"{path}?lang={lang}"), lang)


def _judge(page: Page, lang: str) -> None:
    shape = page.shape
    assert shape.language == lang == page.headers["content-language"]
    assert [shape.tags.count(tag) for tag in ("h1", "main", "title", "script", "style")] == [1, 1, 1, 0, 0]
    levels = [int(tag[1]) for tag in shape.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert len(shape.ids) == len(set(shape.ids))
    assert set(shape.pointers) <= set(shape.ids)
    assert set(shape.fields) - {"key"} == shape.labels <= set(shape.ids)
    assert all(link.startswith(("/", "?", "#", "mailto:")) for link in shape.links)
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe" not in policy


def test_the_language_is_the_one_that_was_chosen_or_else_the_browsers(site: Site) -> None:
    site.open("taal")
    assert site.get("/programmes/taal").shape.language == "nl"
    assert site.get("/programmes/taal", accept_language="en-GB,en;q=0.9,nl;q=0.5").heading == "Encounter"
    chosen = site.get("/programmes/taal?lang=nl", accept_language="en")
    assert (chosen.shape.language, chosen.headers["vary"]) == ("nl", "Accept-Language")
    assert "/programmes/taal/enrolments?lang=nl" in chosen.shape.links
    assert "/programmes/taal?lang=en" in chosen.shape.links
    assert site.get("/programmes/taal?lang=xx").shape.language == "nl"


def test_somebody_enrols_with_an_organisation_and_a_role(site: Site) -> None:
    site.open("plaats", eligible={"kinds": ["library"], "roles": ["taalhuis", "jeugd"]})
    page = site.get("/programmes/plaats")
    assert "Bibliotheek Zeist" in page.source
    assert "Gemeente Urk" not in page.source
    made = site.enrol("plaats", **PERSON, organisation="bibliotheek-zeist", role="jeugd")
    assert (made.status, made.heading) == (202, RECEIVED)
    (stands,) = asyncio.run(site.system.enrolments("plaats"))
    (somebody,) = stands["participants"]
    assert (stands["source"], stands["organisation"], stands["status"]) == ("web", "bibliotheek-zeist", "confirmed")
    assert (somebody["role"], somebody["contact"]) == ("jeugd", PERSON)
    assert stands["enrolment"] not in made.source


def test_who_would_wait_is_told_so(site: Site) -> None:
    site.open("wacht", capacity=1, waiting_list=IN_ORDER)
    for number, waits in enumerate([False, True, True]):
        made = site.enrol("wacht", **PERSON | {"email": f"persoon-{number}@x.example"})
        assert made.heading == RECEIVED
        assert (WORDS["nl"]["expect_waiting"] in made.text) is waits
        assert WORDS["nl"]["by_mail"].format(addresses=f"persoon-{number}@x.example") in made.text
    assert "Er staan 2 aanmeldingen op de wachtlijst." in site.get("/programmes/wacht").text


def test_a_team_may_come_with_an_empty_seat_where_the_rule_lets_it(site: Site) -> None:
    site.publish("spoor", track())
    page = site.get("/programmes/spoor")
    assert page.source.count("<legend>") == 3
    assert "uiterlijk donderdag 16 maart 2023" in page.text
    fields = page.shape.fields
    assert "jeugd-1-role" not in fields  # the only role of a seat is no choice
    assert "basis-1-role" in fields
    assert "manager-1-role" not in fields
    none = site.enrol("spoor")
    assert (none.status, WORDS["nl"]["fault_team"] in none.text) == (422, True)
    made = site.enrol(
        "spoor",
        **{"jeugd-1-name": "Noor", "jeugd-1-email": "noor@x.example", "jeugd-1-language": "en"},
        **{"manager-1-name": "Eva", "manager-1-email": "eva@x.example", "manager-1-language": "nl"},
    )
    assert (made.status, made.heading) == (202, RECEIVED)
    assert "Er ontbreken nog namen: Basis Stuur ze uiterlijk donderdag 16 maart 2023 naar Team aanmelden" in made.text
    assert "een mail: noor@x.example en eva@x.example." in made.text, "a typing error shows"
    (stands,) = asyncio.run(site.system.enrolments("spoor"))
    assert stands["complete_by"] == "2023-03-16T23:00:00Z", "the whole day that the form and the page after it name"
    assert [(one["seat"], one.get("role")) for one in stands["participants"]] == [
        ("jeugd", "jeugd-educatie"),
        ("manager", None),
    ]


def test_a_closed_seat_is_not_offered(site: Site) -> None:
    definition = track(14)
    assert definition.team is not None
    first, *rest = definition.team.seats
    seats = (first.model_copy(update={"closed": True}), *rest)
    site.publish(
        "bezette-plek", definition.model_copy(update={"team": definition.team.model_copy(update={"seats": seats})})
    )
    page = site.get("/programmes/bezette-plek")
    assert not any(field.startswith(f"{first.id}-") for field in page.shape.fields)
    assert any(field.startswith(f"{rest[0].id}-") for field in page.shape.fields)


def test_a_team_larger_than_a_request_may_name_is_told_so(site: Site) -> None:
    seats = tuple(Seat(id=f"rij-{row}", title=Title(nl=f"Rij {row}", en=f"Row {row}"), count=50) for row in range(3))
    site.publish("groot", programme(team=TeamRule(seats=seats, complete_within_days=14)))
    people = [f"rij-{row}-{number}" for row in range(3) for number in range(1, 51)]
    typed = {f"{one}-{name}": value for one in people for name, value in PERSON.items()}
    typed |= {f"{one}-email": f"{one}@x.example" for one in people}
    page = site.enrol("groot", **typed)
    assert (page.status, 'href="#rij-2-1-name"' in page.source) == (422, True)
    assert page.shape.fields["rij-2-50-email"]["value"] == "rij-2-50@x.example"
    few = {name: value for name, value in typed.items() if people.index(name.rpartition("-")[0]) < MOST_PEOPLE}
    assert site.enrol("groot", **few).status == 202


def test_a_team_must_be_whole_where_the_rule_says_so(site: Site) -> None:
    seats = (Seat(id="duo", title=Title(nl="Duo", en="Pair"), count=2),)
    site.publish("duo", programme(team=TeamRule(seats=seats)))
    assert "Duo (2 van 2)" in site.get("/programmes/duo").text
    page = site.enrol("duo", **{"duo-1-name": "Noor", "duo-1-email": "noor@x.example", "duo-1-language": "nl"})
    assert page.status == 422
    assert f'<a href="#duo-2-name">{WORDS["nl"]["fault_seat"]}</a>' in page.source
    assert page.shape.fields["duo-1-name"]["value"] == "Noor"
    assert site.standing("duo") == []


@pytest.mark.parametrize(("lang", "column"), [("nl", 0), ("en", 1)])
def test_a_refusal_names_every_rule_in_the_visitors_language(site: Site, lang: str, column: int) -> None:
    site.open(f"streng-{lang}", eligible={"kinds": ["library"], "provinces": ["utrecht"]})
    page = site.enrol(f"streng-{lang}", f"?lang={lang}", **PERSON, organisation="gemeente-urk")
    assert page.status == 409
    kinds = ("Dit programma is bedoeld voor bibliotheken.", "This programme is for libraries.")
    provinces = ("bedoeld voor organisaties in Utrecht.", "is for organisations in Utrecht.")
    for said in (kinds, provinces):
        assert said[column] in page.text
        assert said[1 - column] not in page.text
    _judge(page, lang)
    assert page.shape.fields["name"]["value"] == "Noor de Wit"
    again = {name: had.get("value") or "" for name, had in page.shape.fields.items()} | {"language": "nl"}
    made = site.send(f"/programmes/streng-{lang}/enrolments", again | {"organisation": "bibliotheek-zeist"})
    assert made.status == 202, "the form that comes with a refusal can be corrected and sent"
    assert site.standing(f"streng-{lang}") == ["refused", "confirmed"]


def test_what_is_wrong_stands_beside_the_field_and_what_was_typed_stays_harmless(site: Site) -> None:
    site.open("fout", eligible={"roles": ["jeugd"]})
    name = '"><script>alert(1)</script>'
    page = site.enrol("fout", name=name, email="geen adres", language="xx", organisation="")
    assert page.status == 422
    assert "<script" not in page.source
    shape = page.shape
    assert shape.fields["name"]["value"] == name
    assert shape.fields["email"]["value"] == "geen adres"
    for field in ("organisation", "name", "email", "language", "role"):
        assert f'"#{field}"' in page.source
        assert shape.fields[field]["aria-invalid"] == "true"
        assert f"{field}-fault" in (shape.fields[field]["aria-describedby"] or "")
    assert page.text.count("Teken 5 kan hier niet staan: SPACE, U+0020. Haal het weg.") == 2
    _judge(page, "nl")
    assert site.standing("fout") == []


@pytest.mark.parametrize(
    ("language", "typed", "said"),
    [
        ("nl", "win op evil.example", "Dit lijkt op een webadres. Laat het weg, of zet een spatie na de punt."),
        ("en", "win on evil.example", "This looks like the address of a website."),
        ("nl", "Noor\u200bde Wit", "Teken 5 kan hier niet staan: ZERO WIDTH SPACE, U+200B. Haal het weg."),
        ("en", "Noor 06 1234", "A name has no digits in a row."),
        ("nl", "", WORDS["nl"]["fault_name"]),
    ],
)
def test_what_is_no_name_is_told_in_the_language_of_the_page(site: Site, language: str, typed: str, said: str) -> None:
    site.open("naam", **PERSONS)
    page = site.send(f"/programmes/naam/enrolments?lang={language}", PERSON | {"name": typed})
    assert page.status == 422
    assert page.text.count(said) == 2, "in the summary and beside the field"
    assert "aria-invalid" not in page.shape.fields["email"]
    assert site.standing("naam") == []


@pytest.mark.parametrize("address", ["noor@localhost", "noor@-x.example", "noor@x..example"])
def test_an_address_that_mail_can_not_go_to_is_told_beside_its_field(site: Site, address: str) -> None:
    site.publish("adres", track())
    typed = {"basis-1-name": "Noor", "basis-1-email": address, "basis-1-language": "nl", "basis-1-role": "taalhuis"}
    page = site.enrol("adres", **typed)
    assert page.status == 422
    assert page.shape.fields["basis-1-email"]["aria-invalid"] == "true"
    assert page.shape.fields["basis-1-role"].get("aria-invalid") is None
    assert site.standing("adres") == []


def test_a_form_sent_twice_is_one_enrolment_with_one_answer(site: Site) -> None:
    """A second click, and a page with the answer that is loaded anew."""
    site.open("klik")
    typed = PERSON | {"key": site.get("/programmes/klik").key}
    first = site.send("/programmes/klik/enrolments", typed)
    assert (first.status, first.heading) == (202, RECEIVED)
    assert site.send("/programmes/klik/enrolments", typed).source == first.source
    assert site.standing("klik") == ["confirmed"]


def test_other_data_under_an_old_key_are_not_sent_unseen(site: Site) -> None:
    """Who goes back in the browser and changes something has to say that it is meant."""
    site.open("terug")
    typed = PERSON | {"key": site.get("/programmes/terug").key}
    assert site.send("/programmes/terug/enrolments", typed).status == 202
    page = site.send("/programmes/terug/enrolments", typed | {"email": "sam@x.example"})
    assert (page.status, WORDS["nl"]["resent"] in page.text) == (409, True)
    assert page.key != typed["key"]
    assert page.shape.fields["email"]["value"] == "sam@x.example"
    assert site.standing("terug") == ["confirmed"]


def test_whether_somebody_is_enrolled_already_shows_to_nobody(site: Site) -> None:
    """Anybody can type anybody's address; who is named hears by mail what became of it."""
    site.open("dubbel")
    assert site.enrol("dubbel", **PERSON).status == 202
    known, unknown = "NOOR@x.example", "nobody@x.example"
    first, second = (site.enrol("dubbel", **PERSON | {"email": email}) for email in (known, unknown))
    assert (first.status, second.status) == (202, 202)
    assert first.source.replace(known, unknown) == second.source, "all that differs is what was typed"
    assert site.standing("dubbel") == ["confirmed", "refused", "confirmed"]


@pytest.mark.parametrize(
    "headers", [{"sec_fetch_site": "cross-site"}, {"sec_fetch_site": "same-site"}, {"origin": "https://evil.example"}]
)
def test_a_form_on_another_site_can_not_enrol_anybody(site: Site, headers: dict[str, str]) -> None:
    site.open("vreemd-formulier")
    refused = site.send("/programmes/vreemd-formulier/enrolments", PERSON, **headers)
    assert refused.status == 403
    assert site.standing("vreemd-formulier") == []


def test_a_programme_that_closed_while_the_form_was_filled_in_refuses_with_its_reason(site: Site) -> None:
    site.open("net-dicht", closes="2023-03-01T00:00")
    page = site.send("/programmes/net-dicht/enrolments", PERSON)
    assert page.status == 409
    assert "Aanmelden kon tot" in page.text
    assert "<form" not in page.source


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/programmes/onbekend", None, {}, 404),
        ("/programmes/%3Cscript%3Ealert(1)", None, {}, 404),
        ("/programmes/onbekend/enrolments", urlencode(PERSON).encode(), {}, 404),
        ("/programmes/heel/enrolments", b"x" * (LARGEST_BODY + 1), {}, 413),
        ("/programmes/heel/enrolments", b"name=%FF%FE", {}, 400),
        ("/programmes/heel/enrolments", "name=Zoë".encode(), {}, 400),
        ("/programmes/heel/enrolments", b"&".join(b"x=1" for _ in range(MOST_FIELDS + 1)), {}, 400),
        ("/programmes/heel/enrolments", b"{}", {"content-type": "application/json"}, 415),
    ],
)
def test_a_failure_is_a_page_too(site: Site, path: str, body: Any, headers: dict[str, str], status: int) -> None:
    site.open("heel")
    page = site.get(path) if body is None else site.send(path, body, **headers)
    assert page.status == status
    assert page.headers["content-type"].startswith("text/html")
    assert page.headers["cache-control"] == "no-store"
    assert "<script" not in page.source
    _judge(page, "nl")


def test_the_address_of_an_answer_leads_back_to_the_programme(site: Site) -> None:
    site.open("adresbalk")
    page = site.get("/programmes/adresbalk/enrolments?lang=en")
    assert (page.status, page.heading) == (200, "Encounter")


def test_no_personal_data_reach_the_journal(site: Site) -> None:
    site.open("stil")
    site.enrol("stil", **PERSON | {"name": "Zeldzame Naam", "email": "zeldzaam@x.example"})
    site.enrol("stil", **PERSON | {"name": "Zeldzame Naam", "email": "zeldzaam@"})
    journal = site.system.journal.read_text().lower()
    assert "zeldza" not in journal


def test_both_languages_have_the_same_words() -> None:
    assert WORDS["nl"].keys() == WORDS["en"].keys()


def test_markup_in_the_registry_stays_text(site: Site) -> None:
    """An organisation's name comes from a file that somebody else wrote."""
    odd = Organisation(id="vreemd", name="<b>Vreemd</b> & co", kind="library")

    async def register() -> None:
        async with site.system.staff() as ask:
            registry = {"organisations": [odd.model_dump(mode="json", exclude_none=True)]}
            assert (await ask("do.registration.organisation.register", registry))[0] == 200

    site.open("register")
    asyncio.run(register())
    assert "&lt;b&gt;Vreemd&lt;/b&gt; &amp; co" in site.get("/programmes/register").source
