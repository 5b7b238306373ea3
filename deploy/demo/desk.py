"""Where the demo's staff sit: they publish by the contracts, and look whether everything has been dealt with."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cli.connection import Connection
from cli.document import read
from cli.endpoints import Endpoints
from cli.organisation import read_csv
from contracts import subjects
from contracts.commands import (
    OrganisationsRegistered,
    Published,
    PublishProgramme,
    PublishTheme,
    RegisterOrganisations,
)
from contracts.programme import Programme
from contracts.queries import (
    EnrolmentList,
    EnrolmentsQuestion,
    LogPiece,
    LogQuestion,
    MailList,
    MailsQuestion,
    ProgrammeQuestion,
    ProgrammeReport,
)
from contracts.theme import Theme

_ALL = 1000


class StaffDesk:
    """Staff of the organisers, at the broker as ``staff``."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._connection = Connection(endpoints.access("staff"))
        self._http = endpoints.http

    async def close(self) -> None:
        """Leave the broker."""
        await (await self._connection.client()).close()

    async def load_organisations(self, path: Path) -> OrganisationsRegistered:
        """Put the registry in."""
        return await self._connection.request(
            subjects.command("registration", "organisation", "register"),
            RegisterOrganisations(organisations=read_csv(path)),
            OrganisationsRegistered,
        )

    async def publish(self, path: Path) -> Published:
        """Publish a theme or a programme; the file's name says which."""
        if path.name.startswith("theme"):
            theme = PublishTheme(theme=read(path, Theme, "theme").value)
            return await self._connection.request(
                subjects.command("registration", "theme", "publish"), theme, Published
            )
        # Nobody sits here to be asked whether so many people may be mailed.
        programme = PublishProgramme(programme=read(path, Programme, "programme").value, confirmed=True)
        return await self._connection.request(
            subjects.command("registration", "programme", "publish"), programme, Published
        )

    async def enrolments(self, programme: str) -> EnrolmentList:
        """How the enrolments of a programme stand."""
        return await self._connection.request(
            subjects.query("registration", "enrolment", "list"), EnrolmentsQuestion(programme=programme), EnrolmentList
        )

    async def report(self, programme: str) -> ProgrammeReport:
        """What reporting has counted."""
        return await self._connection.request(
            subjects.query("reporting", "programme", "get"), ProgrammeQuestion(programme=programme), ProgrammeReport
        )

    async def mails(self, programme: str | None = None, status: str | None = None) -> MailList:
        """Mails, the newest first."""
        question = MailsQuestion.model_validate({"programme": programme, "status": status, "limit": _ALL})
        return await self._connection.request(subjects.query("notifications", "mail", "list"), question, MailList)

    async def facts(self, programme: str) -> list[dict[str, Any]]:
        """All facts about a programme."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["position"] if found else 0
            piece = await self._log(LogQuestion(after=after, limit=_ALL, programme=programme))
            if not piece.facts:
                return found
            found += piece.facts

    async def deadlines(self, programmes: list[str]) -> list[datetime]:
        """When teams that still lack somebody lose their places."""
        return [
            view.complete_by
            for programme in programmes
            for view in (await self.enrolments(programme)).enrolments
            if view.status in {"confirmed", "waiting"} and view.missing and view.complete_by
        ]

    async def unmailed(self) -> str:
        """What is still under way, in words; empty when every fact has been mailed about."""
        head = await self._head()
        notifications = await self._health("notifications")
        if (at := notifications["readers"][subjects.log_stream("registration")]["position"]) < head:
            return f"notifications has read {at} of {head} facts"
        waiting = Counter(
            {status: len((await self.mails(status=status)).mails) for status in ("planned", "sending")}
        ).total()
        if waiting:
            return f"{waiting} mails are still to be sent"
        return ""

    async def uncounted(self) -> str:
        """Likewise; empty when every fact and every mail has been counted."""
        if left := await self.unmailed():
            return left
        head = await self._head()
        copied = (await self._health("notifications"))["relays"][subjects.log_stream("notifications")]
        if copied["lag"]:
            return "the log of notifications is not copied yet"
        reporting = await self._health("reporting")
        for stream, goal in (
            (subjects.log_stream("registration"), head),
            (subjects.log_stream("notifications"), copied["position"]),
        ):
            if (at := reporting["readers"][stream]["position"]) < goal:
                return f"reporting has read {at} of {goal} in {stream}"
        return ""

    async def _head(self) -> int:
        return (await self._log(LogQuestion(limit=1))).head

    async def _log(self, question: LogQuestion) -> LogPiece:
        return await self._connection.request(subjects.query("registration", "log", "read"), question, LogPiece)

    async def _health(self, service: str) -> dict[str, Any]:
        return await asyncio.to_thread(_get_json, self._http[service], "/health/ready")


def _get_json(address: str, path: str) -> dict[str, Any]:
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "127.0.0.1", parts.port, timeout=5)
    try:
        connection.request("GET", path)
        found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found
    finally:
        connection.close()
