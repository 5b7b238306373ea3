"""
In which order the messages of work queues are handled: as they were stored.

Within one queue strictly. What the broker handed to a process that was killed, or over a connection that broke, comes
again before anything newer, and at once: by itself the broker would wait for ``ack_wait`` and hand out what is newer
meanwhile. Between queues roughly: the queue that is further behind goes first, as long as that takes no longer than a
while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from services.chassis.clock import wall_clock

if TYPE_CHECKING:
    from services.chassis.broker import Connection, Fetching

_log = structlog.get_logger("chassis.turns")

_PATIENCE = 2.0
"""Seconds that the broker may take to answer a question about a queue."""
_ROUGHLY = timedelta(seconds=1)
"""Messages of two queues that were stored within so much of one another are handled in any order."""
_BETWEEN_BATCHES = 0.25
"""Seconds within which the broker gives the next batch of a queue, if there is one."""
_TO_BEGIN = 5.0
"""Seconds within which a queue that is there begins to be fetched from."""
_LOOK_AGAIN = 0.01
_LONG_AGO = datetime.min.replace(tzinfo=UTC)

MayComeAgain = Callable[[int], Awaitable[bool]]
"""Whether what was handed out behind this number of the stream may come again at once."""


class Turns:
    """The work queues of a service, and how far each of them is."""

    def __init__(self) -> None:
        self._queues: dict[str, Turn] = {}

    def of(self, stream: str, durable: str, patience: float, may_come_again: MayComeAgain | None = None) -> Turn:
        """
        A queue from now on.

        Args:
            stream: its stream.
            durable: its consumer.
            patience: seconds that a batch of it waits at most for other queues that are further behind.
            may_come_again: asked when something was handed out that nobody answered for. If it may not, it comes after
                the consumer's ``ack_wait``, and what is newer does not wait for it.
        """
        turn = Turn(self, stream, durable, patience, may_come_again)
        self._queues[stream] = turn
        return turn

    def others(self, turn: Turn) -> list[Turn]:
        """All queues but this one."""
        return [each for each in self._queues.values() if each is not turn]

    async def handled_until(self, stream: str) -> datetime:
        """
        The moment up to which everything that the broker stored in a queue has been handled, by the broker's clock.

        Raises:
            nats.errors.Error: the broker could not be asked.
        """
        turn = self._queues.get(stream)
        return _LONG_AGO if turn is None else await turn.handled_until()


class Turn:
    """One queue; see ``Turns.of``."""

    def __init__(
        self, turns: Turns, stream: str, durable: str, patience: float, may_come_again: MayComeAgain | None
    ) -> None:
        self._turns = turns
        self._stream = stream
        self._durable = durable
        self._patience = patience
        self._may_come_again = may_come_again
        self._connection: Connection | None = None
        self._connected = -1
        self._first: datetime | None = None
        """When the first message of the batch that is being handled was stored."""
        self._latest = _LONG_AGO
        """When the last one that was fetched was stored."""
        self._handling_since = self._known_since = monotonic()
        self._fetching_since: float | None = None
        self._given_back: dict[int, datetime] = {}
        """When what could not be handled, and will come again, was stored, by its number."""

    def fetching_by(self, subscription: JetStreamContext.PullSubscription, connection: Connection) -> Fetching:
        """The subscription, fetching in turn."""
        self._connection = connection
        return _InTurn(self, subscription)

    def given_back(self, message: Msg) -> None:
        """A message could not be handled and will come again."""
        self._given_back[message.metadata.sequence.stream] = message.metadata.timestamp

    def handled(self, message: Msg) -> None:
        """A message was handled."""
        self._given_back.pop(message.metadata.sequence.stream, None)

    async def begin(self) -> None:
        """
        Everything that was fetched has been handled or given back; what comes next is asked for now.

        Raises:
            nats.errors.Error: the broker could not be asked.
        """
        self._first = None
        self._fetching_since = monotonic()
        connection = self._connection
        assert connection is not None  # noqa: S101
        connected = connection.stats["reconnects"]
        if self._connected != connected:
            await self._have_come_again(connection.jetstream(timeout=_PATIENCE))
            self._connected = connected
            self._fetching_since = monotonic()

    async def wait(self, messages: list[Msg]) -> None:
        """Wait until no other queue is further behind, or the patience is at an end."""
        stored = [message.metadata.timestamp for message in messages]
        self._first, self._latest = min(stored), max(self._latest, *stored)
        self._handling_since = monotonic()
        # What the others do next they do within a few milliseconds.
        while self._must_wait(self._first - _ROUGHLY):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_AGAIN)

    def _must_wait(self, moment: datetime) -> bool:
        if monotonic() - self._handling_since >= self._patience or (self._connection and self._connection.leaving):
            return False
        return any(other.is_behind(moment) for other in self._turns.others(self))

    def is_behind(self, moment: datetime) -> bool:
        """Whether what was stored before this moment may still be unhandled here."""
        if self._first is not None:
            # Who hangs, or is no more, holds nobody up for long.
            return self._first < moment and monotonic() - self._handling_since < self._patience
        if self._fetching_since is None:
            return monotonic() - self._known_since < _TO_BEGIN
        return self._latest < moment and monotonic() - self._fetching_since < _BETWEEN_BATCHES

    async def handled_until(self) -> datetime:
        """See ``Turns.handled_until``."""
        if self._connection is None:
            return _LONG_AGO
        asked = wall_clock()
        info = await self._connection.jetstream(timeout=_PATIENCE).consumer_info(self._stream, self._durable)
        if info.num_pending == info.num_ack_pending == 0:
            self._given_back.clear()
            return asked
        return min([self._first or self._latest, *self._given_back.values()])

    async def _have_come_again(self, jetstream: JetStreamContext) -> None:
        """Have the broker forget what it has handed out: nobody is there who would answer for it."""
        info = await jetstream.consumer_info(self._stream, self._durable)
        if not info.num_ack_pending:
            return
        floor = info.ack_floor.stream_seq if info.ack_floor else 0
        if self._may_come_again is not None and not await self._may_come_again(floor):
            _log.error(
                "what was handed out has ended this service again and again, and waits",
                stream=self._stream,
                after=floor,
                messages=info.num_ack_pending,
            )
            return
        try:
            await jetstream.reset_consumer(self._stream, self._durable)
        except NatsError as error:
            # A server before 2.14, or one that was not told that we may. It comes by itself, later.
            _log.warning(
                "what was handed out before does not come again at once",
                stream=self._stream,
                messages=info.num_ack_pending,
                error=str(error) or type(error).__name__,
            )
        else:
            _log.info("what was handed out before comes again", stream=self._stream, messages=info.num_ack_pending)


class _InTurn:
    """A pull subscription whose batches are handled in turn."""

    def __init__(self, turn: Turn, subscription: JetStreamContext.PullSubscription) -> None:
        self._turn = turn
        self._subscription = subscription

    async def fetch(
        self,
        batch: int = 1,
        timeout: float | None = 5,  # noqa: ASYNC109
        heartbeat: float | None = None,
    ) -> list[Msg]:
        """See ``PullSubscription.fetch``."""
        await self._turn.begin()
        messages = await self._subscription.fetch(batch=batch, timeout=timeout, heartbeat=heartbeat)
        await self._turn.wait(messages)
        return messages

    async def unsubscribe(self) -> None:
        """See ``PullSubscription.unsubscribe``."""
        await self._subscription.unsubscribe()
