"""
Partners come, get a new key and go: each by one command and one reload.

Registration needs no word: it takes in from whichever intake streams there are.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from cli import private
from contracts import subjects
from deploy.configuration import PublicKey
from deploy.identities import TOPOLOGY, TOPOLOGY_PARTNERS, access
from deploy.production.deployment import Deployment
from deploy.production.directory import Directory
from deploy.production.keys import make_seed
from deploy.production.reload import NotReloaded, in_force, reload
from deploy.topology import connect, declare_partners

DRAINED_WITHIN = 15.0
"""Seconds that registration has to answer what came in while a partner was being removed."""


class PartnerError(ValueError):
    """What was asked cannot be done with this partner; the message says why and what to do."""


class NotInForce(PartnerError):  # noqa: N818 - it reads as what is wrong
    """What was asked is written, and servers of the broker read other files; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much of a partner waits: requests that registration has not answered, answers that it has not fetched."""

    name: str
    requests: int | None
    answers: int | None


async def add(directory: Directory, name: str, public_key: str | None = None) -> Path:
    """
    Let a partner in: key, account, streams, reload. Returns the folder that is handed over to it.

    With the partner's own ``public_key`` no seed is made here, and none travels.

    Raises:
        PartnerError: there is one of this name already.
        InvalidPartner, InvalidCredential: the name or the key cannot be one.
        NotReloaded: the broker did not take the new configuration; what is written is what was before.
        NotInForce: it reads other files than those that were written; they have to be copied there.
        nats.errors.Error: the broker does not answer.
    """
    with directory.locked():
        before = directory.read()
        if name in before.partners:
            raise PartnerError(f"there is a partner {name}: give it a new key with 'deelname partner rotate {name}'")
        access((*before.partners, name))
        key = _new_key(directory, name, public_key)
        after = before.model_copy(
            update={"partners": (*before.partners, name), "keys": {**before.keys, name: key.value}}
        )
        try:
            async with _partners_account(directory, before) as connection:
                await declare_partners(connection, after.partners, replicas=after.copies)
            await _put_into_force(directory, before, after)
        except NotInForce:
            raise
        except BaseException:
            shutil.rmtree(directory.partner(name), ignore_errors=True)
            raise
        return directory.partner(name)


async def rotate(directory: Directory, name: str, public_key: str | None = None) -> Path:
    """
    Give a partner a new key. The old one is worth nothing after the reload, and who came in with it is cut off.

    Raises:
        PartnerError: there is no such partner.
        NotReloaded: the broker did not take the new configuration; the old key is still good.
        NotInForce: it is still good, until the files that were written are copied to where the broker reads them.
    """
    with directory.locked():
        before = directory.read()
        if name not in before.partners:
            raise PartnerError(_unknown(name, before))
        seed = directory.partner(name) / f"{name}.nk"
        kept = seed.read_text(encoding="ascii") if seed.exists() else None
        key = _new_key(directory, name, public_key)
        try:
            await _put_into_force(
                directory, before, before.model_copy(update={"keys": {**before.keys, name: key.value}})
            )
        except NotInForce:
            raise
        except BaseException:
            seed.unlink(missing_ok=True)
            if kept is not None:
                private.write(seed, kept)
            raise
        return directory.partner(name)


async def remove(directory: Directory, name: str, *, force: bool = False) -> None:
    """
    Shut a partner out and take its intake away. Its answers stay as long as anybody's.

    Safe to repeat: what an earlier try left is taken away.

    Args:
        directory: of the deployment.
        name: the partner.
        force: also when requests wait that nobody has answered; they are lost.

    Raises:
        PartnerError: there is no such partner, or requests of it wait.
        NotReloaded: the broker did not take the new configuration; the partner is still in.
        NotInForce: it is still in, until the files that were written are copied to where the broker reads them; then
            this is to be repeated.
    """
    with directory.locked():
        before = directory.read()
        stream = subjects.intake_stream(name)
        async with _partners_account(directory, before) as connection:
            waiting = await _messages(connection, stream)
            if name not in before.partners and waiting is None:
                raise PartnerError(_unknown(name, before))
            if waiting and not force:
                raise PartnerError(
                    f"{waiting} requests of {name} wait for registration: let it answer them, or lose them with --force"
                )
            if name in before.partners:
                keys = {other: key for other, key in before.keys.items() if other != name}
                partners = tuple(other for other in before.partners if other != name)
                after = before.model_copy(update={"partners": partners, "keys": keys})
                await _put_into_force(directory, before, after)
            shutil.rmtree(directory.partner(name), ignore_errors=True)
            if not force and not await _drained(connection, stream):
                raise PartnerError(
                    f"{name} is shut out, and requests that came in just before still wait for registration:"
                    f" repeat 'deelname partner remove {name}' when it has answered them"
                )
            if await _messages(connection, stream) is not None:
                await connection.jsm().delete_stream(stream)


async def waiting(directory: Directory) -> list[Waiting]:
    """Each partner, and what of it waits; None where its streams are not declared."""
    deployment = directory.read()
    found = []
    async with _partners_account(directory, deployment) as connection:
        for name in deployment.partners:
            try:
                consumer = await connection.jsm().consumer_info(subjects.OUTCOMES_STREAM, name)
                answers: int | None = (consumer.num_pending or 0) + (consumer.num_ack_pending or 0)
            except NotFoundError:
                answers = None
            found.append(Waiting(name, await _messages(connection, subjects.intake_stream(name)), answers))
    return found


def _new_key(directory: Directory, name: str, public_key: str | None) -> PublicKey:
    seed = directory.partner(name) / f"{name}.nk"
    if public_key is None:
        return make_seed(seed)
    given = PublicKey(public_key)
    seed.unlink(missing_ok=True)
    return given


async def _put_into_force(directory: Directory, before: Deployment, after: Deployment) -> None:
    """
    Write, reload; and write back what was there if the broker does not want it.

    A server takes a reload for done also where it reads a copy of the files: on another machine, in a volume.

    Raises:
        NotReloaded: a server refused what was written, or could not be asked.
        NotInForce: a server has the configuration that it had, and what was written differs from it.
    """
    accounts = directory.broker / "accounts.conf"
    read, had = accounts.read_bytes(), await in_force(directory, before)
    directory.write(after)
    try:
        await reload(directory, after)
    except NotReloaded:
        directory.write(before)
        raise
    if accounts.read_bytes() == read:
        return
    has = await in_force(directory, after)
    if left := sorted(name for name, digest in has.items() if digest == had.get(name)):
        raise NotInForce(
            f"written, and not in force yet: {', '.join(left)} went on with what it had, for it reads other files."
            f" Copy {accounts} to where it does, then 'deelname broker reload {directory.path}'"
        )


@asynccontextmanager
async def _partners_account(directory: Directory, deployment: Deployment) -> AsyncIterator[Client]:
    """A connection as the identity that declares partners' streams."""
    connection = await connect(
        deployment.operations_url or deployment.url,
        access(()).identity(TOPOLOGY).inbox_prefix,
        seed=directory.seed(TOPOLOGY_PARTNERS),
        authority=directory.authority if deployment.encrypted else None,
    )
    try:
        yield connection
    finally:
        await connection.close()


async def _messages(connection: Client, stream: str) -> int | None:
    try:
        return (await connection.jsm().stream_info(stream)).state.messages
    except NotFoundError:
        return None


async def _drained(connection: Client, stream: str) -> bool:
    deadline = time.monotonic() + DRAINED_WITHIN
    while await _messages(connection, stream):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.2)
    return True


def _unknown(name: str, deployment: Deployment) -> str:
    return f"there is no partner {name!r}; there are: {', '.join(deployment.partners) or 'none'}"
