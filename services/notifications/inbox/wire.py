"""The octets of a conversation: lines of commands, and messages between them (RFC 5321 §2.3.8, §4.5.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

LONGEST_COMMAND = 2048

_PIECE = 64 * 1024
_END = b"\r\n.\r\n"


class LineTooLong(Exception):  # noqa: N818
    """A line is longer than any command; nothing that follows an ``endless`` one can be understood."""

    def __init__(self, *, endless: bool) -> None:
        super().__init__()
        self.endless = endless


class Wire:
    """
    What a client says, a piece at a time: no line or message costs more than its octets.

    Args:
        patience: seconds that it may say nothing.
        holds: told how many octets of a message are in memory, as they come; what it raises ends the message.
    """

    def __init__(self, reader: asyncio.StreamReader, patience: float, holds: Callable[[int], None]) -> None:
        self._reader = reader
        self._patience = patience
        self._holds = holds
        self._unread = bytearray()

    async def line(self) -> bytes:
        """
        A line of a command with its end.

        Raises:
            LineTooLong: it is longer than any command.
            asyncio.IncompleteReadError: the client is gone.
            TimeoutError: it said nothing for too long.
        """
        passed = 0
        while (end := self._unread.find(b"\n")) < 0:
            if len(self._unread) >= LONGEST_COMMAND:
                passed += len(self._unread)
                self._unread.clear()
                if passed > _PIECE:
                    raise LineTooLong(endless=True)
            self._unread += await self._piece()
        line = bytes(self._unread[: end + 1])
        del self._unread[: end + 1]
        if passed + len(line) > LONGEST_COMMAND:
            raise LineTooLong(endless=False)
        return line

    async def message(self, largest: int) -> bytes | None:
        """
        The message that follows DATA, without its dots; None when it is too large.

        It ends with a dot alone between two CRLF and with nothing else: who takes a bare LF for a line end can be made
        to see two mails in one.

        Raises:
            asyncio.IncompleteReadError: the client is gone.
            TimeoutError: it said nothing for too long.
        """
        # The line of DATA ended with the CRLF that a dot at once would stand behind.
        window, before = bytearray(b"\r\n") + self._unread, b""
        self._unread = bytearray()
        message = bytearray()
        fits = True
        while True:
            end = window.find(_END)
            # What may be the beginning of the end stays for the next round.
            cut = end + 2 if end >= 0 else max(0, len(window) - len(_END) + 1)
            piece = before + window[:cut]
            if fits:
                message += piece.replace(b"\r\n.", b"\r\n")[len(before) :]
                fits = len(message) - 2 <= largest
                self._holds(len(message) if fits else 0)
            if not fits:
                message.clear()
            before = bytes(piece[-2:])
            if end >= 0:
                self._unread = window[end + len(_END) :]
                return bytes(memoryview(message)[2:]) if fits else None
            del window[:cut]
            window += await self._piece()

    async def _piece(self) -> bytes:
        async with asyncio.timeout(self._patience):
            piece = await self._reader.read(_PIECE)
        if not piece:
            raise asyncio.IncompleteReadError(b"", None)
        return piece
