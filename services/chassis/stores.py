"""
Whether the broker can store what it is given, as each of its servers says of itself.

Nobody else says it. A stream that met a full disk takes nothing more until nats-server is started again, also when
there is room (2.15.1); who publishes to it gets no answer, which is what a busy broker looks like too, and a service
whose own streams are well, or that has nothing to publish, notices nothing of a partner whose requests are not stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

import structlog
from nats.aio.client import Client

from services.chassis.asking import Question
from services.chassis.metrics import Gauge

_log = structlog.get_logger("chassis.stores")

HEALTH_OF_ALL = "$SYS.REQ.SERVER.PING.HEALTHZ"
SECONDS_BETWEEN_LOOKS = 5.0
"""What a look costs the broker: it asks each of its streams whether a write has failed, without touching the disk."""

_ANSWERS_WITHIN, _MORE_ANSWERS_WITHIN = 2.0, 0.3
_LONGEST = 300
_WRITE_FAILED = "write error"


class Stores:
    """
    What the broker's servers said when they were last asked.

    Args:
        connection: whose user may ask for the health of all servers.
    """

    def __init__(self, connection: Client) -> None:
        self._health = Question(connection, HEALTH_OF_ALL, b"{}", first=_ANSWERS_WITHIN, more=_MORE_ANSWERS_WITHIN)
        self._failures: dict[str, str] = {}
        self._asked = 0
        self._complains = False

    async def look(self) -> None:
        """Ask all servers; call it again and again. One that does not answer is not accused: others say that."""
        told = await self._health.ask()
        if told is None:
            return
        answers = [said for body in told if (said := _read(body)) is not None]
        self._asked = len(answers)
        self._failures = {name: error for name, error in answers if _WRITE_FAILED in error}
        if self._failures and not self._complains:
            _log.error("the broker cannot store", servers=sorted(self._failures), reason=self._first)
        elif answers and not self._failures and self._complains:
            _log.info("the broker stores again")
        self._complains = bool(self._failures) if answers else self._complains

    async def trouble(self) -> str:
        """
        Why the broker as a whole does not store what it is given; "" while it does, as far as known. See ``Check``.

        A cluster goes on while more than half of its servers do.
        """
        if not self._failures or 2 * len(self._failures) < self._asked:
            return ""
        return (
            f"the broker cannot store: {self._first}. Once its disk has room, nats-server has to be started again:"
            " until then it does not try"
        )

    async def measure(self) -> Iterable[Gauge]:
        """See ``Measure``."""
        return (
            Gauge(
                "deelname_broker_servers_not_storing",
                "Servers of the broker that met a full disk, or a broken one, and store nothing more.",
                len(self._failures),
            ),
        )

    @property
    def _first(self) -> str:
        return next(iter(self._failures.values()), "")[:_LONGEST]


def _read(body: bytes) -> tuple[str, str] | None:
    """A server's name, and what it says is wrong with it; None for what is no server's answer."""
    try:
        said = json.loads(body)
        return str(said["server"]["name"]), str(said["data"].get("error") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
