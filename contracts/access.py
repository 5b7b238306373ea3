"""What staff may do over HTTP: a role, and for organisers the organisations whose programmes are theirs."""

from __future__ import annotations

from typing import Final, Literal

Role = Literal["viewer", "organiser", "admin"]
"""
``viewer`` reads what says of nobody who they are; ``organiser`` also leads the programmes of their organisations, with
the people in them; ``admin`` does everything.
"""

ROLES: Final[tuple[Role, ...]] = ("viewer", "organiser", "admin")
"""From the least to the most: each may do what those before it may."""
