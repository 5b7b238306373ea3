"""Work queues of other systems: every message is handled, and only then let go."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, cast

import structlog
from faststream.middlewares import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage, PullSub
from faststream.nats.subscriber.usecases import PullStreamSubscriber
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js import JetStreamContext

from services.chassis.broker import Connection, GuardedPull, while_connected
from services.chassis.turns import MayComeAgain, Turn, Turns

_log = structlog.get_logger("chassis.intake")

_FETCH_TIMEOUT = 2.0
_TELL_AGAIN = 0.25
_SHORTEST_DELAY, _LONGEST_DELAY = 0.2, 60.0
_LONGEST_WAIT = 5.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """
    One message of a work queue.

    Attributes:
        subject: what it was published on.
        body: the bytes that came.
        headers: NATS headers, empty when there are none.
        stream: the stream that holds it; with ``sequence`` its name for ever.
        sequence: its number in the stream.
        stored: when the broker stored it, aware and in UTC.
        attempt: 1 at first, and again when the service was started or the connection made anew.
    """

    subject: str
    body: bytes
    headers: Mapping[str, str]
    stream: str
    sequence: int
    stored: datetime
    attempt: int


def take_in(
    broker: NatsBroker,
    *,
    stream: str,
    durable: str,
    subject: str,
    handler: Callable[[Delivery], Awaitable[None]],
    inbox: str,
    batch_size: int = 64,
    ack_wait: float = 30.0,
    patience: float = 120.0,
    passing: bool = False,
    turns: Turns | None = None,
    may_come_again: MayComeAgain | None = None,
) -> Any:
    """
    Hand every message of a work queue to ``handler``, ``batch_size`` at a time; starts with ``broker``.

    A message is acknowledged after the handler returned. A handler that raises ``NothingStored`` (database locked, disk
    full) is called again, later and later, and what was stored behind the message waits. One that raises anything else
    is called again too, without limit, and nothing waits for that. What cannot be understood is the handler's to
    answer; it must not raise for it. The same message may come again after it was handled.

    Messages are handed over in the order in which they were stored; see ``turns``.

    Args:
        broker: made by ``broker.faststream_broker``.
        stream: exists, as does the consumer: they are declared in one place, never by a service.
        durable: the pull consumer, with explicit acknowledgement, unlimited deliveries and at most ``batch_size``
            messages under way.
        subject: the consumer's filter.
        handler: takes one message.
        inbox: the inbox prefix that the broker's user may listen to (``broker.inbox_prefix``).
        batch_size: the most messages that are handled at the same time.
        ack_wait: the consumer's, in seconds; the broker is told three times in it that work goes on.
        patience: seconds after which a handler that hangs no longer holds its message.
        passing: the subscriber lives no longer than whoever holds what is returned (``Queues`` does).
        turns: other queues with which this one takes turns.
        may_come_again: see ``Turns.of``.
    """
    subscriber = broker.subscriber(
        subject,
        durable=durable,
        stream=JStream(stream, declare=False),
        pull_sub=PullSub(batch_size=batch_size, timeout=_FETCH_TIMEOUT),
        inbox_prefix=f"{inbox}.".encode(),
        ack_policy=AckPolicy.MANUAL,
        # The header reply_to is a stranger's: FastStream would publish to it with our rights.
        no_reply=True,
        parser=_parse,
        decoder=_raw,
        persistent=not passing,
    )

    turn = (turns or Turns()).of(stream, durable, ack_wait / 3, may_come_again)

    async def receive(raw: Msg) -> None:
        await _handle(raw, handler, turn, ack_wait, patience)

    subscriber(receive)
    create = subscriber._create_subscription

    async def create_guarded() -> None:
        await create()
        if isinstance(subscriber.subscription, JetStreamContext.PullSubscription):
            # Nothing was awaited since the loop that fetches was made: it has not begun.
            in_turn = turn.fetching_by(subscriber.subscription, cast("Connection", broker._connection))
            subscriber.subscription = cast("JetStreamContext.PullSubscription", GuardedPull(in_turn))

    subscriber._create_subscription = create_guarded  # type: ignore[method-assign]  # FastStream has no other way
    return subscriber


class Queues:
    """
    Work queues that come and go while the service runs: each is taken in from when it appears until it is gone.

    Args:
        broker: takes messages in; ``look`` does nothing before it is started but what starts with it.
        present: the queues that there are, by any name.
        take: makes a subscriber for a name, by ``take_in`` with ``passing``.
    """

    def __init__(
        self, broker: NatsBroker, present: Callable[[], Awaitable[Iterable[str]]], take: Callable[[str], Any]
    ) -> None:
        self.looked = False
        """Whether it is known what queues there are."""
        self._broker = broker
        self._present = present
        self._take = take
        self._taken: dict[str, Any] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """What is taken in from."""
        return tuple(sorted(self._taken))

    async def look(self) -> None:
        """
        Start with what is new and let go of what is gone.

        Raises:
            nats.errors.Error: the broker could not be asked; everything stays as it is.
        """
        present = set(await self._present())
        for name in sorted(present - set(self._taken)):
            subscriber = self._take(name)
            if self._broker.running:
                await subscriber.start()
            self._taken[name] = subscriber
            _log.info("intake begins", queue=name)
        for name in sorted(set(self._taken) - present):
            subscriber = self._taken.pop(name)
            # Its consumer is gone, and so is what would be fetched: there is nothing to finish.
            with contextlib.suppress(NatsError):
                await subscriber.stop()
            _log.info("intake ends", queue=name)
        self.looked = True


async def finish_taking_in(broker: NatsBroker, patience: float = 10.0) -> None:
    """
    Take in nothing more, and return when everything that was taken in has been handled.

    What FastStream's own stop cuts off stays with the broker as given out: nobody gets it before the consumer's
    ``ack_wait`` has passed. So does what was handled while the broker was gone: it comes again, and is known by then.

    Args:
        broker: started, with work queues of ``take_in``.
        patience: seconds; a fetch that waits for messages takes up to two of them.
    """
    if broker._connection is not None:
        cast("Connection", broker._connection).leaving = True
    queues = [subscriber for subscriber in broker.subscribers if isinstance(subscriber, PullStreamSubscriber)]
    await asyncio.gather(*(_finish(subscriber, patience) for subscriber in queues))


async def _finish(subscriber: PullStreamSubscriber, patience: float) -> None:
    reading = subscriber.subscription
    if reading is None:
        return
    closed = _Closed()
    # The loop asks for its subscription anew each time, after it has handled all that the last fetch gave it.
    subscriber.subscription = cast("JetStreamContext.PullSubscription", closed)
    try:
        await asyncio.wait_for(closed.reached.wait(), patience)
    except TimeoutError:
        _log.warning("messages were still under way", stream=subscriber.stream.name, seconds=patience)
    finally:
        subscriber.subscription = reading


class _Closed:
    """A subscription that gives nothing any more."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()

    async def fetch(self, *_: object, **__: object) -> list[Msg]:
        self.reached.set()
        return await asyncio.Future()


