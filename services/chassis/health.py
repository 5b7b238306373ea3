"""Whether a service lives, and whether it is of use at the moment."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from services.chassis.clock import Clock, SystemClock
from services.chassis.storage import in_words

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

    @property
    def complaint(self) -> str:
        """Why it does not follow, "" while it does. Never quotes a person."""


class Writable(Protocol):
    """A database, or what stands in front of one."""

    @property
    def path(self) -> Path:
        """The file."""

    async def check_writable(self) -> None:
        """See ``Database.check_writable``."""


Check = Callable[[], Awaitable[str]]
"""Why something keeps the service from being of use; "" when nothing does. Never quotes a person."""


class Health:
    """
    What a service's readiness depends on.

    Args:
        database: must take a write.
        relays: by stream; each must follow.
        readers: by stream; each must follow and be at most ``most_lag`` behind.
        checks: further ones, by name, such as a connection.
        remarks: what somebody should look at although the service is of use, by name.
        details: what else the report tells, by name; nothing secret, and nobody.
        most_lag: messages that a reader may be behind and still count as ready.
        clock: the service's, which may be set to another time than the real one.
        service: whose health it is: who reached another one by a wrong address finds out.
    """

    def __init__(
        self,
        database: Writable,
        *,
        relays: Mapping[str, Follower] | None = None,
        readers: Mapping[str, Follower] | None = None,
        checks: Mapping[str, Check] | None = None,
        remarks: Mapping[str, Check] | None = None,
        details: Mapping[str, Any] | None = None,
        most_lag: int = 10_000,
        clock: Clock = lambda: datetime.now(UTC),
        service: str = "",
    ) -> None:
        self._database = database
        self.relays = dict(relays or {})
        self.readers = dict(readers or {})
        self._checks = dict(checks or {})
        self._remarks = dict(remarks or {})
        self._details = dict(details or {})
        self._most_lag = most_lag
        self._clock = clock
        self._service = service

    async def report(self) -> tuple[bool, dict[str, Any]]:
        """Ready or not, and the lags and findings that say why."""
        reasons: dict[str, str] = {}
        trouble = await self._database_trouble()
        if trouble:
            reasons["database"] = f"cannot be written: {trouble}"
        findings: dict[str, Any] = {"database": not trouble}
        for kind, followers, most in (("relays", self.relays, None), ("readers", self.readers, self._most_lag)):
            findings[kind] = {
                name: {"following": each.following, "lag": each.lag, "position": each.position}
                for name, each in sorted(followers.items())
            }
            for name, each in sorted(followers.items()):
                if not each.following:
                    reasons[f"{kind}/{name}"] = each.complaint or "does not follow yet"
                elif most is not None and each.lag > most:
                    reasons[f"{kind}/{name}"] = f"is {each.lag} facts behind, more than {most}"
        for name, check in sorted(self._checks.items()):
            reason = await check()
            findings[name] = not reason
            if reason:
                reasons[name] = reason
        remarks = {name: remark for name, look in sorted(self._remarks.items()) if (remark := await look())}
        return not reasons, {
            "status": "not ready" if reasons else "ready",
            "service": self._service,
            **findings,
            **self._details,
            "reasons": reasons,
            "remarks": remarks,
            "disk": self._disk(),
            # By itself or because somebody set it: the doctor has to know which of the two to speak of.
            "clock": "set" if isinstance(self._clock, SystemClock) and self._clock.settings else "machine",
            "now": self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }

    async def serving(self) -> str:
        """
        Why the HTTP face is of no use to anybody, "" while it is: its database does not answer.

        Nothing else is asked: it goes on without a broker, and what it cannot store it says to whoever asks.
        """
        try:
            await asyncio.wait_for(self._database.check_writable(), _DATABASE_TIMEOUT)
        except TimeoutError:
            return f"its database does not answer within {_DATABASE_TIMEOUT:g} seconds"
        except (sqlite3.Error, OSError):
            return ""
        return ""

    async def _database_trouble(self) -> str:
        try:
            await asyncio.wait_for(self._database.check_writable(), _DATABASE_TIMEOUT)
        except TimeoutError:
            return f"no answer within {_DATABASE_TIMEOUT:g} seconds"
        except (sqlite3.Error, OSError) as error:
            return in_words(error)
        return ""

    def _disk(self) -> dict[str, int]:
        """Bytes that are free where the database is, and that there are."""
        try:
            usage = shutil.disk_usage(self._database.path.parent)
        except OSError:
            return {"free": 0, "size": 0}
        return {"free": usage.free, "size": usage.total}


def health_router(health: Health) -> APIRouter:
    """
    ``/health/live`` answers as long as the process turns, ``/health/serving`` while its pages are of use to somebody,
    and ``/health/ready`` while all of it is: 503 otherwise.
    """
    router = APIRouter(prefix="/health", tags=["health"])

    @router.get("/live")
    async def live() -> dict[str, str]:
        """Whether the process turns."""
        return {"status": "alive"}

    @router.get("/serving")
    async def serving() -> JSONResponse:
        """Whether pages and answers are of use, whatever else does not work; for who sends people here."""
        reason = await health.serving()
        said = {"status": "not serving" if reason else "serving", "reasons": {"database": reason} if reason else {}}
        return JSONResponse(said, status_code=503 if reason else 200)

    @router.get("/ready")
    async def ready() -> JSONResponse:
        """Whether database, relay and readers do their work, with how far they are behind."""
        is_ready, report = await health.report()
        return JSONResponse(report, status_code=200 if is_ready else 503)

    return router
