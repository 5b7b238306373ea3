"""The HTTP face's frame: problem details for every failure, health, and headers that keep browsers careful."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ValidationError, ValidatorFunctionWrapHandler, WrapValidator
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.problem import Fault, Problem, ProblemError, fault_of, invalid, without_echoes, wrong_fields
from services.chassis import metrics, tracing
from services.chassis.commands import UNEXPECTED
from services.chassis.guard import Guard, Guarded
from services.chassis.health import Health, health_router
from services.chassis.problems import problem_response

_log = structlog.get_logger("chassis.web")

LARGEST_BODY = 256 * 1024
"""Bytes that a request over HTTP may have, as many as an intake message."""

_REQUESTS = metrics.counter(
    "deelname_http_requests", "HTTP requests that were answered.", ["method", "route", "status"]
)
_LASTED = metrics.durations(
    "deelname_http_request_duration_seconds", "From an HTTP request to the end of its answer.", ["method", "route"]
)
_ASKED_BY_MACHINES = ("/health/", "/metrics")
"""What is asked every few seconds and belongs to nobody's trace."""
_PIECE = 32 * 1024
"""Octets of a large answer that are handed over at once."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_SECURITY_HEADERS = (
    # Pages have one style, from a file of ours, and load nothing else; there is no script at all.
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (b"x-content-type-options", b"nosniff"),
    # With no-referrer browsers send "Origin: null" with our own form (Fetch §3.2), and guard.py could not know it.
    (b"referrer-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


BODY_WITHIN = 30.0
"""Seconds after its last header in which the body of a request has to be whole."""


class BodyTooLarge(HTTPException):
    """A request holds more than ``LARGEST_BODY``; answered with 413 by whoever does not catch it."""

    def __init__(self) -> None:
        super().__init__(413, f"The body may have {LARGEST_BODY} bytes.")


class BodyTooSlow(HTTPException):
    """A request's body was not whole within ``BODY_WITHIN``; answered with 408, and the connection is closed."""

    def __init__(self) -> None:
        super().__init__(408, f"The body has to be there within {BODY_WITHIN:g} seconds.", {"Connection": "close"})


def application(
    title: str,
    version: str,
    description: str,
    health: Health,
    guard: Guard | None = None,
    *,
    measure: metrics.Measure = metrics.nothing_more,
) -> FastAPI:
    """
    A FastAPI application on which a service's routers are hung, behind ``guard``.

    ``measure`` looks up what the service alone can tell Prometheus.

    The API's description stands at ``/openapi.json``. The interactive pages are left out: they load scripts from
    strangers.
    """
    app = FastAPI(title=title, version=version, description=description, openapi_url=None)
    app.add_api_route("/openapi.json", _described(app), methods=["GET", "HEAD"], include_in_schema=False)
    app.include_router(health_router(health))
    app.include_router(metrics.metrics_router(health, measure))
    app.add_middleware(Guarded, guard=guard or Guard())
    app.add_middleware(_Frame)
    app.add_exception_handler(ProblemError, _told)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _refused)
    return app


def strictly(model: type[BaseModel]) -> WrapValidator:
    """
    How a route reads its body as ``model``: a field that it does not know is refused, with the one that was meant.

    FastAPI by itself leaves out what it does not know: a slip would cost somebody a place, or a language.
    """

    def check(value: object, otherwise: ValidatorFunctionWrapHandler) -> object:
        if not isinstance(value, dict):
            return otherwise(value)
        try:
            return model.model_validate(value, extra="forbid")
        except ValidationError as error:
            raise ProblemError(invalid(error, model=model)) from None

    return WrapValidator(check)


