"""Publishing programmes and themes, and the registry of organisations."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from contracts.base import Message
from contracts.commands import (
    CloseProgramme,
    OrganisationsRegistered,
    Published,
    PublishProgramme,
    PublishTheme,
    RegisterOrganisations,
    TellingCommand,
    WithdrawProgramme,
)
from contracts.facts import OrganisationRegistered
from contracts.problem import ProblemError, problem
from services.registration import store
from services.registration.batch import Batch
from services.registration.domain import (
    Decision,
    ProgrammeState,
    Rejected,
    affected,
    decide,
    decide_registry,
    evolve,
    questions,
    summaries,
    telling,
)
from services.registration.domain import commands as domain
from services.registration.handlers import answers
from services.registration.handlers.addresses import refuse_unsendable
from services.registration.store import Answer
from services.registration.work import Work

LARGEST_DEFINITION = 512 * 1024
"""Bytes of a programme or a theme. The broker refuses a fact of a megabyte, and with it every fact behind it."""


def _fits_into_a_fact(definition: Message) -> None:
    size = len(definition.model_dump_json().encode())
    if size > LARGEST_DEFINITION:
        raise ProblemError(
            problem(
                "too-large",
                "The definition is too large",
                413,
                f"It has {size} bytes, {LARGEST_DEFINITION} are allowed. Link to long texts instead.",
                f"Het heeft {size} bytes, {LARGEST_DEFINITION} mag. Verwijs met een link naar lange teksten.",
            )
        )


MOST_UNCONFIRMED = 25


def _done(
    batch: Batch, body: TellingCommand, before: ProgrammeState, decision: Decision, *, now: datetime, most: int
) -> Answer:
    """
    Let the facts come true and say what that brings about; or only say it, or ask first.

    Asked is what would mail more than ``most`` people, and what tells anybody that a session is off.
    """
    if isinstance(decision, Rejected):
        return answers.rejected(decision)
    told = telling.told(before, decision, now)
    asked = questions.questions(before.definition, decision, told, now)
    after = before
    for fact in decision:
        after = evolve(after, fact)
    foreseen = answers.Foreseen(
        summaries.changes(before, decision, told, now),
        affected.notes(before, after, decision, batch.registry, now),
        asked,
        told,
    )
    if body.dry_run:
        return answers.would_publish(before, decision, foreseen)
    if not body.confirmed and (asked or len(foreseen.people) > most):
        return answers.needs_confirmation(foreseen)
    return answers.published(batch.record(before, decision, now, body.id), decision, foreseen)


def publish(
    body: PublishProgramme, now: datetime, most_unconfirmed: int = MOST_UNCONFIRMED, *, smtputf8: bool = False
) -> Work:
    """
    Publish a programme, or publish it again; at most so many people are mailed by it unless that was confirmed, and
    nobody is told by a slip that a session is off.

    Raises:
        ProblemError: the definition is too large for a fact, or mail can't be sent to one of its contacts.
    """
    _fits_into_a_fact(body.programme)
    contacts = {
        "content_contact": body.programme.content_contact,
        "enrolment_contact": body.programme.enrolment_contact,
    }
    refuse_unsendable(
        ((f"programme.{field}.email", contact.email) for field, contact in contacts.items()), smtputf8=smtputf8
    )

    def work(batch: Batch) -> Answer:
        state = batch.programme(body.programme.id)
        decision = decide(state, domain.PublishProgramme(body.programme, batch.registry, now))
        return _done(batch, body, state, decision, now=now, most=most_unconfirmed)

    return work


def withdraw(body: WithdrawProgramme, now: datetime, most_unconfirmed: int = MOST_UNCONFIRMED) -> Work:
    """Cancel a programme; at most so many people are mailed by it unless that was confirmed."""

    def work(batch: Batch) -> Answer:
        state = batch.programme(body.programme)
        decision = decide(state, domain.WithdrawProgramme(body.reason, now))
        return _done(batch, body, state, decision, now=now, most=most_unconfirmed)

    return work


def close(body: CloseProgramme, now: datetime, most_unconfirmed: int = MOST_UNCONFIRMED) -> Work:
    """Let a programme be over without mailing anybody."""

    def work(batch: Batch) -> Answer:
        state = batch.programme(body.programme)
        decision = decide(state, domain.CloseProgramme(now))
        return _done(batch, body, state, decision, now=now, most=most_unconfirmed)

    return work


def let_deadlines_pass(now: datetime, heard: Mapping[str, datetime] | None = None) -> Work:
    """
    Give back the places of teams that stayed incomplete for too long, in all programmes.

    ``heard`` says how far each partner has been listened to: see ``domain.LetDeadlinesPass``.
    """
    command = domain.LetDeadlinesPass(now, heard)

    def work(batch: Batch) -> Answer:
        for programme in store.programmes_with_passed_deadlines(batch.connection, now):
            deadlines_passed(batch, programme, command, now)
        return Answer(204, b"")

    return work


def deadlines_passed(batch: Batch, programme: str, command: domain.LetDeadlinesPass, now: datetime) -> ProgrammeState:
    """A programme after the deadlines that a command lets pass, noticed ``now``."""
    state = batch.programme(programme)
    if not state.deadlines or not store.deadline_passed(batch.connection, programme, command.now):
        return state
    decision = decide(state, command, now)
    return state if isinstance(decision, Rejected) else batch.record(state, decision, now)


def publish_theme(body: PublishTheme, now: datetime) -> Work:
    """
    Publish a theme, or publish it again.

    Raises:
        ProblemError: the definition is too large for a fact.
    """
    _fits_into_a_fact(body.theme)

    def work(batch: Batch) -> Answer:
        facts = decide_registry(batch.registry, [body.theme])
        batch.record_registry(facts, now, body.id)
        return answers.result(Published(id=body.theme.id, facts=answers.names(facts)))

    return work


def register_organisations(body: RegisterOrganisations, now: datetime) -> Work:
    """Put organisations into the registry, or change them."""

    def work(batch: Batch) -> Answer:
        facts = decide_registry(batch.registry, body.organisations)
        batch.record_registry(facts, now, body.id)
        registered = sum(isinstance(fact, OrganisationRegistered) for fact in facts)
        return answers.result(
            OrganisationsRegistered(
                registered=registered,
                changed=len(facts) - registered,
                unchanged=len(body.organisations) - len(facts),
            )
        )

    return work