async def _parse(message: Msg) -> NatsMessage:
    return NatsMessage(raw_message=message, body=message.data, correlation_id="-", message_id="-")


async def _raw(message: NatsMessage) -> Msg:
    return message.raw_message


class NothingStored(RuntimeError):  # noqa: N818
    """A handler could not store anything: what was stored behind its message would fare no better, and waits."""


async def _handle(
    raw: Msg, handler: Callable[[Delivery], Awaitable[None]], turn: Turn, ack_wait: float, patience: float
) -> None:
    metadata = raw.metadata
    delivery = Delivery(
        subject=raw.subject,
        body=raw.data,
        headers=raw.headers or {},
        stream=metadata.stream,
        sequence=metadata.sequence.stream,
        stored=metadata.timestamp,
        attempt=metadata.num_delivered,
    )
    heartbeat = asyncio.create_task(_say_that_work_goes_on(raw, ack_wait / 3, patience))
    try:
        await _until_stored(raw, handler, delivery, patience / 2)
    except Exception as error:
        if not isinstance(error, NothingStored):
            # Without the body: it may hold people's data.
            _log.exception("message was not handled", stream=delivery.stream, sequence=delivery.sequence)
        turn.given_back(raw)
        delay = min(_SHORTEST_DELAY * 2 ** min(delivery.attempt, 10), _LONGEST_DELAY)
        delay *= random.uniform(0.8, 1.2)  # noqa: S311
        await _tell(raw, lambda: raw.nak(delay=delay), ack_wait / 2)
    else:
        turn.handled(raw)
        # Awaits the broker's answer: a plain acknowledgement may be lost without anybody knowing.
        await _tell(raw, lambda: while_connected(raw._client, raw.ack_sync(timeout=2), 2), ack_wait / 2)
    finally:
        heartbeat.cancel()


async def _until_stored(
    raw: Msg, handler: Callable[[Delivery], Awaitable[None]], delivery: Delivery, patience: float
) -> None:
    """
    Have a message handled, again and again while nothing can be stored.

    Given back to the broker it would come again behind others. All messages of a batch wait equally long, so that they
    keep their order.
    """
    begun, times = monotonic(), 0
    while True:
        try:
            await handler(delivery)
        except NothingStored as error:
            if cast("Connection", raw._client).leaving or monotonic() - begun >= patience:
                _log.warning(
                    "message could not be stored", stream=delivery.stream, sequence=delivery.sequence, error=str(error)
                )
                raise
            times += 1
            await asyncio.sleep(min(_SHORTEST_DELAY * 2**times, _LONGEST_WAIT))
        else:
            return


async def _tell(raw: Msg, word: Callable[[], Awaitable[object]], patience: float) -> None:
    """
    Say what became of a message, again and again while the broker can't be reached.

    Messages that were handled and not acknowledged take up the consumer's room: a broker that was restarted would give
    nothing new until they came again, which is half a minute later. A broker that is there and does not answer has
    forgotten, when it was killed, that it ever gave the message out: it will give it out again when it is asked.
    """
    begun = monotonic()
    while True:
        try:
            await word()
        except (NatsError, OSError) as error:
            leaving = cast("Connection", raw._client).leaving
            if isinstance(error, TimeoutError) or leaving or monotonic() - begun >= patience:
                # The message comes again, and the handler knows what it has handled.
                _log.warning("acknowledgement failed", subject=raw.subject, error=str(error) or type(error).__name__)
                return
            await asyncio.sleep(_TELL_AGAIN)
        else:
            return


async def _say_that_work_goes_on(raw: Msg, interval: float, patience: float) -> None:
    begun = monotonic()
    while monotonic() - begun < patience:
        await asyncio.sleep(interval)
        await _tell(raw, raw.in_progress, 0)
    _log.error("handler hangs, its message is let go", subject=raw.subject, seconds=patience)
