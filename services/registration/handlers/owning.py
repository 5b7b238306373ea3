"""Whose programme it is: an organiser leads those that an organisation of theirs organises, and no other."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from pydantic import BaseModel

from contracts.commands import CloseProgramme, EnrolmentCommand, PublishProgramme, RequestEnrolment, WithdrawProgramme
from contracts.problem import Problem, problem_type
from contracts.queries import EnrolmentQuestion, EnrolmentsQuestion, ProgrammeQuestion
from services.chassis.access import Caller
from services.registration import store
from services.registration.batch import Batch

LED: Final[tuple[type[BaseModel], ...]] = (
    PublishProgramme,
    WithdrawProgramme,
    CloseProgramme,
    RequestEnrolment,
    EnrolmentCommand,
    ProgrammeQuestion,
    EnrolmentsQuestion,
    EnrolmentQuestion,
)
"""What is said about one programme, and is the business of who leads it."""

_NOT_THEIRS: Final = Problem(
    type=problem_type("not-yours"),
    title="This programme is led by others",
    status=403,
    detail="An organiser leads the programmes of their own organisations. An admin leads all.",
)


def not_theirs(batch: Batch, caller: Caller | None, body: BaseModel, source: str) -> Problem | None:
    """Why an organiser may not do this; None for what is theirs, and for everybody who may lead all programmes."""
    if caller is None or caller.may("admin") or not isinstance(body, LED):
        return None
    if not caller.may("organiser"):
        return _NOT_THEIRS
    if not all(caller.organisations & set(organisers) for organisers in _organisers(batch, body, source)):
        return _NOT_THEIRS
    if isinstance(body, PublishProgramme):
        definition = batch.programme(body.programme.id).definition
        before = definition.organisers if definition else ()
        return not_theirs_to_change(caller.organisations, before, body.programme.organisers)
    return None


def not_theirs_to_change(own: Collection[str], before: Collection[str], after: Collection[str]) -> Problem | None:
    """
    Why an organiser of the organisations ``own`` may not change a programme's organisers so; None where they may.

    Whoever is among them may publish the programme, and it carries their name: an organiser makes nobody else one, and
    takes that from nobody else.
    """
    added = sorted({*after} - {*before} - {*own})
    removed = sorted({*before} - {*after} - {*own})
    if not added and not removed:
        return None
    asked = " and ".join(
        f"{verb} {', '.join(organisations)}"
        for verb, organisations in (("add", added), ("remove", removed))
        if organisations
    )
    return Problem(
        type=problem_type("not-your-organisers"),
        title="Other organisations are not yours to add or remove as organisers",
        status=403,
        detail=f"This would {asked}. Ask an admin to do that, or publish with the other organisers as they are:"
        f" {', '.join(sorted({*before} - {*own})) or 'none'}.",
    )


def _organisers(batch: Batch, body: BaseModel, source: str) -> Iterable[tuple[str, ...]]:
    """Who organises what this is about, as it stands and as it would be; nobody does what does not exist."""
    if isinstance(body, PublishProgramme):
        yield body.programme.organisers
        programme: str | None = body.programme.id
    elif isinstance(body, EnrolmentCommand | EnrolmentQuestion):
        programme = _programme_of(batch, body, source)
    else:
        programme = getattr(body, "programme", None)
    if programme is not None and (definition := batch.programme(programme).definition) is not None:
        yield definition.organisers


def _programme_of(batch: Batch, body: EnrolmentCommand | EnrolmentQuestion, source: str) -> str | None:
    found = None
    if body.enrolment is not None:
        found = store.whereabouts(batch.settled, body.enrolment)
    elif isinstance(body, EnrolmentCommand) and body.request is not None:
        found = store.whereabouts_of_request(batch.settled, source, body.request)
    return found.programme if found else None
