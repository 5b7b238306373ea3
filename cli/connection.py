"""The broker as a command sees it: ask a question, give a command, or run something that takes longer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import nats.errors
from nats.aio.client import Client
from pydantic import BaseModel, ValidationError

from cli.encryption import EncryptedClient, abandon, complaint, trusting
from cli.endpoints import Access
from cli.failure import REFUSED, UNREACHABLE, USAGE, Failure
from cli.passing import TROUBLES, broken, in_words, passes
from cli.proof import seed
from contracts import subjects
from contracts.problem import ERROR_CODE_HEADER, Problem, ProblemError

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")

PATIENCE = 10.0
"""Seconds that a service has for an answer."""
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 2.0


class Connection:
    """One identity's connection to the broker; a context manager."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self._runner = asyncio.Runner()
        self._refusal: str | None = None
        self._client: Client | None = None

    def __enter__(self) -> Self:
        self._runner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._client and not self._client.is_closed:
                # A broker that is gone by now takes nothing away from what the command has shown already.
                with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
                    self._runner.run(self._client.close())
        finally:
            self._runner.__exit__(kind, error, trace)

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """
        Run something on the connection's own loop.

        Raises:
            Failure: the broker made trouble that the work did not deal with, in words.
        """
        try:
            return self._runner.run(work)
        except (nats.errors.Error, TimeoutError, ConnectionResetError) as error:
            raise Failure(
                f"It came to nothing: {in_words(error)}.",
                "Try again in a moment: after a restart or an election the broker goes on by itself. 'deelname doctor'"
                " says what does not.",
                code=UNREACHABLE if passes(error) else REFUSED,
            ) from error

    async def persist(
        self,
        attempt: Callable[[Client], Awaitable[Result]],
        doing: str,
        *,
        patience: float,
        again: Callable[[Exception], bool] = passes,
        say: Callable[[str], None] = lambda _: None,
    ) -> Result:
        """
        Make the attempt again, over a new connection where the old one broke, until it succeeds or patience is over.

        Args:
            attempt: what may be done twice.
            doing: what it is, as "Sending".
            patience: seconds from the first trouble on.
            again: after which troubles.
            say: told once, that it is tried again and how long.

        Raises:
            Failure: patience is over, or this identity may not do it.
        """
        deadline: float | None = None
        pause = _FIRST_PAUSE
        while True:
            trouble: Exception
            try:
                return await attempt(await self.client())
            except Failure as failure:
                # Once it was connected, a broker that nobody reaches is one that starts again.
                if failure.kind != "unreachable" or deadline is None:
                    raise
                trouble = failure
                what = failure.what.rstrip(".")
            except TROUBLES as error:
                # Who waits for an answer over a connection that ends is told that none came, and nothing else.
                trouble = error if self._connected else nats.errors.ConnectionClosedError()
                if self._refusal or not again(trouble):
                    raise trouble from None
                what = in_words(trouble)
            now = time.monotonic()
            if deadline is None:
                deadline = now + patience
                if patience > 0:
                    say(f"{doing}: {what}. It is tried again for up to {patience:g} seconds.")
            if now + pause > deadline:
                raise Failure(
                    f"{doing} came to nothing within {patience:g} seconds: {what}.",
                    "Repeat the command when the broker runs again: what has an id is never done twice. What is wrong"
                    " with it is said by 'deelname doctor'.",
                    code=UNREACHABLE,
                    kind="unreachable",
                ) from trouble
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            await self._leave_broken()

    @property
    def _connected(self) -> bool:
        return self._client is not None and self._client.is_connected

    async def _leave_broken(self) -> None:
        """What is closed, or about to be, is no use; the next attempt connects to whichever server there is."""
        if self._client is not None and not self._connected:
            await abandon(self._client)
            self._client = None

    async def client(self) -> Client:
        """
        The connected client.

        Raises:
            Failure: nothing listens there, or it refuses this identity.
        """
        if self._client is None:
            self._client = await self._connect()
        return self._client

    @property
    def refused(self) -> bool:
        """Whether the broker has refused this identity something."""
        return self._refusal is not None

    def ask(
        self,
        service: str,
        entity: str,
        verb: str,
        question: BaseModel,
        answer: type[Answer],
        *,
        patience: float = PATIENCE,
    ) -> Answer:
        """Ask a service; raises ProblemError when it refuses, Failure when it does not answer."""
        return self.run(self.request(subjects.query(service, entity, verb), question, answer, patience=patience))

    def do(
        self,
        service: str,
        entity: str,
        verb: str,
        command: BaseModel,
        answer: type[Answer],
        *,
        patience: float = PATIENCE,
    ) -> Answer:
        """Command a service; raises ProblemError when it refuses, Failure when it does not answer."""
        return self.run(self.request(subjects.command(service, entity, verb), command, answer, patience=patience))

    async def request(
        self, subject: str, body: BaseModel, answer: type[Answer], *, patience: float = PATIENCE
    ) -> Answer:
        """
        Send a request and read the answer.

        Raises:
            ProblemError: the service refused, with its problem details.
            Failure: nobody answered in time, or with something that this version can't read.
        """
        service = subject.split(".")[1]
        written = body.model_dump_json(exclude_unset=True).encode()
        # A question may be asked twice; of a command nobody knows by now whether it was carried out.
        asks = subjects.is_query(subject)
        try:
            reply = await self.persist(
                lambda client: client.request(subject, written, timeout=patience),
                "Asking",
                patience=patience if asks else 0.0,
                again=broken if asks else _never,
            )
        except nats.errors.NoRespondersError:
            raise Failure(
                f"The broker runs, but the service '{service}' is not there.",
                f"Start it ('deelname up' starts all three), or look at its log: it serves {subject}.",
                code=UNREACHABLE,
            ) from None
        except nats.errors.MaxPayloadError:
            raise Failure(
                "The request is larger than the broker takes.", "Send it in several smaller pieces.", code=REFUSED
            ) from None
        except TROUBLES as error:
            raise self._no_answer(subject, patience, error) from None
        if reply.headers and ERROR_CODE_HEADER in reply.headers:
            raise ProblemError(_problem(reply.data))
        try:
            return answer.model_validate_json(reply.data)
        except ValidationError as error:
            raise Failure(
                f"The answer to {subject} is not what this version of deelname expects ({error.error_count()} fields).",
                "Use the same version of the tool and of the services.",
            ) from error

    def _no_answer(self, subject: str, patience: float, error: Exception) -> Failure:
        if self._refusal:
            return Failure(
                f"The broker does not let '{self.access.identity}' use {subject}.",
                "Use --as with an identity that may: staff for commands and questions, a partner for intake.",
            )
        if broken(error):
            return Failure(
                f"No answer to {subject}: {in_words(error)}.",
                "Whether it was carried out is not known: look, and repeat it if it was not.",
                code=UNREACHABLE,
            )
        return Failure(
            f"No answer to {subject} within {patience:g} seconds.",
            "Try again; if it stays so, look at the service's log and its /health/ready.",
            code=UNREACHABLE,
        )

    async def _connect(self) -> Client:
        distrust: str | None = None

        async def remember(error: Exception) -> None:
            nonlocal distrust
            text = str(error)
            if "permissions violation" in text.lower():
                self._refusal = text
            distrust = distrust or complaint(error, self.access.authority)

        encrypted = self.access.authority is not None or self.access.url.startswith("tls://")
        client = EncryptedClient() if encrypted else Client()
        proof = self._proof()
        try:
            await client.connect(
                self.access.url.split(","),
                name=f"deelname ({self.access.identity})",
                inbox_prefix=self.access.inbox_prefix.encode(),
                allow_reconnect=False,
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=3,
                pending_size=0,
                error_cb=remember,
                **proof,
            )
            # Whoever may not hear its own answers has come with the key of somebody else.
            inbox = await client.subscribe(client.new_inbox())
            # Twice: the first answer may be that to a ping of the connection's own.
            await client.flush()
            await client.flush()
            if self._refusal:
                await abandon(client)
                raise self._somebody_else()
            await inbox.unsubscribe()
        except (nats.errors.Error, OSError, TimeoutError) as error:
            # A refused client keeps its socket open until it is told to close.
            await abandon(client)
            if isinstance(error, nats.errors.AuthorizationError) or "authorization" in str(error).lower():
                raise self._unknown_here() from error
            if distrust:
                raise Failure(
                    f"{self.access.address}: {distrust}.",
                    "Use the endpoints.json and the ca.pem of this deployment.",
                    code=UNREACHABLE,
                    kind="distrusted",
                ) from error
            raise Failure(
                f"No broker answers at {self.access.address}.",
                "Start Deelname with 'deelname up', or name one that runs with --endpoints FILE.",
                code=UNREACHABLE,
                kind="unreachable",
            ) from error
        return client

    def _proof(self) -> dict[str, Any]:
        """What nats-py takes beside the address; raises Failure where a file of it cannot be read."""
        proof: dict[str, Any] = {}
        try:
            if self.access.seed is not None:
                proof["nkeys_seed_str"] = seed(self.access.seed)
            if self.access.authority is not None:
                proof["tls"] = trusting(self.access.authority)
        except (OSError, ValueError) as error:
            raise Failure(
                f"What '{self.access.identity}' proves itself with is of no use: {error}.",
                "Keep endpoints.json together with the files that it names.",
                code=USAGE,
                kind="unusable",
            ) from None
        return proof

    def _unknown_here(self) -> Failure:
        return Failure(
            f"The broker at {self.access.address} does not know '{self.access.identity}' by this password or key.",
            "Use the endpoints.json of the system that runs now: --endpoints FILE.",
            code=UNREACHABLE,
            kind="unknown",
        )

    def _somebody_else(self) -> Failure:
        return Failure(
            f"The broker at {self.access.address} takes '{self.access.identity}' for somebody else, by this"
            " password or key.",
            "Use the file that was made for this identity: each has one of its own.",
            code=UNREACHABLE,
            kind="unknown",
        )


def _never(_: Exception) -> bool:
    return False


def _problem(body: bytes) -> Problem:
    try:
        return Problem.model_validate_json(body)
    except ValidationError:
        return Problem(title="The service failed", status=500, detail=json.dumps(body[:200].decode(errors="replace")))
