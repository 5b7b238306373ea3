"""Having the broker read its configuration again, over NATS: from wherever it can be reached, on every server of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from deploy.identities import MONITOR, OPERATOR, access
from deploy.production.deployment import Deployment
from deploy.production.directory import Directory
from deploy.topology import connect

_QUIET = 0.4
"""Seconds without one more answer after which all servers have answered."""
_PATIENCE = 10.0


class NotReloaded(RuntimeError):  # noqa: N818 - it reads as what happened
    """A server did not take its configuration, or none answered; the message says which and why."""


async def reload(directory: Directory, deployment: Deployment) -> tuple[str, ...]:
    """
    Have every server read its configuration again. Returns their names.

    Each is told twice: after the first time the imports of an account that is new lead nowhere (nats-server 2.15.1).

    Raises:
        NotReloaded: a server refused what is written; it goes on with what it had.
    """
    async with _connected(directory, deployment, OPERATOR) as connection:
        told = await _ask_all(connection, "$SYS.REQ.SERVER.PING")
        if not told:
            raise NotReloaded("no server of the broker answers the operator")
        servers = {answer["server"]["id"]: answer["server"]["name"] for answer in told}
        for _ in range(2):
            for identifier, name in servers.items():
                await _reload_one(connection, identifier, name)
        return tuple(sorted(servers.values()))


async def in_force(directory: Directory, deployment: Deployment) -> dict[str, str]:
    """
    The digest of the configuration that each server has, included files and all; a server too old to say is left out.

    Raises:
        NotReloaded: no server lets the monitor in.
    """
    async with _connected(directory, deployment, MONITOR) as connection:
        told = await _ask_all(connection, "$SYS.REQ.SERVER.PING.VARZ")
    digests = {answer["server"]["name"]: (answer.get("data") or {}).get("config_digest") for answer in told}
    return {name: str(digest) for name, digest in digests.items() if digest}


@asynccontextmanager
async def _connected(directory: Directory, deployment: Deployment, identity: str) -> AsyncIterator[Client]:
    url = deployment.operations_url or deployment.url
    try:
        connection = await connect(
            url,
            access(()).identity(identity).inbox_prefix,
            seed=directory.seed(identity),
            authority=directory.authority if deployment.encrypted else None,
        )
    except (NatsError, OSError) as error:
        raise NotReloaded(f"no broker at {url} lets the {identity} in: {error or type(error).__name__}") from error
    try:
        yield connection
    finally:
        await connection.close()


async def _ask_all(connection: Client, subject: str) -> list[dict[str, Any]]:
    """What every server of the broker answers."""
    answers: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = connection.new_inbox()
    subscription = await connection.subscribe(inbox, cb=answers.put)
    await connection.publish(subject, b"", reply=inbox)
    told: list[dict[str, Any]] = []
    patience = _PATIENCE
    while True:
        try:
            async with asyncio.timeout(patience):
                answer = await answers.get()
        except TimeoutError:
            break
        told.append(json.loads(answer.data))
        patience = _QUIET
    await subscription.unsubscribe()
    return told


async def _reload_one(connection: Client, identifier: str, name: str) -> None:
    try:
        reply = await connection.request(f"$SYS.REQ.SERVER.{identifier}.RELOAD", b"", timeout=_PATIENCE)
    except NatsError as error:
        raise NotReloaded(f"the server {name} does not say whether it took its configuration: {error}") from error
    if refusal := json.loads(reply.data).get("error"):
        raise NotReloaded(f"the server {name} refuses its configuration: {refusal.get('description', refusal)}")
