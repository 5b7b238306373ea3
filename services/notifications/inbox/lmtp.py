"""
A server for the Local Mail Transfer Protocol (RFC 2033), by which a mail server hands mails over.

Unlike SMTP it answers for each recipient after the message, and it queues nothing: 250 means that the mail is
committed, 4xx that the mail server keeps it and comes again.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import structlog

_log = structlog.get_logger("notifications.lmtp")

LARGEST = 10_000_000
"""Octets of one message."""

PATIENCE = 300.0
"""Seconds that a client may take for a line (RFC 5321 §4.5.3.2.7)."""

CONNECTIONS = 20
"""So many at once: each may hold a whole message in memory."""

_LONGEST_COMMAND = 2048
_MOST_RECIPIENTS = 100
_FORM = "an inbox is lmtp://HOST:PORT, such as lmtp://127.0.0.1:2424, or off"
_PATH = re.compile(r"(?:FROM|TO):\s?<([^<>\s]*)>(?: .*)?", re.IGNORECASE)

Takes = Callable[[str], bool]
Receive = Callable[[bytes, str], Awaitable[object]]


def parse_inbox(text: str) -> tuple[str, int] | None:
    """
    The host and port that ``lmtp://127.0.0.1:2424`` names; None for ``off``.

    Raises:
        ValueError: it is neither.
    """
    if text == "off":
        return None
    parts = urlsplit(text)
    try:
        port = parts.port
    except ValueError:
        raise ValueError(_FORM) from None
    if parts.scheme != "lmtp" or not parts.hostname or port is None or parts.path not in ("", "/") or parts.username:
        raise ValueError(_FORM)
    return parts.hostname, port


class Refused(Exception):  # noqa: N818
    """A reply that ends the command; ``last`` ends the connection too."""

    def __init__(self, reply: str, *, last: bool = False) -> None:
        super().__init__(reply)
        self.reply = reply
        self.last = last


@dataclass(slots=True)
class _Envelope:
    open: bool = False
    recipients: list[str] = field(default_factory=list)


class Lmtp:
    """
    Listens for mail servers.

    Args:
        takes: whether mail to an address is for us.
        receive: takes a message for one recipient, and returns when it is committed; raises when it could not be.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        takes: Takes,
        receive: Receive,
        largest: int = LARGEST,
        patience: float = PATIENCE,
    ) -> None:
        self._address = (host, port)
        self._takes = takes
        self._receive = receive
        self._largest = largest
        self._patience = patience
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = port

    async def run(self) -> None:
        """
        Serve for ever.

        Raises:
            OSError: the address cannot be listened on.
        """
        host, port = self._address
        server = await asyncio.start_server(self._connected, host, port, limit=64 * 1024)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            async with server:
                await server.serve_forever()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  (narrows for the type checker: a coroutine runs in a task)
        crowded = len(self._tasks) >= CONNECTIONS
        self._tasks.add(task)
        try:
            if crowded:
                writer.write(b"421 4.3.2 too many connections, come again\r\n")
            else:
                await self._converse(reader, writer)
            await writer.drain()
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # Only run() cancels, when the service ends; Python 3.11 would log a cancelled conversation as an error.
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        envelope = _Envelope()
        greeted = False
        writer.write(b"220 deelname LMTP\r\n")
        while True:
            await writer.drain()
            try:
                verb, _, argument = (await self._command(reader)).partition(" ")
                verb = verb.upper()
                if verb == "QUIT":
                    writer.write(b"221 2.0.0 goodbye\r\n")
                    return
                if verb == "LHLO":
                    greeted, envelope = True, _Envelope()
                    writer.write(
                        f"250-deelname\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
                        f"250 SIZE {self._largest}\r\n".encode()
                    )
                elif verb == "RSET":
                    envelope = _Envelope()
                    writer.write(b"250 2.0.0 forgotten\r\n")
                elif verb == "NOOP":
                    writer.write(b"250 2.0.0 here\r\n")
                elif not greeted:
                    raise Refused("503 5.5.1 say LHLO first")
                elif verb == "MAIL":
                    self._mail(envelope, argument)
                    writer.write(b"250 2.1.0 go on\r\n")
                elif verb == "RCPT":
                    self._recipient(envelope, argument)
                    writer.write(b"250 2.1.5 go on\r\n")
                elif verb == "DATA":
                    if not envelope.recipients:
                        raise Refused("503 5.5.1 no recipient")
                    writer.write(b"354 end with a dot\r\n")
                    await writer.drain()
                    raw = await self._message(reader)
                    for recipient in envelope.recipients:
                        writer.write((await self._taken(raw, recipient) + "\r\n").encode("ascii"))
                        await writer.drain()
                    envelope = _Envelope()
                else:
                    raise Refused("500 5.5.1 not understood")
            except Refused as error:
                writer.write((error.reply + "\r\n").encode("ascii"))
                if error.last:
                    return

    async def _command(self, reader: asyncio.StreamReader) -> str:
        try:
            async with asyncio.timeout(self._patience):
                line = await reader.readuntil(b"\n")
        except asyncio.LimitOverrunError:
            raise Refused("500 5.5.2 line too long", last=True) from None
        if len(line) > _LONGEST_COMMAND:
            raise Refused("500 5.5.2 line too long")
        try:
            return line.decode("ascii").strip()
        except UnicodeDecodeError:
            raise Refused("500 5.5.2 ASCII only") from None

    def _mail(self, envelope: _Envelope, argument: str) -> None:
        if _PATH.fullmatch(argument) is None:
            raise Refused("501 5.5.4 MAIL FROM:<address>")
        if envelope.open:
            raise Refused("503 5.5.1 one mail at a time")
        size = re.search(r" SIZE=(\d{1,12})(?: |$)", argument, re.IGNORECASE)
        if size and int(size[1]) > self._largest:
            raise Refused("552 5.3.4 too large")
        envelope.open = True

    def _recipient(self, envelope: _Envelope, argument: str) -> None:
        path = _PATH.fullmatch(argument)
        if path is None:
            raise Refused("501 5.5.4 RCPT TO:<address>")
        if not envelope.open:
            raise Refused("503 5.5.1 say MAIL first")
        if len(envelope.recipients) >= _MOST_RECIPIENTS:
            raise Refused("452 4.5.3 too many recipients")
        if not self._takes(path[1]):
            raise Refused("550 5.1.1 nobody here has this address")
        envelope.recipients.append(path[1])

    async def _message(self, reader: asyncio.StreamReader) -> bytes | None:
        """
        The message without its dots (RFC 5321 §4.5.2); None when it is too large.

        It ends with a dot alone between two CRLF and with nothing else: who takes a bare LF for a line end can be made
        to see two mails in one.
        """
        lines: list[bytes] = []
        size = 0
        line = b""
        while True:
            async with asyncio.timeout(self._patience):
                try:
                    piece = await reader.readuntil(b"\r\n")
                except asyncio.LimitOverrunError as error:
                    # A line without end: taken piece by piece, so that no more than the limit waits in memory.
                    piece = await reader.readexactly(error.consumed)
            fresh = not line or line.endswith(b"\r\n")
            line = piece
            if fresh and piece == b".\r\n":
                return b"".join(lines) if size <= self._largest else None
            if fresh and piece.startswith(b"."):
                piece = piece[1:]
            size += len(piece)
            if size <= self._largest:
                lines.append(piece)
            else:
                lines.clear()

    async def _taken(self, raw: bytes | None, recipient: str) -> str:
        if raw is None:
            return "552 5.3.4 too large"
        try:
            await self._receive(raw, recipient)
        except Exception as error:
            # Whatever it is, the mail server still has the mail.
            _log.warning("a mail could not be taken, the mail server keeps it", reason=type(error).__name__)
            return "451 4.3.0 not now, come again"
        return "250 2.0.0 taken"
