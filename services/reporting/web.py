"""The HTTP face: reports as JSON, as CSV for a spreadsheet, and as pages for people."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import FileResponse, HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import BaseModel

from contracts.base import Language, OrganisationKind
from contracts.problem import ProblemError
from contracts.queries import (
    Heading,
    Participation,
    ParticipationQuestion,
    ProgrammeReport,
    ProgrammeReportList,
    ThemeReport,
)
from services.reporting import tables
from services.reporting.handlers import Reports
from services.reporting.words import WORDS

HEADINGS: Final[tuple[Heading, ...]] = get_args(Heading)

_TEMPLATES: Final = Path(__file__).with_name("templates")
_POLICY: Final = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_OTHER: Final[dict[Language, Language]] = {"nl": "en", "en": "nl"}
_MONTHS: Final[dict[Language, tuple[str, ...]]] = {
    "nl": ("jan.", "feb.", "mrt.", "apr.", "mei", "juni", "juli", "aug.", "sep.", "okt.", "nov.", "dec."),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "June", "July", "Aug", "Sept", "Oct", "Nov", "Dec"),
}

Report = TypeVar("Report", bound=BaseModel)
Format = Annotated[Literal["json", "csv"] | None, Query(description="Instead of the header Accept.")]
Accept = Annotated[str, Header()]
Kind = Annotated[OrganisationKind | None, Query(description="Only organisations of this kind.")]
Key = Annotated[str | None, Query(description="Only the row with this key.", max_length=200)]
Lang = Annotated[Language, Query(description="The language of the page.")]


def router(reports: Reports) -> APIRouter:
    """Every address."""
    every = APIRouter()
    every.include_router(_api(reports))
    every.include_router(_pages(reports))
    return every


# For machines and spreadsheets ---------------------------------------------------------------------------------------


def _api(reports: Reports) -> APIRouter:
    router = APIRouter(prefix="/api", tags=["reports"])

    @router.get("/programmes", response_model=ProgrammeReportList)
    async def programmes(format: Format = None, accept: Accept = "") -> Response:
        """All programmes in short."""
        report = await reports.programmes()
        return _answer(report, tables.programme_list_csv, "programmes", format, accept)

    @router.get("/programmes/{id_}", response_model=ProgrammeReport)
    async def programme(id_: str, format: Format = None, accept: Accept = "") -> Response:
        """Everything about one programme."""
        report = await reports.programme(id_)
        return _answer(report, tables.programme_csv, f"programme-{report.programme}", format, accept)

    @router.get("/participation/{by}", response_model=Participation)
    async def participation(
        by: Heading, key: Key = None, kind: Kind = None, format: Format = None, accept: Accept = ""
    ) -> Response:
        """Which organisations took part, and which could have and never did."""
        report = await reports.participation(ParticipationQuestion(by=by, key=key, kind=kind))
        return _answer(report, tables.participation_csv, f"participation-by-{by}", format, accept)

    @router.get("/themes/{id_}", response_model=ThemeReport)
    async def theme(id_: str, format: Format = None, accept: Accept = "") -> Response:
        """What a theme has reached, per municipality and goal."""
        report = await reports.theme(id_)
        return _answer(report, tables.theme_csv, f"theme-{report.theme}", format, accept)

    return router


def _answer(
    report: Report,
    as_csv: Callable[[Report], bytes],
    name: str,
    format: Literal["json", "csv"] | None,
    accept: str,
) -> Response:
    if format == "csv" or (format is None and prefers_csv(accept)):
        return Response(
            as_csv(report),
            media_type="text/csv; charset=utf-8; header=present",
            headers={"Content-Disposition": f'attachment; filename="{name}.csv"', "Vary": "Accept"},
        )
    return Response(report.model_dump_json(), media_type="application/json", headers={"Vary": "Accept"})


def prefers_csv(accept: str) -> bool:
    """Whether ``text/csv`` is named, and preferred to JSON (RFC 9110 §12.5.1); what makes no sense is passed over."""
    weights: dict[str, float] = {}
    for entry in accept.split(","):
        media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            weights[media_type] = float(weight)
        except ValueError:
            continue
    return weights.get("text/csv", 0) > weights.get("application/json", 0)


# For people ----------------------------------------------------------------------------------------------------------


class _Pages:
    """Renders a page; the templates are compiled once."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )

    def render(self, template: str, request: Request, lang: Language, status: int = 200, **context: Any) -> Response:
        query = {**request.query_params, "lang": _OTHER[lang]}
        page = self._environment.get_template(template).render(
            **context,
            words=WORDS[lang],
            lang=lang,
            headings=HEADINGS,
            keep_language="?lang=en" if lang == "en" else "",
            other_language="?" + urlencode(query),
            date=lambda day: _date(day, lang),
            hours=lambda value: _hours(value, lang),
        )
        return HTMLResponse(
            page, status, {"Content-Security-Policy": _POLICY, "Content-Language": lang, "Vary": "Accept-Language"}
        )


def _pages(reports: Reports) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    pages = _Pages()

    async def shown(
        request: Request, lang: Language, template: str, context: Callable[[], Coroutine[Any, Any, dict[str, Any]]]
    ) -> Response:
        try:
            return pages.render(template, request, lang, **await context())
        except ProblemError as error:
            problem = error.problem
            heading = WORDS[lang]["not_found" if problem.status == 404 else "problem"]
            return pages.render("problem.html", request, lang, problem.status, problem=problem, heading=heading)

    @router.get("/reporting.css")
    async def style() -> Response:
        return FileResponse(
            _TEMPLATES / "reporting.css", media_type="text/css", headers={"Cache-Control": "public, max-age=3600"}
        )

    @router.get("/")
    async def programmes(request: Request, lang: Lang = "nl") -> Response:
        async def context() -> dict[str, Any]:
            report = await reports.programmes()
            return {"report": report, "themes": reports.themes(), "data": "/api/programmes"}

        return await shown(request, lang, "programmes.html", context)

    @router.get("/programmes/{id_}")
    async def programme(request: Request, id_: str, lang: Lang = "nl") -> Response:
        async def context() -> dict[str, Any]:
            report = await reports.programme(id_)
            return {"report": report, "data": f"/api/programmes/{report.programme}"}

        return await shown(request, lang, "programme.html", context)

    @router.get("/participation/{by}")
    async def participation(
        request: Request, by: Heading, key: Key = None, kind: Kind = None, lang: Lang = "nl"
    ) -> Response:
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
    async def theme(request: Request, id_: str, lang: Lang = "nl") -> Response:
        async def context() -> dict[str, Any]:
            report = await reports.theme(id_)
            return {"report": report, "data": f"/api/themes/{report.theme}"}

        return await shown(request, lang, "theme.html", context)

    return router


def _date(day: str, lang: Language) -> str:
    moment = date.fromisoformat(day)
    return f"{moment.day} {_MONTHS[lang][moment.month - 1]} {moment.year}"


def _hours(hours: float | None, lang: Language) -> str:
    if hours is None:
        return "–"
    text = f"{hours:g}"
    return text.replace(".", ",") if lang == "nl" else text
