"""Correcting and erasing what is known of a person."""

from __future__ import annotations

from collections.abc import Container, Iterable
from datetime import datetime
from typing import Protocol

from contracts.base import same_address, same_name
from contracts.commands import CorrectPerson, ErasePerson, PersonResult
from contracts.facts import PersonCorrected, PersonErased
from contracts.problem import Problem, not_found, problem
from services.chassis.migrating import COPIES_KEPT_FOR
from services.registration import store
from services.registration.batch import Batch
from services.registration.domain import Rejected, decide
from services.registration.domain.commands import ChangeParticipant, WithdrawEnrolment, WithdrawParticipant
from services.registration.handlers import answers
from services.registration.handlers.addresses import refuse_unsendable
from services.registration.store import Answer, PersonKey
from services.registration.work import Work, problem_answer


class Named(Protocol):
    """What names a person: a command, a question or a message of a partner."""

    @property
    def email(self) -> str | None:
        """An address."""

    @property
    def name(self) -> str | None:
        """What tells those apart who share it."""


def meant(batch: Batch, who: Named, among: Container[str] | None = None) -> list[str] | Problem:
    """
    Whom somebody names, ``among`` these people or among all: one person's id, or none.

    An address that several people share names none of them without a name; how many there are is said, who they are is
    not: problem details are logged.
    """
    person, email, name = getattr(who, "person", None), who.email, who.name
    if person is not None:
        return [person] if among is None or person in among else []
    wanted = same_name(name) if name is not None else None
    found = [
        id_
        for id_, folded in at(batch, email or "").items()
        if (among is None or id_ in among) and (wanted is None or folded == wanted)
    ]
    return found if len(found) < 2 else _ambiguous(len(found))


def at(batch: Batch, email: str) -> dict[str, str]:
    """Everybody at an address, and their names in the form in which they are compared."""
    return store.people_at(batch.settled, same_address(email))


def find(batch: Batch, who: Named) -> store.Contact | Problem:
    """The one who is meant."""
    found = meant(batch, who)
    if isinstance(found, Problem):
        return found
    known = store.contact(batch.settled, found[0]) if found else None
    if known is not None:
        return known
    if found:
        return not_found("person", found[0])
    # Neither is repeated: problem details are logged.
    return _NOBODY if who.name is None else _NOT_SO_CALLED


_NOT_SO_CALLED = problem(
    "not-found",
    "No such person",
    404,
    "Nobody at this address has this name.",
    "Niemand met dit adres heet zo.",
)


_NOBODY = problem(
    "not-found",
    "No such person",
    404,
    "There is no person with this address.",
    "Er is niemand met dit adres.",
)
_EVERYBODY_ELSEWHERE = problem(
    "invalid",
    "The request is not valid",
    422,
    "'everybody' goes with 'email', and with nothing else.",
    "'everybody' hoort bij 'email', en bij niets anders.",
    field="everybody",
)


def _ambiguous(count: int) -> Problem:
    return problem(
        "ambiguous",
        "Several people share this address",
        409,
        f"{count} people share this address. Say who is meant: add the 'name', or give the id as 'person'.",
        f"{count} mensen delen dit adres. Zeg wie je bedoelt: geef ook 'name', of het id als 'person'.",
    )


def correct(body: CorrectPerson, now: datetime, *, smtputf8: bool = False) -> Work:
    """
    Correct a name, an address or a language.

    How the name or the address was written for programmes goes with what is corrected, and so does the language that
    requests asked for: the staff know better.

    Raises:
        ProblemError: mail can't be sent to the new address.
    """
    email = body.new_email
    if email is not None:
        refuse_unsendable([("new_email", email)], smtputf8=smtputf8)

    def work(batch: Batch) -> Answer:
        known = find(batch, body)
        if isinstance(known, Problem):
            return problem_answer(known)
        changes = {
            "name": body.new_name or known.contact.name,
            "email": email or known.contact.email,
            "language": body.language or known.contact.language,
        }
        corrected = known.contact.model_copy(update=changes)
        holder = batch.person_by(PersonKey.of(corrected))
        if holder is not None and holder.person != known.person:
            return problem_answer(_would_merge(holder.person))
        said = [field for field, new in (("name", body.new_name), ("email", email)) if new is not None]
        respelt = batch.spell_as_first(known.person, said)
        spoken = body.language is not None and _speak(batch, known.person, now, body.id)
        if corrected == known.contact and not respelt and not spoken:
            return answers.result(PersonResult(person=known.person, result="unchanged"))
        batch.correct_person(known.person, corrected)
        elsewhere = same_address(corrected.email) != same_address(known.contact.email)
        changed = {
            "name": corrected.name != known.contact.name or (respelt and body.new_name is not None),
            "email": elsewhere,
            "language": corrected.language != known.contact.language or spoken,
        }
        fact = PersonCorrected.model_validate(
            {"person": known.person, "changed": tuple(name for name, is_another in changed.items() if is_another)}
        )
        batch.record_registry((fact,), now, body.id)
        return answers.result(PersonResult(person=known.person, result="corrected"))

    return work


