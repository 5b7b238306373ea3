"""The HTTP face: reports as JSON, as CSV for a spreadsheet, and as pages; for staff, whatever their role."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NamedTuple, Protocol, TypeVar, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from pydantic import BaseModel

from contracts import dates, tables
from contracts.base import Language, OrganisationKind
from contracts.problem import ProblemError
from contracts.queries import (
    Counts,
    Heading,
    Participation,
    ParticipationQuestion,
    ProgrammeReport,
    ProgrammeReportList,
    ThemeReport,
)
from services.chassis.access import Needs
from services.chassis.pages import Lang, Pages, preferences
from services.chassis.problems import problems
from services.reporting.handlers import Reports
from services.reporting.words import WORDS

HEADINGS: Final[tuple[Heading, ...]] = get_args(Heading)

_STATUSES: Final = ("confirmed", "waiting", "pending", "withdrawn", "refused", "lapsed")
_STAFF: Final = [Depends(Needs("viewer"))]
_TEMPLATES: Final = Path(__file__).with_name("templates")

Report = TypeVar("Report", bound=BaseModel)
Format = Annotated[
    Literal["json", "csv"] | None,
    Query(description="Instead of the header Accept; 'csv' is as spreadsheets of offices open it."),
]
Kind = Annotated[OrganisationKind | None, Query(description="Only organisations of this kind.")]
Key = Annotated[str | None, Query(description="Only the row with this key.", max_length=200)]


class _Form(NamedTuple):
    """In what form a report is wanted: as CSV for a ``reader``, or as JSON."""

    reader: tables.Reader | None
    language: Language


def _form(lang: Lang, format: Format = None, accept: Annotated[str, Header()] = "") -> _Form:
    # Who follows a link opens it in a spreadsheet; who names a media type is a program.
    if format is None:
        return _Form("program" if prefers_csv(accept) else None, lang)
    return _Form("office" if format == "csv" else None, lang)


Wanted = Annotated[_Form, Depends(_form)]


def router(reports: Reports) -> APIRouter:
    """Every address."""
    every = APIRouter()
    every.include_router(_api(reports))
    pages = _Pages(_TEMPLATES, WORDS)
    every.include_router(pages.router())
    every.include_router(_pages(reports, pages))
    return every


# For machines and spreadsheets ---------------------------------------------------------------------------------------


def _api(reports: Reports) -> APIRouter:
    described = problems(401, 403, 404, 422, 429, 503)
    described[200] = {"description": "JSON, or CSV", "content": {"text/csv": {"schema": {"type": "string"}}}}
    router = APIRouter(prefix="/api", tags=["reports"], dependencies=_STAFF, responses=described)

    @router.get("/programmes", response_model=ProgrammeReportList)
    async def programmes(form: Wanted) -> Response:
        """All programmes in short."""
        report = await reports.programmes()
        return _answer(report, tables.programme_list_table, "programmes", form)

    @router.get("/programmes/{id_}", response_model=ProgrammeReport)
    async def programme(id_: str, form: Wanted) -> Response:
        """Everything about one programme."""
        report = await reports.programme(id_)
        return _answer(report, tables.programme_table, f"programme-{report.programme}", form)

    @router.get("/participation/{by}", response_model=Participation)
    async def participation(by: Heading, form: Wanted, key: Key = None, kind: Kind = None) -> Response:
        """Which organisations took part, and which could have and never did."""
        report = await reports.participation(ParticipationQuestion(by=by, key=key, kind=kind))
        return _answer(report, tables.participation_table, f"participation-by-{by}", form)

    @router.get("/themes/{id_}", response_model=ThemeReport)
    async def theme(id_: str, form: Wanted) -> Response:
        """What a theme has reached, per municipality and goal."""
        report = await reports.theme(id_)
        return _answer(report, tables.theme_table, f"theme-{report.theme}", form)

    return router


def _answer(
    report: Report,
    as_table: Callable[[Report], tables.Table],
    name: str,
    form: _Form,
) -> Response:
    if form.reader is not None:
        document = as_table(report).csv(form.reader, form.language)
        return Response(
            document.encode(),
            media_type="text/csv; charset=utf-8; header=present",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"', "Vary": "Accept, Accept-Language"},
        )
    return Response(report.model_dump_json(), media_type="application/json", headers={"Vary": "Accept"})


def prefers_csv(accept: str) -> bool:
    """Whether ``text/csv`` is named, and preferred to JSON (RFC 9110 §12.5.1); what makes no sense is passed over."""
    weights = preferences(accept)
    return weights.get("text/csv", 0) > weights.get("application/json", 0)


# For people ----------------------------------------------------------------------------------------------------------


class _Pages(Pages):
    """Pages that know the headings and how dates and hours are written."""

    def show(self, template: str, request: Request, lang: Language, status: int = 200, **context: Any) -> Response:
        return self.render(
            template,
            request,
            lang,
            status,
            **context,
            headings=HEADINGS,
            statuses=_STATUSES,
            occurring=_occurring,
            date=lambda day: dates.short_day(date.fromisoformat(day), lang),
            hours=lambda value: _hours(value, lang),
        )


def _pages(reports: Reports, pages: _Pages) -> APIRouter:
    router = APIRouter(include_in_schema=False, dependencies=_STAFF)

    async def shown(
        request: Request, lang: Language, template: str, context: Callable[[], Coroutine[Any, Any, dict[str, Any]]]
    ) -> Response:
        try:
            return pages.show(template, request, lang, **await context())
        except ProblemError as error:
            problem = error.problem
            what = "not_found" if problem.status == 404 else "problem"
            heading, text = WORDS[lang][what], WORDS[lang][f"{what}_text"]
            return pages.show("problem.html", request, lang, problem.status, heading=heading, text=text)

    @router.get("/")
    async def programmes(request: Request, lang: Lang) -> Response:
        async def context() -> dict[str, Any]:
            report = await reports.programmes()
            return {"report": report, "themes": reports.themes(), "data": "/api/programmes"}

        return await shown(request, lang, "programmes.html", context)

    @router.get("/programmes/{id_}")
    async def programme(request: Request, id_: str, lang: Lang) -> Response:
        async def context() -> dict[str, Any]:
            report = await reports.programme(id_)
            return {"report": report, "data": f"/api/programmes/{report.programme}"}

        return await shown(request, lang, "programme.html", context)

    @router.get("/participation/{by}")
    async def participation(request: Request, by: Heading, lang: Lang, key: Key = None, kind: Kind = None) -> Response:
        async def context() -> dict[str, Any]:
            report = await reports.participation(ParticipationQuestion(by=by, key=key, kind=kind))
            listed = await reports.programmes()
            query = urlencode({name: value for name, value in (("key", key), ("kind", kind)) if value})
            return {
                "report": report,
                "titles": {row.programme: getattr(row.title, lang) for row in listed.programmes},
                "data": f"/api/participation/{by}" + (f"?{query}" if query else ""),
            }

        return await shown(request, lang, "participation.html", context)

    @router.get("/themes/{id_}")
    async def theme(request: Request, id_: str, lang: Lang) -> Response:
        async def context() -> dict[str, Any]:
            report = await reports.theme(id_)
            return {"report": report, "data": f"/api/themes/{report.theme}"}

        return await shown(request, lang, "theme.html", context)

    return router


class _HasCounts(Protocol):
    @property
    def counts(self) -> Counts: ...


def _occurring(rows: Iterable[_HasCounts]) -> tuple[str, ...]:
    """The columns of a table of counts, which is wide: where nobody ever had to confirm, it is not spoken of."""
    found = {status for row in rows for status in tables.SELDOM if getattr(row.counts, f"people_{status}")}
    return tuple(status for status in _STATUSES if status not in tables.SELDOM or status in found)


def _hours(hours: float | None, lang: Language) -> str:
    if hours is None:
        return "–"
    text = f"{hours:g}"
    return text.replace(".", ",") if lang == "nl" else text
