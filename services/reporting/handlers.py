"""What reporting is asked, over NATS and over HTTP: the state of this moment in, a report out."""

from __future__ import annotations

import asyncio
from datetime import date, datetime

from contracts.commands import RebuildReport, RebuiltReport
from contracts.problem import ProblemError, not_found
from contracts.queries import (
    Everything,
    Participation,
    ParticipationQuestion,
    ProgrammeQuestion,
    ProgrammeReport,
    ProgrammeReportList,
    ThemeQuestion,
    ThemeReport,
    TokenUses,
)
from contracts.theme import Theme
from services.chassis.access import Token
from services.chassis.commands import Call
from services.chassis.state import State
from services.reporting import domain
from services.reporting.domain.participation import UnknownKey
from services.reporting.projection import Projection
from services.reporting.rebuild import Rebuild


class Reports:
    """
    The reports as they stand now.

    They are computed on a thread: counting some ten thousand enrolments takes long enough to hold others up, and a
    state can be read from any thread while the next is made.
    """

    def __init__(self, projection: Projection) -> None:
        self._projection = projection

    @property
    def _state(self) -> State:
        return self._projection.state

    async def programmes(self) -> ProgrammeReportList:
        """All programmes in short."""
        return await asyncio.to_thread(domain.programme_list, self._state)

    async def programme(self, id_: str) -> ProgrammeReport:
        """
        Everything about one programme.

        Raises:
            ProblemError: there is none of this id.
        """
        report = await asyncio.to_thread(domain.programme_report, self._state, id_)
        if report is None:
            raise ProblemError(not_found("programme", id_))
        return report

    async def participation(self, question: ParticipationQuestion) -> Participation:
        """
        Who took part and who never did, under a heading.

        Raises:
            ProblemError: no row has the key that was asked for.
        """
        try:
            return await asyncio.to_thread(domain.participation, self._state, question.by, question.key, question.kind)
        except UnknownKey as error:
            known = ", ".join(error.known) or "none"
            raise ProblemError(not_found(question.by, question.key or "", f"There are: {known}.")) from None

    async def theme(self, id_: str) -> ThemeReport:
        """
        What a theme has reached.

        Raises:
            ProblemError: there is none of this id.
        """
        report = await asyncio.to_thread(domain.theme_report, self._state, id_)
        if report is None:
            known = ", ".join(domain.themes(self._state)) or "none"
            raise ProblemError(not_found("theme", id_, f"There are: {known}."))
        return report

    def themes(self) -> tuple[Theme, ...]:
        """All themes, by id."""
        return tuple(domain.themes(self._state).values())


class Tokens:
    """The staff's tokens as the log tells of them: what ``access.Verifier`` finds them by, and tells of their use."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self.uses: dict[str, date] = {}
        """The day on which each was last used, since this process began."""

    def find(self, account: str) -> Token | None:
        """The token of an account, unless it was revoked."""
        known = domain.token(self._projection.state, account)
        if known is None:
            return None
        expires = datetime.fromisoformat(known.expires) if known.expires else None
        return Token(account, known.digest, known.role, known.organisations, expires)

    def used(self, account: str, day: date) -> None:
        """Take note."""
        self.uses[account] = day


class Handlers:
    """Calls over NATS, answered from the reports."""

    def __init__(self, reports: Reports, rebuild: Rebuild, tokens: Tokens) -> None:
        self._reports = reports
        self._rebuild = rebuild
        self._tokens = tokens

    async def token_uses(self, call: Call) -> TokenUses:
        """``ask.reporting.token.uses``."""
        call.parse(Everything)
        return TokenUses(uses=self._tokens.uses)

    async def list_programmes(self, call: Call) -> ProgrammeReportList:
        """``ask.reporting.programme.list``."""
        call.parse(Everything)
        return await self._reports.programmes()

    async def get_programme(self, call: Call) -> ProgrammeReport:
        """``ask.reporting.programme.get``."""
        return await self._reports.programme(call.parse(ProgrammeQuestion).programme)

    async def get_participation(self, call: Call) -> Participation:
        """``ask.reporting.participation.get``."""
        return await self._reports.participation(call.parse(ParticipationQuestion))

    async def get_theme(self, call: Call) -> ThemeReport:
        """``ask.reporting.theme.get``."""
        return await self._reports.theme(call.parse(ThemeQuestion).theme)

    async def rebuild_report(self, call: Call) -> RebuiltReport:
        """``do.reporting.report.rebuild``."""
        call.parse(RebuildReport)
        return await self._rebuild()
