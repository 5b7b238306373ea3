"""All that people read: words and titles, no id, no rule's name, no straight quotation mark, no advice for programs."""

from __future__ import annotations

import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any, Final, get_args

import pytest
from ruamel.yaml import YAML

from contracts.base import Language, OrganisationKind, Province
from contracts.enrolment import Reason
from contracts.programme import EnrolmentRules, Programme, Role, Seat
from contracts.rules import _TITLES, rule_title
from contracts.theme import Theme
from deploy.demo.samples import HERE
from services.registration.domain.reasons import changes, requests, teams, waiting
from services.registration.sentences import Sentences
from services.registration.words import WORDS as PAGES
from services.reporting.words import WORDS as REPORTS
from tests.notifications.samples import life_cycle

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
_READ = YAML(typ="safe").load
PROGRAMMES: Final = tuple(Programme.model_validate(_READ(path)) for path in sorted(HERE.glob("*/programme*.yaml")))
THEMES: Final = tuple(Theme.model_validate(_READ(path)) for path in sorted(HERE.glob("*/theme.yaml")))

TRACK: Final = next(each for each in PROGRAMMES if each.team)
SEATS: Final = TRACK.team.seats if TRACK.team else ()
WITHOUT_TITLES: Final = EnrolmentRules()
AT: Final = datetime(2023, 6, 19, 22, tzinfo=UTC)

ARGUMENTS: Final[dict[str, tuple[Any, ...]]] = {
    **dict.fromkeys(("opens", "closes", "end", "until", "time", "freeze"), (AT, AT.replace(hour=11, minute=3))),
    "id_": ("bibliotheek-overstad",),
    "kinds": (tuple(OrganisationKind),),
    "provinces": (tuple(Province), (Province.UTRECHT,)),
    "role": (WITHOUT_TITLES.role("manager-educatie"), TRACK.enrolment.role("taalhuis"), None),
    "roles": (
        (WITHOUT_TITLES.role("adjunct-directeur"), WITHOUT_TITLES.role("directeur")),
        *(
            tuple(map(each.enrolment.role, each.enrolment.eligible.roles))
            for each in PROGRAMMES
            if each.enrolment.roles
        ),
    ),
    "seat": SEATS,
    "seats": (SEATS, SEATS[:1]),
    "cause": ("expired", "withdrawn"),
    "passed": (True, False),
    **dict.fromkeys(("maximum", "capacity", "units", "people", "place"), (1, 2, 20)),
    **dict.fromkeys(("taken", "free"), (0, 1, 2)),
    "asked": (1, 3),
    "most": (10,),
}

IDS: Final = frozenset(
    itertools.chain(
        _TITLES,
        *(
            (
                each.id,
                *each.organisers,
                *(session.id for session in each.sessions),
                *(seat.id for seat in (each.team.seats if each.team else ())),
                *each.enrolment.eligible.roles,
                *(role.id for role in each.enrolment.roles),
            )
            for each in PROGRAMMES
        ),
        *((each.id, *(goal.id for goal in each.goals)) for each in THEMES),
        OrganisationKind,
        ("bibliotheek-overstad", "adjunct-directeur", "manager-educatie", "enrolment.request"),
    )
)
AN_ID: Final = re.compile(
    r"(?<![\w-])(?:" + "|".join(sorted(re.escape(each) for each in IDS if "-" in each or "." in each)) + r")(?![\w-])"
)
COMPOUND: Final = frozenset({"adjunct-directeur", "wrap-up"})
"""Ids that are words too."""

STRAIGHT: Final = re.compile("[\"'`]")
FOR_PROGRAMS: Final = re.compile(r"\b(API|JSON|UUID|slug|id|register|registry|None|undefined)\b", re.IGNORECASE)
NEVER: Final[dict[Language, re.Pattern[str]]] = {
    "nl": re.compile(
        r"\b(plaats(en)?|inschrijv\w+|ingeschreven|teruggetrokken|ingetrokken|hoogstens|(?<!-)mailadres|niet gelukt"
        r"|kosteloos|00:00 uur|u|uw)\b",
        re.IGNORECASE,
    ),
    "en": re.compile(r"\b(e-mail|social[- ]work|does not take place|1 (people|places|teams))\b", re.IGNORECASE),
}


def reasons() -> Iterator[tuple[str, Reason]]:
    """Every reason that a person may read, with all kinds of what it may be about."""
    for module in (requests, teams, waiting, changes):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and inspect.signature(function).return_annotation == "Reason":
                for number, reason in enumerate(_made(function)):
                    yield f"{name} {number}", reason


