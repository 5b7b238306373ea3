"""Whether a service lives, and whether it is of use at the moment."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from fastapi import APIRouter
from fastapi.responses import JSONResponse

_DATABASE_TIMEOUT = 5.0


class Follower(Protocol):
    """A relay or a reader."""

    @property
    def following(self) -> bool:
        """Whether it makes progress, or waits with nothing to do."""

    @property
    def lag(self) -> int:
        """How many messages it is behind."""

    @property
    def position(self) -> int:
        """The last message that it has dealt with: exact, while ``lag`` is as far as known."""


class Writable(Protocol):
    """A database, or what stands in front of one."""

    async def check_writable(self) -> None:
        """See ``Database.check_writable``."""


Check = Callable[[], Awaitable[bool]]


class Health:
    """
    What a service's readiness depends on.

    Args:
        database: must take a write.
        relays: by stream; each must follow.
        readers: by stream; each must follow and be at most ``most_lag`` behind.
        checks: further ones, by name, such as a connection.
        most_lag: messages that a reader may be behind and still count as ready.
    """

    def __init__(
        self,
        database: Writable,
        *,
        relays: Mapping[str, Follower] | None = None,
        readers: Mapping[str, Follower] | None = None,
        checks: Mapping[str, Check] | None = None,
        most_lag: int = 10_000,
    ) -> None:
        self._database = database
        self._relays = dict(relays or {})
        self._readers = dict(readers or {})
        self._checks = dict(checks or {})
        self._most_lag = most_lag

    async def report(self) -> tuple[bool, dict[str, Any]]:
        """Ready or not, and the lags and findings that say why."""
        findings: dict[str, Any] = {"database": await self._database_writable()}
        ready = bool(findings["database"])
        for kind, followers in (("relays", self._relays), ("readers", self._readers)):
            findings[kind] = {
                name: {"following": each.following, "lag": each.lag, "position": each.position}
                for name, each in sorted(followers.items())
            }
            ready = ready and all(each.following for each in followers.values())
        ready = ready and all(each.lag <= self._most_lag for each in self._readers.values())
        for name, check in sorted(self._checks.items()):
            findings[name] = await check()
            ready = ready and findings[name]
        return ready, {"status": "ready" if ready else "not ready", **findings}

    async def _database_writable(self) -> bool:
        try:
            await asyncio.wait_for(self._database.check_writable(), _DATABASE_TIMEOUT)
        except (sqlite3.Error, OSError, TimeoutError):
            return False
        return True


def health_router(health: Health) -> APIRouter:
    """``/health/live`` answers as long as the process turns; ``/health/ready`` answers 503 while it is of no use."""
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        """Whether the process turns."""
        return {"status": "alive"}

    @router.get("/ready")
    async def ready() -> JSONResponse:
        """Whether database, relay and readers do their work, with how far they are behind."""
        is_ready, report = await health.report()
        return JSONResponse(report, status_code=200 if is_ready else 503)

    return router
