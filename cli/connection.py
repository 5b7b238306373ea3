"""The broker as a command sees it: ask a question, give a command, or run something that takes longer."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

import nats.errors
from nats.aio.client import Client
from pydantic import BaseModel, ValidationError

from cli.encryption import EncryptedClient, abandon, complaint, trusting
from cli.endpoints import Access
from cli.failure import REFUSED, UNREACHABLE, USAGE, Failure
from cli.proof import seed
from contracts import subjects
from contracts.problem import ERROR_CODE_HEADER, Problem, ProblemError

Answer = TypeVar("Answer", bound=BaseModel)
Result = TypeVar("Result")

PATIENCE = 10.0
"""Seconds that a service has for an answer."""


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
        """Run something on the connection's own loop."""
        return self._runner.run(work)

    async def client(self) -> Client:
        """
        The connected client.

        Raises:
            Failure: nothing listens there, or it refuses this identity.
        """
        if self._client is None:
            self._client = await self._connect()
        return self._client

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
        client = await self.client()
        service = subject.split(".")[1]
        try:
            reply = await client.request(subject, body.model_dump_json(exclude_unset=True).encode(), timeout=patience)
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
        except (TimeoutError, nats.errors.ConnectionClosedError, OSError):
            raise self._no_answer(subject, patience) from None
        if reply.headers and ERROR_CODE_HEADER in reply.headers:
            raise ProblemError(_problem(reply.data))
        try:
            return answer.model_validate_json(reply.data)
        except ValidationError as error:
            raise Failure(
                f"The answer to {subject} is not what this version of deelname expects ({error.error_count()} fields).",
                "Use the same version of the tool and of the services.",
            ) from error

    def _no_answer(self, subject: str, patience: float) -> Failure:
        if self._refusal:
            return Failure(
                f"The broker does not let '{self.access.identity}' use {subject}.",
                "Use --as with an identity that may: staff for commands and questions, a partner for intake.",
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


def _problem(body: bytes) -> Problem:
    try:
        return Problem.model_validate_json(body)
    except ValidationError:
        return Problem(title="The service failed", status=500, detail=json.dumps(body[:200].decode(errors="replace")))
