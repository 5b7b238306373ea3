"""Delivery to a relay by SMTP (RFC 5321), with TLS from the start or by STARTTLS (RFC 3207, RFC 8314).

aiosmtplib opens the connection, encrypts it and logs in. The mails go by `Dialogue`, in two writes each where the
server takes commands in groups (RFC 2920).
"""

import asyncio
import socket
import ssl
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Literal

from aiosmtplib import SMTP, SMTPException, SMTPResponseException

from services.notifications.domain.bouncing import judge
from services.notifications.domain.wording import Stage
from services.notifications.hygiene import mailbox
from services.notifications.transport.dialogue import Dialogue
from services.notifications.transport.outcomes import (
    SERVICE_NOT_AVAILABLE,
    Failed,
    Fault,
    Outcome,
    Reply,
    Retry,
    Sent,
    Uncertain,
    wait,
)

Encryption = Literal["tls", "required", "offered", "never"]
"""TLS from the first octet; STARTTLS demanded; STARTTLS where the server offers it; none."""

COMMAND_TIMEOUT = 300.0
DATA_TIMEOUT = 600.0
"""Seconds (RFC 5321 §4.5.3.2)."""

MAILS_A_CONNECTION = 100
LONGEST_IDLE = 60.0

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
class Smtp:
    """A small pool of connections to one relay; each carries at most 100 mails and is dropped after 60 idle seconds."""

    relay: Relay
    _idle: list[Dialogue] = field(default_factory=list)
    _places: asyncio.Semaphore | None = None
    _context: ssl.SSLContext | None = None
    _reaper: asyncio.TimerHandle | None = None
    _unreached: tuple[float, Reply] | None = None

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
            await connection.leave()
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
        asked = monotonic()
        async with self._places:
            if self._unreached is not None and self._unreached[0] >= asked:
                # Somebody found out while this one waited. One after the other they would take an hour to do so.
                return _or_retry(self._unreached[1], attempt, jitter)
            connection = await self._reusable()
            if connection is not None:
                outcome = await self._converse(connection, sender, to, raw)
                if outcome is not None:
                    return _or_retry(outcome, attempt, jitter)
            # A server may end an idle connection at any moment: that is no answer to this mail.
            try:
                connection = await self._connect()
            except (SMTPException, OSError) as error:
                answer = _refused(error)
                if isinstance(answer, Reply):
                    self._unreached = monotonic(), answer
                return _or_retry(answer, attempt, jitter)
            outcome = await self._converse(connection, sender, to, raw)
            return _or_retry(outcome or Reply("the server ended the connection"), attempt, jitter)

    async def _converse(self, connection: Dialogue, sender: str, to: str, raw: bytes) -> Outcome | Reply | None:
        """One mail transaction. A bare Reply asks for a later attempt; None means that the connection was gone."""
        fresh = connection.carried == 0
        try:
            outcome = await self._transaction(connection, sender, to, raw)
            connection.carried += 1
            if isinstance(outcome, Reply) and outcome.code == SERVICE_NOT_AVAILABLE and not fresh:
                connection.close()
                return None
            if not isinstance(outcome, Sent):
                if outcome is not None and _code_of(outcome) == SERVICE_NOT_AVAILABLE:
                    connection.close()
                await connection.ask(b"RSET\r\n", seconds=self.relay.command_timeout)
        except BaseException:
            # It was left in an unknown state.
            connection.close()
            raise
        await self._keep(connection)
        return outcome

    async def _transaction(self, connection: Dialogue, sender: str, to: str, raw: bytes) -> Outcome | Reply | None:
        international = not to.isascii() or not raw.isascii()
        if international and not connection.smtputf8:
            return Failed(Reply("the mail server takes no letters beyond ASCII before the @ (SMTPUTF8, RFC 6531)"))
        parameter = " SMTPUTF8" if international else ""
        commands = tuple(
            f"{command}\r\n".encode() for command in (f"MAIL FROM:<{sender}>{parameter}", f"RCPT TO:<{to}>", "DATA")
        )
        said: list[Reply] = []
        for group in (commands,) if connection.pipelining else zip(commands, strict=True):
            said += await connection.ask(b"".join(group), replies=len(group), seconds=self.relay.command_timeout)
            refusal = _refusal(said)
            if refusal is not None:
                if len(said) == len(commands) and said[-1].code == _START_INPUT:
                    await self._send_nothing(connection, said)
                return refusal
            if not connection.is_open:
                return Reply(f"no answer before the message: {connection.ended}") if connection.ended else None
        answer = await connection.ask(_stuffed(raw), seconds=self.relay.data_timeout)
        if not answer:
            return Uncertain(f"{connection.ended or 'the connection was lost'} after the message")
        reply = answer[0]
        return Sent(reply) if _positive(reply) else _judged(reply, _refused_recipient(reply, Stage.MESSAGE))

    async def _send_nothing(self, connection: Dialogue, said: list[Reply]) -> None:
        """The server refused us and yet waits for a message: it gets an empty one, for nobody (RFC 2920 §3.1)."""
        if _positive(said[1]):
            # For somebody, it seems.
            connection.close()
        else:
            await connection.ask(b".\r\n", seconds=self.relay.command_timeout)

    async def _connect(self) -> Dialogue:
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
            except BaseException:
                client.close()
                raise
        transport = client.transport
        if transport is None:
            raise ConnectionError("the server ended the connection")
        return Dialogue(
            transport,
            pipelining=client.supports_extension("pipelining"),
            smtputf8=client.supports_extension("smtputf8"),
        )

    async def _reusable(self) -> Dialogue | None:
        now = asyncio.get_running_loop().time()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open and now - connection.idle_since < LONGEST_IDLE:
                return connection
            await connection.leave()
        return None

    async def _keep(self, connection: Dialogue) -> None:
        """Puts the connection back for the next mail, unless it is worn out."""
        if not connection.is_open:
            return
        if connection.carried >= MAILS_A_CONNECTION:
            await connection.leave()
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
                connection.close()
        self._idle = kept
        self._reaper = None
        if kept:
            self._reaper = loop.call_later(LONGEST_IDLE - (loop.time() - kept[0].idle_since), self._reap)


