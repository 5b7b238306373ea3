"""The HTTP face of registration: for web forms, and for everybody who wants to know what there is to enrol in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Response

from contracts.base import Identity, Message, Slug
from contracts.commands import EnrolmentResult, WithdrawEnrolment
from contracts.enrolment import EnrolmentRequest, ParticipantRequest, Person
from contracts.intake import EnrolmentReference
from contracts.problem import MEDIA_TYPE, Problem
from contracts.queries import ProgrammeList, ProgrammeQuestion, ProgrammeView
from services.chassis.clock import Clock
from services.chassis.identity import new_id
from services.chassis.web import problem_response
from services.registration.handlers import digest, enrolments, queries
from services.registration.handlers.enrolments import Arrival
from services.registration.store import Answer
from services.registration.writer import Key, Work, Writer

WEB = "web"

Repeatable = Annotated[
    Identity | None,
    Header(description="Makes a repetition harmless: a second click with the same key gets the first answer."),
]
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description, "content": {MEDIA_TYPE: {}}}
    for status, description in ((404, "No such thing"), (409, "Refused: 'errors' names every rule"), (422, "Not valid"))
}


class ParticipantChange(Message):
    """Another seat or role for a person, or somebody else in the place."""

    seat: Slug | None = None
    role: Slug | None = None
    replacement: Person | None = None


def router(writer: Writer, clock: Clock) -> APIRouter:
    """
    The routes under ``/api``.

    Whoever knows an enrolment's id may change it: the id is random and known only to those who asked for the place.
    """
    routes = APIRouter(prefix="/api", tags=["enrolment"])

    def arrival(key: str | None) -> Arrival:
        return Arrival(clock(), "web", WEB, key, new_id)

    async def perform(work: Work, key: str | None, content: bytes, success: Literal[200, 201] = 200) -> Response:
        answer = await writer.perform(work, Key(WEB, key, content) if key else None)
        return _response(answer, success)

    @routes.get("/programmes", response_model=ProgrammeList)
    async def list_programmes() -> Response:
        """All programmes, with how many places are taken."""
        now = clock()
        return _response(await writer.read(lambda batch: queries.programme_list(batch, now)))

    @routes.get("/programmes/{programme}", response_model=ProgrammeView, responses=_PROBLEMS)
    async def get_programme(programme: Slug) -> Response:
        """One programme with its definition; the links to online sessions come in the mails."""
        now = clock()
        question = ProgrammeQuestion(programme=programme)
        return _response(await writer.read(lambda batch: queries.programme_get(batch, question, now, public=True)))

    @routes.post("/enrolments", response_model=EnrolmentResult, status_code=201, responses=_PROBLEMS)
    async def request_enrolment(body: EnrolmentRequest, idempotency_key: Repeatable = None) -> Response:
        """Ask for a place."""
        work = enrolments.request(body, arrival(idempotency_key))
        return await perform(work, idempotency_key, digest(body, "request"), 201)

    @routes.post("/enrolments/{enrolment}/withdraw", response_model=EnrolmentResult, responses=_PROBLEMS)
    async def withdraw_enrolment(enrolment: Identity, idempotency_key: Repeatable = None) -> Response:
        """Give a place, or a place in the waiting list, back."""
        command = WithdrawEnrolment(enrolment=enrolment)
        work = enrolments.withdraw(command, arrival(idempotency_key))
        return await perform(work, idempotency_key, digest(command, "withdraw"))

    @routes.post(
        "/enrolments/{enrolment}/participants", response_model=EnrolmentResult, status_code=201, responses=_PROBLEMS
    )
    async def add_participant(
        enrolment: Identity, body: ParticipantRequest, idempotency_key: Repeatable = None
    ) -> Response:
        """Add somebody to an enrolment."""
        reference = EnrolmentReference(enrolment=enrolment)
        work = enrolments.add_participant(reference, body, arrival(idempotency_key))
        return await perform(work, idempotency_key, digest(body, "add", enrolment), 201)

    @routes.post("/enrolments/{enrolment}/participants/{person}", response_model=EnrolmentResult, responses=_PROBLEMS)
    async def change_participant(
        enrolment: Identity, person: Identity, body: ParticipantChange, idempotency_key: Repeatable = None
    ) -> Response:
        """Give a person another seat or role, or the place to somebody else."""
        work = enrolments.change_participant(
            EnrolmentReference(enrolment=enrolment),
            arrival(idempotency_key),
            person=person,
            email=None,
            seat=body.seat,
            role=body.role,
            replacement=body.replacement,
        )
        return await perform(work, idempotency_key, digest(body, "change", enrolment, person))

    @routes.post(
        "/enrolments/{enrolment}/participants/{person}/withdraw", response_model=EnrolmentResult, responses=_PROBLEMS
    )
    async def withdraw_participant(
        enrolment: Identity, person: Identity, idempotency_key: Repeatable = None
    ) -> Response:
        """Take one person out of an enrolment; the last one withdraws it."""
        reference = EnrolmentReference(enrolment=enrolment)
        work = enrolments.withdraw_participant(reference, arrival(idempotency_key), person=person, email=None)
        return await perform(work, idempotency_key, digest(reference, "withdraw", person))

    return routes


def _response(answer: Answer, success: int = 200) -> Response:
    if answer.failed:
        return problem_response(Problem.model_validate_json(answer.body))
    return Response(answer.body, success, media_type="application/json")
