"""The streams of a deployment: declared by what its directory says, and which servers keep which at this moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StreamInfo
from nats.js.errors import APIError

from deploy.identities import APPLICATION, PARTNERS, TOPOLOGY, TOPOLOGY_PARTNERS
from deploy.production.deployment import Deployment
from deploy.production.directory import Directory
from deploy.streams import ACK_WAIT, streams_of
from deploy.topology import Changes, TopologyConflict, connect, declare

_IDENTITIES = ((APPLICATION, TOPOLOGY), (PARTNERS, TOPOLOGY_PARTNERS))


class NotWhole(RuntimeError):  # noqa: N818 - it reads as what is wrong
    """
    Streams are not kept by as many servers as they should be, or by servers that lag; the message says which.

    ``kept`` is what was seen last; empty where nobody answered.
    """

    def __init__(self, why: str, kept: Sequence[Kept] = ()) -> None:
        super().__init__(why)
        self.kept = tuple(kept)


@dataclass(frozen=True, slots=True)
class Kept:
    """
    A stream, and who keeps it.

    Attributes:
        name: the stream's.
        messages: how many it holds.
        last: the number of the last one.
        wanted: how many servers are to keep it.
        leader: the server that answers for it; None while there is none, or where a server is alone.
        current: the servers that have all of it, the leader among them.
        lagging: the other servers that keep it, and how many messages each lacks as far as the leader knows.
        offline: those of them that the leader does not hear.
    """

    name: str
    messages: int
    last: int
    wanted: int
    leader: str | None
    current: tuple[str, ...]
    lagging: tuple[tuple[str, int], ...] = ()
    offline: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether as many servers have all of it as are to keep it, and no others hang on."""
        return not self.lagging and len(self.current) == self.wanted


async def declare_all(directory: Directory, within: float = 0.0, ack_wait: float = ACK_WAIT) -> Changes:
    """
    Create what is missing and change what differs, the number of copies too. Deletes nothing.

    Args:
        directory: of the deployment.
        within: seconds for which it is tried again while servers that were just started do not answer, or have not
            found one another.
        ack_wait: seconds after which what was handed out and not acknowledged is handed out again.

    Raises:
        TopologyConflict: see ``topology.declare``.
        nats.errors.Error: the broker does not answer.
    """
    deployment = directory.read()
    deadline = time.monotonic() + within
    while True:
        try:
            async with _accounts(directory, deployment) as (application, partners):
                return await declare(application, partners, deployment.partners, ack_wait, deployment.copies)
        except (TopologyConflict, NatsError, OSError) as error:
            if time.monotonic() > deadline or not _passes(error):
                raise
        await asyncio.sleep(0.5)


def _passes(error: Exception) -> bool:
    """Whether servers that find one another later may say otherwise."""
    refusal = error.__cause__ if isinstance(error, TopologyConflict) else error
    if isinstance(refusal, APIError):
        return refusal.code == _UNAVAILABLE or refusal.err_code == _TOO_FEW_SERVERS
    return not isinstance(error, TopologyConflict)


async def look(directory: Directory) -> list[Kept]:
    """
    Who keeps each stream.

    Raises:
        TopologyConflict: a stream is missing.
        nats.errors.Error: the broker does not answer.
    """
    deployment = directory.read()
    async with _accounts(directory, deployment) as accounts:
        return await _look(deployment, accounts)


async def until_whole(directory: Directory, within: float) -> list[Kept]:
    """
    Wait until every stream is whole.

    Raises:
        NotWhole: some were not ``within`` these seconds.
        TopologyConflict: a stream is missing.
        nats.errors.Error: no connection came about.
    """
    deployment = directory.read()
    deadline = time.monotonic() + within
    async with _accounts(directory, deployment) as accounts:
        while True:
            kept = []
            try:
                kept = await _look(deployment, accounts)
            except NatsError as error:
                # An election: nobody answers for a stream while there is no leader.
                why = f"a stream has no leader, or the broker does not answer ({str(error) or type(error).__name__})"
            else:
                missing = [stream for stream in kept if not stream.whole]
                if not missing:
                    return kept
                why = "; ".join(map(_lack, missing))
            if time.monotonic() > deadline:
                raise NotWhole(f"after {within:.0f} s: {why}", kept)
            await asyncio.sleep(0.25)


async def _look(deployment: Deployment, accounts: tuple[Client, Client]) -> list[Kept]:
    found = []
    for (account, _), connection in zip(_IDENTITIES, accounts, strict=True):
        for stream in streams_of(account, deployment.partners, replicas=deployment.copies):
            try:
                info = await connection.jsm().stream_info(stream.name)
            except NatsError as error:
                if getattr(error, "err_code", None) == _NO_STREAM:
                    raise TopologyConflict(f"there is no stream {stream.name}: declare it") from error
                raise
            found.append(_kept(stream.name, info, stream.config.num_replicas or 1))
    return found


_NO_STREAM = 10059
_UNAVAILABLE = 503
_TOO_FEW_SERVERS = 10005


def _kept(name: str, info: StreamInfo, wanted: int) -> Kept:
    if info.cluster is None:
        return Kept(name, info.state.messages, info.state.last_seq, wanted, None, ("",))
    leader = info.cluster.leader or None
    peers = info.cluster.replicas or []
    return Kept(
        name,
        info.state.messages,
        info.state.last_seq,
        wanted,
        leader,
        tuple(sorted([*([leader] if leader else []), *(peer.name for peer in peers if peer.current and peer.name)])),
        tuple((peer.name or "", peer.lag or 0) for peer in peers if not peer.current),
        tuple(peer.name or "" for peer in peers if peer.offline),
    )


def _lack(stream: Kept) -> str:
    lagging = "".join(
        f", {name} lacks {messages}{' and is not there' if name in stream.offline else ''}"
        for name, messages in stream.lagging
    )
    return f"{stream.name} is whole on {len(stream.current)} of {stream.wanted} servers{lagging}"


@asynccontextmanager
async def _accounts(directory: Directory, deployment: Deployment) -> AsyncIterator[tuple[Client, Client]]:
    """Connections as the two identities that declare streams."""
    connections: list[Client] = []
    try:
        for _, name in _IDENTITIES:
            connections.append(
                await connect(
                    deployment.operations_url or deployment.url,
                    deployment.access.identity(name).inbox_prefix,
                    seed=directory.seed(name),
                    authority=directory.authority if deployment.encrypted else None,
                )
            )
        application, partners = connections
        yield application, partners
    finally:
        for connection in connections:
            await connection.close()
