"""Correcting and erasing what is known of a person."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from contracts.commands import CorrectPerson, ErasePerson, PersonResult
from contracts.enrolment import Person
from contracts.facts import PersonCorrected, PersonErased
from contracts.problem import Problem, not_found, problem_type
from services.registration import store
from services.registration.batch import Batch
from services.registration.domain import Rejected, decide
from services.registration.domain.commands import WithdrawParticipant
from services.registration.handlers import answers
from services.registration.handlers.addresses import checked, on_the_envelope
from services.registration.store import Answer
from services.registration.work import Work, problem_answer


def find(batch: Batch, person: str | None, email: str | None) -> store.Contact | Problem:
    """Who is meant; one of the two names them."""
    if (person is None) == (email is None):
        return Problem(
            type=problem_type("invalid"),
            title="The request is not valid",
            status=422,
            detail="Name the person: either 'person', the id, or 'email', the address.",
        )
    id_ = person or batch.person_at(on_the_envelope(email or ""))
    known = store.contact(batch.settled, id_) if id_ else None
    if known is not None or person is not None:
        return known or not_found("person", person or "")
    # The address is not repeated: problem details are logged.
    return not_found("person", "").model_copy(update={"detail": "There is no person with this address."})


def correct(body: CorrectPerson, now: datetime) -> Work:
    """
    Correct a name, an address or a language.

    Raises:
        ProblemError: mail can't go to the new address.
    """
    email = body.new_email
    if email is not None:
        email = checked(Person(name="Nobody", email=email), "new_email").email

    def work(batch: Batch) -> Answer:
        known = find(batch, body.person, body.email)
        if isinstance(known, Problem):
            return problem_answer(known)
        changes = {
            "name": body.name or known.contact.name,
            "email": email or known.contact.email,
            "language": body.language or known.contact.language,
        }
        corrected = known.contact.model_copy(update=changes)
        if corrected == known.contact:
            return answers.result(PersonResult(person=known.person, result="unchanged"))
        holder = batch.person_at(corrected.email)
        if holder not in (None, known.person):
            return problem_answer(
                Problem(
                    type=problem_type("address-taken"),
                    title="Somebody else has this address",
                    status=409,
                    detail=f"The address belongs to the person {holder}; two people can't share one.",
                )
            )
        batch.correct_person(known.person, corrected)
        batch.record_registry((PersonCorrected(person=known.person),), now, body.id)
        return answers.result(PersonResult(person=known.person, result="corrected"))

    return work


def erase(body: ErasePerson, now: datetime) -> Work:
    """
    Erase a person: the row now, the copy in the contacts and the mail archive when the fact reaches them.

    They leave every waiting list, and give back their places in programmes that have not begun: nobody could tell them
    of a promotion or a change. A programme that has begun keeps who took part in its counts.
    """

    def work(batch: Batch) -> Answer:
        known = find(batch, body.person, body.email)
        if isinstance(known, Problem):
            return problem_answer(known)
        programmes = store.programmes_naming(batch.connection, known.person)
        forget(batch, PersonErased(person=known.person, cause="asked-for"), programmes, now, body.id)
        return answers.result(PersonResult(person=known.person, result="erased"))

    return work


def forget(batch: Batch, fact: PersonErased, programmes: Iterable[str], now: datetime, cause: str | None) -> None:
    """
    Let a person be erased, and what follows from it in the ``programmes`` that name them.

    Who asked for it will not come. Whose term has passed came, or was expected to: what was counted stays counted, but
    for who waits for something that may still begin.
    """
    person = fact.person
    for programme in programmes:
        state = batch.programme(programme)
        enrolment = state.enrolments.get(state.persons.get(person) or "")
        if enrolment is None:
            continue
        to_come = fact.cause == "asked-for" and not state.withdrawn and not state.has_begun(now)
        over = state.withdrawn or (state.over_since is not None and state.over_since <= now)
        in_vain = enrolment.status == "waiting" and (fact.cause == "asked-for" or not over)
        if in_vain or to_come:
            decision = decide(state, WithdrawParticipant(enrolment.id, person, now, erased=True))
            if not isinstance(decision, Rejected):
                batch.record(state, decision, now, cause)
    batch.erase_person(person)
    batch.record_registry((fact,), now, cause)
