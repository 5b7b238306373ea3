"""The HTTP face of registration: for web forms, and for everybody who wants to know what there is to enrol in."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response

from contracts.base import Slug
from contracts.commands import EnrolmentReceipt
from contracts.enrolment import EnrolmentRequest
from contracts.problem import Problem
from contracts.queries import ProgrammeList, ProgrammeQuestion, ProgrammeView
from services.chassis.clock import Clock
from services.chassis.identity import new_id
from services.chassis.problems import problem_response, problems
from services.chassis.web import strictly
from services.registration import idempotency
from services.registration.handlers import answers, enrolments, queries
from services.registration.handlers.enrolments import Arrival
from services.registration.handlers.repetition import key_of
from services.registration.handlers.strangers import Bounds
from services.registration.store import Answer
from services.registration.store.strangers import ANSWERS_KEPT
from services.registration.writer import Writer

WEB = "web"

Asked = Annotated[EnrolmentRequest, strictly(EnrolmentRequest)]
Repeatable = Annotated[
    str | None,
    Header(description=idempotency.DESCRIPTION, json_schema_extra=idempotency.SCHEMA),
]
"""As it is described; what it says, ``key_in`` reads of the request itself, where each line of it is seen."""


def router(writer: Writer, clock: Clock, bounds: Bounds) -> APIRouter:
    """
    The routes under ``/api`` that are everybody's.

    To change an enrolment is the staff's and the partners' business: nobody can tell from a request over HTTP whether
    who sends it is who was enrolled.
    """
    routes = APIRouter(prefix="/api", tags=["enrolment"])

    @routes.get("/programmes", response_model=ProgrammeList, responses=problems(429))
    async def list_programmes() -> Response:
        """All programmes, with how many places are taken."""
        now = clock()
        return _response(await writer.read(lambda batch: queries.programme_list(batch, now, public=True)))

    @routes.get("/programmes/{programme}", response_model=ProgrammeView, responses=problems(404, 422, 429))
    async def get_programme(programme: Slug) -> Response:
        """One programme with its definition; the links to online sessions come in the mails."""
        now = clock()
        question = ProgrammeQuestion(programme=programme)
        return _response(await writer.read(lambda batch: queries.programme_get(batch, question, now, public=True)))

    @routes.post(
        "/enrolments",
        response_model=EnrolmentReceipt,
        status_code=202,
        responses=problems(400, 403, 404, 409, 413, 422, 429, 503),
    )
    async def request_enrolment(
        request: Request,
        body: Asked,
        idempotency_key: Repeatable = None,  # noqa: ARG001
    ) -> Response:
        """
        Ask for a place. What comes next is said by mail, to those who are named: most have to confirm it first.

        Whether somebody takes part already, or need not confirm, the answer does not say.
        """
        arrival = public_arrival(request, clock, bounds, idempotency.key_in(request))
        return _response(await ask_in_public(writer, body, arrival))

    return routes


def public_arrival(request: Request, clock: Clock, bounds: Bounds, key: str | None) -> Arrival:
    """A request by somebody for whom nobody vouches; ``key`` makes a repetition harmless."""
    return Arrival(clock(), "web", WEB, key, new_id, bounds.origin(request.state.source), smtputf8=bounds.smtputf8)


async def ask_in_public(writer: Writer, asked: EnrolmentRequest, arrival: Arrival) -> Answer:
    """Ask for a place. What is sent again under its id gets the same answer, for as long as strangers' are kept."""
    key = None
    if arrival.request is not None:
        key = replace(key_of(WEB, arrival.request, asked, "request"), until=arrival.now + ANSWERS_KEPT)
    work = enrolments.request(asked, arrival)
    return answers.told_in_public(await writer.perform(work, key, [one.person for one in asked.participants]))


def _response(answer: Answer) -> Response:
    if answer.failed:
        return problem_response(idempotency.told_over_http(Problem.model_validate_json(answer.body)))
    return Response(answer.body, answer.status, media_type="application/json")
