"""A subject, once built, says what it was built from."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts import subjects
from contracts.facts import FACTS, NO_PROGRAMME, SERVICES
from contracts.intake import INTAKE

SLUGS = st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True).filter(lambda text: len(text) <= 64)


@given(st.sampled_from(sorted(FACTS)), st.none() | SLUGS)
def test_a_facts_subject_can_be_read_back(type_: str, programme: str | None) -> None:
    subject = subjects.fact_subject(SERVICES[type_], type_, programme)
    parsed = subjects.parse_fact_subject(subject)
    assert (parsed.service, parsed.programme) == (SERVICES[type_], programme or NO_PROGRAMME)
    assert f"{parsed.entity}.{parsed.fact}.v1" == type_
    assert subject.startswith(subjects.log_subjects(SERVICES[type_]).removesuffix(">"))
    if programme:
        assert subject.startswith(subjects.programme_facts(SERVICES[type_], programme).removesuffix(">"))


@given(SLUGS, st.sampled_from(sorted(INTAKE)))
def test_an_intake_subject_can_be_read_back(source: str, type_: str) -> None:
    entity, verb, _version = type_.split(".")
    subject = subjects.intake(source, entity, verb)
    assert subjects.parse_intake_subject(subject) == (source, f"{entity}.{verb}")
    assert subject.startswith(subjects.intake_of(source).removesuffix(">"))


@given(SLUGS, SLUGS)
def test_no_partners_prefix_holds_another_partners_subject(one: str, other: str) -> None:
    """Permissions are granted by prefix: bieb must not reach what is bieb-2's."""
    if one == other:
        return
    assert not subjects.intake(one, "enrolment", "request").startswith(subjects.intake_of(other).removesuffix(">"))
    assert not subjects.outcome(one, "accepted").startswith(subjects.outcomes_of(other).removesuffix(">"))
    assert subjects.intake_stream(one) != subjects.intake_stream(other)


@given(st.text())
def test_what_is_no_subject_of_a_fact_is_refused_and_never_misread(text: str) -> None:
    with pytest.raises(ValueError, match="is not log"):
        subjects.parse_fact_subject(text)


@pytest.mark.parametrize("subject", ["", "intake.biblionet.enrolment", "outcome.a.b.c", "intake.a.b.c.d"])
def test_what_is_no_intake_subject_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="is not intake"):
        subjects.parse_intake_subject(subject)


def test_subjects_read_as_the_design_says() -> None:
    assert (
        subjects.fact_subject("registration", "enrolment.confirmed.v1", "gezinsaanpak-2023")
        == "log.registration.gezinsaanpak-2023.enrolment.confirmed"
    )
    assert subjects.fact_subject("registration", "theme.published.v1", None) == "log.registration._.theme.published"
    assert subjects.command("registration", "enrolment", "request") == "do.registration.enrolment.request"
    assert subjects.query("reporting", "programme", "get") == "ask.reporting.programme.get"
    assert subjects.intake("biblionet", "enrolment", "request") == "intake.biblionet.enrolment.request"
    assert subjects.outcome("biblionet", "refused") == "outcome.biblionet.refused"
    assert subjects.intake_stream("social-work") == "INTAKE_SOCIAL_WORK"
    assert subjects.log_stream("registration") == "LOG_REGISTRATION"


def test_a_question_is_told_from_a_command_by_its_subject() -> None:
    assert subjects.is_query(subjects.query("registration", "programme", "list"))
    assert not subjects.is_query(subjects.command("registration", "programme", "publish"))
    assert not subjects.is_query("asks.registration.programme.list")
