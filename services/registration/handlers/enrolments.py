"""Requests for a place and changes to it: the same work for staff, web forms and other systems."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from contracts.base import Language
from contracts.commands import EnrolmentCommand, EnrolmentReceipt
from contracts.enrolment import Channel, Enrolled, EnrolmentRequest, Participant, ParticipantRequest, Person
from contracts.facts import (
    EnrolmentConfirmed,
    EnrolmentPending,
    EnrolmentRefused,
    EnrolmentWaitlisted,
    RegistrationFact,
)
from contracts.intake import EnrolmentReference
from contracts.problem import Problem, not_found
from services.registration import store
from services.registration.batch import Batch
from services.registration.domain import ProgrammeState, Rejected, decide, rules
from services.registration.domain import commands as domain
from services.registration.domain.commands import LetDeadlinesPass
from services.registration.domain.reasons import no_such_participant
from services.registration.domain.strangers import expected
from services.registration.handlers import answers, people, programmes, strangers
from services.registration.handlers.addresses import refuse_unsendable
from services.registration.handlers.strangers import Origin
from services.registration.store import Answer, Known, PersonKey, terms
from services.registration.work import Work, problem_answer

_ARRIVING = (EnrolmentPending, EnrolmentConfirmed, EnrolmentWaitlisted)


class Arrival(NamedTuple):
    """When a request is decided, from whom it came, and the ids that are made of it: settled at the edge, once."""

    now: datetime
    channel: Channel
    source: str
    request: str | None
    new_id: Callable[[], str]
    origin: Origin | None = None
    """Where it came from, on the public channel: nobody vouches for whom such a request names."""
    smtputf8: bool = False
    """Whether mail can be sent to addresses with letters beyond ASCII before the @."""
    stored: datetime | None = None
    """When the broker stored it, by the service's clock; None for what is asked and answered at once."""

    @property
    def asked(self) -> datetime:
        """The moment by which it is judged whether it came too early or too late."""
        return self.stored or self.now

    def may_touch(self, source: str) -> bool:
        """Partners touch what they brought in; staff anything."""
        return self.channel != "intake" or source == self.source


def request(body: EnrolmentRequest, arrival: Arrival) -> Work:
    """Ask for a place."""
    enrolment = arrival.new_id()
    named = [asking.person for asking in body.participants]
    typed = ((f"participants.{number}.person.email", one.email) for number, one in enumerate(named))
    refuse_unsendable(typed, smtputf8=arrival.smtputf8)
    candidates = [arrival.new_id() for _ in named]
    own = [arrival.new_id() for _ in named] if arrival.origin else []

    def work(batch: Batch) -> Answer:
        state = _up_to(batch, body.programme, arrival)
        participants, newcomers = _participants(batch, body.participants, named, candidates)
        organisation = batch.registry.organisations.get(body.organisation) if body.organisation else None
        asked = domain.RequestEnrolment(
            enrolment, body.organisation, organisation, participants, arrival.channel, arrival.source, arrival.asked
        )
        if arrival.origin is not None:
            asked = asked._replace(
                stranger=strangers.known_of(
                    batch,
                    arrival.origin,
                    state,
                    participants=participants,
                    people=named,
                    enrolments=own,
                    now=arrival.now,
                )
            )
        decision = decide(state, asked, arrival.now)
        if isinstance(decision, Rejected):
            if decision.kind == "refused":
                # Nothing of it is kept, not even the answer under the request's id.
                return answers.refused(enrolment, decision.reasons)._replace(final=False)
            return answers.rejected(decision)
        before = state
        made = [fact for fact in decision if isinstance(fact, Enrolled)]
        # Whom no fact names nobody needs to know: strangers make people up.
        in_facts = {one.person for fact in made for one in fact.participants}
        batch.add_people({each: who for each, who in newcomers.items() if each in in_facts}, arrival.now)
        for id_ in dict.fromkeys(fact.enrolment for fact in made):
            batch.add_enrolment(id_, state.id, arrival.source, arrival.request)
        state = batch.record(state, decision, arrival.now, arrival.request)
        came = {one.person for fact in decision if isinstance(fact, _ARRIVING) for one in fact.participants}
        # How somebody stands who was in already is not for a further request to say.
        batch.spell(state.id, [who for who, one in zip(named, participants, strict=True) if one.person in came])
        if arrival.origin is not None and asked.stranger is not None:
            _note_diets(batch, state, _diets(body.participants, participants))
            strangers.remember(batch, arrival.origin, state.id, asked.stranger, facts=decision, now=arrival.now)
            return _told_in_public(before, asked, decision)
        last = decision[-1]
        if isinstance(last, EnrolmentRefused):
            return answers.refused(enrolment, last.reasons)
        _note_diets(batch, state, _diets(body.participants, participants))
        place = last.place if isinstance(last, EnrolmentWaitlisted) else None
        return answers.enrolment_result(state, enrolment, decision, place)

    return work


