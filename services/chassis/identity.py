"""Ids of everything that this system names itself."""

from __future__ import annotations

from uuid_utils import uuid7


def new_id() -> str:
    """A UUIDv7 (RFC 9562 §5.7): unguessable enough to name a person, time-ordered so that indexes stay fast."""
    return str(uuid7())
