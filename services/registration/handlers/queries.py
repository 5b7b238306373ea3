"""Questions to registration, answered from the present state."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

from contracts.enrolment import Reason
from contracts.facts import (
    EnrolmentLapsed,
    EnrolmentPassedOver,
    EnrolmentPromoted,
    EnrolmentRefused,
    EnrolmentWithdrawn,
    Fact,
)
from contracts.problem import Problem, not_found
from contracts.programme import Programme
from contracts.queries import (
    AddressQuestion,
    Diet,
    EnrolmentList,
    EnrolmentQuestion,
    EnrolmentsQuestion,
    EnrolmentView,
    Happening,
    LogPiece,
    LogQuestion,
    LunchList,
    LunchView,
    OrganisationList,
    ParticipantView,
    PeopleList,
    PersonExport,
    PersonQuestion,
    PersonView,
    ProgrammeList,
    ProgrammeQuestion,
    ProgrammeStanding,
    ProgrammeView,
    ThemeList,
)
from contracts.session import in_order_of_time
from services.registration import store
from services.registration.batch import Batch
from services.registration.domain import Enrolment, ProgrammeState, Registry, reasons, rules, telling
from services.registration.domain.commands import Moment
from services.registration.domain.offering import Offer, offer
from services.registration.handlers import answers, people
from services.registration.store import Answer, accounts, terms
from services.registration.work import problem_answer

_LARGEST_PAGE = 400_000
"""Bytes of enrolments in one answer: well below what a message of the broker may hold."""


def _standing(state: ProgrammeState, definition: Programme, now: datetime, *, public: bool) -> dict[str, object]:
    """What is held the ``public`` sees as given out, and no version: the numbers would tell who is known."""
    return {
        "id": state.id,
        "kind": definition.kind,
        "title": definition.title,
        "withdrawn": state.withdrawn,
        "over": state.is_over(now),
        "open": not rules.broken_by_time(state, definition.enrolment, Moment.at(now)),
        "capacity": definition.enrolment.capacity,
        "confirmed": state.confirmed + (state.held if public else 0),
        "held": 0 if public else state.held,
        "waiting": sum(enrolment.units for enrolment in state.queue()),
        "version": 0 if public else state.version,
    }


def programme_list(batch: Batch, now: datetime, *, public: bool = False) -> Answer:
    """All programmes."""
    states = [batch.programme(id_) for id_ in store.programmes(batch.connection)]
    standings = tuple(
        ProgrammeStanding.model_validate(_standing(state, state.definition, now, public=public))
        for state in states
        if state.definition is not None
    )
    return answers.result(ProgrammeList(programmes=standings))


def programme_get(batch: Batch, body: ProgrammeQuestion, now: datetime, *, public: bool = False) -> Answer:
    """One programme with its definition; to the ``public`` without the links that let people into sessions."""
    state = batch.programme(body.programme)
    if state.definition is None:
        return problem_answer(not_found("programme", body.programme))
    standing = _standing(state, state.definition, now, public=public)
    definition = _without_links(state.definition) if public else state.definition.in_order()
    return answers.result(ProgrammeView.model_validate(standing | {"definition": definition}))


def offers(batch: Batch, now: datetime) -> tuple[Offer, ...]:
    """All programmes as the public may see them."""
    states = (batch.programme(id_) for id_ in store.programmes(batch.connection))
    return tuple(
        offer(state, _without_links(state.definition), now) for state in states if state.definition is not None
    )


def offer_of(batch: Batch, programme: str, now: datetime) -> tuple[Offer, Registry] | None:
    """One programme as the public may see it, and the registry; None if there is no such programme."""
    state = batch.programme(programme)
    if state.definition is None:
        return None
    return offer(state, _without_links(state.definition), now), batch.registry


def _without_links(definition: Programme) -> Programme:
    sessions = tuple(
        session.model_copy(update={"online": session.online.model_copy(update={"join_link": None})})
        if session.online
        else session
        for session in in_order_of_time(definition.sessions)
    )
    return definition.model_copy(update={"sessions": sessions})


def theme_list(batch: Batch) -> Answer:
    """All themes."""
    themes = batch.registry.themes
    return answers.result(ThemeList(themes=tuple(themes[id_] for id_ in sorted(themes))))


def organisation_list(batch: Batch) -> Answer:
    """The registry."""
    organisations = batch.registry.organisations
    return answers.result(OrganisationList(organisations=tuple(organisations[id_] for id_ in sorted(organisations))))


def enrolment_list(batch: Batch, body: EnrolmentsQuestion) -> Answer:
    """The enrolments of a programme."""
    state = batch.programme(body.programme)
    if state.definition is None:
        return problem_answer(not_found("programme", body.programme))
    wanted = sorted(
        (one for one in state.enrolments.values() if body.status in (None, one.status) and one.number > body.after),
        key=lambda one: one.number,
    )
    places = {one.id: place for place, one in enumerate(state.queue(), start=1)}
    page: list[EnrolmentView] = []
    size = 0
    for enrolment in wanted:
        view = _view(batch, state, enrolment, places.get(enrolment.id))
        size += len(view.model_dump_json())
        if page and size > _LARGEST_PAGE:
            break
        page.append(view)
    following = wanted[len(page) - 1].number if len(page) < len(wanted) else None
    return answers.result(EnrolmentList(enrolments=tuple(page), next=following))


def enrolment_get(batch: Batch, body: EnrolmentQuestion) -> Answer:
    """One enrolment with everything that happened to it."""
    found = store.whereabouts(batch.connection, body.enrolment)
    if found is None:
        return problem_answer(not_found("enrolment", body.enrolment))
    state = batch.programme(found.programme)
    view = _view(batch, state, state.enrolments[found.enrolment], state.place(found.enrolment))
    history = _history(store.facts_about(batch.connection, found.programme, found.enrolment))
    return answers.result(view.model_copy(update={"history": tuple(history)}))


def person_export(batch: Batch, body: PersonQuestion) -> Answer:
    """Everything that registration keeps about a person."""
    known = people.find(batch, body)
    if isinstance(known, Problem):
        return problem_answer(known)
    views = []
    for programme in store.programmes_naming(batch.connection, known.person):
        state = batch.programme(programme)
        views += [
            _view(batch, state, one, state.place(one.id), only=known.person)
            for one in sorted(state.enrolments.values(), key=lambda one: one.number)
            if known.person in {each.person for each in (*one.participants, *one.awaited)}
        ]
    return answers.result(
        PersonExport(
            person=known.person,
            contact=known.contact,
            since=known.since,
            shares_address=store.sharing(batch.connection, known.person) or None,
            enrolments=tuple(views),
            diets={
                programme: value
                for programme, field, value in terms.said_by(batch.connection, known.person)
                if field == "diet"
            },
        )
    )


def people_list(batch: Batch, body: AddressQuestion) -> Answer:
    """Everybody at an address, and where they appear."""
    views = [
        PersonView(
            person=known.person,
            contact=known.contact,
            since=known.since,
            programmes=tuple(store.programmes_naming(batch.connection, known.person)),
        )
        for person in people.at(batch, body.email)
        if (known := store.contact(batch.connection, person))
    ]
    return answers.result(PeopleList(people=tuple(views)))


def lunch_list(batch: Batch, body: ProgrammeQuestion, now: datetime) -> Answer:
    """The lunches to come, and what those who have a place do not eat."""
    state = batch.programme(body.programme)
    if state.definition is None:
        return problem_answer(not_found("programme", body.programme))
    said = terms.said_for(batch.connection, state.id, "diet")
    contacts = store.contacts(batch.connection, said, state.id)
    lunches = []
    for session in in_order_of_time(state.definition.sessions):
        if not session.lunch or state.withdrawn or session.is_over(now):
            continue
        attending = sorted(
            (one for _, one in telling.attending(state, state.definition, session.id)), key=lambda one: one.person
        )
        diets = (
            Diet(person=one.person, name=who.name, diet=said[one.person], seat=one.seat)
            for one in attending
            if (who := contacts.get(one.person))
        )
        lunches.append(LunchView(session=session.id, title=session.title, people=len(attending), diets=tuple(diets)))
    return answers.result(LunchList(lunches=tuple(lunches)))


def log_read(batch: Batch, body: LogQuestion) -> Answer:
    """A piece of the log."""
    bodies = store.facts(batch.connection, body.after, body.limit, body.programme)
    head = store.LOG.head(batch.connection)
    facts = tuple(json.loads(one) for one in bodies)
    actors = {str(fact["actor"]) for fact in facts if "actor" in fact}
    names = accounts.names(batch.connection, (actor.partition(":")[2] for actor in actors))
    called = {actor: names[account] for actor in sorted(actors) if (account := actor.partition(":")[2]) in names}
    return answers.result(LogPiece(facts=facts, head=head, actors=called))


def _view(
    batch: Batch, state: ProgrammeState, enrolment: Enrolment, place: int | None, only: str | None = None
) -> EnrolmentView:
    """``only`` leaves the colleagues out: an export of one person's data must not be one of another's."""
    everybody = (*enrolment.participants, *enrolment.awaited)
    shown = [one for one in everybody if only in (None, one.person)]
    contacts = store.contacts(batch.connection, (one.person for one in shown), state.id)
    return EnrolmentView(
        enrolment=enrolment.id,
        programme=state.id,
        organisation=enrolment.organisation,
        status=enrolment.status,
        units=enrolment.units,
        place=place,
        participants=tuple(
            ParticipantView(
                person=one.person,
                seat=one.seat,
                role=one.role,
                contact=contacts.get(one.person),
                shares_address=store.sharing(batch.connection, one.person) or None,
                unconfirmed=one in enrolment.awaited,
            )
            for one in shown
        ),
        missing=enrolment.missing,
        complete_by=enrolment.complete_by,
        channel=enrolment.channel,
        source=enrolment.source,
        confirm_by=enrolment.confirm_by,
        held=enrolment.held,
        price=enrolment.price,
        reasons=enrolment.reasons,
    )


def _history(facts: Iterable[Fact]) -> Iterable[Happening]:
    for fact in facts:
        yield Happening(position=fact.position or 0, time=fact.time, type=fact.type, reason=_reason(fact))


def _reason(fact: Fact) -> Reason | None:
    match fact.data:
        case EnrolmentRefused(reasons=broken):
            return broken[0]
        case EnrolmentLapsed(cause=cause):
            return reasons.not_confirmed(cause)
        case EnrolmentPromoted(reason=reason) | EnrolmentPassedOver(reason=reason) | EnrolmentWithdrawn(reason=reason):
            return reason
        case _:
            return None
