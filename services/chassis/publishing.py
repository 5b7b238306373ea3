"""Publishing many messages in one piece, which is what makes a batch cheap: nats-py publishes one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

import structlog
from nats.aio.client import Client
from nats.errors import (
    BadHeaderError,
    BadSubjectError,
    ConnectionClosedError,
    ConnectionDrainingError,
    MaxPayloadError,
    OutboundBufferLimitError,
)

_log = structlog.get_logger("chassis.publishing")

_NO_HEADERS: Mapping[str, str] = {}


async def publish_all(
    connection: Client, messages: Iterable[tuple[str, bytes, Mapping[str, str]]], more: Iterable[str] = repeat("")
) -> None:
    """
    Publish many messages in one piece: a third of what publishing them one by one costs (docs/performance.md).

    Args:
        connection: whose user may publish to the subjects.
        messages: subject, body and headers of each.
        more: what stands before the headers of each: whole header lines of our own making, which are not checked.

    Raises:
        nats.errors.Error: nothing was handed to the connection: it is closed or broken, a subject or header is
            malformed, or a body is too large.
    """
    _check_open(connection)
    # ``more`` may go on for ever.
    numbered = zip(messages, more)  # noqa: B905
    await _send(connection, [_checked_line(connection, *message, lines) for message, lines in numbered])


class Outbox:
    """
    What is put into it during a turn of the event loop is published at the turn's end, in one piece.

    For answers: they are made one by one, many of them in the same turn, and none of them waits for an acknowledgement.
    """

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._lines: list[bytes] = []
        self._sending: asyncio.Task[None] | None = None

    @property
    def max_payload(self) -> int:
        """Octets that a body may have."""
        return self._connection.max_payload

    def put(self, subject: str, body: bytes, headers: Mapping[str, str] = _NO_HEADERS) -> None:
        """
        Have a message published.

        Raises:
            nats.errors.Error: it will not be: the connection is closed or broken, the subject or a header is malformed,
                or the body is too large.
        """
        if not self._lines:
            # Whatever the connection is at the beginning of a turn, it is at its end.
            _check_open(self._connection)
        line = _checked_line(self._connection, subject, body, headers)
        if not self._lines:
            self._sending = asyncio.get_running_loop().create_task(self._send())
        self._lines.append(line)

    async def _send(self) -> None:
        lines, self._lines = self._lines, []
        if self._connection.is_connected:
            await _send(self._connection, lines)
        else:
            # As with pending_size=0: nothing is kept for later behind the caller's back.
            _log.warning("the connection broke before messages could be sent", messages=len(lines))


def _check_open(connection: Client) -> None:
    if connection.is_closed:
        raise ConnectionClosedError
    if connection.is_draining_pubs:
        raise ConnectionDrainingError
    if not connection.is_connected:
        # As with pending_size=0: nothing is kept for later behind the caller's back.
        raise OutboundBufferLimitError


async def _send(connection: Client, lines: Sequence[bytes]) -> None:
    if lines:
        # nats-py's public methods take one message; what they do with it, in one go.
        connection.stats["out_msgs"] += len(lines)
        connection.stats["out_bytes"] += sum(map(len, lines))
        await connection._send_command(b"".join(lines))
        await connection._flush_pending()


def _checked_line(connection: Client, subject: str, body: bytes, headers: Mapping[str, str], more: str = "") -> bytes:
    if len(body) > connection.max_payload:
        raise MaxPayloadError
    return _protocol_line(subject, body, headers, more)


def _protocol_line(subject: str, body: bytes, headers: Mapping[str, str], more: str) -> bytes:
    """PUB or HPUB of the NATS client protocol, with what nats-py refuses refused: a line break would be a command."""
    if not subject or " " in subject or not subject.isprintable():
        raise BadSubjectError
    if not headers and not more:
        return b"".join((f"PUB {subject} {len(body)}\r\n".encode(), body, b"\r\n"))
    head = f"NATS/1.0\r\n{more}"
    for name, value in headers.items():
        if not name.isprintable() or not value.isprintable():
            raise BadHeaderError
        head += f"{name}: {value}\r\n"
    size = len(head.encode()) + 2
    return b"".join((f"HPUB {subject} {size} {size + len(body)}\r\n{head}\r\n".encode(), body, b"\r\n"))
