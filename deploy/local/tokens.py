"""The staff's tokens on one machine: what a client in any language is let in by over HTTP."""

from __future__ import annotations

import json
from pathlib import Path

from cli import private
from cli.connection import Connection
from cli.reading import kept
from contracts.access import Role
from contracts.commands import CreateToken, RevokeToken, TokenMade, TokenRevocation
from contracts.queries import Everything, TokenList, TokenView
from contracts.subjects import command, query

ROLES: tuple[Role, ...] = ("viewer", "admin")
"""Those that need no organisation."""


async def local_tokens(staff: Connection, file: Path) -> dict[str, str]:
    """
    A token for each role, by role: those that ``file`` keeps as long as they are good, else new ones.

    The file is readable by its owner alone: whoever can read it can read the staff's password beside it as well.
    """
    known = (await staff.request(query("registration", "token", "list"), Everything(), TokenList)).tokens
    good = {each.account: each for each in known if each.revoked is None}
    earlier = kept(file)
    tokens = {
        role: earlier[role] if _account(earlier.get(role)) in good else await _new(staff, role, good) for role in ROLES
    }
    if tokens != earlier:
        private.write(file, json.dumps(tokens, indent=2) + "\n")
    return {str(role): token for role, token in tokens.items()}


def _account(token: str | None) -> str:
    parts = (token or "").split("_")
    return parts[1] if len(parts) > 1 else ""


async def _new(staff: Connection, role: Role, good: dict[str, TokenView]) -> str:
    name = f"endpoints.json, {role}"
    if any(each.name == name for each in good.values()):
        # Made by an earlier start, and nobody has it any more.
        await staff.request(command("registration", "token", "revoke"), RevokeToken(name=name), TokenRevocation)
    asked = CreateToken(name=name, role=role)
    return (await staff.request(command("registration", "token", "create"), asked, TokenMade)).token
