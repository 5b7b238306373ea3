"""Delivery to a relay by SMTP (RFC 5321), with TLS from the start or by STARTTLS (RFC 3207, RFC 8314)."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPResponseException,
    SMTPServerDisconnected,
    SMTPTimeoutError,
)

from services.notifications.hygiene import mailbox
from services.notifications.transport.outcomes import Failed, Fault, Outcome, Reply, Retry, Sent, Uncertain, wait

Encryption = Literal["tls", "required", "offered", "never"]
"""TLS from the first octet; STARTTLS demanded; STARTTLS where the server offers it; none."""

COMMAND_TIMEOUT = 300.0
DATA_TIMEOUT = 600.0
"""Seconds (RFC 5321 §4.5.3.2)."""

MAILS_A_CONNECTION = 100
LONGEST_IDLE = 60.0

_SERVICE_NOT_AVAILABLE = 421
_MESSAGE_TOO_BIG = 552
_START_INPUT = 354
_SENDER_STATUSES = ("5.1.7", "5.1.8")
"""Enhanced codes that speak of the sender although they stand among those of addresses (RFC 3463 §3.2)."""


@dataclass(frozen=True, slots=True)
class Relay:
    """Where the mails go and how. Times are in seconds; `certificates` is a file of extra trusted authorities (PEM)."""

    host: str
    port: int
    encryption: Encryption = "offered"
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    connections: int = 4
    certificates: str | None = None
    connect_timeout: float = 30.0
    command_timeout: float = COMMAND_TIMEOUT
    data_timeout: float = DATA_TIMEOUT


@dataclass(slots=True)
class _Connection:
    client: SMTP
    carried: int = 0
    idle_since: float = 0.0


@dataclass(slots=True)
class Smtp:
    """A small pool of connections to one relay; each carries at most 100 mails and is dropped after 60 idle seconds."""

    relay: Relay
    _idle: list[_Connection] = field(default_factory=list)
    _places: asyncio.Semaphore | None = None
    _context: ssl.SSLContext | None = None
    _reaper: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Loads the certificates; connections are made when mails come. Raises OSError (ssl.SSLError too)."""
        self._places = asyncio.Semaphore(self.relay.connections)
        if self.relay.encryption != "never":
            # Reading the system's authorities takes a tenth of a second.
            self._context = await asyncio.to_thread(_trusting, self.relay.certificates)

    async def close(self) -> None:
        """Says goodbye on every idle connection."""
        if self._reaper is not None:
            self._reaper.cancel()
            self._reaper = None
        idle, self._idle = self._idle, []
        for connection in idle:
            await _leave(connection.client)
        # Connections that broke are closed by the event loop in its next round.
        await asyncio.sleep(0)

    async def deliver(
        self,
        envelope_from: str,
        recipient: str,
        raw: bytes,
        message_id: str,  # noqa: ARG002  (the bytes carry it; the relay needs no more)
        *,
        attempt: int = 1,
        jitter: float = 0.0,
    ) -> Outcome:
        """Hands one mail over, on a connection that is free or a new one."""
        if self._places is None:
            raise RuntimeError("the transport is not open")
        sender, to = mailbox(envelope_from) if envelope_from else "", mailbox(recipient)
        after = wait(attempt, jitter)
        async with self._places:
            connection = await self._reusable()
            if connection is not None:
                outcome = await self._converse(connection, sender, to, raw)
                if outcome is not None:
                    return _or_retry(outcome, after)
            # A server may end an idle connection at any moment: that is no answer to this mail.
            try:
                connection = await self._connect()
            except (SMTPException, OSError) as error:
                return _or_retry(_refused(error), after)
            outcome = await self._converse(connection, sender, to, raw)
            return _or_retry(outcome or Reply("the server ended the connection"), after)

    async def _converse(self, connection: _Connection, sender: str, to: str, raw: bytes) -> Outcome | Reply | None:
        """One mail transaction. A bare Reply asks for a later attempt; None means that the connection was gone."""
        fresh = connection.carried == 0
        async with self._kept(connection):
            outcome = await self._transaction(connection.client, sender, to, raw)
            connection.carried += 1
            if isinstance(outcome, Reply) and outcome.code == _SERVICE_NOT_AVAILABLE and not fresh:
                return None
            if not isinstance(outcome, Sent) and connection.client.is_connected:
                await _ask(connection.client, b"RSET", seconds=self.relay.command_timeout)
        return outcome

    async def _transaction(self, client: SMTP, sender: str, to: str, raw: bytes) -> Outcome | Reply | None:
        seconds = self.relay.command_timeout
        mail = await _ask(client, b"MAIL", f"FROM:<{sender}>".encode("ascii"), seconds=seconds)
        if mail is None or mail.code is None:
            return mail
        if not _positive(mail):
            return _judged(mail, Failed(mail) if mail.code == _MESSAGE_TOO_BIG else Fault(mail))
        rcpt = await _ask(client, b"RCPT", f"TO:<{to}>".encode("ascii"), seconds=seconds)
        if rcpt is None or rcpt.code is None:
            return rcpt
        if not _positive(rcpt):
            return _judged(rcpt, _refused_recipient(rcpt))
        data = await _ask(client, b"DATA", seconds=seconds)
        if data is None or data.code is None:
            return data
        if data.code != _START_INPUT:
            return _judged(data, _refused_recipient(data))
        protocol = client.protocol
        if protocol is None:
            return None
        try:
            protocol.write(_stuffed(raw))
            code, text = await protocol.read_response(timeout=self.relay.data_timeout)
        except SMTPTimeoutError:
            client.close()
            return Uncertain(f"no answer within {self.relay.data_timeout:g} s after the message")
        except (SMTPException, OSError) as error:
            client.close()
            return Uncertain(f"the connection was lost after the message: {error}")
        reply = Reply.of(code, text)
        if code == _SERVICE_NOT_AVAILABLE:
            client.close()
        return Sent(reply) if _positive(reply) else _judged(reply, _refused_recipient(reply))

    async def _connect(self) -> _Connection:
        relay = self.relay
        client = SMTP(
            hostname=relay.host,
            port=relay.port,
            username=relay.user,
            password=relay.password,
            # The name lookup that the library would do instead can take many seconds.
            local_hostname=socket.gethostname(),
            timeout=relay.connect_timeout,
            use_tls=relay.encryption == "tls",
            start_tls={"tls": False, "never": False, "required": True, "offered": None}[relay.encryption],
            tls_context=self._context,
        )
        await client.connect()
        if client.is_ehlo_or_helo_needed:
            try:
                await client.ehlo()
            except SMTPException:
                client.close()
                raise
        return _Connection(client)

    async def _reusable(self) -> _Connection | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.client.is_connected and now - connection.idle_since < LONGEST_IDLE:
                return connection
            await _leave(connection.client)
        return None

    @contextlib.asynccontextmanager
    async def _kept(self, connection: _Connection) -> AsyncIterator[None]:
        """Puts the connection back for the next mail, unless it is worn out or was left in an unknown state."""
        try:
            yield
        except BaseException:
            connection.client.close()
            raise
        if not connection.client.is_connected:
            return
        if connection.carried >= MAILS_A_CONNECTION:
            await _leave(connection.client)
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.append(connection)
        if self._reaper is None:
            self._reaper = loop.call_later(LONGEST_IDLE, self._reap)

    def _reap(self) -> None:
        loop = asyncio.get_running_loop()
        kept = [connection for connection in self._idle if loop.time() - connection.idle_since < LONGEST_IDLE]
        for connection in self._idle:
            if connection not in kept:
                connection.client.close()
        self._idle = kept
        self._reaper = None
        if kept:
            self._reaper = loop.call_later(LONGEST_IDLE - (loop.time() - kept[0].idle_since), self._reap)


