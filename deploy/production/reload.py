"""Having the broker read its configuration again, over NATS: from wherever it can be reached, on every server of it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from deploy.identities import OPERATOR, access
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
    url = deployment.operations_url or deployment.url
    try:
        connection = await connect(
            url,
            access(()).identity(OPERATOR).inbox_prefix,
            seed=directory.seed(OPERATOR),
            authority=directory.authority if deployment.encrypted else None,
        )
    except (NatsError, OSError) as error:
        raise NotReloaded(f"no broker at {url} lets the operator in: {error or type(error).__name__}") from error
    try:
        servers = await _servers(connection)
        for _ in range(2):
            for identifier, name in servers.items():
                await _reload_one(connection, identifier, name)
        return tuple(sorted(servers.values()))
    finally:
        await connection.close()


async def _servers(connection: Client) -> dict[str, str]:
    answers: asyncio.Queue[Msg] = asyncio.Queue()
    inbox = connection.new_inbox()
    subscription = await connection.subscribe(inbox, cb=answers.put)
    await connection.publish("$SYS.REQ.SERVER.PING", b"", reply=inbox)
    servers: dict[str, str] = {}
    patience = _PATIENCE
    while True:
        try:
            answer = await asyncio.wait_for(answers.get(), patience)
        except TimeoutError:
            break
        server: dict[str, Any] = json.loads(answer.data)["server"]
        servers[server["id"]] = server["name"]
        patience = _QUIET
    await subscription.unsubscribe()
    if not servers:
        raise NotReloaded("no server of the broker answers the operator")
    return servers


async def _reload_one(connection: Client, identifier: str, name: str) -> None:
    try:
        reply = await connection.request(f"$SYS.REQ.SERVER.{identifier}.RELOAD", b"", timeout=_PATIENCE)
    except NatsError as error:
        raise NotReloaded(f"the server {name} does not say whether it took its configuration: {error}") from error
    if refusal := json.loads(reply.data).get("error"):
        raise NotReloaded(f"the server {name} refuses its configuration: {refusal.get('description', refusal)}")
