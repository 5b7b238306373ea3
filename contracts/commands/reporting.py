"""What reporting is told to do, and how it answers."""

from __future__ import annotations

from pydantic import Field

from contracts.base import Message
from contracts.commands.base import Command


class RebuildReport(Command):
    """Fold all facts again into a fresh database and swap it in."""


class RebuiltReport(Message):
    """What the rebuild folded, and whether the report came out the same, byte for byte."""

    facts: int
    seconds: float
    identical: bool
    digest: str = Field(description="SHA-256 of the whole report in its canonical form.")