def _trusting(certificates: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificates is not None:
        context.load_verify_locations(cafile=certificates)
    return context


async def _ask(client: SMTP, *command: bytes, seconds: float) -> Reply | None:
    """A command and its reply; None if the connection was gone, a Reply without a code if no usable answer came."""
    try:
        code, text = await client.execute_command(*command, timeout=seconds)
    except SMTPServerDisconnected:
        return None
    except (SMTPException, OSError) as error:
        client.close()
        return Reply(f"no answer to {command[0].decode('ascii')}: {error}")
    return Reply.of(code, text)


async def _leave(client: SMTP) -> None:
    with contextlib.suppress(SMTPException, OSError):
        await client.quit(timeout=5)
    client.close()


def _or_retry(outcome: Outcome | Reply, after: timedelta) -> Outcome:
    return Retry(outcome, after) if isinstance(outcome, Reply) else outcome


def _positive(reply: Reply) -> bool:
    return reply.code is not None and 200 <= reply.code < 300


def _judged(reply: Reply, permanent: Outcome) -> Outcome | Reply:
    """The outcome of a refusal: as given for 5xx, another attempt for anything else."""
    return permanent if reply.code is not None and 500 <= reply.code < 600 else reply


def _refused_recipient(reply: Reply) -> Outcome:
    if reply.status in _SENDER_STATUSES:
        return Fault(reply)
    return Failed(reply, suppress=reply.status is not None and reply.status.startswith("5.1."))


def _refused(error: Exception) -> Outcome | Reply:
    """Why there is no connection: a fault in our settings, or something that passes."""
    if isinstance(error, SMTPResponseException):
        reply = Reply.of(error.code, error.message)
        return _judged(reply, Fault(reply))
    reason = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(reason, ssl.SSLError) and not isinstance(reason, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Fault(Reply(f"no trusted TLS connection with the server: {reason}"))
    reply = Reply(str(error) or type(error).__name__)
    # What is no matter of the network is a disagreement: no STARTTLS, no way to log in that both know.
    return reply if isinstance(error, OSError) else Fault(reply)


def _stuffed(raw: bytes) -> bytes:
    """The message as DATA wants it: CRLF everywhere, so that no line passes for the end, and dots doubled (§4.5.2)."""
    if raw.endswith(b"\r\n") and raw.count(b"\r") == raw.count(b"\n") == raw.count(b"\r\n"):
        dot = b"." if raw.startswith(b".") else b""
        return b"".join((dot, raw.replace(b"\r\n.", b"\r\n.."), b".\r\n"))
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").split(b"\n")
    return b"".join([(b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines]) + b".\r\n"
