"""Copies of databases, which every service can be told to make."""

from __future__ import annotations

from pydantic import Field

from contracts.base import Identity, Message
from contracts.commands.base import Command


class CopyDatabase(Command):
    """
    Make a verified copy of the service's database beside it, to be fetched piece by piece.

    An earlier one is thrown away. Every service takes it. The copy is of one moment, and the service goes on meanwhile.
    """


class DiscardCopy(Command):
    """Throw a copy away: it holds what the database holds."""

    copy_id: Identity


class DatabaseCopy(Message):
    """
    A copy of a service's database.

    ``positions`` says by stream up to where the service had written its own log, or read that of another, when the copy
    was made.
    """

    copy_id: Identity
    size: int = Field(description="Octets.")
    sha256: str
    schema_number: int = Field(description="How many migrations it has been through.")
    positions: dict[str, int]


class CopyDiscarded(Message):
    """The copy is gone; ``discarded`` is false where it was already."""

    discarded: bool
