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

from services.notifications.inbox.guests import Guest, Guests, NoRoom
from services.notifications.inbox.wire import LineTooLong, Wire

_log = structlog.get_logger("notifications.lmtp")

LARGEST = 10_000_000
"""Octets of one message."""

PATIENCE = 300.0
"""Seconds that a client may take for a line (RFC 5321 §4.5.3.2.7)."""

TURN = 600.0
"""Seconds from one mail to the end of the next one, however busily a client talks."""

CONNECTIONS = 20
MEMORY = 50_000_000
"""Octets of all messages that are being taken."""

_MOST_COMMANDS = 500
"""Between two mails: a hundred recipients, and as much again and again of what means nothing."""
_MOST_RECIPIENTS = 100
_ANSWERED_WITHIN = 300.0
"""Seconds that we may take for a message; clients wait for ten minutes (RFC 5321 §4.5.3.2.6)."""
_FAREWELL = 5.0
_BETWEEN_TRIES = 5.0
_NOT_NOW = "451 4.3.0 not now, come again"
_FORM = "an inbox is lmtp://HOST:PORT, such as lmtp://127.0.0.1:2424, or off"
_PATH = re.compile(r"(?:FROM|TO):\s?<([^<>\s]*)>(?: .*)?", re.IGNORECASE)

Takes = Callable[[str], bool]
Take = Callable[[str], Awaitable[object]]
Opens = Callable[[bytes, bool], Awaitable[Take]]


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
    null_sender: bool = False
    recipients: list[str] = field(default_factory=list)


