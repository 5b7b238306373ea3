"""A connection to a mail server that is open and logged in: commands out, replies in (RFC 5321 §4.2, RFC 2920)."""

import asyncio
from collections.abc import Sequence
from typing import cast

from services.notifications.transport.outcomes import Reply

LONGEST_REPLY = 32_768
"""Octets of what a server may say before it is heard; a real reply has at most some hundreds."""

_FAREWELL = 5.0  # seconds


class Dialogue(asyncio.Protocol):
    """
    Asks one question at a time, of one command or of several in one write.

    It takes over the transport of whoever opened the connection: encrypted or not makes no difference to it.

    Args:
        transport: open; the server has said all that it had to say.
        pipelining: whether the server takes several commands at once (RFC 2920).
        smtputf8: whether it takes letters beyond ASCII in addresses (RFC 6531).

    Attributes:
        carried: how many mails went over the connection.
        idle_since: when the last one did, by the event loop's clock.
        ended: why there will be no more replies; empty where the server just ended the connection.
    """

    def __init__(self, transport: asyncio.BaseTransport, *, pipelining: bool, smtputf8: bool = False) -> None:
        self.pipelining = pipelining
        self.smtputf8 = smtputf8
        self.carried = 0
        self.idle_since = 0.0
        self.ended = ""
        self._loop = asyncio.get_running_loop()
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_protocol(self)
        self._buffer = bytearray()
        self._lines: list[bytes] = []
        self._replies: list[Reply] = []
        self._wanted = 0
        self._answered: asyncio.Future[None] | None = None
        self._gone = asyncio.Event()

    @property
    def is_open(self) -> bool:
        """Whether another question may be asked."""
        return not self._transport.is_closing()

    async def ask(self, question: bytes, *, replies: int = 1, seconds: float) -> Sequence[Reply]:
        """
        The replies to what is written, in order.

        Fewer than ``replies`` mean that the connection is closed and that ``ended`` says why.
        """
        if not self.is_open:
            return ()
        self._replies, self._wanted = [], replies
        self._answered = self._loop.create_future()
        patience = self._loop.call_later(seconds, self._give_up, seconds)
        self._transport.write(question)
        try:
            await self._answered
        finally:
            patience.cancel()
            self._answered = None
        return self._replies

    async def leave(self) -> None:
        """Say goodbye, close, and see the connection end: with TLS the server has a say in that."""
        try:
            await self.ask(b"QUIT\r\n", seconds=_FAREWELL)
        finally:
            self.close()
        try:
            async with asyncio.timeout(_FAREWELL):
                await self._gone.wait()
        except TimeoutError:
            self._transport.abort()

    def close(self) -> None:
        """Close without a word."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """See ``asyncio.Protocol``."""
        if self._answered is None or self._answered.done():
            # Nobody asked: the server is about to end the connection, or we no longer know which reply is to what.
            self._end("it spoke without being asked")
            return
        self._buffer += data
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if not line[:3].isdigit():
                self._end(f"not a reply: {line[:100].decode('utf-8', 'replace')}")
                return
            self._lines.append(line[4:].strip())
            if line[3:4] != b"-":
                self._replies.append(Reply.of(int(line[:3]), b"\n".join(self._lines).decode("utf-8", "replace")))
                self._lines.clear()
        if len(self._buffer) + sum(map(len, self._lines)) > LONGEST_REPLY:
            self._end("the reply is too long")
        elif len(self._replies) > self._wanted:
            self._end("it gave more replies than it was asked for")
        elif len(self._replies) == self._wanted:
            self._answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """See ``asyncio.Protocol``."""
        self._gone.set()
        self._end("" if exc is None or isinstance(exc, ConnectionError) else str(exc))

    def _give_up(self, seconds: float) -> None:
        self._end(f"no answer within {seconds:g} s")

    def _end(self, reason: str) -> None:
        self.ended = self.ended or reason
        self._transport.abort()
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(None)
