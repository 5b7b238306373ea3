"""The SMTP side: everything is taken, for whomever it is."""

from __future__ import annotations

import logging

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.catcher.box import Box

LARGEST = 25 * 1024 * 1024
"""Bytes of a mail."""


class _Handler:
    def __init__(self, box: Box) -> None:
        self._box = box

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        content = envelope.original_content or b""
        key = self._box.put(envelope.mail_from, envelope.rcpt_tos, content)
        return f"250 2.0.0 kept as {key}"


def taker(box: Box, host: str, port: int) -> Controller:
    """An SMTP server in a thread of its own, not yet started."""
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    return Controller(_Handler(box), hostname=host, port=port, data_size_limit=LARGEST, enable_SMTPUTF8=True)
