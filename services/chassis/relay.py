"""
Copies the log into a stream whose sequence numbers are the log's positions.

The stream is its own bookmark: the relay asks it for its last sequence n and publishes n+1, n+2 … in atomic batches,
which the broker takes only while n is still the last. Whatever goes wrong (an answer lost, another relay faster, the
stream made anew), the cure is to ask again. There is no column "published" and no leader.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import islice
from time import monotonic
from typing import Any

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StreamInfo
from nats.js.errors import NotFoundError

from services.chassis import metrics, tracing
from services.chassis.broker import while_connected
from services.chassis.database import Database
from services.chassis.log import Entry, Log
from services.chassis.patience import Patience
from services.chassis.publishing import publish_all

_log = structlog.get_logger("chassis.relay")

BATCH_MESSAGES = 1000
"""The broker's limit of an atomic batch (ADR-50)."""

BATCH_BYTES = 512 * 1024
"""Keeps a batch far below what the broker holds for a connection that reads slowly."""

_MOST_OFFERED = 4 * BATCH_MESSAGES
"""Entries that may wait in memory for the broker; more are read from the log when their turn comes."""

_IDLE = 1.0  # seconds after which the stream is asked whether it is still what it was
_DIVERGED_PAUSE = 2.0
_TOLD_YET = 0.02
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
_MESSAGE_ID = "Nats-Msg-Id"

_BATCHES = metrics.sizes("deelname_relay_batch_facts", "Facts that the relay published together.", ["stream"])


