"""The five samples say what the published texts say, name nobody who lives, and write to nobody who exists."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from cli.document import read
from cli.intake_files import judge, read_messages
from cli.organisation import read_csv
from contracts.base import OrganisationKind, Province
from contracts.intake import INTAKE
from contracts.programme import Programme, ProgrammeKind
from contracts.theme import Theme
from deploy.demo.partner import messages
from deploy.demo.samples import HERE, ORGANISATIONS, Sample, samples

SAMPLES = {sample.programme: sample for sample in samples()}
FILES = sorted(path for path in HERE.rglob("*") if path.suffix in {".yaml", ".jsonl", ".csv"})
ADDRESS = re.compile(r"[\w.+-]+@[\w.-]+")

# Who is named in the published texts. The samples name teams instead: a text that somebody once published does not
# make its people public for ever.
PERSONS_IN_THE_TEXTS = (
    "Karlmark", "Hazinedar", "Toonen", "Hoppenbrouwers", "van Zutphen", "Poelmann", "Judith Brouwer", "Westenberg",
    "Grooteman", "van Bommel",
)  # fmt: skip


def at(local: str) -> datetime:
    """A local time, as the texts give it."""
    return datetime.fromisoformat(local)


def programme(id_: str) -> Programme:
    return read(SAMPLES[id_].directory / "programme.yaml", Programme, "programme").value


def sessions(id_: str) -> dict[str, tuple[date | None, date | None]]:
    return {session.id: (session.start, session.end) for session in programme(id_).sessions}


def requests(sample: Sample) -> Iterator[dict[str, object]]:
    for message in read_messages(sample.requests):
        if message.content is not None:
            yield message.content


def test_there_are_the_five_in_the_order_in_which_they_happened() -> None:
    assert list(SAMPLES) == [
        "kennis-delen-integratie-2017",
        "gesprekstafel-directeuren-2019",
        "inspiratiesessie-sw-2020",
        "oekraine-uitwisseling-2022",
        "gezinsaanpak-2023",
    ]


@pytest.mark.parametrize(
    "path", sorted(HERE.glob("*/programme*.yaml")), ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_every_programme_is_valid_and_its_organisers_and_themes_exist(path: Path) -> None:
    found = read(path, Programme, "programme").value
    registry = {organisation.id for organisation in read_csv(ORGANISATIONS)}
    themes = {theme.id: theme for theme in (read(p, Theme, "theme").value for p in HERE.glob("*/theme.yaml"))}
    assert set(found.organisers) <= registry
    for reference in found.themes:
        assert set(reference.goals) <= {goal.id for goal in themes[reference.theme].goals}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
class TestEachFile:
    def test_names_nobody_out_of_the_texts(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8").casefold()
        assert [name for name in PERSONS_IN_THE_TEXTS if name.casefold() in text] == []

    def test_has_no_telephone_number(self, path: Path) -> None:
        assert re.findall(r"(?<![\d-])(?:\+31|06)[ \d-]{8,}", path.read_text(encoding="utf-8")) == []

    def test_writes_to_addresses_that_cannot_exist(self, path: Path) -> None:
        found = ADDRESS.findall(path.read_text(encoding="utf-8"))
        assert [address for address in found if not address.casefold().endswith(".example")] == []


def test_the_online_exchange_closes_when_the_eighth_of_september_begins_and_welcomes_volunteers() -> None:
    """'Meld je dan aan … voor 8 september'; 'een collega of vrijwilliger'; no date is named."""
    found = programme("oekraine-uitwisseling-2022")
    assert found.kind is ProgrammeKind.MEETING
    assert found.enrolment.closes == at("2022-09-08T00:00")
    assert found.enrolment.eligible.without_organisation
    assert [session.start for session in found.sessions] == [None]
    assert found.sessions[0].online
    for guest in ("Bibliotheek AanZet", "Bibliotheek Zuid-Hollandse Delta"):
        assert guest in found.description.nl
        assert guest in found.description.en


def test_the_theme_has_seven_goals_and_the_25_municipalities_each_with_a_library_in_the_registry() -> None:
    theme = read(SAMPLES["kennis-delen-integratie-2017"].directory / "theme.yaml", Theme, "theme").value
    assert len(theme.goals) == 7
    assert len(theme.municipalities) == 25
    assert theme.organisers == ("rijnbrink",)
    libraries = {
        organisation.municipality
        for organisation in read_csv(ORGANISATIONS)
        if organisation.province is Province.OVERIJSSEL and organisation.kind is OrganisationKind.LIBRARY
    }
    assert set(theme.municipalities) == libraries
    assert sessions("kennis-delen-integratie-2017") == {"kennisdeling": (None, None)}


def test_the_round_table_is_for_directors_on_a_monday_morning_in_utrecht() -> None:
    """'24 juni 2019, van 10:00 tot 13:00 | Opleidingshuis, Mariaplaats 3, Utrecht'."""
    found = programme("gesprekstafel-directeuren-2019")
    assert sessions(found.id) == {"gesprekstafel": (at("2019-06-24T10:00"), at("2019-06-24T13:00"))}
    assert found.sessions[0].start
    assert found.sessions[0].start.strftime("%A") == "Monday"
    venue = found.sessions[0].venue
    assert venue
    assert (venue.name, venue.address) == ("Opleidingshuis", "Mariaplaats 3, Utrecht")
    assert found.enrolment.eligible.roles == ("directeur",)
    assert found.enrolment.eligible.kinds == (OrganisationKind.LIBRARY,)


def test_the_inspiration_session_has_two_organisers_a_day_without_a_time_and_three_examples() -> None:
    """'Op donderdag 29 oktober'; which hours it took, the report does not say."""
    found = programme("inspiratiesessie-sw-2020")
    assert found.organisers == ("sbcm", "kb")
    [session] = found.sessions
    assert (session.start, session.end) == (date(2020, 10, 29), None)
    assert f"{session.start:%A}" == "Thursday"
    assert set(found.enrolment.eligible.kinds) == {OrganisationKind.SOCIAL_WORK_COMPANY, OrganisationKind.LIBRARY}
    for pair in (("Biblioplus", "IBN"), ("Deventer", "KonnecteD"), ("Kennemerwaard", "WNK")):
        assert all(name in found.description.nl for name in pair)


def test_the_track_has_the_dates_hours_and_seats_of_the_text() -> None:
    found = programme("gezinsaanpak-2023")
    assert sessions(found.id) == {
        "quickscan": (None, None),
        "intake": (None, None),
        "aftrap": (at("2023-05-23T15:00"), at("2023-05-23T16:30")),
        "werksessie-1": (at("2023-06-20T10:00"), at("2023-06-20T13:00")),
        "werksessie-2": (at("2023-09-19T10:00"), at("2023-09-19T13:00")),
        "werksessie-3": (at("2023-11-16T10:00"), at("2023-11-16T13:00")),
        "wrap-up": (None, None),
    }
    assert [session.id for session in found.sessions if session.lunch] == [f"werksessie-{n}" for n in (1, 2, 3)]
    assert {session.id for session in found.sessions if session.online} == {"aftrap", "wrap-up"}
    assert found.sessions[-1].period
    assert found.sessions[-1].period.nl == "januari 2024"
    assert found.team is not None
    assert [(seat.id, seat.hours) for seat in found.team.seats] == [
        ("jeugd-educatie", 20), ("basisvaardigheden", 20), ("manager", 3),
    ]  # fmt: skip
    assert found.team.seats[2].sessions == ("quickscan", "intake")
    assert found.enrolment.eligible.provinces == (Province.UTRECHT,)
    assert [rule.amount for rule in found.enrolment.prices] == [0]
    assert found.enrolment.closes
    assert found.enrolment.closes < at("2023-05-23T00:00")


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: str(sample.programme))
class TestTheRequests:
    def test_are_as_many_as_the_answers_expected(self, sample: Sample) -> None:
        assert len(read_messages(sample.requests)) == len(sample.expected.answers)

    def test_come_after_their_programme_is_published_and_in_the_order_of_their_times(self, sample: Sample) -> None:
        moments = [datetime.fromisoformat(found[0]) for found in messages([str(sample.requests)])]
        assert moments[0] > sample.begins
        assert all(earlier <= later for earlier, later in pairwise(moments))

    def test_are_wrong_by_the_contract_only_where_that_is_expected(self, sample: Sample) -> None:
        unreadable = {"refused: not-json", "refused: unknown-type", "refused: invalid"}
        for message, answer in zip(read_messages(sample.requests), sample.expected.answers, strict=True):
            verdict = judge(message, "demo")
            assert bool(verdict.errors) == (answer in unreadable), (message.id, verdict.errors)
            assert not verdict.warnings, (message.id, verdict.warnings)

    def test_name_this_programme_and_each_enrolment_other_people(self, sample: Sample) -> None:
        people: Counter[str] = Counter()
        for found in requests(sample):
            assert found["subject"] == sample.programme
            data = found["data"]
            assert isinstance(data, dict)
            assert data.get("programme", sample.programme) == sample.programme
            people.update(entry["person"]["name"] for entry in data.get("participants", ()))
        twice = {name for name, count in people.items() if count > 1}
        # One person asks twice, and one message is sent three times: that is what this sample shows.
        assert len(twice) == (1 if sample.programme == "oekraine-uitwisseling-2022" else 0)


def test_together_they_show_every_way_that_an_enrolment_can_go() -> None:
    expected = [sample.expected for sample in samples()]
    assert {"confirmed", "waiting", "withdrawn"} <= {answer for one in expected for answer in one.answers}
    refusals = {rule for one in expected for rule in one.refusals}
    assert refusals >= {
        "closed", "kind-not-eligible", "province-not-eligible", "role-not-eligible", "seat-role", "full",
        "already-enrolled", "organisation-maximum", "organisation-unknown",
    }  # fmt: skip
    assert {rule for one in expected for rule in one.promoted} == {"unit-free"}
    assert {rule for one in expected for rule in one.passed_over} == {"does-not-fit", "frozen"}
    facts = {type_ for one in expected for type_ in one.facts}
    assert facts >= {"enrolment.completed.v1", "session.moved.v1", "session.cancelled.v1", "participant.replaced.v1"}
    types = {found["type"] for sample in samples() for found in requests(sample)}
    assert types & set(INTAKE) >= {"enrolment.request.v1", "enrolment.withdraw.v1", "participant.add.v1"}


def test_the_partner_imports_nothing_of_ours() -> None:
    source = (HERE / "partner.py").read_text(encoding="utf-8")
    imported = set(re.findall(r"^(?:import|from) (\w+)", source, re.MULTILINE))
    assert imported == {"asyncio", "collections", "json", "nats", "pathlib", "ssl", "sys", "typing"}


def test_every_line_of_requests_is_sent_as_it_stands() -> None:
    for sample in samples():
        lines = sample.requests.read_text(encoding="utf-8").splitlines()
        assert [found[4] for found in messages([str(sample.requests)])] == lines
        assert any(json.loads(line) for line in lines[:1])


@pytest.mark.parametrize(
    ("given", "environment", "options"),
    [
        ([], {}, "demo --once"),
        (["DATA=elsewhere", "PORT_BASE=7000"], {}, "demo --once --data elsewhere --port-base 7000"),
        ([], {"DATA": "elsewhere"}, "demo --once --data elsewhere"),
    ],
)
def test_make_demo_goes_where_it_is_told(given: list[str], environment: dict[str, str], options: str) -> None:
    """By itself it has a place of its own, not that of ``make run``."""
    clean = {name: value for name, value in os.environ.items() if name not in ("DATA", "PORT_BASE", "MAKEFLAGS")}
    command = ["make", "--no-print-directory", "-n", "demo", "ONCE=1", *given]
    told = subprocess.run(
        command, cwd=HERE.parents[1], env=clean | environment, check=True, capture_output=True, text=True
    )
    assert told.stdout.splitlines()[-1].split()[1:] == options.split()


FACTS = {
    "000-oekraine": (
        ("doelgroep", "laatste ontwikkelingen", "keuzes en afwegingen", "andere partners", "Probiblio", "langere tijd"),
        ("the refugees", "latest developments", "choices", "other partners", "Probiblio", "longer stay"),
    ),
    "001-vluchtelingen-integratie": (
        (
            "Syrië en Eritrea",
            "veel minder mensen asiel",
            "VoorleesExpress",
            "ThuisTaal",
            "ondersteunen statushouders zo",
        ),
        ("Syria and Eritrea", "far fewer people", "VoorleesExpress", "ThuisTaal", "support refugees with a residence"),
    ),
    "002-gesprekstafel": (
        ("herziening van de rechtsbijstand", "Manifestgroep", "OBDO", "1 juli", "PDO", "meer gesprekstafels"),
        ("reform of legal aid", "Manifestgroep", "OBDO", "1 July", "PDO", "more round tables"),
    ),
    "003-inspiratiesessie": (
        ("bibliotheek in je regio", "huiswerk", "leerdoelen", "handschrift", "Zes sprekers"),
        (
            "sheltered employment",
            "a library in your region",
            "homework",
            "learning goals",
            "handwriting",
            "Six speakers",
        ),
    ),
    "004-gezinsaanpak": (
        (
            "Inzicht",
            "preventie en curatie",
            "kennis en vaardigheden",
            "profileren",
            "subsidie",
            "pilot",
            "Na afloop is er",
        ),
        (
            "Insight",
            "prevention and remedy",
            "knowledge and skills",
            "present yourself",
            "subsidy",
            "pilot",
            "afterwards",
        ),
    ),
}
"""What the texts say and an earlier version of the samples left out or said otherwise."""


@pytest.mark.parametrize("folder", FACTS)
def test_a_sample_says_what_its_text_says_in_both_languages(folder: str) -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in sorted((HERE / folder).glob("[pt]*.yaml")))
    missing = [fact for facts in FACTS[folder] for fact in facts if fact not in texts]
    assert missing == []
    assert not re.search(r"social[- ]work(?!-company)|Language House|family approach|wie zijn de deelnemers", texts)
