"""Folding: any prefix and then the rest is the whole, and how the two logs interleave changes nothing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import takewhile

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts import facts
from contracts.enrolment import Participant, Reason
from contracts.envelope import UnknownData
from contracts.facts import Fact, parse
from services.chassis.state import State
from services.reporting.domain import canonical, evolve
from services.reporting.domain.evolution import day
from services.reporting.domain.state import ENROLMENT, MailsEntry
from tests.plausible import MEETING, PlausibleLogs, fact, interleaved, logs, meeting, subject_and_body


def folded(facts: Iterable[Fact], state: State | None = None) -> State:
    state = State() if state is None else state
    for each in facts:
        state = evolve(state, each)
    return state


def everything(state: State) -> dict[str, dict[str, object]]:
    return {partition: dict(state.partition(partition)) for partition in state.partitions()}


@given(logs(), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_prefix_and_then_the_rest_is_the_whole(grown: PlausibleLogs, data: st.DataObject) -> None:
    log = grown.registration + grown.notifications
    cut = data.draw(st.integers(0, len(log)))

    prefix = folded(log[:cut])
    remembered = everything(prefix)
    resumed = folded(log[cut:], prefix.settled())

    assert everything(resumed) == everything(folded(log))
    assert canonical(resumed) == canonical(folded(log))
    assert everything(prefix) == remembered, "folding on changed an older state"


@given(logs(), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_how_the_two_logs_interleave_changes_nothing(grown: PlausibleLogs, data: st.DataObject) -> None:
    @st.composite
    def interleavings(draw: st.DrawFn) -> list[Fact]:
        return list(interleaved(draw, grown.registration, grown.notifications))

    mixed = folded(data.draw(interleavings()))
    assert everything(mixed) == everything(folded(grown.notifications + grown.registration))
    assert canonical(mixed) == canonical(folded(grown.registration + grown.notifications))


@given(logs())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_fact_that_was_published_and_read_again_counts_the_same(grown: PlausibleLogs) -> None:
    log = grown.registration + grown.notifications
    read = [parse(subject_and_body(each)[1]) for each in log]
    assert canonical(folded(read)) == canonical(folded(log))


@given(logs())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_mail_is_counted_once_by_what_became_of_it(grown: PlausibleLogs) -> None:
    state = folded(grown.registration + grown.notifications)

    fates: dict[str, list[type[object]]] = {}
    causes: dict[str, str | None] = {}
    for each in grown.notifications:
        if (id_ := getattr(each.data, "mail", None)) is not None:
            fates.setdefault(id_, []).append(type(each.data))
            causes[id_] = getattr(each.data, "cause", None)
    counted = [
        entry
        for programme in state.partitions()
        for entry in state.partition(programme).values()
        if isinstance(entry, MailsEntry)
    ]
    assert sum(entry.sent for entry in counted) == sum(set(each) != {facts.MailFailed} for each in fates.values())
    # Of unknown fate is not failed.
    uncertain = sum(cause == "uncertain" for cause in causes.values())
    assert sum(entry.uncertain for entry in counted) == uncertain
    assert sum(entry.failed for entry in counted) == (
        sum(each[-1] is facts.MailFailed for each in fates.values()) - uncertain
    )
    assert sum(entry.bounced for entry in counted) == sum(
        facts.MailBounced in takewhile(lambda kind: kind is not facts.MailSent, reversed(each))
        for each in fates.values()
    )


@given(logs())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_fact_touches_a_few_entities_however_long_the_log(grown: PlausibleLogs) -> None:
    state = State()
    for each in grown.registration + grown.notifications:
        state = evolve(state, each)
        assert len(state.touched) <= 3
        state = state.settled()


def test_an_unknown_type_changes_nothing() -> None:
    state = folded([fact(facts.ProgrammePublished(programme=meeting()), MEETING)]).settled()
    after = evolve(state, fact(UnknownData(), MEETING, type_="weather.turned.v1"))
    assert after is state


def test_facts_about_what_is_not_known_change_nothing() -> None:
    promoted = facts.EnrolmentPromoted(enrolment="never-seen", reason=Reason(rule="r", nl="n", en="e"))
    changed = facts.ParticipantChanged(enrolment="never-seen", participant=Participant(person="p"))
    assert not folded([fact(promoted, MEETING), fact(changed, MEETING)]).partitions()


def test_an_enrolment_belongs_to_the_day_in_amsterdam() -> None:
    # Winter time is one hour ahead of UTC, summer time two.
    assert day(datetime(2023, 3, 2, 22, 59, tzinfo=UTC)) == "2023-03-02"
    assert day(datetime(2023, 3, 2, 23, 0, tzinfo=UTC)) == "2023-03-03"
    assert day(datetime(2023, 7, 2, 22, 0, tzinfo=UTC)) == "2023-07-03"


def test_the_day_is_kept_with_the_enrolment() -> None:
    late = datetime(2023, 3, 2, 23, 30, tzinfo=UTC)
    confirmed = facts.EnrolmentConfirmed(
        enrolment="e", units=1, participants=(Participant(person="p"),), source="biblionet"
    )
    state = folded([fact(confirmed, MEETING, late)])
    assert state.get(MEETING, ENROLMENT + "e").requested == "2023-03-03"