class BatchRefused(Exception):  # noqa: N818
    """The broker took nothing of a batch; ``code`` is its error code (10071: the stream has moved on)."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(str(error.get("description", error)))
        self.code = int(error.get("err_code", 0))


class StreamDiverged(Exception):  # noqa: N818
    """The stream holds what the log does not: publishing would make it worse, so a person has to look."""


async def publish_batch(
    connection: Client,
    messages: Sequence[tuple[str, bytes, Mapping[str, str]]],
    timeout: float = 5,  # noqa: ASYNC109
) -> int:
    """
    Publish messages so that the stream stores all of them, in order and next to each other, or none (ADR-50).

    Args:
        connection: whose user may publish to the subjects.
        messages: subject, body and headers of each, 1 to 1000; the stream allows atomic batches.
        timeout: seconds to wait for each of the broker's two answers.

    Returns:
        The stream's sequence number of the last message.

    Raises:
        BatchRefused: nothing was stored.
        nats.errors.Error: no answer; whether all or nothing was stored is unknown.
    """
    if not 1 <= len(messages) <= BATCH_MESSAGES:
        raise ValueError(f"an atomic batch has 1 to {BATCH_MESSAGES} messages, not {len(messages)}")
    if len(messages) == 1:
        subject, body, headers = messages[0]
        return await _stored(connection, subject, body, dict(headers), timeout)
    batch = uuid.uuid4().hex

    def numbered(number: int, headers: Mapping[str, str]) -> dict[str, str]:
        return {**headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}

    subject, body, headers = messages[0]
    # An empty answer means that the batch is open; a refusal here names its cause, a later one does not.
    await _answer(connection, subject, body, numbered(1, headers), timeout)
    await publish_all(
        connection,
        messages[1:-1],
        (f"Nats-Batch-Id: {batch}\r\nNats-Batch-Sequence: {number}\r\n" for number in range(2, len(messages))),
    )
    subject, body, headers = messages[-1]
    committing = numbered(len(messages), headers) | {"Nats-Batch-Commit": "1"}
    return await _stored(connection, subject, body, committing, timeout)


async def _stored(connection: Client, subject: str, body: bytes, headers: dict[str, str], within: float) -> int:
    return int((await _answer(connection, subject, body, headers, within))["seq"])


async def _answer(
    connection: Client, subject: str, body: bytes, headers: dict[str, str], within: float
) -> dict[str, Any]:
    request = connection.request(subject, body, timeout=within, headers=headers)
    message = await while_connected(connection, request, within + 1)
    answer: dict[str, Any] = json.loads(message.data) if message.data else {}
    if "error" in answer:
        raise BatchRefused(answer["error"])
    return answer


class Relay:
    """
    Follows a log for ever and keeps a stream equal to it. Any number of relays may follow the same log.

    Args:
        connection: whose user may publish the log's subjects and ask for the stream's state and messages.
        database: the log's.
        log: what is copied.
        stream: exists already, allows atomic batches, keeps everything; nobody but relays publishes to it.
        forgets: whether the stream lets go of old entries by itself (an age limit); a log's stream keeps everything.
        before: awaited with the entries before they are published, for what must be elsewhere first. May be called
            again for the same entries.
    """

    def __init__(
        self,
        connection: Client,
        database: Database,
        log: Log,
        stream: str,
        *,
        forgets: bool = False,
        before: Callable[[Sequence[Entry]], Awaitable[None]] | None = None,
    ) -> None:
        self._connection = connection
        self._database = database
        self._log = log
        self._stream = stream
        self._forgets = forgets
        self._before = before
        self._asking = Patience(1.0)
        self._publishing = Patience(2.0)
        self._woken = asyncio.Event()
        self._offered: deque[Entry] = deque()
        self._unread = True
        self._head = 0
        self._copied = 0
        self._created: object = None
        self._following = False
        self._complaint = ""
        self._reason = ""
        self._batches = _BATCHES.labels(stream)

    @property
    def lag(self) -> int:
        """Entries that are not yet in the stream, as far as known."""
        return max(0, self._head - self._copied)

    @property
    def position(self) -> int:
        """The last entry that is known to be in the stream."""
        return self._copied

    @property
    def following(self) -> bool:
        """Whether the last attempt to copy succeeded."""
        return self._following

    @property
    def complaint(self) -> str:
        """Why the last attempt failed; "" when it succeeded."""
        return self._reason

    async def told(self, within: float) -> bool:
        """Whether everything that was offered by now is in the stream, at the latest ``within`` these seconds."""
        head, deadline = self._head, monotonic() + within
        while self._copied < head and monotonic() < deadline:  # noqa: ASYNC110  # as rare as a token is revoked
            await asyncio.sleep(_TOLD_YET)
        return self._copied >= head

    def wake(self) -> None:
        """Say that entries were committed; from the event loop's own thread."""
        self._unread = True
        self._woken.set()

    def offer(self, entries: Sequence[Entry]) -> None:
        """
        Hand over entries that were just committed, so that they need not be read; from the event loop's own thread.

        The log stays what is copied: entries that do not go on from the ones before, or that nobody takes for too long,
        are dropped here and read there.
        """
        if not entries:
            return
        self._head = max(self._head, entries[-1].position)
        if self._offered and self._offered[-1].position + 1 != entries[0].position:
            self._offered.clear()
        self._offered.extend(entries)
        if len(self._offered) > _MOST_OFFERED:
            self._offered.clear()
            self._unread = True
        self._woken.set()

    async def run(self) -> None:
        """Copy for ever, through every failure; ends by cancellation only."""
        pause = _SHORTEST_PAUSE
        while True:
            try:
                await self._ask_stream()
                while True:
                    await self._copy()
                    pause = _SHORTEST_PAUSE
            except StreamDiverged as error:
                self._complain(str(error), loud=True)
                await asyncio.sleep(_DIVERGED_PAUSE)
            except (NatsError, BatchRefused, OSError, sqlite3.Error) as error:
                self._complain(str(error) or type(error).__name__)
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311
                pause = min(pause * 2, _LONGEST_PAUSE)
            except Exception as error:
                # Of ``before``, for instance: it is asked again, since the facts cannot be held back for ever unseen.
                self._complain(f"{type(error).__name__}: {error}", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _copy(self) -> None:
        """Copy the next batch; when there is none, wait for one, or look after the stream."""
        self._woken.clear()
        position = self._copied
        entries = self._next_offered() or await self._read()
        if not entries:
            self._follows()
            try:
                # Not wait_for, which may lose a cancellation that comes with the event (bpo-37658).
                async with asyncio.timeout(_IDLE):
                    await self._woken.wait()
            except TimeoutError:
                await self._look_after_stream()
                self._unread = True
            return
        entries = _bounded(entries)
        if [entry.position for entry in entries] != list(range(position + 1, position + 1 + len(entries))):
            raise StreamDiverged(f"the log has a gap behind position {position}")
        if self._before is not None:
            await self._before(entries)
        begun = tracing.now()
        messages = [(entry.subject, entry.body, {_MESSAGE_ID: entry.id}) for entry in entries]
        messages[0][2]["Nats-Expected-Last-Sequence"] = str(position)
        sequence = await self._publishing.wait(lambda seconds: publish_batch(self._connection, messages, seconds))
        if sequence != entries[-1].position:
            raise StreamDiverged(f"the stream stored position {entries[-1].position} as {sequence}")
        self._copied = sequence
        self._batches.observe(len(entries))
        tracing.batch_done(
            "publish fact", begun, (each.body for each in entries), {"messaging.destination.name": self._stream}
        )
        self._follows()

    def _next_offered(self) -> list[Entry]:
        """What goes on from the last copied entry among what was offered, if it does."""
        offered = self._offered
        while offered and offered[0].position <= self._copied:
            offered.popleft()
        if offered and offered[0].position != self._copied + 1:
            # Somebody else's entries come between.
            offered.clear()
            self._unread = True
        return list(islice(offered, BATCH_MESSAGES))

    async def _read(self) -> list[Entry]:
        """The next entries in the log, unless it is known that there are none but those that were offered."""
        if not self._unread:
            return []
        position = self._copied
        # Before the read, so that who wakes the relay meanwhile is heard.
        self._unread = False

        def read(raw: sqlite3.Connection) -> tuple[list[Entry], int]:
            return self._log.read(raw, position, BATCH_MESSAGES), self._log.head(raw)

        entries, head = await self._database.run(read)
        self._head = max(self._head, head)
        self._unread = self._unread or bool(entries)
        return entries

    async def _ask_stream(self) -> None:
        """Learn how far the stream is, and make sure that it is a copy of the log as far as it goes."""
        info = await self._stream_info()
        sequence = int(info.state.last_seq)
        # Read after the stream: whatever another relay published was committed before.
        expected, self._head = await self._database.run(
            lambda raw: (self._log.read(raw, sequence - 1, 1) if sequence else [], self._log.head(raw))
        )
        if sequence > self._head:
            raise StreamDiverged(f"the stream is at {sequence}, the log only at {self._head}: is it an old backup?")
        if info.state.messages != sequence and not self._forgets:
            raise StreamDiverged(f"of {sequence} facts the stream holds {info.state.messages}: was it purged?")
        if sequence:
            try:
                message = await self._asking.wait(
                    lambda seconds: while_connected(
                        self._connection,
                        self._connection.jetstream(timeout=seconds).get_msg(self._stream, seq=sequence),
                        seconds + 1,
                    )
                )
            except NotFoundError:
                if not self._forgets:
                    raise StreamDiverged(f"the stream has lost message {sequence}") from None
                message = None
            if message is not None and (message.headers or {}).get(_MESSAGE_ID) != expected[0].id:
                raise StreamDiverged(f"message {sequence} of the stream is not the fact at position {sequence}")
        self._created = info.created
        self._copied = sequence
        self._unread = True

    async def _stream_info(self) -> StreamInfo:
        return await self._asking.wait(
            lambda seconds: while_connected(
                self._connection,
                self._connection.jetstream(timeout=seconds).stream_info(self._stream),
                seconds + 1,
            )
        )

    async def _look_after_stream(self) -> None:
        """A stream that was emptied or made anew would otherwise be noticed at the next fact only."""
        info = await self._stream_info()
        lost = info.state.messages != self._copied and not self._forgets
        if info.state.last_seq != self._copied or lost or info.created != self._created:
            await self._ask_stream()

    def _follows(self) -> None:
        self._following = True
        self._reason = ""
        if self._complaint:
            _log.info("relay follows again", stream=self._stream, position=self._copied)
            self._complaint = ""

    def _complain(self, complaint: str, error: Exception | None = None, *, loud: bool = False) -> None:
        """Once per cause, not once per attempt."""
        self._following = False
        # What an unforeseen error says may quote anything.
        self._reason = complaint if error is None else type(error).__name__
        if complaint == self._complaint:
            return
        self._complaint = complaint
        report = _log.error if loud or error is not None else _log.warning
        report("relay does not follow", stream=self._stream, position=self._copied, reason=complaint, exc_info=error)


def _bounded(entries: list[Entry]) -> list[Entry]:
    """As many of the first entries as fit into a batch's bytes, one at least."""
    size = 0
    for number, entry in enumerate(entries):
        size += len(entry.body) + 200
        if size > BATCH_BYTES and number:
            return entries[:number]
    return entries
