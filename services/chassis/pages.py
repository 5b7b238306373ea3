"""Pages for people: one layout, one style and one choice of language for the HTTP faces that have pages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from contracts.base import Language

_TEMPLATES: Final = Path(__file__).with_name("templates")
_OTHER: Final[Mapping[Language, Language]] = {"nl": "en", "en": "nl"}


def preferences(header: str) -> dict[str, float]:
    """
    The values that a header such as Accept names, in lower case, with their weights (RFC 9110 §12.4.2).

    What makes no sense is passed over.
    """
    weights: dict[str, float] = {}
    for entry in header.split(","):
        value, *parameters = (part.strip().lower() for part in entry.split(";"))
        weight = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        try:
            weights[value] = float(weight)
        except ValueError:
            continue
    return weights


def language(request: Request) -> Language:
    """``?lang=``, or else what the browser prefers by Accept-Language (RFC 9110 §12.5.4), or else Dutch."""
    match request.query_params.get("lang"):
        case "nl":
            return "nl"
        case "en":
            return "en"
    weights = {"nl": 0.0, "en": 0.0}
    for tag, weight in preferences(request.headers.get("accept-language", "")).items():
        # The range "en" stands for "en-GB" too (RFC 4647 §3.3.1), and here the other way about: there is no closer one.
        spoken = tag.partition("-")[0]
        weights[spoken] = max(weights.get(spoken, 0.0), weight)
    return "en" if weights["en"] > weights["nl"] else "nl"


Lang = Annotated[Language, Depends(language)]
"""The language of the page, as a parameter of a route."""


class Pages:
    """
    Renders a service's pages; templates are compiled once.

    The service's templates extend ``layout.html``. ``words`` are its texts, with at least ``site``, ``home``, ``skip``
    and ``other_language``; the templates know them as ``words``, in the page's language. A file ``style.css`` among
    the templates is added to the style that all share.
    """

    def __init__(self, templates: Path, words: Mapping[Language, Mapping[str, str]]) -> None:
        self._words = words
        self._environment = Environment(
            loader=FileSystemLoader([templates, _TEMPLATES]),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        own = templates / "style.css"
        self._style = (_TEMPLATES / "layout.css").read_bytes() + (own.read_bytes() if own.exists() else b"")

    def router(self) -> APIRouter:
        """The address of the style."""
        router = APIRouter(include_in_schema=False)

        @router.get("/style.css")
        async def style() -> Response:
            return Response(self._style, media_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

        return router

    def render(
        self, template: str, request: Request, lang: Language, status: int = 200, at: str = "", **context: Any
    ) -> Response:
        """
        A page in one language, with a link to itself in the other.

        ``at`` is the address that the link leads to where it is not the page's own: who asked by POST can't come back
        by a link.
        """
        query = {**request.query_params, "lang": _OTHER[lang]}
        page = self._environment.get_template(template).render(
            **context,
            words=self._words[lang],
            lang=lang,
            # A language that was chosen goes along with every link; one that the browser prefers comes by itself.
            keep_language=f"?lang={lang}" if "lang" in request.query_params else "",
            other=_OTHER[lang],
            other_language=f"{at}?{urlencode(query)}",
        )
        headers = {"Content-Language": lang, "Vary": "Accept-Language"}
        return HTMLResponse(page, status, headers)