def _told_in_public(
    state: ProgrammeState, asked: domain.RequestEnrolment, decision: Sequence[RegistrationFact]
) -> Answer:
    """
    The same whoever is named: anybody can type anybody's address into a form.

    What the mails say differs, and goes to those who are named alone.
    """
    definition = state.definition
    refusal = decision[-1] if decision else None
    if isinstance(refusal, EnrolmentRefused) and not refusal.present:
        return answers.refused(asked.enrolment, refusal.reasons)
    if definition is None:
        raise TypeError("a request was decided in a programme that does not exist")
    waits, try_again = expected(state, definition, asked)
    return answers.receipt(
        EnrolmentReceipt(
            programme=state.id,
            expected="waiting" if waits else "confirmed",
            place=len(state.waiting) + 1 if waits else None,
            missing=rules.missing_seats(definition.team, asked.participants),
            try_again=try_again,
        )
    )


def withdraw(body: EnrolmentReference | EnrolmentCommand, arrival: Arrival) -> Work:
    """Give a place back."""
    return _about(body, arrival, lambda _batch, enrolment: (domain.WithdrawEnrolment(enrolment, arrival.asked), {}))


def promote(body: EnrolmentCommand, arrival: Arrival) -> Work:
    """Give who waits a place by hand."""
    return _about(body, arrival, lambda _batch, enrolment: (domain.PromoteEnrolment(enrolment, arrival.asked), {}))


def vouch(body: EnrolmentCommand, arrival: Arrival) -> Work:
    """Let everybody in who has yet to confirm: somebody who knows them says that they are who they are."""

    def command(batch: Batch, enrolment: str) -> _Made:
        found = store.whereabouts(batch.settled, enrolment)
        stands = batch.programme(found.programme).enrolments.get(enrolment) if found else None
        organisation = batch.registry.organisations.get(stands.organisation or "") if stands else None
        return domain.ConfirmEnrolment(enrolment, None, organisation, arrival.asked), {}

    return _about(body, arrival, command)


def add_participant(body: EnrolmentReference | EnrolmentCommand, joining: ParticipantRequest, arrival: Arrival) -> Work:
    """Add somebody to an enrolment."""
    person = joining.person
    refuse_unsendable([("participant.person.email", person.email)], smtputf8=arrival.smtputf8)
    candidate = arrival.new_id()

    def command(batch: Batch, enrolment: str) -> _Made:
        (participant,), newcomers = _participants(batch, [joining], [person], [candidate])
        return domain.AddParticipant(enrolment, participant, arrival.asked), newcomers

    return _about(body, arrival, command, newcomer=person, diet=joining.diet)


def change_participant(
    body: EnrolmentReference | EnrolmentCommand,
    arrival: Arrival,
    *,
    who: people.Named,
    seat: str | None,
    role: str | None,
    replacement: Person | None,
    diet: str | None = None,
) -> Work:
    """Give somebody another seat, role or diet, or the place to somebody else. What is not given stays as it is."""
    if replacement is not None:
        refuse_unsendable([("replacement.email", replacement.email)], smtputf8=arrival.smtputf8)
    candidate = arrival.new_id()

    def command(batch: Batch, enrolment: str) -> _Made:
        had = _participant(batch, enrolment, who)
        if not isinstance(had, Participant):
            return had
        wanted = had.model_copy(update={"seat": seat or had.seat, "role": role or had.role})
        if replacement is None:
            return domain.ChangeParticipant(enrolment, wanted, arrival.asked), {}
        known = batch.person_by(PersonKey.of(replacement))
        somebody = wanted.model_copy(
            update={"person": known.person if known else candidate, "language": _language(replacement, known)}
        )
        command = domain.ReplaceParticipant(enrolment, had.person, somebody, arrival.asked)
        return command, {} if known else {candidate: replacement}

    return _about(body, arrival, command, newcomer=replacement, diet=diet)


def withdraw_participant(body: EnrolmentReference | EnrolmentCommand, arrival: Arrival, *, who: people.Named) -> Work:
    """Take one person out of an enrolment."""

    def command(batch: Batch, enrolment: str) -> _Made:
        had = _participant(batch, enrolment, who)
        if not isinstance(had, Participant):
            return had
        return domain.WithdrawParticipant(enrolment, had.person, arrival.asked), {}

    return _about(body, arrival, command)


_ABOUT_A_PARTICIPANT = (domain.AddParticipant, domain.ChangeParticipant, domain.ReplaceParticipant)

