"""
Follows a stream of facts; the position lives in the reader's own database, in the transaction of the effect.

The consumer is the broker's ordered push consumer (no acknowledgements, flow control, heartbeats), driven here and not
by nats-py's ``ordered_consumer``: nats-py answers flow control four times a second and notices a vanished consumer
after 10 to 20 seconds. Here flow control is answered as soon as there is room, and any doubt (a reconnect, a number
that is not the next, silence) opens a new consumer behind the stored position.
"""

from __future__ import annotations

import asyncio
import math
import random
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import NamedTuple

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from services.chassis import metrics, tracing
from services.chassis.broker import ConnectionLost, while_connected
from services.chassis.patience import Patience
from services.chassis.storage import in_words

_log = structlog.get_logger("chassis.reader")

POSITIONS_SCHEMA = """
CREATE TABLE positions (
    stream   TEXT    PRIMARY KEY,
    position INTEGER NOT NULL
) WITHOUT ROWID;
"""
"""The table that a service's first migration creates for ``load_position`` and ``save_position``."""

_HEARTBEAT = 0.5  # seconds between the broker's signs of life when there is nothing to deliver
_SILENCE = 1.5  # seconds without any sign of life after which the consumer counts as gone
_LONGEST_QUEUE = 30  # seconds that what the broker said may wait to be heard
_MOST_UNANSWERED = 2  # looks at the stream, each longer than the one before
_TICK = 0.25
_ROOM = 8  # batches that may wait here before flow control is held back
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0
_LONGEST_ELECTION_PAUSE = 1.0  # where it is the broker that has to come back: who waits long is late

_BATCHES = metrics.sizes("deelname_reader_batch_facts", "Facts that the reader applied together.", ["stream"])
_APPLYING = metrics.durations("deelname_reader_apply_duration_seconds", "Applying a batch of facts.", ["stream"])


class Message(NamedTuple):
    """
    One message of a stream.

    Attributes:
        position: its sequence number in the stream, which is the fact's position in its log.
        subject: the subject it was published on.
        body: the CloudEvents envelope.
    """

    position: int
    subject: str
    body: bytes


class StartAgain(Exception):  # noqa: N818
    """The consumer cannot be trusted any longer; what was not applied is read again."""


def load_position(connection: sqlite3.Connection, stream: str) -> int:
    """The position up to which ``stream`` was applied, 0 at first."""
    row = connection.execute("SELECT position FROM positions WHERE stream = ?", (stream,)).fetchone()
    return int(row[0]) if row else 0


def save_position(connection: sqlite3.Connection, stream: str, position: int) -> None:
    """Store how far ``stream`` was applied; belongs into the transaction that applies it."""
    connection.execute(
        "INSERT INTO positions (stream, position) VALUES (?, ?)"
        " ON CONFLICT (stream) DO UPDATE SET position = excluded.position",
        (stream, position),
    )


