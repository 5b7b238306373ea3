"""Who may come: every rule that a request can break, on both sides of its boundary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from contracts.base import OrganisationKind, Province
from contracts.enrolment import Participant
from contracts.facts import EnrolmentConfirmed, EnrolmentRefused, EnrolmentWaitlisted, ProgrammeWithdrawn
from services.registration.domain import rules
from tests.registration.domain.given import (
    IN_ORDER,
    LIBRARY,
    MUNICIPALITY,
    SEATS,
    SESSION,
    TEAM,
    confirmed,
    end_of_day,
    given,
    missing,
    people,
    programme,
    published,
    published_track,
    request,
    sitting,
    waitlisted,
)

LOCAL = datetime(2023, 3, 10, 12, 0)  # noqa: DTZ001 - local time in Amsterdam, an hour ahead of UTC in March
MOMENT = datetime(2023, 3, 10, 11, 0, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)


def test_who_breaks_no_rule_comes_in() -> None:
    given(published()).when(request("a")).then(
        EnrolmentConfirmed(enrolment="a", units=1, participants=people("a", 1), channel="staff", source="staff")
    )


def test_nobody_comes_into_a_programme_that_does_not_exist() -> None:
    given().when(request("a")).then_rejected("programme-unknown", kind="not-found")


def test_enrolment_is_too_late_from_the_closing_moment_on() -> None:
    given(published(closes=LOCAL)).when(request("a", now=MOMENT - INSTANT)).then_brief(("confirmed", "a"))
    given(published(closes=LOCAL)).when(request("a", now=MOMENT)).then_refused("closed")


def test_enrolment_is_in_time_from_the_opening_moment_on() -> None:
    given(published(opens=LOCAL)).when(request("a", now=MOMENT - INSTANT)).then_refused("not-open-yet")
    given(published(opens=LOCAL)).when(request("a", now=MOMENT)).then_brief(("confirmed", "a"))


def test_the_closing_time_is_amsterdams_also_in_summer() -> None:
    summer = datetime(2023, 7, 1, 12, 0)  # noqa: DTZ001
    moment = datetime(2023, 7, 1, 10, 0, tzinfo=UTC)
    open_ = given(published(closes=summer, sessions=()))
    open_.when(request("a", now=moment - INSTANT)).then_brief(("confirmed", "a"))
    open_.when(request("a", now=moment)).then_refused("closed")


def test_a_programme_without_a_closing_time_is_closed_by_the_end_of_its_last_session() -> None:
    end = datetime(2023, 4, 13, 14, 0, tzinfo=UTC)
    earlier = SESSION.model_copy(update={"id": "eerder", "start": LOCAL, "end": LOCAL + INSTANT})
    scene = given(published(sessions=(SESSION, earlier)))
    scene.when(request("a", now=end - INSTANT)).then_brief(("confirmed", "a"))
    result = scene.when(request("a", now=end)).then_refused("over")
    (fact,) = result.facts
    assert isinstance(fact, EnrolmentRefused)
    assert fact.reasons[0].en == "The programme is over. It ended on Thursday 13 April 2023 at 16:00 (Amsterdam time)."


def test_a_programme_is_not_over_while_a_session_has_no_date() -> None:
    later = SESSION.model_copy(update={"id": "later", "start": None, "end": None})
    much_later = datetime(2024, 4, 13, tzinfo=UTC)
    given(published(sessions=(SESSION, later))).when(request("a", now=much_later)).then_brief(("confirmed", "a"))


def test_the_sentences_name_the_moment_in_the_words_of_each_language() -> None:
    (fact,) = given(published(closes=LOCAL)).when(request("a", now=MOMENT)).facts
    assert isinstance(fact, EnrolmentRefused)
    assert fact.reasons[0].nl == "De aanmelding is gesloten. Aanmelden kon tot vrijdag 10 maart 2023 om 12:00 uur."
    assert (
        fact.reasons[0].en == "Enrolment is closed. It was open until Friday 10 March 2023 at 12:00 (Amsterdam time)."
    )


def test_nobody_comes_into_a_withdrawn_programme() -> None:
    given(published(), ProgrammeWithdrawn()).when(request("a")).then_refused("programme-withdrawn")


def test_a_refusal_names_every_rule_that_failed_and_takes_no_place() -> None:
    scene = given(
        published(
            closes=LOCAL,
            capacity=1,
            maximum_per_organisation=1,
            eligible={"kinds": ["library"], "provinces": ["utrecht"], "roles": ["directeur"]},
        ),
        ProgrammeWithdrawn(),
        confirmed("taken", who=people("x", 1), organisation=MUNICIPALITY.id),
    )
    same = Participant(person="x-1", role="portier", seat="stoel")
    result = scene.when(request("a", [same, same], MUNICIPALITY, now=MOMENT))
    result.then_refused(
        "programme-withdrawn",
        "closed",
        "kind-not-eligible",
        "province-not-eligible",
        "role-not-eligible",
        "named-twice",
        "already-enrolled",
        "seat-unknown",
        "organisation-maximum",
        "larger-than-capacity",
    )
    assert result.state.confirmed == 1
    assert result.state.enrolments["a"].status == "refused"
    assert result.state.persons["x-1"] == "taken"


@pytest.mark.parametrize("kind", list(OrganisationKind))
def test_only_eligible_kinds_of_organisations_come(kind: OrganisationKind) -> None:
    scene = given(published(eligible={"kinds": ["library", "social-work-company"]}))
    result = scene.when(request("a", organisation=LIBRARY.model_copy(update={"kind": kind})))
    if kind in ("library", "social-work-company"):
        result.then_brief(("confirmed", "a"))
    else:
        result.then_refused("kind-not-eligible")


def test_only_organisations_in_eligible_provinces_come() -> None:
    scene = given(published(eligible={"provinces": ["utrecht"]}))
    scene.when(request("a", organisation=LIBRARY)).then_brief(("confirmed", "a"))
    scene.when(request("a", organisation=MUNICIPALITY)).then_refused("province-not-eligible")
    nowhere = LIBRARY.model_copy(update={"province": None})
    scene.when(request("a", organisation=nowhere)).then_refused("province-not-eligible")


def test_a_province_is_named_as_it_is_written() -> None:
    scene = given(published(eligible={"provinces": [Province.FRYSLAN, Province.NOORD_BRABANT]}))
    (fact,) = scene.when(request("a", organisation=LIBRARY)).facts
    assert isinstance(fact, EnrolmentRefused)
    assert "Fryslân of Noord-Brabant" in fact.reasons[0].nl


def test_who_has_no_organisation_comes_only_where_that_is_allowed() -> None:
    given(published(eligible={"without_organisation": True})).when(request("a")).then_brief(("confirmed", "a"))
    given(published(eligible={})).when(request("a")).then_refused("organisation-required")


def test_a_volunteer_comes_also_where_organisations_must_be_of_a_kind() -> None:
    scene = given(published(eligible={"kinds": ["library"], "provinces": ["utrecht"], "without_organisation": True}))
    scene.when(request("a")).then_brief(("confirmed", "a"))


def test_an_organisation_must_be_registered() -> None:
    given(published()).when(request("a", organisation="onbekend")).then_refused("organisation-unknown")


def test_only_eligible_roles_come_and_each_wrong_one_is_named_once() -> None:
    scene = given(published(eligible={"roles": ["directeur"], "without_organisation": True}))
    director, porter, nobody = (
        Participant(person=f"p{number}", role=role) for number, role in enumerate(("directeur", "portier", None))
    )
    scene.when(request("a", [director])).then_brief(("confirmed", "a"))
    scene.when(request("a", [director, porter])).then_refused("role-not-eligible")
    scene.when(request("a", [porter, porter.model_copy(update={"person": "p9"}), nobody])).then_refused(
        "role-not-eligible", "role-not-eligible"
    )


def test_nobody_is_named_twice_in_a_request() -> None:
    twice = Participant(person="x")
    given(published()).when(request("a", [twice, twice])).then_refused("named-twice")


@pytest.mark.parametrize("already", [confirmed("old", who=people("x", 1)), waitlisted("old", who=people("x", 1))])
def test_nobody_is_in_a_programme_twice(already: EnrolmentConfirmed | EnrolmentWaitlisted) -> None:
    given(published(capacity=5, waiting_list=IN_ORDER), already).when(request("a", people("x", 1))).then_refused(
        "already-enrolled"
    )


def test_the_maximum_per_organisation_counts_units_that_have_a_place_and_that_wait() -> None:
    scene = given(
        published(maximum_per_organisation=4, capacity=2, waiting_list=IN_ORDER),
        confirmed("a", 2, organisation=LIBRARY.id),
        waitlisted("b", 1, organisation=LIBRARY.id),
    )
    scene.when(request("c", 1, LIBRARY)).then_brief(("waitlisted", "c"))
    scene.when(request("c", 2, LIBRARY)).then_refused("organisation-maximum")
    scene.when(request("c", 2, MUNICIPALITY)).then_brief(("waitlisted", "c"))
    scene.when(request("c", 2)).then_brief(("waitlisted", "c"))


def test_a_full_programme_without_a_waiting_list_refuses() -> None:
    given(published(capacity=3), confirmed("a", 2)).when(request("b", 1)).then_brief(("confirmed", "b"))
    given(published(capacity=3), confirmed("a", 2)).when(request("b", 2)).then_refused("full")


def test_a_group_as_large_as_the_capacity_comes_and_a_larger_one_could_never() -> None:
    given(published(capacity=3, waiting_list=IN_ORDER)).when(request("a", 3)).then_brief(("confirmed", "a"))
    given(published(capacity=3, waiting_list=IN_ORDER)).when(request("a", 4)).then_refused("larger-than-capacity")


def test_without_a_capacity_everybody_comes() -> None:
    given(published(), confirmed("a", 99)).when(request("b", 99)).then_brief(("confirmed", "b"))


def test_a_seat_has_no_meaning_where_there_are_no_teams() -> None:
    given(published()).when(request("a", [Participant(person="x", seat="jeugd")])).then_refused("seat-unknown")


def test_a_complete_team_takes_one_unit() -> None:
    scene = given(published_track(None, capacity=1))
    result = scene.when(request("a", TEAM))
    result.then_brief(("confirmed", "a"))
    assert result.state.confirmed == 1


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        (Participant(person="y", role="taalhuis"), "seat-required"),
        (Participant(person="y", seat="stuurman", role="taalhuis"), "seat-unknown"),
        (Participant(person="y", seat="basis", role="jeugd-educatie"), "seat-role"),
        (Participant(person="y", seat="basis"), "seat-role"),
        (Participant(person="y", seat="jeugd", role="jeugd-educatie"), "seat-taken"),
    ],
)
def test_everybody_in_a_team_sits_where_the_rule_lets_them(wrong: Participant, rule: str) -> None:
    scene = given(published_track())
    scene.when(request("a", (*sitting(jeugd="noor"), wrong))).then_refused(rule)


def test_a_seat_takes_as_many_as_it_has_room_for() -> None:
    roomy = published_track()
    team = roomy.programme.team
    assert team is not None
    seats = tuple(seat.model_copy(update={"count": 2}) if seat.id == "manager" else seat for seat in team.seats)
    roomy = roomy.model_copy(
        update={"programme": roomy.programme.model_copy(update={"team": team.model_copy(update={"seats": seats})})}
    )
    second, third = (Participant(person=f"m{number}", seat="manager") for number in (2, 3))
    given(roomy).when(request("a", (*TEAM, second))).then_brief(("confirmed", "a"))
    given(roomy).when(request("a", (*TEAM, second, third))).then_refused("seat-taken")


def test_an_incomplete_team_is_refused_where_no_time_is_given_to_complete_it() -> None:
    given(published_track(None)).when(request("a", TEAM[:2])).then_refused("team-incomplete")


def test_an_incomplete_team_comes_with_a_deadline_where_time_is_given() -> None:
    given(published_track(14)).when(request("a", TEAM[:1])).then(
        confirmed("a", who=TEAM[:1], missing=missing("basis", "manager"), complete_by=end_of_day(14))
    )


def test_what_is_missing_is_counted_by_seat() -> None:
    assert rules.missing_seats(None, people("x", 2)) == ()
    team = published_track().programme.team
    assert team is not None
    assert rules.missing_seats(team, ()) == missing(*(seat.id for seat in SEATS))
    assert rules.missing_seats(team, TEAM) == ()


def test_the_first_price_that_fits_counts_for_all_units() -> None:
    prices = [
        {"kinds": ["library"], "provinces": ["utrecht"], "amount": "0"},
        {"kinds": ["library"], "amount": "25.50"},
        {"provinces": ["flevoland"], "amount": "40"},
    ]
    enrolment = programme(prices=prices).enrolment
    elsewhere = LIBRARY.model_copy(update={"province": Province.DRENTHE})
    assert rules.price_of(enrolment, LIBRARY, 3) == Decimal(0)
    assert rules.price_of(enrolment, elsewhere, 3) == Decimal("76.50")
    assert rules.price_of(enrolment, MUNICIPALITY, 1) == Decimal(40)
    assert rules.price_of(enrolment, None, 1) is None
    (fact,) = given(published(prices=prices)).when(request("a", 2, elsewhere)).facts
    assert isinstance(fact, EnrolmentConfirmed)
    assert fact.price == Decimal("51.00")
