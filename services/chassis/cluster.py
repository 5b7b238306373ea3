"""
Whether the broker's servers are all there, and have all they should have.

A cluster goes on without one of three, and so does everything here: that the next one may not die is to be said by
somebody. A service has what it needs meanwhile, so it is a remark and not a reason to be unready.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import structlog
from nats.aio.client import Client

from contracts.servers import STREAMS_OF_ALL, Answer, Servers, compare, read_answer
from services.chassis.asking import Question
from services.chassis.metrics import Gauge

_log = structlog.get_logger("chassis.cluster")

SECONDS_BETWEEN_LOOKS: Final = 15.0

_QUESTION = b'{"accounts":true,"streams":true}'
_ANSWERS_WITHIN = 2.0
"""For the first as for each further one: who is to be there and does not answer costs us the whole of it."""
_MOST_NAMED = 3


class Cluster:
    """
    What the broker's servers said of one another when they were last asked.

    Args:
        connection: whose user may ask all servers for their streams.
    """

    def __init__(self, connection: Client) -> None:
        self._question = Question(connection, STREAMS_OF_ALL, _QUESTION, first=_ANSWERS_WITHIN, more=_ANSWERS_WITHIN)
        self._servers: Servers | None = None
        self._complains = ""

    async def look(self) -> None:
        """Ask all servers; call it again and again."""
        told = await self._question.ask(lambda bodies: compare(_read(bodies)).complete)
        answers = _read(told or ())
        if not answers:
            # That nobody answers is said by relays and readers; how many there should be is not forgotten over it.
            if told is not None and self._servers is not None:
                self._servers = Servers(expected=self._servers.expected)
            return
        self._servers = compare(answers)
        missing = self._servers.who_is_missing
        if missing and missing != self._complains:
            _log.error("servers of the broker are missing", reason=missing)
        elif self._complains and not missing:
            _log.info("all servers of the broker are there again")
        self._complains = missing

    async def remark(self) -> str:
        """Who is missing, or which copies lag; "" while all is well, as far as known. See ``Health``."""
        servers = self._servers
        if servers is None:
            return ""
        if missing := servers.who_is_missing:
            return missing
        lagging = [f"{each.server} has not all of {each.stream}" for each in servers.behind]
        more = f", and {len(lagging) - _MOST_NAMED} more" if len(lagging) > _MOST_NAMED else ""
        return ", ".join(lagging[:_MOST_NAMED]) + more

    async def measure(self) -> Iterable[Gauge]:
        """See ``Measure``; nothing until servers have answered once."""
        servers = self._servers
        if servers is None:
            return ()
        return (
            Gauge("deelname_broker_servers_expected", "Servers that the broker is to have.", servers.expected),
            Gauge(
                "deelname_broker_servers_missing",
                "Servers of the broker that do not answer.",
                servers.expected - len(servers.answering),
            ),
            Gauge(
                "deelname_broker_copies_behind",
                "Copies of streams that lack something, on servers of the broker that are gone or lag.",
                len(servers.behind),
            ),
            Gauge(
                "deelname_broker_streams_without_leader",
                "Streams that no server of the broker answers for.",
                len(servers.leaderless),
            ),
        )


def _read(bodies: Iterable[bytes]) -> list[Answer]:
    return [answer for body in bodies if (answer := read_answer(body)) is not None]
