"""A question that every server of the broker answers for itself, to whoever may ask."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from time import monotonic

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.chassis.broker import while_connected

_SECONDS_UNANSWERED = 60.0
"""A broker whose configuration is of a release before this one does not let us ask, and complains each time."""
_MOST_SERVERS = 32


class Question:
    """
    Asked again and again; seldom of a broker that has never answered it.

    Args:
        connection: whose user may ask.
        subject: where all servers hear it.
        body: what goes with it.
        first: seconds that the first answer may take.
        more: seconds that each further one may take after it.
    """

    def __init__(self, connection: Client, subject: str, body: bytes, *, first: float, more: float) -> None:
        self._connection = connection
        self._subject = subject
        self._body = body
        self._first = first
        self._more = more
        self._answered = False
        self._not_before = 0.0

    async def ask(self, enough: Callable[[list[bytes]], bool] = lambda _answers: False) -> list[bytes] | None:
        """What came until ``enough`` of it had come, or no more did; None when it was not the time to ask."""
        if monotonic() < self._not_before:
            return None
        try:
            answers = await while_connected(
                self._connection, self._ask(enough), 2 * self._first + self._more * _MOST_SERVERS
            )
        except (NatsError, OSError):
            answers = []
        self._answered = self._answered or bool(answers)
        if not self._answered:
            self._not_before = monotonic() + _SECONDS_UNANSWERED
        return answers

    async def _ask(self, enough: Callable[[list[bytes]], bool]) -> list[bytes]:
        inbox = await self._connection.subscribe(self._connection.new_inbox())
        found: list[bytes] = []
        try:
            await self._connection.publish(self._subject, self._body, reply=inbox.subject)
            while len(found) < _MOST_SERVERS and not (found and enough(found)):
                message: Msg = await inbox.next_msg(timeout=self._more if found else self._first)
                found.append(message.data)
        except TimeoutError:
            return found
        finally:
            with contextlib.suppress(NatsError):
                await inbox.unsubscribe()
        return found
