"""A service's commands and questions over HTTP: the table that is served over the broker, for staff with a role."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from time import monotonic
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel

from contracts.problem import Problem
from services.chassis.access import Caller, Needs
from services.chassis.commands import Call, Route, handle
from services.chassis.metrics import CALLS
from services.chassis.problems import problem_response, problems
from services.chassis.web import strictly


class WebCall(Call):
    """A call that came over HTTP; ``response`` is done when it is answered."""

    def __init__(self, subject: str, body: bytes, caller: Caller) -> None:
        self.subject = subject
        self.body = body
        self.headers = {}
        self.reply_to = ""
        self.answered = False
        self._came = monotonic()
        self.response: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._caller = caller

    @property
    def caller(self) -> Caller:
        """Who was let in."""
        return self._caller

    def reply(self, body: bytes) -> None:
        """Answer with the result."""
        CALLS.observe(self.subject, "200", monotonic() - self._came)
        self._respond(Response(body, media_type="application/json"))

    def fail(self, problem: Problem) -> None:
        """Answer with problem details."""
        CALLS.observe(self.subject, str(problem.status), monotonic() - self._came)
        self._respond(problem_response(problem))

    def _respond(self, response: Response) -> None:
        self.answered = True
        # Whoever asked may have hung up; the effect stands all the same.
        if not self.response.done():
            self.response.set_result(response)


class _LetInFirst(APIRoute):
    """A route that asks who comes before it reads anything: FastAPI would begin with the body."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = super().get_route_handler()
        doors = [each.call for each in self.dependant.dependencies if isinstance(each.call, Needs)]

        async def let_in(request: Request) -> Response:
            for door in doors:
                door(request)
            return await answer(request)

        return let_in


def staff_router(table: Iterable[Route]) -> APIRouter:
    """
    ``POST /api/do/<entity>/<verb>`` and ``/api/ask/<entity>/<verb>``, with the bodies of the broker's subjects.

    Questions are asked by POST as well: an address that names a person would stand in logs and histories.
    """
    router = APIRouter(prefix="/api", tags=["staff"], route_class=_LetInFirst)
    for route in table:
        kind, _service, entity, verb = route.subject.split(".")
        router.add_api_route(
            f"/{kind}/{entity}/{verb}",
            _endpoint(route),
            methods=["POST"],
            response_model=route.reply,
            responses=problems(400, 401, 403, 404, 409, 413, 422, 429, 503),
            summary=route.description,
            description=f"For the role {route.role}. A field that is not described here is refused.",
            operation_id=f"{kind}_{entity}_{verb}",
        )
    return router


def _endpoint(route: Route) -> Callable[..., Awaitable[Response]]:
    async def endpoint(request: Request, body: BaseModel, caller: Caller) -> Response:  # noqa: ARG001  (FastAPI's)
        # As it came: a field that the model does not know has to be seen and refused, as over the broker.
        call = WebCall(route.subject, await request.body(), caller)
        await handle(route.handler, call)
        return await call.response

    # What FastAPI reads; each route has a body of its own.
    annotations: dict[str, Any] = {
        "request": Request,
        "body": Annotated[route.request, strictly(route.request)],
        "caller": Annotated[Caller, Depends(Needs(route.role))],
        "return": Response,
    }
    endpoint.__annotations__ = annotations
    return endpoint