def _trusting(certificates: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificates is not None:
        context.load_verify_locations(cafile=certificates)
    return context


def _refusal(said: list[Reply]) -> Outcome | Reply | None:
    """What the first reply means that is not the hoped-for one; later ones follow from it."""
    for place, reply in enumerate(said):
        if place == 0 and not _positive(reply):
            general = replace(reply, general=True)
            return _judged(general, Failed(general, "ours") if reply.code == _MESSAGE_TOO_BIG else Fault(general))
        if (place == 1 and not _positive(reply)) or (place == 2 and reply.code != _START_INPUT):
            return _judged(reply, _refused_recipient(reply))
    return None


def _code_of(outcome: Outcome | Reply) -> int | None:
    if isinstance(outcome, Uncertain):
        return None
    return outcome.code if isinstance(outcome, Reply) else outcome.reply.code


def _or_retry(outcome: Outcome | Reply, attempt: int, jitter: float) -> Outcome:
    return Retry(outcome, wait(attempt, jitter)) if isinstance(outcome, Reply) else outcome


def _positive(reply: Reply) -> bool:
    return reply.code is not None and 200 <= reply.code < 300


def _judged(reply: Reply, permanent: Outcome) -> Outcome | Reply:
    """The outcome of a refusal: as given for 5xx, another attempt for anything else."""
    return permanent if reply.code is not None and 500 <= reply.code < 600 else reply


def _refused_recipient(reply: Reply, stage: Stage | None = None) -> Outcome:
    if reply.status in _SENDER_STATUSES:
        return Fault(reply)
    # The code stands before the words: of those that take no mail at all it is the one thing that says so (RFC 7504).
    return Failed(reply, judge(reply.status, str(reply), stage=stage) or "failing")


def _refused(error: Exception) -> Outcome | Reply:
    """Why there is no connection: a fault in our settings, or something that passes."""
    if isinstance(error, SMTPResponseException):
        reply = replace(Reply.of(error.code, error.message), general=True)
        return _judged(reply, Fault(reply))
    reason = error if isinstance(error, ssl.SSLError) else error.__cause__
    if isinstance(reason, ssl.SSLError) and not isinstance(reason, ssl.SSLEOFError | ssl.SSLZeroReturnError):
        return Fault(Reply(f"no trusted TLS connection with the server: {reason}"))
    reply = Reply(str(error) or type(error).__name__)
    # What is no matter of the network is a disagreement: no STARTTLS, no way to log in that both know.
    return reply if isinstance(error, OSError) else Fault(reply)


def _stuffed(raw: bytes) -> bytes:
    """The message as DATA wants it: CRLF everywhere, so that no line passes for the end, and dots doubled (§4.5.2)."""
    text = b"\r\n".join(raw.splitlines())
    dot = b"." if text.startswith(b".") else b""
    return b"".join((dot, text.replace(b"\r\n.", b"\r\n.."), b"\r\n.\r\n"))