def _made(function: Callable[..., Reason]) -> Iterator[Reason]:
    named = inspect.signature(function).parameters
    values = [
        ("jeugd-educatie",) if each.annotation == "str" and name == "seat" else ARGUMENTS[name]
        for name, each in named.items()
    ]
    for chosen in itertools.product(*values):
        yield function(**dict(zip(named, chosen, strict=True)))


def said(language: Language) -> Iterator[tuple[str, str]]:
    """What people read, and where."""
    for name, letter, rendered, _ in life_cycle():
        if letter.recipient.language == language:
            yield f"mail {name}", f"{rendered.subject}\n{rendered.text}"
            yield f"page of mail {name}", re.sub(r"<style.*?</style>|<[^>]+>", " ", rendered.html, flags=re.DOTALL)
    for name, reason in reasons():
        yield f"reason {name}", getattr(reason, language)
    for rule in _TITLES:
        yield f"rule {rule}", getattr(rule_title(rule), language)
    for what, words in (("page", PAGES), ("report", REPORTS)):
        # Of spreadsheets the column by which rows are compared, and the name of the form for programs.
        told = words[language].items()
        yield from ((f"{what} {key}", text) for key, text in told if key not in ("for_machines", "key"))
    yield from _of_programmes(language)
    for theme in THEMES:
        for text in (theme.title, theme.description, *(goal.title for goal in theme.goals)):
            yield f"theme {theme.id}", getattr(text, language)


def _of_programmes(language: Language) -> Iterator[tuple[str, str]]:
    say = Sentences(language)
    for each in PROGRAMMES:
        where = f"programme {each.id}"
        yield where, "\n".join((getattr(each.title, language), getattr(each.description, language)))
        yield where, "\n".join((*say.for_whom(each), *say.prices(each)))
        for session in each.sessions:
            yield where, f"{getattr(session.title, language)} {say.when(session)} {say.where(session)}"
            yield where, getattr(session.description, language) if session.description else ""
        for seat in each.team.seats if each.team else ():
            yield where, say.seat(seat, each)
            yield where, " ".join(say.role(role, each) for role in seat.roles)


def _without_addresses(text: str) -> str:
    text = re.sub(r"&[#\w]+;", " ", text.replace("&#39;", "'").replace("&#34;", '"'))
    return re.sub(r"(https?://|mailto:|tel:)\S+|\S+@\S+|\{[^}]*\}", " ", text)


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_that_people_read_has_an_id_or_a_straight_quotation_mark(language: Language) -> None:
    found = []
    for where, text in said(language):
        words = _without_addresses(text)
        ids = [each for each in AN_ID.findall(words) if each not in COMPOUND]
        for what in (*ids, *STRAIGHT.findall(words), *FOR_PROGRAMS.findall(words)):
            found.append(f"{where}: {what!r} in {words.strip()[:120]!r}")
    assert found == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_words_that_the_style_sheet_rules_out_are_nowhere(language: Language) -> None:
    found = [
        f"{where}: {match[0]!r} in {text.strip()[:120]!r}"
        for where, text in said(language)
        for match in NEVER[language].finditer(_without_addresses(text))
    ]
    assert found == []


def test_every_rule_by_which_something_is_decided_has_a_title() -> None:
    assert {reason.rule for _, reason in reasons()} <= set(_TITLES)
    assert rule_title("of-a-later-version").en == "of a later version"


def test_the_ids_that_a_sentence_is_about_stand_beside_it() -> None:
    about = {reason.rule: {each.name: each.value for each in reason.parameters} for _, reason in reasons()}
    assert about["organisation-unknown"] == {"organisation": "bibliotheek-overstad"}
    assert about["seat-unknown"] == {"seat": "jeugd-educatie"}
    assert set(about["team-incomplete"]) <= {"seat"}


def test_a_role_without_a_title_is_read_as_its_words() -> None:
    rules = EnrolmentRules(roles=(Role.model_validate({"id": "coach", "title": {"nl": "taalcoach", "en": "coach"}}),))
    assert rules.role("coach").title.nl == "taalcoach"
    assert rules.role("manager-educatie").title.nl == "manager educatie"
    assert TRACK.seat_title("is-no-more").en == "is no more"
    assert isinstance(SEATS[0], Seat)


def test_a_role_is_named_once() -> None:
    title = {"nl": "directeur", "en": "director"}
    with pytest.raises(ValueError, match="role directeur is named twice"):
        EnrolmentRules.model_validate({"roles": [{"id": "directeur", "title": title}] * 2})
