"""What all commands have in common."""

from __future__ import annotations

from pydantic import Field

from contracts.base import Identity, Message


class Command(Message):
    """What all commands have in common."""

    id: Identity | None = Field(default=None, description="Makes a repetition harmless: send the same id again.")
