"""A partner's two dealings with the broker, which go on through its elections and restarts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence

import nats.errors
import nats.js.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.client import JetStreamContext

from cli.connection import Connection
from cli.failure import REFUSED, UNREACHABLE, Failure
from cli.passing import TROUBLES
from contracts import subjects

_PATIENCE = 60.0
"""Seconds for which it is tried again: an election takes up to ten, a server that is started again up to thirty."""


async def publish(connection: Connection, subject: str, body: bytes, source: str, say: Callable[[str], None]) -> int:
    """The number that it has in the stream; of one that was stored twice, the later."""

    async def attempt(client: Client) -> int:
        # No Nats-Msg-Id: with it the broker would swallow a repetition, and a repetition has an outcome too.
        return (await client.jetstream(timeout=5).publish(subject, body)).seq

    try:
        return await connection.persist(attempt, "Sending", patience=_PATIENCE, say=say)
    except nats.errors.MaxPayloadError:
        raise Failure(
            f"A message of {len(body)} bytes is larger than the broker takes.",
            "Send fewer participants in one.",
            code=REFUSED,
        ) from None
    except nats.js.errors.APIError as error:
        raise Failure(
            f"The intake stream did not take it: {error.description}.",
            "If too much waits there already, send it again when some has been answered; else send a smaller one.",
        ) from None
    except TROUBLES:
        raise _no_partner(source) from None


class Reader:
    """Reads a partner's outcomes, from whichever server of the broker there is."""

    def __init__(self, connection: Connection, source: str, say: Callable[[str], None]) -> None:
        self._connection = connection
        self._source = source
        self._say = say
        self._client: Client | None = None
        self._subscription: JetStreamContext.PullSubscription | None = None

    async def fetch(self, within: float) -> list[Msg]:
        """
        What has come, nothing if nothing did in so many seconds.

        Raises:
            Failure: the broker let nobody read for a minute, or does not let this identity.
        """
        if self._connection.refused:
            raise _no_partner(self._source)
        try:
            return await self._connection.persist(
                lambda client: self._fetch(client, within), "Reading outcomes", patience=_PATIENCE, say=self._say
            )
        except TROUBLES:
            raise _no_partner(self._source) from None

    async def acknowledge(self, message: Msg) -> None:
        """What the broker does not hear it gives again, in half a minute, to whoever reads then."""
        with contextlib.suppress(*TROUBLES):
            await message.ack_sync(timeout=5)

    async def give_back(self, messages: Sequence[Msg]) -> None:
        """Have others given these at once."""
        with contextlib.suppress(*TROUBLES):
            for message in messages:
                await message.nak()
            await (await self._connection.client()).flush()

    async def _fetch(self, client: Client, within: float) -> list[Msg]:
        if self._subscription is None or self._client is not client:
            self._client = client
            self._subscription = await client.jetstream(timeout=5).pull_subscribe_bind(
                self._source, subjects.OUTCOMES_STREAM
            )
        try:
            return await self._subscription.fetch(100, timeout=within)
        except TimeoutError:
            if client.is_connected:
                return []
            raise nats.errors.ConnectionClosedError from None


def _no_partner(source: str) -> Failure:
    return Failure(
        f"The broker does not let '{source}' send requests, or read outcomes.",
        "Use --as with a partner that the system knows; 'endpoints.json' names them.",
        code=UNREACHABLE,
    )