class Reader:
    """
    Hands over every message of a stream, once and in order, to ``apply``.

    Args:
        connection: whose user may create consumers on the stream and ask for its state.
        stream: exists already, or will.
        position: reads the stored position.
        apply: does its work with messages and stores the last one's position, in one transaction. When it raises,
            nothing has happened, and the same messages come again.
        batch: the most messages that ``apply`` is given at once.
    """

    def __init__(
        self,
        connection: Client,
        stream: str,
        *,
        position: Callable[[], Awaitable[int]],
        apply: Callable[[Sequence[Message]], Awaitable[None]],
        batch: int = 500,
    ) -> None:
        self._connection = connection
        self._asking = Patience(1.0)
        self._unanswered = 0
        self._stream = stream
        self._load_position = position
        self._apply = apply
        self._batch = batch
        self._position = 0
        self._head = 0
        self._following = False
        self._complaint = ""
        self._reason = ""
        self._seen: tuple[int, float] | None = None
        self._confirmed = -math.inf
        self._pause = _SHORTEST_PAUSE
        self._batches = _BATCHES.labels(stream)
        self._applying = _APPLYING.labels(stream)

    @property
    def lag(self) -> int:
        """Messages in the stream that were not applied yet, as far as known; reliable while ``following``."""
        return max(0, self._head - self._position)

    @property
    def position(self) -> int:
        """The last message that was applied."""
        return self._position

    @property
    def unconfirmed(self) -> float:
        """
        Seconds since the moment at which the stream is last known to have held nothing that was not applied by now.

        Infinite until that is known for the first time, and while the stream holds less than was applied: one that lost
        its disk may have lost what nobody here has read.
        """
        return monotonic() - self._confirmed

    @property
    def following(self) -> bool:
        """Whether a consumer is open and gives signs of life."""
        return self._following

    @property
    def complaint(self) -> str:
        """Why it does not follow, as far as known."""
        return self._reason

    async def run(self) -> None:
        """Read for ever, through every failure; ends by cancellation only."""
        while True:
            try:
                await self._follow()
            except StartAgain as doubt:
                _log.info("reader starts again", stream=self._stream, position=self._position, reason=str(doubt))
                self._pause = min(self._pause, _LONGEST_ELECTION_PAUSE)
            except (NatsError, OSError) as error:
                self._complain(str(error) or type(error).__name__)
                self._pause = min(self._pause, _LONGEST_ELECTION_PAUSE)
            except sqlite3.Error as error:
                self._complain(f"what it reads cannot be stored: {in_words(error)}")
            except Exception as error:
                self._complain(f"{type(error).__name__}: {error}", error)
            self._following = False
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)

    async def _follow(self) -> None:
        if not self._connection.is_connected:
            raise ConnectionLost
        self._position = await self._load_position()
        reconnects = self._connection.stats["reconnects"]
        consumer = _Consumer(self._connection, self._stream, self._batch * _ROOM)
        try:
            self._head = await self._asking.wait(lambda seconds: consumer.open(self._position + 1, seconds))
            self._unanswered = 0
            self._following = True
            looked = -math.inf
            while True:
                # While many messages wait, the answer would queue behind them, and they say themselves how many follow.
                if monotonic() - looked > 1 and (not consumer.waiting or self.lag <= self._batch):
                    await self._compare_with_stream(consumer)
                    looked = monotonic()
                messages = await consumer.take(self._batch)
                if messages:
                    # Before they are applied: that may take long, and is when somebody asks how far behind we are.
                    self._head = max(self._head, consumer.head)
                    await self._hand_over(messages)
                    self._head = max(self._head, consumer.head)
                    await consumer.make_room()
                elif self._connection.stats["reconnects"] != reconnects or not self._connection.is_connected:
                    raise StartAgain("the connection to the broker broke")
                elif consumer.silence > _SILENCE:
                    await self._hear_all()
                    if consumer.silence > _SILENCE:
                        raise StartAgain("the broker's consumer is gone")
        finally:
            await consumer.close()

    async def _hand_over(self, messages: list[Message]) -> None:
        position = self._position
        first = next((number for number, message in enumerate(messages) if message.position > position), None)
        if first is None:
            # A stream made anew and filled again from its beginning: we know these facts already.
            return
        if first:
            messages = messages[first:]
        for message in messages:
            position += 1
            if message.position != position:
                raise GapError(f"expected position {position}, got {message.position}")
        begun, begun_at = monotonic(), tracing.now()
        await self._apply(messages)
        self._applying.observe(monotonic() - begun)
        tracing.batch_done(
            "apply fact", begun_at, (each.body for each in messages), {"messaging.destination.name": self._stream}
        )
        self._batches.observe(len(messages))
        self._position = position
        self._confirm()
        self._reason = ""
        self._head = max(self._head, position)
        self._pause = _SHORTEST_PAUSE
        if self._complaint:
            _log.info("reader follows again", stream=self._stream, position=position)
            self._complaint = ""

    def _confirm(self) -> None:
        """Whether everything was applied that the stream was seen to hold."""
        if self._seen is not None and self._position >= self._seen[0]:
            self._confirmed = self._seen[1]
            self._seen = None

    async def _compare_with_stream(self, consumer: _Consumer) -> None:
        asked = monotonic()
        try:
            info = await self._asking.wait(
                lambda seconds: while_connected(
                    self._connection,
                    self._connection.jetstream(timeout=seconds).stream_info(self._stream),
                    seconds + 1,
                )
            )
        except TimeoutError:
            # The stream may have no leader at this moment, while another server keeps our consumer alive.
            self._unanswered += 1
            if self._unanswered > _MOST_UNANSWERED:
                raise
            return
        self._unanswered = 0
        self._head = int(info.state.last_seq)
        if self._head < self._position:
            self._seen, self._confirmed = None, -math.inf
        elif self._seen is None:
            # One that was seen before is reached before, however fast the stream grows.
            self._seen = self._head, asked
        self._confirm()
        self._pause = _SHORTEST_PAUSE
        if self._head > self._position and consumer.idle > 1:
            await self._hear_all()
            if consumer.idle > 1:
                raise StartAgain(f"the stream is at {self._head}, nothing came")

    async def _hear_all(self) -> None:
        """
        Wait until everything has been heard that the broker said so far.

        While the loop does other work, or another reader of this connection is far behind, signs of life queue up.
        """
        await while_connected(self._connection, self._connection.flush(_LONGEST_QUEUE), _LONGEST_QUEUE)

    def _complain(self, complaint: str, error: Exception | None = None) -> None:
        """Once per cause, not once per attempt."""
        # What an unforeseen error says may quote anything.
        self._reason = complaint if error is None else type(error).__name__
        if complaint == self._complaint:
            return
        self._complaint = complaint
        report = _log.warning if error is None else _log.error
        report("reader does not follow", stream=self._stream, position=self._position, reason=complaint, exc_info=error)