def _speak(batch: Batch, person: str, now: datetime, cause: str | None) -> bool:
    """Let the mails of all enrolments be in the person's own language; whether a request had asked for another."""
    changed = False
    for programme in store.programmes_naming(batch.connection, person):
        state = batch.programme(programme)
        enrolment = state.enrolments.get(state.persons.get(person) or "")
        participant = enrolment.participant(person) if enrolment else None
        if enrolment is None or participant is None or participant.language is None:
            continue
        own = participant.model_copy(update={"language": None})
        decision = decide(state, ChangeParticipant(enrolment.id, own, now))
        if not isinstance(decision, Rejected):
            batch.record(state, decision, now, cause)
            changed = True
    return changed


def _would_merge(holder: str) -> Problem:
    return problem(
        "would-merge",
        "This would make two people one",
        409,
        f"The person {holder} has this address and this name already, and two people are never merged: nobody"
        " could take them apart again. If they are one, let that one take the places of this one (replace the"
        " participant) and erase this one; if they are two, give them names that differ.",
        f"De persoon {holder} heeft dit adres en deze naam al, en twee mensen worden nooit samengevoegd: niemand kan"
        " ze daarna nog uit elkaar halen. Is het één persoon, geef dan die de plekken van deze (vervang de deelnemer)"
        " en wis deze; zijn het er twee, geef ze dan verschillende namen.",
    )


def erase(body: ErasePerson, now: datetime) -> Work:
    """
    Erase a person, or everybody at an address: the row now, the copy in the contacts and the mail archive when the fact
    reaches them.

    They leave every waiting list, and give back their places in programmes that have not begun: nobody could tell them
    of a promotion or a change. A programme that has begun keeps who took part in its counts.
    """

    def work(batch: Batch) -> Answer:
        if body.everybody:
            return _erase_everybody(batch, body, now)
        known = find(batch, body)
        if isinstance(known, Problem):
            return problem_answer(known)
        _erase(batch, known.person, now, body.id)
        return answers.result(_erased(now, known.person))

    return work


def _erase_everybody(batch: Batch, body: ErasePerson, now: datetime) -> Answer:
    if body.email is None or body.person is not None or body.name is not None:
        return problem_answer(_EVERYBODY_ELSEWHERE)
    everybody = tuple(at(batch, body.email))
    if not everybody:
        return problem_answer(_NOBODY)
    for person in everybody:
        _erase(batch, person, now, body.id)
    return answers.result(_erased(now, everybody[0], everybody))


def _erased(now: datetime, person: str, people: tuple[str, ...] | None = None) -> PersonResult:
    return PersonResult(person=person, result="erased", people=people, copies_until=now + COPIES_KEPT_FOR)


def _erase(batch: Batch, person: str, now: datetime, cause: str | None) -> None:
    programmes = store.programmes_naming(batch.connection, person)
    forget(batch, PersonErased(person=person, cause="asked-for"), programmes, now, cause)


def forget(batch: Batch, fact: PersonErased, programmes: Iterable[str], now: datetime, cause: str | None) -> None:
    """
    Let a person be erased, and what follows from it in the ``programmes`` that name them.

    Who asked for it will not come. Whose term has passed came, or was expected to: what was counted stays counted, but
    for who waits for something that may still begin.
    """
    person = fact.person
    for programme in programmes:
        state = batch.programme(programme)
        awaited = state.enrolments.get(state.awaited.get(person) or "")
        if awaited is not None and awaited.status == "pending" and len(awaited.awaited) == 1:
            decision = decide(state, WithdrawEnrolment(awaited.id, now))
            state = state if isinstance(decision, Rejected) else batch.record(state, decision, now, cause)
        enrolment = state.enrolments.get(state.persons.get(person) or "")
        if enrolment is None:
            continue
        to_come = fact.cause == "asked-for" and not state.withdrawn and not state.has_begun(now)
        over = state.withdrawn or state.is_over(now)
        in_vain = enrolment.status == "waiting" and (fact.cause == "asked-for" or not over)
        if in_vain or to_come:
            decision = decide(state, WithdrawParticipant(enrolment.id, person, now, erased=True))
            if not isinstance(decision, Rejected):
                batch.record(state, decision, now, cause)
    batch.erase_person(person)
    batch.record_registry((fact,), now, cause)