class Lmtp:
    """
    Listens for mail servers.

    Args:
        takes: whether mail to an address is for us.
        opens: reads a message once, told whether its envelope has the null sender (RFC 5321 §4.5.5), and gives what
            takes it for one recipient and returns when that is committed; either raises when it could not be.
        largest: octets of one message.
        patience: seconds that a client may say nothing.
        turn: seconds that a client may take for a mail.
        connections: so many at once.
        memory: octets of all messages that are being taken.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        takes: Takes,
        opens: Opens,
        largest: int = LARGEST,
        patience: float = PATIENCE,
        turn: float = TURN,
        connections: int = CONNECTIONS,
        memory: int = MEMORY,
    ) -> None:
        self._address = (host, port)
        self.takes = takes
        self._opens = opens
        self.largest = largest
        self._patience = patience
        self._turn = turn
        self._guests = Guests(connections, memory)
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = port
        self.trouble = ""
        """Why mail servers find nobody here; "" while they do."""

    async def run(self) -> None:
        """Serve for ever. While the address cannot be listened on, it is tried again: mails go out meanwhile."""
        host, port = self._address
        while True:
            try:
                server = await asyncio.start_server(self._connected, host, port, limit=64 * 1024)
            except OSError as error:
                trouble = f"the inbox cannot listen on {host}:{port} ({error.strerror or type(error).__name__})"
                if self.trouble != trouble:
                    _log.error("the inbox cannot listen", host=host, port=port, reason=error.strerror)
                self.trouble = trouble
                await asyncio.sleep(_BETWEEN_TRIES)
                continue
            self.trouble = ""
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
        peer = writer.get_extra_info("peername")
        guest = Guest(task, str(peer[0]) if peer else "")
        self._tasks.add(task)
        try:
            await self._received(reader, writer, guest)
            writer.close()
            async with asyncio.timeout(_FAREWELL):
                await writer.wait_closed()
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass
        except asyncio.CancelledError:
            # Sent away, or cancelled by run() when the service ends; Python 3.11 would log that as an error.
            if guest.sent_away:
                writer.write(b"421 4.3.2 others want their turn, come again\r\n")
        finally:
            # Who does not read what we say keeps nothing open by it.
            writer.transport.abort()
            self._guests.leave(guest)
            self._tasks.discard(task)

    async def _received(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, guest: Guest) -> None:
        try:
            self._guests.enter(guest)
            await self._converse(reader, writer, guest)
        except NoRoom:
            writer.write(b"421 4.3.2 too much at once, come again\r\n")
        except TimeoutError:
            writer.write(b"421 4.4.2 too slow, come again\r\n")

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, guest: Guest) -> None:
        wire = Wire(reader, self._patience, lambda octets: self._guests.hold(guest, octets))
        talk = _Talk(self, wire, writer)
        writer.write(b"220 deelname LMTP\r\n")
        while True:
            guest.turn()
            async with asyncio.timeout(self._turn):
                said = await talk.until_a_mail()
            if said is None:
                return
            guest.busy = True
            await self._answer(writer, *said)

    async def _answer(self, writer: asyncio.StreamWriter, raw: bytes | None, envelope: _Envelope) -> None:
        """One reply for each recipient (RFC 2033 §4.2)."""
        if raw is None:
            replies = ["552 5.3.4 too large"] * len(envelope.recipients)
        else:
            replies = await self._taken(raw, envelope)
        writer.write("".join(f"{reply}\r\n" for reply in replies).encode("ascii"))

    async def _taken(self, raw: bytes, envelope: _Envelope) -> list[str]:
        recipients = envelope.recipients
        replies: list[str] = []
        failures: list[str] = []
        try:
            async with asyncio.timeout(_ANSWERED_WITHIN):
                take = await self._opens(raw, envelope.null_sender)
                for recipient in recipients:
                    try:
                        await take(recipient)
                        replies.append("250 2.0.0 taken")
                    except Exception as error:
                        failures.append(type(error).__name__)
                        replies.append(_NOT_NOW)
        except Exception as error:
            failures.append(type(error).__name__)
        if failures:
            # Whatever it is, the mail server still has the mail.
            _log.warning(
                "a mail could not be taken, the mail server keeps it", reason=failures[0], recipients=len(failures)
            )
        return replies + [_NOT_NOW] * (len(recipients) - len(replies))


class _Talk:
    """A conversation with one client."""

    def __init__(self, server: Lmtp, wire: Wire, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._wire = wire
        self._writer = writer
        self._greeted = False

    async def until_a_mail(self) -> tuple[bytes | None, _Envelope] | None:
        """
        Talk until there is a mail, and its envelope; None for one that is too large. None alone when that was all.

        Raises:
            TimeoutError: the client said nothing for too long.
            asyncio.IncompleteReadError: it is gone.
        """
        envelope = _Envelope()
        for _ in range(_MOST_COMMANDS):
            await self._writer.drain()
            # Neither of both waits while there are octets to read and room to write: others want the event loop too.
            await asyncio.sleep(0)
            try:
                verb, _, argument = (await self._command()).partition(" ")
                verb = verb.upper()
                if verb == "QUIT":
                    self._writer.write(b"221 2.0.0 goodbye\r\n")
                    return None
                if verb == "LHLO":
                    self._greeted, envelope = True, _Envelope()
                    self._writer.write(
                        f"250-deelname\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
                        f"250 SIZE {self._server.largest}\r\n".encode()
                    )
                elif verb == "RSET":
                    envelope = _Envelope()
                    self._writer.write(b"250 2.0.0 forgotten\r\n")
                elif verb == "NOOP":
                    self._writer.write(b"250 2.0.0 here\r\n")
                elif not self._greeted:
                    raise Refused("503 5.5.1 say LHLO first")
                elif verb == "MAIL":
                    self._mail(envelope, argument)
                    self._writer.write(b"250 2.1.0 go on\r\n")
                elif verb == "RCPT":
                    self._recipient(envelope, argument)
                    self._writer.write(b"250 2.1.5 go on\r\n")
                elif verb == "DATA":
                    if not envelope.recipients:
                        raise Refused("503 5.5.1 no recipient")
                    self._writer.write(b"354 end with a dot\r\n")
                    await self._writer.drain()
                    return await self._wire.message(self._server.largest), envelope
                else:
                    raise Refused("500 5.5.1 not understood")
            except Refused as error:
                self._writer.write((error.reply + "\r\n").encode("ascii"))
                if error.last:
                    return None
        self._writer.write(b"421 4.7.0 too many commands without a mail\r\n")
        return None

    async def _command(self) -> str:
        try:
            line = await self._wire.line()
        except LineTooLong as error:
            raise Refused("500 5.5.2 line too long", last=error.endless) from None
        try:
            return line.decode("ascii").strip()
        except UnicodeDecodeError:
            raise Refused("500 5.5.2 ASCII only") from None

    def _mail(self, envelope: _Envelope, argument: str) -> None:
        path = _PATH.fullmatch(argument)
        if path is None:
            raise Refused("501 5.5.4 MAIL FROM:<address>")
        if envelope.open:
            raise Refused("503 5.5.1 one mail at a time")
        size = re.search(r" SIZE=(\d{1,12})(?: |$)", argument, re.IGNORECASE)
        if size and int(size[1]) > self._server.largest:
            raise Refused("552 5.3.4 too large")
        envelope.open, envelope.null_sender = True, not path[1]

    def _recipient(self, envelope: _Envelope, argument: str) -> None:
        path = _PATH.fullmatch(argument)
        if path is None:
            raise Refused("501 5.5.4 RCPT TO:<address>")
        if not envelope.open:
            raise Refused("503 5.5.1 say MAIL first")
        if len(envelope.recipients) >= _MOST_RECIPIENTS:
            raise Refused("452 4.5.3 too many recipients")
        if not self._server.takes(path[1]):
            raise Refused("550 5.1.1 nobody here has this address")
        envelope.recipients.append(path[1])