class GapError(Exception):
    """A position is missing in the stream; nothing behind it was applied."""


class _Consumer:
    """One ordered consumer of the broker, from its creation to the first doubt."""

    def __init__(self, connection: Client, stream: str, room: int) -> None:
        self._connection = connection
        self._stream = stream
        self._room = room
        self._waiting: deque[Message] = deque()
        self._arrived = asyncio.Event()
        self._held_back = ""
        self.head = 0  # the stream's last sequence, as the newest message tells
        self._heard = self._delivered = monotonic()
        self._subscription: Subscription | None = None

    @property
    def waiting(self) -> bool:
        """Whether messages have come that were not taken yet."""
        return bool(self._waiting)

    @property
    def silence(self) -> float:
        """Seconds since the broker last gave a sign of life."""
        return monotonic() - self._heard

    @property
    def idle(self) -> float:
        """Seconds since the broker could last have sent a message and did not."""
        return 0.0 if self._waiting else monotonic() - self._delivered

    async def open(self, start: int, within: float) -> int:
        """Begin at sequence ``start``, ``within`` some seconds; returns the stream's last sequence."""
        inbox = self._connection.new_inbox()
        self._subscription = await self._connection.subscribe(inbox, cb=self._receive)
        info = await while_connected(
            self._connection,
            self._connection.jetstream(timeout=within).add_consumer(
                self._stream,
                ConsumerConfig(
                    deliver_subject=inbox,
                    deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
                    opt_start_seq=start,
                    ack_policy=AckPolicy.NONE,
                    max_deliver=1,
                    flow_control=True,
                    idle_heartbeat=_HEARTBEAT,
                    num_replicas=1,
                    mem_storage=True,
                ),
            ),
            within + 1,
        )
        return start - 1 + int(info.num_pending or 0)

    async def take(self, limit: int) -> list[Message]:
        """The messages that wait, at most ``limit``; none when none came within a moment."""
        waiting = self._waiting
        if not waiting:
            self._arrived.clear()
            try:
                # Not wait_for, which may lose a cancellation that comes with the event (bpo-37658).
                async with asyncio.timeout(_TICK):
                    await self._arrived.wait()
            except TimeoutError:
                return []
        if len(waiting) <= limit:
            messages = list(waiting)
            waiting.clear()
            return messages
        return [waiting.popleft() for _ in range(limit)]

    async def make_room(self) -> None:
        """Let the broker send on, if it was held back and there is room again."""
        if self._held_back and len(self._waiting) < self._room:
            reply, self._held_back = self._held_back, ""
            # While it was held back it could not send, however long the work on what it had sent took.
            self._delivered = monotonic()
            await self._connection.publish(reply)

    async def close(self) -> None:
        """Stop listening; the broker removes a consumer that nobody listens to."""
        if self._subscription is not None and not self._connection.is_closed:
            try:
                await self._subscription.unsubscribe()
            except NatsError as error:
                _log.debug("unsubscribing failed", stream=self._stream, error=str(error))

    async def _receive(self, message: Msg) -> None:
        self._heard = monotonic()
        reply = message.reply
        if reply.startswith("$JS.ACK."):
            tokens = reply.split(".")
            # $JS.ACK.stream.consumer.deliveries.sequence.consumer-sequence.time.pending; two more tokens in front, and
            # one at the end, where the broker names domain and account (ADR-15).
            sequence, pending = (tokens[5], tokens[8]) if len(tokens) == 9 else (tokens[7], tokens[10])
            position = int(sequence)
            self._waiting.append(Message(position, message.subject, message.data))
            self.head = position + int(pending)
            self._delivered = self._heard
            self._arrived.set()
            return
        # A status message: a heartbeat, or the broker asks whether it may send on.
        stalled = reply or (message.headers or {}).get("Nats-Consumer-Stalled", "")
        if stalled:
            self._held_back = stalled
            await self.make_room()
