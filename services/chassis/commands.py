"""Requests that somebody waits for: commands (do.*) and queries (ask.*) over FastStream."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar, cast

import structlog
from faststream._internal.endpoint.subscriber import SubscriberUsecase
from faststream.nats import NatsBroker
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from pydantic import BaseModel, ValidationError

from contracts.access import Role
from contracts.problem import ERROR_CODE_HEADER, ERROR_HEADER, Problem, ProblemError, invalid, problem_type
from services.chassis import tracing
from services.chassis.access import Caller
from services.chassis.metrics import CALLS
from services.chassis.publishing import Outbox

if TYPE_CHECKING:
    from services.chassis.broker import Connection

_log = structlog.get_logger("chassis.commands")

Model = TypeVar("Model", bound=BaseModel)

_INBOXES = ("_INBOX", "_R_.")
"""What an inbox begins with: a client's own, or the one that the broker puts in place of another account's."""

_REQUEST_INFO = "Nats-Request-Info"
_NO_HEADERS: Mapping[str, str] = {}
_USER = re.compile(r"[A-Za-z0-9._-]{1,120}")

UNEXPECTED = Problem(
    type=problem_type("unexpected"),
    title="Something went wrong here",
    status=500,
    detail="This is our fault, not yours; it has been logged. Trying again later may help.",
)

TOO_LARGE = Problem(
    type=problem_type("answer-too-large"),
    title="The answer is too large",
    status=413,
    detail="It does not fit into a message of the broker. Ask for less, for instance with a status or a limit.",
)


class Call:
    """
    One request, to be answered at any time by anyone: by its handler, or by a writer after a commit.

    Attributes:
        subject: what was called.
        body: the bytes that came.
        headers: NATS headers, empty when there are none.
        reply_to: where the answer goes; "" when nobody waits, or when it is no inbox.
        caller: who of the staff calls, as far as the broker says.
    """

    __slots__ = ("_came", "_outbox", "answered", "body", "headers", "reply_to", "subject")

    def __init__(self, outbox: Outbox, subject: str, body: bytes, reply_to: str, headers: Mapping[str, str]) -> None:
        self._outbox = outbox
        self.subject = subject
        self.body = body
        # The reply is published with our rights: a stranger who asks for log.… as reply subject gets no answer there.
        self.reply_to = reply_to if reply_to.startswith(_INBOXES) else ""
        self.headers = headers
        self.answered = False
        self._came = monotonic()

    @property
    def caller(self) -> Caller | None:
        """
        Who calls, as the broker says.

        A request that comes from another account has a header that the broker wrote, whatever the client put there. It
        names the user because the import of the staff's account says ``share`` (deploy/identities.py). In our own
        account nobody else is.
        """
        info = self.headers.get(_REQUEST_INFO)
        return None if info is None else _caller(info)

    @property
    def actor(self) -> str | None:
        """What facts call whoever calls, as far as that is known (see ``Caller.actor``)."""
        caller = self.caller
        return caller.actor if caller else None

    def parse(self, model: type[Model]) -> Model:
        """
        The body as ``model``; a field that it does not know is refused, so that a typing error shows.

        Raises:
            ProblemError: it is not valid; the problem lists the fields and repeats no value.
        """
        try:
            # What ``model_validate_json`` does, after an eighth of the time.
            return cast("Model", model.__pydantic_validator__.validate_json(self.body or b"{}", extra="forbid"))
        except ValidationError as error:
            raise ProblemError(invalid(error, model=model)) from None

    def reply(self, body: bytes) -> None:
        """Answer with the result; from the event loop's own thread. It goes out with other answers of the moment."""
        if len(body) > self._outbox.max_payload:
            self.fail(TOO_LARGE)
            return
        self._answer("200", body)

    def fail(self, problem: Problem) -> None:
        """Answer with problem details (RFC 9457) and the error headers of NATS services (ADR-32)."""
        status = str(problem.status)
        self._answer(status, problem.to_json(), {ERROR_HEADER: problem.title, ERROR_CODE_HEADER: status})

    def _answer(self, status: str, body: bytes, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        self.answered = True
        CALLS.observe(self.subject, status, monotonic() - self._came)
        if not self.reply_to:
            return
        try:
            self._outbox.put(self.reply_to, body, headers)
        except NatsError as error:
            # The caller's timeout tells it; the effect stands, and a repeated command with the same id says so.
            _log.warning("reply could not be sent", subject=self.subject, error=str(error) or type(error).__name__)


@lru_cache(maxsize=1024)
def _caller(info: str) -> Caller | None:
    """Whom the broker's header names. It is the same in all requests that come over one connection."""
    try:
        user = json.loads(info).get("user")
    except (ValueError, AttributeError):
        return None
    return Caller("broker", user, "admin") if isinstance(user, str) and _USER.fullmatch(user) else None


Handler = Callable[[Call], None] | Callable[[Call], Awaitable[BaseModel | bytes | None]]
"""
Takes a call. A plain function hands the call on and returns at once: somebody else answers it. A coroutine function
answers itself, or returns what to answer with. Either may raise ``ProblemError``.
"""


@dataclass(frozen=True, slots=True)
class Route:
    """
    One line of a service's wiring table.

    Attributes:
        subject: what is called, without wildcards.
        request: the model of the request's body.
        reply: the model of the answer's body; None when the answer is empty.
        handler: what is called.
        description: one line for the reader of the AsyncAPI document.
        role: who may call it over HTTP, where its table is served there too; over the broker, rights decide.
    """

    subject: str
    request: type[BaseModel]
    reply: type[BaseModel] | None
    handler: Handler
    description: str
    role: Role = "admin"


def serve(broker: NatsBroker, table: Iterable[Route], queue: str = "") -> None:
    """
    Subscribe the table's handlers; they are called once ``broker`` has started.

    Args:
        broker: made by ``broker.faststream_broker``.
        table: the wiring.
        queue: a queue group, so that of several replicas one answers; the service's name.
    """
    for route in table:
        subscriber = broker.subscriber(route.subject, queue=queue, no_reply=True)
        # Without a handler it would not start; what is called instead of it is ``consume``.
        subscriber(_never)
        subscriber.consume = _straight(subscriber, route.handler)  # type: ignore[method-assign, assignment]


async def _never(_message: Msg) -> None:
    raise NotImplementedError


def _straight(subscriber: SubscriberUsecase[Any], handler: Handler) -> Callable[[Msg], Coroutine[Any, Any, None]]:
    """
    A message's way from FastStream's subscription to the handler, without parsers, filters, contexts and middlewares.

    None of them is used here, and they cost a quarter of a command (docs/performance.md). Subscribing, the queue group,
    and stopping are FastStream's: while a handler waits for something, its lock is held, which a stop waits for.
    """

    async def consume(message: Msg) -> None:
        if not subscriber.running:
            return
        # The broker was made by ``faststream_broker``.
        connection = cast("Connection", message._client)
        call = Call(connection.outbox, message.subject, message.data, message.reply, message.headers or {})
        if not tracing.is_on():
            awaited = _begin(handler, call)
            if awaited is not None:
                with subscriber.lock:
                    await _finish(awaited, call)
            return
        with subscriber.lock, tracing.span(call.subject, "server", parent=call.headers.get(tracing.HEADER)):
            await handle(handler, call)

    return consume


async def handle(handler: Handler, call: Call) -> None:
    """Have a call answered, whatever happens: by the handler, or with what went wrong."""
    awaited = _begin(handler, call)
    if awaited is not None:
        await _finish(awaited, call)


def _begin(handler: Handler, call: Call) -> Awaitable[BaseModel | bytes | None] | None:
    """Call the handler; what it returns to be awaited, if it is one that answers itself."""
    try:
        return handler(call)
    except Exception as error:
        call.fail(_problem_of(error, call))
        return None


async def _finish(awaited: Awaitable[BaseModel | bytes | None], call: Call) -> None:
    try:
        outcome = await awaited
        if not call.answered:
            call.reply(outcome.model_dump_json().encode() if isinstance(outcome, BaseModel) else outcome or b"")
    except Exception as error:
        call.fail(_problem_of(error, call))


def _problem_of(error: Exception, call: Call) -> Problem:
    if isinstance(error, ProblemError):
        return error.problem
    if isinstance(error, ValidationError):
        return invalid(error)
    # Without the body: it may hold people's data.
    _log.error("handler failed", subject=call.subject, exc_info=error)
    return UNEXPECTED