_Made = tuple[domain.Command, dict[str, Person]] | Rejected | Problem
"""What to ask of the domain, and the newcomers in it; or why nothing."""


def _diets(asking: Sequence[ParticipantRequest], participants: Sequence[Participant]) -> dict[str, str]:
    """What people do not eat, by person."""
    return {one.person: asked.diet for asked, one in zip(asking, participants, strict=True) if asked.diet}


def _note_diets(batch: Batch, state: ProgrammeState, diets: Mapping[str, str]) -> None:
    """Remember what people do not eat, where there is something to eat."""
    if not state.definition or not any(session.lunch for session in state.definition.sessions):
        return
    for person, diet in diets.items():
        if person in state.persons or person in state.awaited:
            terms.say(batch.connection, person, state.id, "diet", diet)


def _about(
    body: EnrolmentReference | EnrolmentCommand,
    arrival: Arrival,
    command: Callable[[Batch, str], _Made],
    *,
    newcomer: Person | None = None,
    diet: str | None = None,
) -> Work:
    """
    Find the enrolment, decide, and let the facts come true; then remember what is no part of them.

    Args:
        newcomer: who comes in by it, as they were written.
        diet: what the participant whom the command is about does not eat.
    """

    def work(batch: Batch) -> Answer:
        found = _find(batch, body, arrival)
        if isinstance(found, Problem):
            return problem_answer(found)
        state = _up_to(batch, found.programme, arrival)
        made = command(batch, found.enrolment)
        if isinstance(made, Problem):
            return problem_answer(made)
        if isinstance(made, Rejected):
            return answers.rejected(made)
        asked, newcomers = made
        decision = decide(state, asked, arrival.now)
        if isinstance(decision, Rejected):
            return answers.rejected(decision)
        batch.add_people(newcomers, arrival.now)
        state = batch.record(state, decision, arrival.now, arrival.request)
        if newcomer is not None:
            batch.spell(state.id, [newcomer])
        if diet and isinstance(asked, _ABOUT_A_PARTICIPANT):
            _note_diets(batch, state, {asked.participant.person: diet})
        return answers.enrolment_result(state, found.enrolment, decision)

    return work


def _up_to(batch: Batch, programme: str, arrival: Arrival) -> ProgrammeState:
    """
    A programme as it stood when something was asked: what was to have happened by then has.

    Everything that this partner sent before has been decided. Of what others have sent by then nobody knows here.
    """
    heard = {arrival.source: arrival.asked}
    return programmes.deadlines_passed(batch, programme, LetDeadlinesPass(arrival.asked, heard), arrival.now)


def _find(batch: Batch, body: EnrolmentReference | EnrolmentCommand, arrival: Arrival) -> store.Whereabouts | Problem:
    if body.enrolment is not None:
        found = store.whereabouts(batch.settled, body.enrolment)
    else:
        found = store.whereabouts_of_request(batch.settled, arrival.source, body.request or "")
    if found is None or not arrival.may_touch(found.source):
        return not_found(
            "enrolment",
            body.enrolment or body.request or "",
            "The outcome of its request names its id.",
            "De uitkomst van de aanvraag noemt het id.",
        )
    return found


def _participant(batch: Batch, enrolment: str, who: people.Named) -> Participant | Rejected | Problem:
    """The one in the enrolment who is meant."""
    whereabouts = store.whereabouts(batch.settled, enrolment)
    stands = batch.programme(whereabouts.programme).enrolments.get(enrolment) if whereabouts else None
    among = {one.person: one for one in stands.participants} if stands else {}
    meant = people.meant(batch, who, among)
    if isinstance(meant, Problem):
        return meant
    return among[meant[0]] if meant else Rejected("not-found", (no_such_participant(),))


def _participants(
    batch: Batch, asking: Sequence[ParticipantRequest], named: Sequence[Person], candidates: Sequence[str]
) -> tuple[tuple[Participant, ...], dict[str, Person]]:
    """Who they are: the same address and the same name are the same person; newcomers get the candidate ids."""
    newcomers: dict[str, Person] = {}
    here: dict[PersonKey, Known] = {}
    participants = []
    for one, who, candidate in zip(asking, named, candidates, strict=True):
        key = PersonKey.of(who)
        known = here.get(key) or batch.person_by(key)
        if known is None:
            known = Known(candidate, who)
            newcomers[candidate] = who
        here[key] = known
        participants.append(
            Participant(person=known.person, seat=one.seat, role=one.role, language=_language(who, known))
        )
    return tuple(participants), newcomers


def _language(who: Person, known: Known | None) -> Language | None:
    """The language of a request's mails, where one was asked for that is not the person's own."""
    said = known is not None and "language" in who.model_fields_set and who.language != known.contact.language
    return who.language if said else None