def _described(app: FastAPI) -> Callable[[], Awaitable[Response]]:
    """
    What answers with the description, by far the largest of our answers to everybody, which is written once.

    It goes out in pieces, each when the last was taken: who asks and does not read costs a piece, and not all of it.
    """
    written: list[bytes] = []

    async def describe() -> Response:
        if not written:
            written.append(json.dumps(app.openapi(), ensure_ascii=False, separators=(",", ":")).encode())
        (whole,) = written

        async def pieces() -> AsyncIterator[bytes]:
            for begin in range(0, len(whole), _PIECE):
                yield whole[begin : begin + _PIECE]

        headers = {"content-length": str(len(whole))}
        return StreamingResponse(pieces(), media_type="application/json", headers=headers)

    return describe


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)  # noqa: S101
    return problem_response(error.problem)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = [_fault(item) for item in without_echoes(error.errors())]
    if any(fault.field == "body" for fault in faults) and not _says_json(request):
        faults = [
            Fault(
                field="body",
                rule="not-json",
                detail="must be JSON, sent with the header 'Content-Type: application/json'",
                detail_nl="moet JSON zijn, gestuurd met de header 'Content-Type: application/json'",
            )
        ]
    return problem_response(wrong_fields(faults, len(faults)))


def _says_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def _fault(item: Mapping[str, Any]) -> Fault:
    # Only where and what the rule is: "input" and "ctx" repeat what was sent, which may be somebody's data.
    if item["type"] == "json_invalid":
        return fault_of(item, "body")
    place = [str(part) for part in item["loc"]]
    return fault_of(item, ".".join(place[1:] or place) or None)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    status = HTTPStatus(error.status_code)
    detail = {
        404: f"There is nothing at this address. {request.app.title} describes what there is at /openapi.json.",
        405: "This address does not take this method; the header Allow lists those that it takes.",
    }.get(error.status_code, str(error.detail))
    problem = Problem(title=status.phrase, status=error.status_code, detail=detail)
    return problem_response(problem, dict(error.headers or {}))


class _Frame:
    """
    Plain ASGI around everything: security headers where the route set none of its own, a problem for a failure.

    Starlette's own handler of last resort stands outside of all middleware, and raises the error again.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = monotonic()
        deadline = asyncio.get_running_loop().time() + BODY_WITHIN
        started = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = message["status"]
                headers = message.setdefault("headers", [])
                present = {name.lower() for name, _ in headers}
                headers.extend(header for header in _SECURITY_HEADERS if header[0] not in present)
            await send(message)

        received, whole = 0, False

        async def receive_within_bounds() -> Message:
            nonlocal received, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise BodyTooSlow from None
            whole = message["type"] == "http.request" and not message.get("more_body")
            received += len(message.get("body", b""))
            if received > LARGEST_BODY:
                raise BodyTooLarge
            return message

        # What a stranger gives as the trace to belong to can do no harm: it is a random number.
        span = tracing.span(
            f"HTTP {scope['method']}",
            "server",
            parent=_traceparent(scope),
            unless=scope["path"].startswith(_ASKED_BY_MACHINES),
        )
        try:
            with span as traced:
                await self._app(scope, receive_within_bounds, send_with_headers)
                traced.set_attribute("http.route", _route(scope))
                traced.set_attribute("http.response.status_code", started)
        except ClientDisconnect:
            # Nobody is there to be answered, and nothing of ours has failed.
            pass
        except Exception:
            _log.exception("request failed", method=scope["method"], route=_route(scope))
            if started:
                raise
            await problem_response(UNEXPECTED)(scope, receive, send_with_headers)
        finally:
            _count(scope, started, monotonic() - begun)


def _route(scope: Scope) -> str:
    # The pattern and not the address: an address may name a person, and strangers make them up without end.
    return getattr(scope.get("route"), "path", "none")


def _traceparent(scope: Scope) -> str | None:
    if not tracing.is_on():
        return None
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)


def _count(scope: Scope, status: int, seconds: float) -> None:
    route = _route(scope)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    _REQUESTS.labels(method, route, str(status)).inc()
    _LASTED.labels(method, route).observe(seconds)
