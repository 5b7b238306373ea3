"""
What the servers of a broker say of one another, compared: who should be there and is not, and which copies lag.

Each server answers ``$SYS.REQ.SERVER.PING.JSZ`` for itself. One that is dead says nothing, and the others go on as if
nothing were: only who knows how many there are to be notices. The servers do, and name their peers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError

STREAMS_OF_ALL = "$SYS.REQ.SERVER.PING.JSZ"
"""Asks every server for its streams and its peers."""


class _Said(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Peer(_Said):
    name: str = ""
    current: bool = False
    lag: int = 0


class _Group(_Said):
    leader: str = ""
    replicas: tuple[_Peer, ...] | None = None
    cluster_size: int = 0


class _Stream(_Said):
    name: str
    cluster: _Group | None = None


class _Account(_Said):
    stream_detail: tuple[_Stream, ...] | None = None


class _Data(_Said):
    meta_cluster: _Group | None = None
    account_details: tuple[_Account, ...] | None = None


class _Server(_Said):
    name: str


class Answer(_Said):
    """One server's answer, as far as it is needed here."""

    server: _Server
    data: _Data


def read_answer(body: object) -> Answer | None:
    """An answer, of its bytes or of what JSON says; None for what is none."""
    try:
        return Answer.model_validate_json(body) if isinstance(body, bytes) else Answer.model_validate(body)
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class Behind:
    """A copy of a stream that lacks ``messages`` of it, as far as its leader knows; 0 where the leader cannot tell."""

    stream: str
    server: str
    messages: int


@dataclass(frozen=True, slots=True)
class Servers:
    """
    The servers of a broker at a moment.

    Attributes:
        expected: how many there are to be.
        answering: who answered.
        missing: who did not, by name as far as the others know them.
        behind: copies that lack something, of streams on several servers.
        leaderless: streams of several servers that none of them answers for: they take and give nothing.
    """

    expected: int = 0
    answering: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    behind: tuple[Behind, ...] = ()
    leaderless: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether everybody answered who should."""
        return bool(self.answering) and len(self.answering) >= self.expected

    @property
    def who_is_missing(self) -> str:
        """In words, "" when nobody is."""
        if self.complete or not self.answering:
            return ""
        number = self.expected - len(self.answering)
        named = ", ".join(self.missing) or "their names are not known"
        verb = "does" if number == 1 else "do"
        return f"{number} of the {self.expected} servers of the broker {verb} not answer: {named}"


def compare(answers: Iterable[Answer]) -> Servers:
    """What all answers together say; a server without peers is alone."""
    told = list(answers)
    clustered = [answer for answer in told if answer.data.meta_cluster is not None]
    # Where some are of a cluster, who keeps no streams is none of those that should be there.
    answering = {answer.server.name for answer in clustered or told}
    groups = [answer.data.meta_cluster for answer in clustered if answer.data.meta_cluster is not None]
    peers = {peer.name for group in groups for peer in group.replicas or () if peer.name}
    expected = max((group.cluster_size for group in groups), default=len(answering))
    streams = [
        (answer.server.name, stream)
        for answer in told
        for account in answer.data.account_details or ()
        for stream in account.stream_detail or ()
        if stream.cluster is not None and stream.cluster.replicas
    ]
    led = {stream.name: stream for server, stream in streams if stream.cluster and stream.cluster.leader == server}
    behind = {
        Behind(name, peer.name, peer.lag)
        for name, stream in led.items()
        for peer in (stream.cluster.replicas if stream.cluster else None) or ()
        if not peer.current
    }
    return Servers(
        expected=max(expected, len(answering)),
        answering=tuple(sorted(answering)),
        missing=tuple(sorted(peers - answering)) if len(answering) < expected else (),
        behind=tuple(sorted(behind, key=lambda each: (each.stream, each.server))),
        leaderless=tuple(sorted({stream.name for _, stream in streams} - led.keys())),
    )
