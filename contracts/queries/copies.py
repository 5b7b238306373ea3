"""Questions about the copy of a database that ``do.<service>.database.copy`` made."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from contracts.base import Identity, Message

LARGEST_PIECE: Final = 524_288
"""Octets of a copy that fit into one answer: base64 takes a third more."""


class CopyQuestion(Message):
    """A piece of a copy, from ``offset`` on."""

    copy_id: Identity
    offset: Annotated[int, Field(ge=0)] = 0


class CopyPiece(Message):
    """At most half a mebibyte of a copy, in base64; nothing behind its end."""

    data: str
