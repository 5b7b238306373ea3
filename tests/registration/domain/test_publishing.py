"""Publishing again: each change is a fact of its own, and what would break a promise is rejected."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given as hypothesis_given
from hypothesis import strategies as st

from contracts.base import Text, Title
from contracts.facts import (
    EnrolmentCompleted,
    ProgrammeCapacityLowered,
    ProgrammeCapacityRaised,
    ProgrammeClassified,
    ProgrammeDescribed,
    ProgrammeOrganised,
    ProgrammePublished,
    ProgrammeRulesChanged,
    ProgrammeTeamRuleChanged,
    ProgrammeWithdrawn,
    RegistrationFact,
    SessionAdded,
    SessionCancelled,
    SessionDescribed,
    SessionMoved,
)
from contracts.programme import Contact, PriceRule, Programme, ProgrammeKind, TeamRule
from contracts.session import Online, Venue
from contracts.theme import Goal, Theme, ThemeReference
from services.registration.domain import Registry, decide
from services.registration.domain import commands as asked
from services.registration.domain.publishing import changes
from tests.registration.domain.given import (
    FILL_GAPS,
    IN_ORDER,
    NOW,
    REGISTRY,
    SEATS,
    SESSION,
    TEAM,
    confirmed,
    fold,
    given,
    later,
    missing,
    programme,
    publish,
    published,
    published_track,
    track,
    waitlisted,
)

MOVED = SESSION.model_copy(
    update={
        "start": SESSION.start and SESSION.start + timedelta(days=1),
        "end": SESSION.end and SESSION.end + timedelta(days=1),
    }
)
SECOND = SESSION.model_copy(update={"id": "tweede"})
THEME = Theme(id="taal", title=Title(nl="Taal", en="Language"), goals=(Goal(id="lezen", title=Title(nl="L", en="R")),))


def test_a_new_programme_is_published_as_defined() -> None:
    given().when(publish(programme())).then(ProgrammePublished(programme=programme()))


def test_the_same_definition_again_changes_nothing() -> None:
    given(published()).when(publish(programme())).then_nothing()


def _with(**update: Any) -> Programme:
    return programme(capacity=10).model_copy(update=update)


def _rules(**update: Any) -> Programme:
    before = programme(capacity=10)
    return before.model_copy(update={"enrolment": before.enrolment.model_copy(update=update)})


TITLE = Title(nl="Anders", en="Different")
WORDS = Text(nl="Andere woorden.", en="Other words.")
CONTACT = Contact(name="Team anders", email="anders@probiblio.example")
BEFORE = programme(capacity=10)


@pytest.mark.parametrize(
    ("new", "fact"),
    [
        (
            _with(title=TITLE),
            ProgrammeDescribed(title=TITLE, description=BEFORE.description, kind=ProgrammeKind.MEETING),
        ),
        (
            _with(description=WORDS),
            ProgrammeDescribed(title=BEFORE.title, description=WORDS, kind=ProgrammeKind.MEETING),
        ),
        (
            _with(kind=ProgrammeKind.TRACK),
            ProgrammeDescribed(title=BEFORE.title, description=BEFORE.description, kind=ProgrammeKind.TRACK),
        ),
        (
            _with(page="https://probiblio.example/x"),
            ProgrammeDescribed(
                title=BEFORE.title,
                description=BEFORE.description,
                kind=ProgrammeKind.MEETING,
                page="https://probiblio.example/x",
            ),
        ),
        *(
            (
                _with(**{field: CONTACT}),
                ProgrammeOrganised.model_validate(
                    {
                        "organisers": BEFORE.organisers,
                        "content_contact": BEFORE.content_contact,
                        "enrolment_contact": BEFORE.enrolment_contact,
                        field: CONTACT,
                    }
                ),
            )
            for field in ("content_contact", "enrolment_contact")
        ),
        (_with(sessions=(MOVED,)), SessionMoved(session="bijeenkomst", before=SESSION.occasion, after=MOVED.occasion)),
        (
            _with(sessions=(SESSION.model_copy(update={"online": Online(join_link="https://x.example/j")}),)),
            SessionMoved(
                session="bijeenkomst",
                before=SESSION.occasion,
                after=SESSION.occasion.model_copy(update={"online": Online(join_link="https://x.example/j")}),
            ),
        ),
        (
            _with(sessions=(SESSION.model_copy(update={"venue": Venue(name="Stadhuis", address="Plein 1, Zeist")}),)),
            SessionMoved(
                session="bijeenkomst",
                before=SESSION.occasion,
                after=SESSION.occasion.model_copy(update={"venue": Venue(name="Stadhuis", address="Plein 1, Zeist")}),
            ),
        ),
        (
            _with(sessions=(SESSION.model_copy(update={"lunch": True}),)),
            SessionDescribed(session="bijeenkomst", title=SESSION.title, lunch=True),
        ),
        (
            _with(sessions=(SESSION.model_copy(update={"title": TITLE}),)),
            SessionDescribed(session="bijeenkomst", title=TITLE),
        ),
        (
            _with(sessions=(SESSION.model_copy(update={"description": WORDS}),)),
            SessionDescribed(session="bijeenkomst", title=SESSION.title, description=WORDS),
        ),
        (_with(sessions=(SESSION, SECOND)), SessionAdded(session=SECOND)),
        (_with(sessions=()), SessionCancelled(session="bijeenkomst")),
        (_rules(capacity=11), ProgrammeCapacityRaised(before=10, after=11)),
        (_rules(capacity=None), ProgrammeCapacityRaised(before=10, after=None)),
        (_rules(capacity=9), ProgrammeCapacityLowered(before=10, after=9)),
        *(
            (_rules(**{name: value}), ProgrammeRulesChanged(rules=_rules(**{name: value}).enrolment, changed=(name,)))
            for name, value in (
                ("opens", datetime(2023, 1, 1)),  # noqa: DTZ001
                ("closes", datetime(2023, 4, 1)),  # noqa: DTZ001
                ("waiting_list", IN_ORDER),
                ("maximum_per_organisation", 2),
                ("prices", (PriceRule(amount=Decimal(10)),)),
            )
        ),
    ],
)
def test_every_kind_of_change_yields_exactly_its_fact(new: Programme, fact: RegistrationFact) -> None:
    result = given(published(capacity=10)).when(publish(new))
    result.then(fact)
    assert result.state.definition == new


def test_a_limit_where_there_was_none_lowers_the_capacity() -> None:
    given(published()).when(publish(programme(capacity=5))).then(ProgrammeCapacityLowered(before=None, after=5))


def test_many_changes_at_once_are_many_facts_and_lead_to_the_new_definition() -> None:
    new = programme(
        capacity=20,
        closes=datetime(2023, 4, 1),  # noqa: DTZ001
        sessions=(MOVED.model_copy(update={"lunch": True}), SECOND),
    )
    new = new.model_copy(update={"title": TITLE, "content_contact": CONTACT})
    result = given(published(capacity=10)).when(publish(new))
    assert [type(fact) for fact in result.facts] == [
        ProgrammeDescribed,
        ProgrammeOrganised,
        SessionMoved,
        SessionDescribed,
        SessionAdded,
        ProgrammeRulesChanged,
        ProgrammeCapacityRaised,
    ]
    assert result.state.definition == new


DIMENSIONS: dict[str, list[Any]] = {
    "title": [BEFORE.title, TITLE],
    "page": [None, "https://probiblio.example/x"],
    "content_contact": [BEFORE.content_contact, CONTACT],
    "themes": [(), (ThemeReference(theme="taal"),), (ThemeReference(theme="taal", goals=("lezen",)),)],
    "sessions": [(), (SESSION,), (MOVED,), (SESSION, SECOND), (SECOND,), (MOVED.model_copy(update={"lunch": True}),)],
}
RULES: dict[str, list[Any]] = {
    "capacity": [None, 1, 5],
    "closes": [None, datetime(2023, 4, 1)],  # noqa: DTZ001
    "waiting_list": [None, IN_ORDER, FILL_GAPS],
    "maximum_per_organisation": [None, 3],
}


@st.composite
def definitions(draw: st.DrawFn) -> Programme:
    rules = {name: draw(st.sampled_from(values)) for name, values in RULES.items()}
    words = {name: draw(st.sampled_from(values)) for name, values in DIMENSIONS.items()}
    return programme(**rules).model_copy(update=words)


@hypothesis_given(definitions(), definitions())
def test_the_facts_between_any_two_definitions_lead_from_one_to_the_other(old: Programme, new: Programme) -> None:
    after = fold((ProgrammePublished(programme=old), *changes(old, new))).definition
    assert after is not None
    by_id = {session.id: session for session in after.sessions}
    assert by_id == {session.id: session for session in new.sessions}
    assert after.model_copy(update={"sessions": ()}) == new.model_copy(update={"sessions": ()})
    assert changes(after, new) == ()


class TestPromises:
    """What a new definition must not break."""

    def test_the_capacity_never_falls_below_what_is_confirmed(self) -> None:
        scene = given(published(capacity=5), confirmed("a", 3))
        scene.when(publish(programme(capacity=2))).then_rejected("capacity-below-confirmed")
        scene.when(publish(programme(capacity=3))).then_brief(("programmecapacitylowered",))

    def test_a_withdrawn_programme_stays_withdrawn(self) -> None:
        given(published(), ProgrammeWithdrawn()).when(publish(programme(capacity=2))).then_rejected(
            "programme-withdrawn"
        )

    def test_a_programme_for_persons_does_not_become_one_for_teams(self) -> None:
        given(published()).when(publish(track())).then_rejected("per-changed")

    def test_organisers_must_be_registered(self) -> None:
        new = programme().model_copy(update={"organisers": ("vreemd", "probiblio")})
        given().when(publish(new)).then_rejected("organisation-unknown")

    def test_themes_and_goals_must_exist(self) -> None:
        references = (ThemeReference(theme="taal", goals=("lezen", "zingen")), ThemeReference(theme="onbekend"))
        new = programme().model_copy(update={"themes": references})
        registry = Registry(organisations=REGISTRY.organisations, themes=REGISTRY.themes.insert("taal", THEME))
        command = asked.PublishProgramme(new, registry, NOW)
        given().when(command).then_rejected("goal-unknown", "theme-unknown")
        good = programme().model_copy(update={"themes": (ThemeReference(theme="taal", goals=("lezen",)),)})
        assert decide(fold(()), asked.PublishProgramme(good, registry, NOW)) == (ProgrammePublished(programme=good),)
        given(published()).when(asked.PublishProgramme(good, registry, NOW)).then(
            ProgrammeClassified(themes=good.themes)
        )


class TestPromotions:
    """What a change of the rules does for those who wait."""

    def test_more_places_go_to_who_waits_and_say_so(self) -> None:
        scene = given(published(capacity=1, waiting_list=IN_ORDER), confirmed("a"), waitlisted("b"), waitlisted("c"))
        scene.when(publish(programme(capacity=2, waiting_list=IN_ORDER))).then_brief(
            ("programmecapacityraised",), ("promoted", "b", "capacity-raised")
        )

    def test_no_limit_any_more_brings_everybody_in(self) -> None:
        scene = given(published(capacity=1, waiting_list=IN_ORDER), confirmed("a"), waitlisted("b"), waitlisted("c"))
        result = scene.when(publish(programme(waiting_list=IN_ORDER)))
        assert result.state.confirmed == 3
        assert not result.state.waiting

    def test_another_policy_promotes_without_claiming_more_places(self) -> None:
        scene = given(
            published(capacity=2, waiting_list=IN_ORDER), confirmed("a"), waitlisted("group", 2), waitlisted("b")
        )
        scene.when(publish(programme(capacity=2, waiting_list=FILL_GAPS))).then_brief(
            ("programmeruleschanged",), ("passedover", "group", "does-not-fit"), ("promoted", "b", "rules-changed")
        )

    def test_words_alone_promote_nobody(self) -> None:
        scene = given(published(capacity=1, waiting_list=IN_ORDER), confirmed("a"), waitlisted("b"))
        new = programme(capacity=1, waiting_list=IN_ORDER).model_copy(update={"title": TITLE})
        scene.when(publish(new)).then_brief(("programmedescribed",))


class TestTeams:
    """A team rule that changes while teams are enrolled."""

    def test_relieves_those_who_lack_what_it_no_longer_asks(self) -> None:
        two = TeamRule(seats=SEATS[:2], complete_within_days=14)
        lacking = confirmed("b", who=TEAM[:2], missing=missing("manager"), complete_by=later(3))
        scene = given(published_track(), lacking)
        scene.when(publish(track().model_copy(update={"team": two}))).then(
            ProgrammeTeamRuleChanged(team=two), EnrolmentCompleted(enrolment="b")
        )
