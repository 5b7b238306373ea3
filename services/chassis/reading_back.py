"""
What a stream knows and its log lacks, read back: an older copy of the database was put in place, the broker lived on.

The stream is a copy of the log with the log's numbers. Where it goes on from exactly the fact at which the log ends,
what is behind that is what the log has lost, and others have acted on it: it comes back before anything is decided.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import TypeVar

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import NotFoundError
from pydantic import ValidationError

from contracts.facts import parse
from services.chassis.broker import while_connected
from services.chassis.database import Database
from services.chassis.log import Entry, Log
from services.chassis.patience import Patience

_log = structlog.get_logger("chassis.reading_back")

Key = TypeVar("Key")
Found = TypeVar("Found")

MESSAGE_ID = "Nats-Msg-Id"
AT_ONCE = 64
"""Messages that are asked for together."""
_PAUSE = 0.5
ASKED_FOR = 10.0
"""Seconds for which a service that restored nothing waits for the stream's state; its relay asks again later."""


class NotAContinuation(RuntimeError):  # noqa: N818 - it reads as what is wrong
    """
    The stream knows more than the log and does not go on from it: deciding on this log would contradict what others
    were told. The message says in plain words what to do.
    """


@dataclass(frozen=True, slots=True)
class Told:
    """A message of a stream: its number, and what was published."""

    number: int
    subject: str
    id: str
    body: bytes


async def beyond(
    connection: Client, database: Database, log: Log, stream: str, *, restored: bool, may_be_empty: bool = False
) -> list[Told]:
    """
    What the stream holds behind the log's end, in order; nothing where it is not ahead, or does not exist.

    Args:
        connection: whose user may ask for the stream's state and messages.
        restored: wait for an answer however long it takes, for the database is known to be old. Otherwise only
            ``ASKED_FOR`` seconds: a service must start while the broker's servers elect a leader.
        may_be_empty: whether an empty log is an old one also when nothing was restored. The log that says what a
            service is about is not: a volume is missing, or somebody meant another directory.

    Raises:
        NotAContinuation: the stream is ahead and is not this log's.
    """
    last = await last_number(connection, stream, restored=restored)
    head = await database.run(log.head)
    if last is None or last <= head:
        return []
    if not head and not restored and not may_be_empty:
        raise NotAContinuation(
            f"the database {database.path} is empty, the stream {stream} tells of {last} facts: is its volume there?"
            " To begin on it would decide anew what was decided, and mail people again. Put the newest copy of the"
            " database back, or restore a backup ('deelname restore'): what came after it is read back."
        )
    if head:
        (end,) = await database.run(lambda raw: log.read(raw, head - 1, 1))
        (there,) = await _messages(connection, stream, [head])
        if there.id != end.id:
            raise NotAContinuation(
                f"the stream {stream} tells of {last} facts, the database {database.path} knows {head}, and number"
                f" {head} is not the same in both: they are of different systems, or something was decided on an old"
                " database. Put the newest copy of the database back, or start with an empty store of the broker and"
                " lose what the stream tells of."
            )
    found: list[Told] = []
    for start in range(head + 1, last + 1, AT_ONCE):
        found += await _messages(connection, stream, range(start, min(start + AT_ONCE, last + 1)))
    return found


def as_facts(told: Sequence[Told]) -> list[Entry]:
    """
    Messages of a log's stream as what the log held.

    Raises:
        NotAContinuation: one of them is no fact with the number that the stream gives it.
    """
    entries = []
    for each in told:
        try:
            fact = parse(each.body)
        except ValidationError as error:
            raise NotAContinuation(
                f"message {each.number} cannot be read as a fact: {error.error_count()} faults"
            ) from None
        if fact.position != each.number or fact.subject is None or fact.version is None or fact.id != each.id:
            raise NotAContinuation(f"message {each.number} of the stream is not the fact with that number")
        entries.append(Entry(each.number, fact.subject, fact.version, each.subject, each.body, each.id))
    return entries


async def last_number(connection: Client, stream: str, *, restored: bool) -> int | None:
    """The number of a stream's last message; None where there is none, or (see ``beyond``) nobody answers for it."""
    patience = Patience(1.0)
    deadline = monotonic() + ASKED_FOR
    complained = False
    while True:
        try:
            info = await patience.wait(
                lambda seconds: while_connected(
                    connection, connection.jetstream(timeout=seconds).stream_info(stream), seconds + 1
                )
            )
        except NotFoundError:
            return None
        except (NatsError, TimeoutError, OSError) as error:
            if not restored and monotonic() > deadline:
                return None
            if not complained:
                complained = True
                reason = str(error) or type(error).__name__
                _log.warning("the stream does not say how far it is", stream=stream, reason=reason)
            await asyncio.sleep(_PAUSE)
        else:
            return int(info.state.last_seq)


async def _messages(connection: Client, stream: str, numbers: Sequence[int]) -> list[Told]:
    """
    These messages.

    Raises:
        NotAContinuation: one is not there.
    """
    try:
        raw = await read_all(
            connection,
            numbers,
            lambda jetstream, number: jetstream.get_msg(stream, seq=number),
            "a stream is read back slowly",
            stream=stream,
        )
    except NotFoundError:
        raise NotAContinuation(
            f"the stream {stream} is ahead of the database and lacks messages between {numbers[0]} and"
            f" {numbers[-1]}: what was lost cannot be read back. Put a newer copy of the database back, or start"
            " with an empty store of the broker and lose what the stream tells of."
        ) from None
    return [
        Told(number, each.subject or "", (each.headers or {}).get(MESSAGE_ID, ""), each.data or b"")
        for number, each in zip(numbers, raw, strict=True)
    ]


async def read_all(
    connection: Client,
    keys: Sequence[Key],
    get: Callable[[JetStreamContext, Key], Awaitable[Found]],
    complaint: str,
    **about: object,
) -> list[Found]:
    """
    What ``get`` finds for each key, asked for all at once and again until the broker has answered for all.

    Args:
        keys: no more than ``AT_ONCE``.
        complaint: what the journal says each time that it did not, with what it is ``about``.

    Raises:
        nats.js.errors.NotFoundError: where ``get`` does.
    """
    patience = Patience()

    async def ask(seconds: float) -> list[Found]:
        jetstream = connection.jetstream(timeout=seconds)
        asked = asyncio.gather(*(get(jetstream, key) for key in keys))
        return await while_connected(connection, asked, seconds + 1)

    while True:
        try:
            return await patience.wait(ask)
        except NotFoundError:
            raise
        except (NatsError, TimeoutError, OSError) as error:
            _log.warning(complaint, reason=str(error) or type(error).__name__, **about)
            await asyncio.sleep(_PAUSE)
