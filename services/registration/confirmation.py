"""The page behind the link of the mail that asks to confirm: it shows the question, and its button answers it."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response

from contracts.base import Language
from services.chassis.clock import Clock
from services.chassis.links import LinkKeys
from services.chassis.pages import Lang, Pages
from services.registration.handlers import confirming
from services.registration.handlers.confirming import Seen, Stage
from services.registration.sentences import Sentences
from services.registration.writer import Writer

_STATUS: Final[dict[Stage, int]] = {"none": 404, "ended": 410, "not-stored": 503}
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex, nofollow",
    # The address of the page is the key to it: it goes to nobody else, and without "same-origin" our own form is not
    # known to be ours (Fetch §3.2).
    "Referrer-Policy": "same-origin",
}


def router(pages: Pages, writer: Writer, clock: Clock, keys: LinkKeys) -> APIRouter:
    """
    ``/confirm/…``: looking never acts, because mail scanners open every link before the person does.

    Pages say the programme and nothing that was typed: whoever reads the mailbox may be somebody else.
    """
    routes = APIRouter(include_in_schema=False)

    def page(request: Request, lang: Language, seen: Seen, text: str) -> Response:
        response = pages.render(
            "confirm.html",
            request,
            lang,
            _STATUS.get(seen.stage, 200),
            f"/confirm/{text}" if seen.stage != "none" else "/",
            say=Sentences(lang),
            seen=seen,
            definition=seen.definition,
            action=f"/confirm/{text}?lang={lang}",
        )
        response.headers.update(_HEADERS)
        return response

    @routes.api_route("/confirm/{text}", methods=["GET", "HEAD"])
    async def look(request: Request, text: str, lang: Lang) -> Response:
        link = confirming.opened(keys, text)
        seen = await confirming.look(writer, link, clock()) if link else Seen("none")
        return page(request, lang, seen, text)

    @routes.post("/confirm/{text}")
    async def press(request: Request, text: str, lang: Lang) -> Response:
        link = confirming.opened(keys, text)
        seen = await confirming.press(writer, keys, link, clock()) if link else Seen("none")
        return page(request, lang, seen, text)

    return routes
