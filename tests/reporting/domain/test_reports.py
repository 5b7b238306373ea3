"""Given facts, when somebody asks, then these numbers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from contracts import facts
from contracts.base import Message, OrganisationKind, Province, Title
from contracts.enrolment import Enrolled, Participant, Reason
from contracts.facts import NO_PROGRAMME
from contracts.organisation import Organisation
from contracts.programme import Eligibility
from contracts.queries import Counts, DayRow, MailRow, ProgrammeReport, Reached
from contracts.session import Online, Session
from contracts.theme import ThemeReference
from services.chassis.state import State
from services.reporting.domain import evolve, participation, programme_list, programme_report, theme_report
from services.reporting.domain.participation import UnknownKey
from tests.plausible import MEETING, TEAMS, PlausibleLogs, fact, logs, meeting, team_track, theme

DAY = timedelta(days=1)
NOON = datetime(2023, 3, 2, 11, 0, tzinfo=UTC)
WITHDRAWN = Reason(rule="withdrawn", nl="Op verzoek.", en="On request.")
FIRST = ("confirmed", "waiting", "refused", "pending", "lapsed")
FREE = Reason(rule="place-free", nl="Er kwam een plaats vrij.", en="A place came free.")


def given_facts(*data: Message, programme: str = MEETING, time: datetime = NOON, state: State | None = None) -> State:
    state = State() if state is None else state
    for each in data:
        outside = isinstance(each, facts.OrganisationRegistered | facts.OrganisationChanged | facts.ThemePublished)
        state = evolve(state, fact(each, NO_PROGRAMME if outside else programme, time))
    return state


def published(programme: Any = None) -> facts.ProgrammePublished:
    return facts.ProgrammePublished(programme=programme or meeting())


def organisation(id_: str, **changes: Any) -> facts.OrganisationRegistered:
    entry = {
        "id": id_,
        "name": id_.title(),
        "kind": OrganisationKind.LIBRARY,
        "province": Province.OVERIJSSEL,
        "municipality": "Almelo",
    }
    return facts.OrganisationRegistered(organisation=Organisation.model_validate(entry | changes))


def people(*ids: str, role: str | None = None, seat: str | None = None) -> tuple[Participant, ...]:
    return tuple(Participant(person=id_, role=role, seat=seat) for id_ in ids)


def confirmed(
    id_: str, who: tuple[Participant, ...], at: str | None = None, units: int = 1
) -> facts.EnrolmentConfirmed:
    return facts.EnrolmentConfirmed(enrolment=id_, organisation=at, units=units, participants=who, source="biblionet")


def waitlisted(id_: str, who: tuple[Participant, ...], at: str | None = None) -> facts.EnrolmentWaitlisted:
    return facts.EnrolmentWaitlisted(
        enrolment=id_, organisation=at, units=len(who), participants=who, source="biblionet", place=1
    )


def refused(id_: str, who: tuple[Participant, ...], *rules: str, at: str | None = None) -> facts.EnrolmentRefused:
    return facts.EnrolmentRefused(
        enrolment=id_,
        organisation=at,
        units=len(who),
        participants=who,
        source="biblionet",
        reasons=tuple(Reason(rule=rule, nl=f"Nee ({id_}).", en=f"No ({id_}).") for rule in rules),
    )


def pending(id_: str, who: tuple[Participant, ...], units: int = 1) -> facts.EnrolmentPending:
    return facts.EnrolmentPending(
        enrolment=id_,
        units=units,
        participants=who,
        source="web",
        channel="web",
        held=0,
        cause="address-unknown",
        confirm_by=NOON + 2 * DAY,
        asked=tuple(each.person for each in who),
    )


def lapsed(id_: str, people: int) -> facts.EnrolmentLapsed:
    return facts.EnrolmentLapsed(enrolment=id_, people=people, units=0, cause="expired")


def withdrawn(id_: str) -> facts.EnrolmentWithdrawn:
    return facts.EnrolmentWithdrawn(enrolment=id_, before="confirmed", reason=WITHDRAWN)


def report_of(state: State, programme: str = MEETING) -> ProgrammeReport:
    report = programme_report(state, programme)
    assert report is not None
    return report


def keys(rows: Iterable[Any]) -> list[str]:
    return [row.key for row in rows]


def names(mentions: Iterable[Any]) -> list[str]:
    return [mention.id for mention in mentions]


# A programme ---------------------------------------------------------------------------------------------------------


def test_a_programme_without_enrolments_shows_zeros() -> None:
    report = report_of(given_facts(published()))
    assert report.counts == Counts()
    assert (report.organisations, report.days, report.mails) == ((), (), ())
    assert report.capacity == 10


def test_nobody_knows_a_programme_that_was_not_published() -> None:
    assert programme_report(State(), MEETING) is None
    assert programme_list(State()).programmes == ()


def test_units_and_people_are_counted_by_status() -> None:
    report = report_of(
        given_facts(
            published(),
            confirmed("a", people("p1", "p2"), units=2),
            waitlisted("b", people("p3")),
            refused("c", people("p4", "p5", "p6"), "closed"),
            confirmed("d", people("p7")),
            withdrawn("d"),
        )
    )
    assert report.counts == Counts(
        units_confirmed=2,
        units_waiting=1,
        units_withdrawn=1,
        units_refused=3,
        people_confirmed=2,
        people_waiting=1,
        people_withdrawn=1,
        people_refused=3,
    )


def test_who_is_promoted_waits_no_longer() -> None:
    report = report_of(
        given_facts(
            published(),
            waitlisted("a", people("p")),
            facts.EnrolmentPromoted(enrolment="a", reason=FREE),
        )
    )
    assert (report.counts.units_waiting, report.counts.units_confirmed) == (0, 1)


def test_who_leaves_an_enrolment_that_goes_on_is_withdrawn_alone() -> None:
    report = report_of(
        given_facts(
            published(),
            confirmed("a", people("p1", "p2", role="manager"), units=2),
            facts.ParticipantWithdrawn(enrolment="a", person="p2", units=1),
        )
    )
    assert report.counts == Counts(units_confirmed=1, people_confirmed=1, units_withdrawn=1, people_withdrawn=1)
    assert report.roles[0].counts == Counts(people_confirmed=1, people_withdrawn=1)


def test_a_place_that_goes_from_hand_to_hand_withdraws_nobody() -> None:
    report = report_of(
        given_facts(
            published(),
            confirmed("a", people("p1", role="taalhuis")),
            facts.ParticipantReplaced(enrolment="a", person="p1", participant=people("p2", role="manager")[0]),
        )
    )
    assert report.counts == Counts(units_confirmed=1, people_confirmed=1)
    assert keys(report.roles) == ["manager"]


def test_a_refusal_counts_for_every_rule_it_names_and_keeps_the_first_sentence() -> None:
    report = report_of(
        given_facts(
            published(), refused("a", people("p1", "p2"), "closed", "full"), refused("b", people("p3"), "closed")
        )
    )
    closed, full = report.refusals
    assert (closed.rule, closed.refusals, closed.units, closed.people) == ("closed", 2, 3, 3)
    assert (full.rule, full.refusals, full.units, full.people) == ("full", 1, 2, 2)
    assert (closed.nl, closed.en) == ("Nee (a).", "No (a).")


def test_days_tell_what_came_in_and_what_became_of_it_later() -> None:
    state = given_facts(published(), confirmed("a", people("p1")), waitlisted("b", people("p2")))
    state = given_facts(
        withdrawn("a"), facts.EnrolmentPromoted(enrolment="b", reason=FREE), state=state, time=NOON + DAY
    )
    assert report_of(state).days == (
        DayRow(day="2023-03-02", requested=2, confirmed=1, waiting=1),
        DayRow(day="2023-03-03", promoted=1, withdrawn=1),
    )


def test_who_is_asked_to_confirm_and_never_does_is_counted_all_the_same() -> None:
    waits = given_facts(published(), pending("a", people("p1", role="manager")), pending("b", people("p2")))
    assert report_of(waits).counts == Counts(units_pending=2, people_pending=2)
    assert report_of(waits).days == (DayRow(day="2023-03-02", requested=2, pending=2),)

    later = given_facts(lapsed("a", 1), state=waits, time=NOON + 2 * DAY)
    assert report_of(later).counts == Counts(units_pending=1, people_pending=1, units_lapsed=1, people_lapsed=1)
    assert report_of(later).days == (DayRow(day="2023-03-02", requested=2, pending=1, lapsed=1),)
    assert [(row.key, row.counts) for row in report_of(later).roles] == [
        ("manager", Counts(people_lapsed=1)),
        ("_without-role", Counts(people_pending=1)),
    ]


@pytest.mark.parametrize(
    ("came_in", "counts", "day"),
    [
        (confirmed("a", people("p")), Counts(units_confirmed=1, people_confirmed=1), DayRow(day="", confirmed=1)),
        (waitlisted("a", people("p")), Counts(units_waiting=1, people_waiting=1), DayRow(day="", waiting=1)),
        (refused("a", people("p"), "full"), Counts(units_refused=1, people_refused=1), DayRow(day="", refused=1)),
    ],
)
def test_a_request_that_is_confirmed_is_one_request_of_the_day_on_which_it_came(
    came_in: Message, counts: Counts, day: DayRow
) -> None:
    state = given_facts(published(), pending("a", people("p")))
    state = given_facts(facts.ParticipantConfirmed(enrolment="a", person="p"), came_in, state=state, time=NOON + DAY)
    assert report_of(state).counts == counts
    assert report_of(state).days == (day.model_copy(update={"day": "2023-03-02", "requested": 1}),)


def test_of_a_team_that_has_a_place_the_others_are_awaited_until_they_confirm_or_do_not() -> None:
    team = [people(person, seat="jeugd")[0] for person in ("p1", "p2", "p3", "p4")]
    state = given_facts(published(team_track()), pending("a", tuple(team[1:])), programme=TEAMS)
    steps = [
        (confirmed("a", (team[0],)), Counts(units_confirmed=1, people_confirmed=1, people_pending=3)),
        (
            facts.ParticipantAdded(enrolment="a", participant=team[1], units=1),
            Counts(units_confirmed=1, people_confirmed=2, people_pending=2),
        ),
        (
            # The staff may give an awaited person somebody else's seat.
            facts.ParticipantReplaced(enrolment="a", person="p1", participant=team[2]),
            Counts(units_confirmed=1, people_confirmed=2, people_pending=1),
        ),
        (lapsed("a", 1), Counts(units_confirmed=1, people_confirmed=2, people_lapsed=1)),
    ]
    for step, counts in steps:
        state = given_facts(step, programme=TEAMS, state=state)
        assert report_of(state, TEAMS).counts == counts
    assert report_of(state, TEAMS).seats[0].counts == Counts(people_confirmed=2, people_lapsed=1)
    assert report_of(state, TEAMS).days == (DayRow(day="2023-03-02", requested=1, confirmed=1),)


@pytest.mark.parametrize("end", [withdrawn("a"), refused("a", people("p1"), "full")])
def test_who_had_yet_to_confirm_what_is_given_up_did_not_confirm_it(end: Message) -> None:
    state = given_facts(published(team_track()), pending("a", people("p1", "p2")), programme=TEAMS)
    if isinstance(end, facts.EnrolmentWithdrawn):
        state = given_facts(confirmed("a", people("p1")), programme=TEAMS, state=state)
    counts = report_of(given_facts(end, programme=TEAMS, state=state), TEAMS).counts
    assert (counts.people_pending, counts.people_lapsed, counts.units_lapsed) == (0, 1, 0)
    assert counts.people_withdrawn + counts.people_refused == 1


def test_a_refusal_of_who_takes_part_already_is_one_refusal() -> None:
    taken = refused("b", people("p1"), "already-enrolled").model_copy(update={"present": ("p1",)})
    report = report_of(given_facts(published(), confirmed("a", people("p1")), taken))
    assert report.counts == Counts(units_confirmed=1, people_confirmed=1, units_refused=1, people_refused=1)
    assert [(row.rule, row.refusals) for row in report.refusals] == [("already-enrolled", 1)]


def test_the_registry_is_asked_when_the_report_is_made() -> None:
    state = given_facts(published(), confirmed("a", people("p1"), "almelo"), confirmed("b", people("p2")))

    before = report_of(state)
    after = report_of(given_facts(organisation("almelo", name="Bibliotheek Almelo"), state=state))

    assert [(row.key, row.name) for row in before.organisations] == [
        ("almelo", "almelo (niet in het register)"),
        ("_without-organisation", "zonder organisatie"),
    ]
    assert before.organisations[0].title == Title(nl="almelo (niet in het register)", en="almelo (not in the registry)")
    assert keys(before.provinces) == ["_unregistered-organisation", "_without-organisation"]
    assert [row.name for row in after.organisations] == ["Bibliotheek Almelo", "zonder organisatie"]
    assert keys(after.provinces) == ["overijssel", "_without-organisation"]


def test_seats_come_in_the_order_of_the_rule_with_the_hours_of_the_confirmed() -> None:
    state = given_facts(
        published(team_track()),
        confirmed("a", (*people("p1", seat="jeugd"), *people("p2", seat="manager"))),
        waitlisted("b", people("p3", seat="jeugd")),
        programme=TEAMS,
    )
    report = report_of(state, TEAMS)
    assert report.per == "team"
    assert [(row.seat, row.people, row.hours) for row in report.seats] == [("jeugd", 1, 20), ("manager", 1, 3)]
    assert report.seats[0].counts == Counts(people_confirmed=1, people_waiting=1)


def test_a_seat_that_the_rule_lost_still_shows() -> None:
    rule = team_track().team
    assert rule is not None
    state = given_facts(
        published(team_track()),
        confirmed("a", people("p1", seat="manager")),
        facts.ProgrammeTeamRuleChanged(team=rule.model_copy(update={"seats": rule.seats[:1]})),
        programme=TEAMS,
    )
    assert [(row.seat, row.people, row.hours) for row in report_of(state, TEAMS).seats] == [
        ("jeugd", 0, 0),
        ("manager", 1, None),
    ]


def test_what_a_refused_request_calls_a_seat_makes_no_table_of_seats() -> None:
    state = given_facts(
        published(meeting()),
        confirmed("a", people("p1")),
        refused("b", people("p2", seat="invented"), "seat-unknown"),
        programme=MEETING,
    )
    assert report_of(state, MEETING).seats == ()


def test_changes_of_the_programme_show() -> None:
    state = given_facts(
        published(),
        facts.ProgrammeDescribed(
            title=Title(nl="Anders", en="Different"), description=meeting().description, kind=meeting().kind
        ),
        facts.ProgrammeCapacityRaised(before=10, after=None),
        # Rules repeat the old capacity; capacity has facts of its own.
        facts.ProgrammeRulesChanged(rules=meeting().enrolment, changed=("closes",)),
        facts.ProgrammeWithdrawn(),
    )
    report = report_of(state)
    assert (report.title.nl, report.capacity, report.withdrawn) == ("Anders", None, True)


def test_mails_are_counted_by_purpose_and_a_retried_one_failed_no_longer() -> None:
    def mail(id_: str, purpose: str) -> dict[str, str]:
        return {"mail": id_, "purpose": purpose, "person": "p"}

    state = given_facts(
        published(),
        facts.MailSent(**mail("m1", "confirmation")),
        facts.MailFailed(**mail("m2", "confirmation"), cause="uncertain"),
        facts.MailFailed(**mail("m3", "invite"), cause="refused"),
        facts.MailFailed(**mail("m3", "invite"), cause="given-up"),
        facts.MailSent(**mail("m2", "confirmation")),
    )
    report = report_of(state)
    assert report.mails == (
        MailRow(purpose="confirmation", sent=2, failed=0),
        MailRow(purpose="invite", sent=0, failed=1),
    )
    assert (report.mails_sent, report.mails_failed) == (2, 1)


def test_a_mail_that_comes_back_stays_sent_and_counts_once_whatever_is_tried_again() -> None:
    mail = {"mail": "m1", "purpose": "invite", "person": "p"}
    sent, failed, bounced = (
        facts.MailSent(**mail),
        facts.MailFailed(**mail, cause="uncertain"),
        facts.MailBounced(**mail),
    )

    def row(*told: Message) -> tuple[int, int, int]:
        (row,) = report_of(given_facts(published(), *told)).mails
        return row.sent, row.failed, row.bounced

    assert row(sent, bounced) == row(sent, bounced, bounced) == (1, 0, 1)
    assert row(failed, bounced) == (1, 0, 1), "what comes back was sent"
    assert row(sent, bounced, sent) == row(failed, bounced, sent) == (1, 0, 0)
    assert row(sent, bounced, sent, bounced) == (1, 0, 1)
    assert report_of(given_facts(published(), sent, bounced)).mails_bounced == 1


def kick_off() -> Session:
    day = datetime(2023, 6, 20)  # noqa: DTZ001  (sessions are told in Amsterdam's time)
    return Session(
        id="kick-off",
        title=Title(nl="Aftrap", en="Kick-off"),
        start=day.replace(hour=10),
        end=day.replace(hour=12),
        online=Online(),
    )


def test_answers_are_counted_of_those_who_are_invited_now() -> None:
    session = kick_off()
    undated = session.model_copy(
        update={"id": "later", "start": None, "end": None, "period": Title(nl="januari", en="January")}
    )

    def answered(person: str, answer: Any) -> facts.InvitationAnswered:
        return facts.InvitationAnswered(enrolment="e1", session=session.id, person=person, answer=answer)

    state = given_facts(
        published(),
        facts.SessionAdded(session=session),
        facts.SessionAdded(session=undated),
        confirmed("e1", people("noor", "sam", "eva")),
        confirmed("e2", people("kim")),
        waitlisted("e3", people("jan")),
        answered("noor", "accepted"),
        answered("sam", "tentative"),
        answered("sam", "declined"),
        answered("kim", "accepted"),
        withdrawn("e2"),
    )
    (row,) = report_of(state).answers
    assert (row.invited, row.accepted, row.tentative, row.declined, row.unanswered) == (3, 1, 0, 1, 1)
    state = given_facts(facts.SessionCancelled(session=session.id), state=state)
    assert session.id not in [each.session for each in report_of(state).answers]


def test_a_closed_programme_says_so_and_counts_as_before() -> None:
    state = given_facts(published(), confirmed("e1", people("noor")))
    before = report_of(state)
    after = report_of(given_facts(facts.ProgrammeClosed(since=datetime(2023, 5, 1, tzinfo=UTC)), state=state))
    assert (before.closed, after.closed) == (False, True)
    assert after.counts == before.counts


def test_the_answers_stand_in_the_order_of_time() -> None:
    def on(id_: str, month: int) -> Session:
        session = kick_off()
        assert session.start is not None
        assert session.end is not None
        return session.model_copy(
            update={"id": id_, "start": session.start.replace(month=month), "end": session.end.replace(month=month)}
        )

    last, first, moving = on("last", 11), on("first", 9), on("moving", 10)
    added = [facts.SessionAdded(session=each) for each in (last, first, moving)]
    before = on("moving", 12).occasion
    state = given_facts(published(), *added, facts.SessionMoved(session="moving", before=moving.occasion, after=before))
    known = [each.session for each in report_of(state).answers if each.session in ("last", "first", "moving")]
    assert known == ["first", "last", "moving"]


def test_a_seat_that_does_not_attend_a_session_is_not_asked_about_it() -> None:
    track = team_track()
    assert track.team is not None
    first, second, *_ = track.team.seats
    absent = second.model_copy(update={"sessions": ()})
    rule = track.team.model_copy(update={"seats": (first.model_copy(update={"sessions": None}), absent)})
    state = given_facts(
        published(track),
        facts.ProgrammeTeamRuleChanged(team=rule),
        facts.SessionAdded(session=kick_off()),
        confirmed("e1", (*people("noor", seat=first.id), *people("sam", seat=second.id))),
        programme=TEAMS,
    )
    (row,) = [each for each in report_of(state, TEAMS).answers if each.session == "kick-off"]
    assert (row.invited, row.unanswered) == (1, 1)


# Who took part -------------------------------------------------------------------------------------------------------

REGISTRY = (
    organisation("almelo"),
    organisation("zeist", province=Province.UTRECHT, municipality="Zeist"),
    organisation("gemeente", kind=OrganisationKind.MUNICIPALITY),
    organisation("organisation-0", kind=OrganisationKind.SUPPORT_ORGANISATION),
)


def test_who_could_have_taken_part_and_never_did_is_named() -> None:
    libraries = meeting(eligible=Eligibility(kinds=(OrganisationKind.LIBRARY,)))
    state = given_facts(*REGISTRY, published(libraries), confirmed("a", people("p"), "almelo"))
    (row,) = participation(state, "organiser").rows
    assert (row.key, row.name, row.programmes) == ("organisation-0", "Organisation-0", (MEETING,))
    assert names(row.took_part) == ["almelo"]
    assert names(row.never_took_part) == ["zeist"], "a municipality may not come, and the host does not visit itself"


@pytest.mark.parametrize("status", ["waiting", "withdrawn", "refused"])
def test_who_has_no_place_did_not_take_part(status: str) -> None:
    happened = {
        "waiting": (waitlisted("a", people("p"), "almelo"),),
        "withdrawn": (confirmed("a", people("p"), "almelo"), withdrawn("a")),
        "refused": (refused("a", people("p"), "closed", at="almelo"),),
    }[status]
    (row,) = participation(given_facts(REGISTRY[0], published(), *happened), "organiser").rows
    assert (names(row.took_part), names(row.never_took_part)) == ([], ["almelo"])
    assert getattr(row.counts, f"people_{status}") == 1


def test_provinces_that_the_rules_leave_out_could_not_have_come() -> None:
    only_utrecht = meeting(eligible=Eligibility(provinces=(Province.UTRECHT,)))
    state = given_facts(*REGISTRY, published(only_utrecht))
    (row,) = participation(state, "province").rows
    assert (row.key, row.name, names(row.never_took_part)) == ("utrecht", "Utrecht", ["zeist"])


def test_a_withdrawn_programme_counts_for_nothing() -> None:
    state = given_facts(*REGISTRY, published(), confirmed("a", people("p"), "almelo"), facts.ProgrammeWithdrawn())
    assert participation(state, "organiser").rows == ()
    assert participation(state, "municipality").rows == ()


def test_rows_by_municipality_come_in_order_and_those_without_one_last() -> None:
    state = given_facts(
        *REGISTRY,
        organisation("zwervend", municipality=None),
        published(),
        confirmed("a", people("p1"), "zwervend"),
        confirmed("b", people("p2"), "nergens-bekend"),
        confirmed("c", people("p3")),
    )
    report = participation(state, "municipality")
    assert keys(report.rows) == [
        "Almelo",
        "Zeist",
        "_unregistered-organisation",
        "_without-municipality",
        "_without-organisation",
    ]
    assert names(report.rows[2].took_part) == ["nergens-bekend"]
    assert report.rows[4].took_part == ()
    assert report.rows[4].counts.people_confirmed == 1


def test_one_row_and_one_kind_can_be_asked_for() -> None:
    state = given_facts(*REGISTRY, published(), confirmed("a", people("p1"), "almelo"), confirmed("b", people("p2")))
    report = participation(state, "municipality", "Almelo", OrganisationKind.MUNICIPALITY)
    (row,) = report.rows
    assert (names(row.took_part), names(row.never_took_part)) == ([], ["gemeente"])
    assert row.counts == Counts()


def test_a_key_that_nothing_has_is_told_with_those_that_there_are() -> None:
    state = given_facts(*REGISTRY, published())
    with pytest.raises(UnknownKey) as told:
        participation(state, "municipality", "Amsterdam")
    assert told.value.known == ("Almelo", "Zeist")


def test_a_theme_without_programmes_has_a_row_and_an_unknown_theme_says_so() -> None:
    belongs = meeting(themes=(ThemeReference(theme="nooit-gepubliceerd"),))
    state = given_facts(facts.ThemePublished(theme=theme()), published(belongs))
    assert [(row.key, row.name, row.programmes) for row in participation(state, "theme").rows] == [
        ("nooit-gepubliceerd", "nooit-gepubliceerd (onbekend thema)", (MEETING,)),
        ("vluchtelingen", "Vluchtelingen", ()),
    ]


# A theme -------------------------------------------------------------------------------------------------------------


def test_a_theme_says_per_municipality_and_goal_what_was_reached() -> None:
    on_sharing = meeting("delen-1", themes=(ThemeReference(theme="vluchtelingen", goals=("delen",)),))
    on_the_whole = meeting("geheel-1", themes=(ThemeReference(theme="vluchtelingen"),))
    state = given_facts(facts.ThemePublished(theme=theme()), *REGISTRY)
    state = given_facts(
        published(on_sharing),
        confirmed("a", people("p1", "p2"), "almelo", units=2),
        waitlisted("b", people("p3"), "gemeente"),
        confirmed("c", people("p4"), "zeist"),
        programme="delen-1",
        state=state,
    )
    # The same two people again, and one without an organisation.
    state = given_facts(
        published(on_the_whole),
        confirmed("d", people("p1", "p2"), "almelo", units=2),
        confirmed("e", people("p5")),
        programme="geheel-1",
        state=state,
    )
    report = theme_report(state, "vluchtelingen")
    assert report is not None
    almelo, hof = report.municipalities

    assert [(cell.goal, cell.programmes, cell.organisations, cell.people) for cell in almelo.goals] == [
        ("delen", 1, 1, 2),
        ("leren", 0, 0, 0),
    ]
    assert almelo.whole == Reached(programmes=2, organisations=1, people=2)
    assert (hof.municipality, hof.whole) == ("Hof van Twente", Reached())
    assert [cell.people for cell in hof.goals] == [0, 0]
    assert [(cell.goal, cell.people) for cell in report.elsewhere] == [("delen", 1), ("leren", 0)]
    assert report.whole_elsewhere == Reached(programmes=2, organisations=1, people=2)
    assert report.whole == Reached(programmes=2, organisations=2, people=4)
    assert [(row.key, row.counts.people_confirmed, row.counts.people_waiting) for row in report.goals] == [
        ("delen", 3, 1),
        ("leren", 0, 0),
    ]


def test_a_municipality_is_itself_however_it_is_spelled() -> None:
    belongs = meeting(themes=(ThemeReference(theme="vluchtelingen", goals=("delen",)),))
    state = given_facts(
        facts.ThemePublished(theme=theme()),
        organisation("hof", municipality="Hof Van  Twente"),
        published(belongs),
        confirmed("a", people("p"), "hof"),
    )
    report = theme_report(state, "vluchtelingen")
    assert report is not None
    assert [row.whole.people for row in report.municipalities] == [0, 1]


# Whatever happened ---------------------------------------------------------------------------------------------------


@given(logs())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_parts_of_a_report_add_up_to_the_whole(grown: PlausibleLogs) -> None:
    state = State()
    for each in grown.registration + grown.notifications:
        state = evolve(state, each)
    for row in programme_list(state).programmes:
        report = report_of(state, row.programme)
        assert report.counts == row.counts
        for parts in (report.organisations, report.provinces):
            assert added(part.counts for part in parts) == report.counts
        people_only = {name: count for name, count in report.counts.model_dump().items() if name.startswith("people")}
        assert added(part.counts for part in report.roles).model_dump(include=set(people_only)) == people_only
        if report.seats:
            assert added(part.counts for part in report.seats).model_dump(include=set(people_only)) == people_only
        entered = [each.data for each in grown.registration if each.subject == row.programme]
        # Whoever had to confirm is told of more than once, in one enrolment.
        requests = {each.enrolment for each in entered if isinstance(each, Enrolled)}
        assert sum(day.requested for day in report.days) == len(requests)
        assert all(day.requested == sum(getattr(day, status) for status in FIRST) for day in report.days)
        named = {
            (each.enrolment, person) for each in entered if isinstance(each, Enrolled) for person in each.participants
        }
        added_later = [each for each in entered if isinstance(each, facts.ParticipantAdded)]
        named |= {(each.enrolment, each.participant) for each in added_later}
        assert sum(people_only.values()) == len({(id_, each.person) for id_, each in named})


def added(counts: Iterable[Counts]) -> Counts:
    total = dict.fromkeys(Counts.model_fields, 0)
    for each in counts:
        for name, count in each.model_dump().items():
            total[name] += count
    return Counts(**total)


@given(logs())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nobody_took_part_and_never_did(grown: PlausibleLogs) -> None:
    state = State()
    for each in grown.registration:
        state = evolve(state, each)
    for by in ("theme", "organiser", "province", "municipality"):
        report = participation(state, by)
        assert len(keys(report.rows)) == len(set(keys(report.rows)))
        for row in report.rows:
            assert not set(names(row.took_part)) & set(names(row.never_took_part))
