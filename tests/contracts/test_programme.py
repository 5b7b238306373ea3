"""A definition that contradicts itself is refused with a sentence that says where."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from contracts.programme import EnrolmentRules, Programme
from contracts.theme import Theme

TITLE = {"nl": "Uitwisseling", "en": "Exchange"}
CONTACT = {"name": "Aanmelddesk", "email": "aanmelden@steunpunt.example"}


def programme(**changes: Any) -> dict[str, Any]:
    return {
        "id": "uitwisseling",
        "kind": "meeting",
        "title": TITLE,
        "description": TITLE,
        "organisers": ["steunpunt"],
        "content_contact": CONTACT,
        "enrolment_contact": CONTACT,
    } | changes


def session(id_: str) -> dict[str, Any]:
    return {"id": id_, "title": TITLE}


def seat(id_: str, **changes: Any) -> dict[str, Any]:
    return {"id": id_, "title": TITLE} | changes


def test_a_programme_needs_no_dates_no_team_and_no_limits() -> None:
    small = Programme.model_validate(programme(sessions=[session("one")]))
    assert small.session("one") is not None
    assert small.session("two") is None
    assert small.enrolment == EnrolmentRules()
    assert small.sessions[0].begins is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"organisers": []}, "at least 1 item"),
        ({"organisers": ["a", "a"]}, "organiser a is named twice"),
        ({"sessions": [session("one"), session("one")]}, "session one is named twice"),
        ({"themes": [{"theme": "a"}, {"theme": "a"}]}, "theme a is named twice"),
        ({"enrolment": {"per": "team"}}, "needs a team rule"),
        ({"team": {"seats": [seat("a")]}}, "needs 'per: team'"),
        ({"enrolment": {"per": "team"}, "team": {"seats": []}}, "at least 1 item"),
        ({"enrolment": {"per": "team"}, "team": {"seats": [seat("a"), seat("a")]}}, "seat a is named twice"),
        (
            {"enrolment": {"per": "team"}, "team": {"seats": [seat("a", sessions=["nine"])]}},
            "seat a attends unknown sessions: nine",
        ),
        ({"enrolment": {"capacity": 0}}, "greater than or equal to 1"),
        ({"enrolment": {"opens": "2023-03-02T00:00", "closes": "2023-03-01T00:00"}}, "must open before it closes"),
        ({"enrolment": {"prices": [{"amount": "-1"}]}}, "greater than or equal to 0"),
        ({"kind": "party"}, "meeting"),
        ({"title": {"nl": "Uitwisseling"}}, "Field required"),
    ],
)
def test_a_programme_that_contradicts_itself_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Programme.model_validate(programme(**changes))


def test_sessions_are_shown_in_the_order_of_time_and_those_without_a_date_last() -> None:
    def on(day: str) -> dict[str, str]:
        return {"start": f"{day}T10:00", "end": f"{day}T11:00"}

    sessions = [
        session("later-1"),
        session("december") | on("2023-12-01"),
        session("later-2"),
        session("april-1") | on("2023-04-13"),
        session("april-2") | on("2023-04-13"),
    ]
    defined = Programme.model_validate(programme(sessions=sessions))
    shown = [one.id for one in defined.in_order().sessions]
    assert shown == ["april-1", "april-2", "december", "later-1", "later-2"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"goals": [{"id": "a", "title": TITLE}, {"id": "a", "title": TITLE}]}, "two goals have the same id"),
        ({"municipalities": ["Zeist", "Zeist"]}, "a municipality is named twice"),
    ],
)
def test_a_theme_names_each_goal_and_municipality_once(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Theme.model_validate({"id": "taal", "title": TITLE} | changes)


def test_a_definition_without_a_session_still_holds_together() -> None:
    """A service may stop between the fact that cancels a session and the one that changes the team rule."""
    seats = [seat("maker"), seat("manager", sessions=["a", "b"])]
    defined = Programme.model_validate(
        programme(sessions=[session("a"), session("b")], team={"seats": seats}, enrolment={"per": "team"})
    )

    without = defined.without("a")

    assert Programme.model_validate_json(without.model_dump_json()) == without
    assert [each.id for each in without.sessions] == ["b"]
    assert without.team is not None
    assert [each.sessions for each in without.team.seats] == [None, ("b",)]
