"""Which partners there are: whoever has an intake stream. They come and go while registration runs."""

from __future__ import annotations

import json

import structlog
from nats.aio.client import Client

from contracts import subjects

_log = structlog.get_logger("registration.partners")

RESERVED = frozenset({"staff", "web"})
"""Sources of our own: a partner called so could touch what the web forms and the staff brought in."""


class Partners:
    """Asks the broker; whoever declares streams there decides who is a partner."""

    def __init__(self, connection: Client) -> None:
        self._connection = connection
        self._told: set[str] = set()

    async def present(self) -> list[str]:
        """
        Their names.

        Raises:
            nats.errors.Error: the broker does not answer.
        """
        streams: list[str] = []
        while True:
            ask = json.dumps({"offset": len(streams)}).encode()
            reply = await self._connection.request("$JS.API.STREAM.NAMES", ask, timeout=5)
            page = json.loads(reply.data)
            streams += page.get("streams") or []
            if not page.get("streams") or len(streams) >= page["total"]:
                break
        found = {source for stream in streams if (source := subjects.source_of(stream))}
        for name in found & RESERVED - self._told:
            _log.error("no partner can be called so, its intake is not read", partner=name)
            self._told.add(name)
        return sorted(found - RESERVED)
