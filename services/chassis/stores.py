"""
Whether the broker can store what it is given, as each of its servers says of itself.

Nobody else says it. A stream that met a full disk takes nothing more until nats-server is started again, also when
there is room (2.15.1); who publishes to it gets no answer, which is what a busy broker looks like too, and a service
whose own streams are well, or that has nothing to publish, notices nothing of a partner whose requests are not stored.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from time import monotonic

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from services.chassis.broker import while_connected
from services.chassis.metrics import Gauge

_log = structlog.get_logger("chassis.stores")

HEALTH_OF_ALL = "$SYS.REQ.SERVER.PING.HEALTHZ"
SECONDS_BETWEEN_LOOKS = 5.0
"""What a look costs the broker: it asks each of its streams whether a write has failed, without touching the disk."""

_ANSWERS_WITHIN, _MORE_ANSWERS_WITHIN = 2.0, 0.3
_SECONDS_UNANSWERED = 60.0
"""A broker whose configuration is of a release before this one does not let us ask, and complains each time."""
_MOST_SERVERS = 32
_LONGEST = 300
_WRITE_FAILED = "write error"


class Stores:
    """
    What the broker's servers said when they were last asked.

    Args:
        connection: whose user may ask for the health of all servers.
    """

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._failures: dict[str, str] = {}
        self._asked = 0
        self._answered = self._complains = False
        self._not_before = 0.0

    async def look(self) -> None:
        """Ask all servers; call it again and again. One that does not answer is not accused: others say that."""
        if monotonic() < self._not_before:
            return
        try:
            messages = await while_connected(self._connection, self._ask(), 2 * _ANSWERS_WITHIN)
        except (NatsError, OSError):
            messages = []
        answers = [said for message in messages if (said := _read(message)) is not None]
        self._answered = self._answered or bool(answers)
        if not self._answered:
            self._not_before = monotonic() + _SECONDS_UNANSWERED
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

    async def _ask(self) -> list[Msg]:
        inbox = await self._connection.subscribe(self._connection.new_inbox())
        found: list[Msg] = []
        try:
            await self._connection.publish(HEALTH_OF_ALL, b"{}", reply=inbox.subject)
            while len(found) < _MOST_SERVERS:
                found.append(await inbox.next_msg(timeout=_MORE_ANSWERS_WITHIN if found else _ANSWERS_WITHIN))
        except TimeoutError:
            return found
        finally:
            with contextlib.suppress(NatsError):
                await inbox.unsubscribe()
        return found


def _read(message: Msg) -> tuple[str, str] | None:
    """A server's name, and what it says is wrong with it; None for what is no server's answer."""
    try:
        said = json.loads(message.data)
        return str(said["server"]["name"]), str(said["data"].get("error") or "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
