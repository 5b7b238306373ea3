"""The tokens of one machine are made once, and again only where they are good no longer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.connection import Connection
from cli.endpoints import Access
from contracts.commands import RevokeToken, TokenRevocation
from contracts.queries import Everything, TokenList
from contracts.subjects import command, query
from deploy.local.tokens import local_tokens
from tests.registration.system import System, running_system


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running_system(tmp_path_factory.mktemp("tokens")) as system:
        asyncio.run(system.open("begin"))
        yield system


def start(system: System, file: Path, revoke: str | None = None) -> tuple[dict[str, str], list[str]]:
    """What a start finds or makes, after ``revoke`` was; and the names of all tokens that are good then."""

    async def start() -> tuple[dict[str, str], list[str]]:
        broker = system.broker
        staff = Connection(Access("staff", broker.url("staff"), broker.inbox_prefix("staff")))
        if revoke is not None:
            account = RevokeToken(account=revoke.split("_")[1])
            await staff.request(command("registration", "token", "revoke"), account, TokenRevocation)
        tokens = await local_tokens(staff, file)
        known = await staff.request(query("registration", "token", "list"), Everything(), TokenList)
        await (await staff.client()).close()
        return tokens, sorted(each.name for each in known.tokens if each.revoked is None)

    return asyncio.run(start())


def test_tokens_are_made_once_for_a_directory_and_anew_where_they_were_lost_or_revoked(
    system: System, tmp_path: Path
) -> None:
    file = tmp_path / "tokens.json"
    names = ["endpoints.json, admin", "endpoints.json, viewer"]
    first, good = start(system, file)
    assert first.keys() == {"viewer", "admin"}
    assert good == names
    assert json.loads(file.read_text()) == first
    assert file.stat().st_mode & 0o777 == 0o600
    assert start(system, file) == (first, names), "what is good stays"

    after, good = start(system, file, revoke=first["viewer"])
    assert (after["admin"], good) == (first["admin"], names)
    assert after["viewer"] != first["viewer"]

    file.unlink()
    lost, good = start(system, file)
    assert good == names, "those that nobody has any more are worth nothing"
    assert not set(lost.values()) & {*first.values(), *after.values()}
