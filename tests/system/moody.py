"""A mail server with moods: it fails as it is told to, or as the recipient's address asks for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from aiosmtpd.controller import Controller

from tests.ports import free_ports


class Moody:
    """
    A mail server that refuses everybody while ``refuses`` is set, and knows no address that begins with ``nobody``.

    While ``blocks`` is set, its client stands on a list of those from whom it takes nothing for anybody.

    While ``hangs_up`` is set it takes every byte of a mail and is gone before it answers.
    """

    def __init__(self) -> None:
        self.refuses = False
        self.hangs_up = False
        self.blocks = False
        self.taken: list[str] = []
        """The recipients of what it took."""

    async def handle_MAIL(  # noqa: N802 - aiosmtpd finds it by this name
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if self.refuses:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - likewise
        self, _server: Any, _session: Any, envelope: Any, address: str, _options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 5.1.1 No such user here"
        if self.blocks:
            return "550 5.7.1 Service unavailable, client host [127.0.0.1] blocked using bl.example"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - likewise
        self.taken.extend(envelope.rcpt_tos)
        if self.hangs_up:
            server.transport.abort()
        return "250 taken"


@contextlib.contextmanager
def moody_server() -> Iterator[tuple[Moody, str]]:
    """One that listens on loopback, and what DEELNAME_TRANSPORT says to use it."""
    handler = Moody()
    smtp = Controller(handler, hostname="127.0.0.1", port=free_ports(1))
    smtp.start()
    try:
        yield handler, f"smtp://127.0.0.1:{smtp.port}?starttls=never"
    finally:
        smtp.stop()
