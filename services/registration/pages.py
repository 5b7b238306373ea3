"""The pages of registration: which programmes there are, what each is, and a form to enrol with."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from contracts.base import Language
from contracts.characters import Unfit
from contracts.commands import EnrolmentReceipt
from contracts.problem import Problem, ProblemError, problem_type
from contracts.programme import Programme, readable
from contracts.theme import Goal, Theme
from services.chassis.clock import Clock
from services.chassis.pages import Lang, Pages
from services.chassis.web import BodyTooLarge
from services.registration import confirmation
from services.registration import form as forms
from services.registration.domain.offering import Offer
from services.registration.form import Fault, Faulty, Form, Unreadable, form_of, request_of
from services.registration.handlers import queries
from services.registration.handlers.strangers import Bounds
from services.registration.sentences import Sentences
from services.registration.web import ask_in_public, public_arrival
from services.registration.words import WORDS
from services.registration.work import ID_REUSED
from services.registration.writer import Writer

_TEMPLATES: Final = Path(__file__).with_name("templates")
_FORM_TYPE: Final = "application/x-www-form-urlencoded"
_FAILED: Final = 500
_ORDER: Final = ("open", "waiting", "opens-later", "full", "closed", "over", "withdrawn")


def router(writer: Writer, clock: Clock, bounds: Bounds) -> APIRouter:
    """
    Every page.

    A form is answered with a page and not with the address of one: what came of an enrolment is nobody else's business,
    and an address is kept in histories and passed on. Sent again, by a second click or by loading the page anew, the
    form has the same key and gets the same answer.
    """
    routes = APIRouter(include_in_schema=False)
    pages = _Pages(_TEMPLATES, WORDS)
    routes.include_router(pages.router())
    routes.include_router(confirmation.router(pages, writer, clock, bounds.keys))

    async def look(programme: str, typed: Mapping[str, str] | None = None) -> _Seen | None:
        now = clock()
        found = await writer.read(lambda batch: queries.offer_of(batch, programme, now))
        if found is None:
            return None
        offer, registry = found
        organisations = registry.organisations
        known = {one.id: one.name for one in organisations.values()}
        organisers = tuple(known.get(id_) or readable(id_).nl for id_ in offer.definition.organisers)
        themes = _themes_of(offer.definition, registry.themes)
        return _Seen(now, offer, organisers, form_of(offer.definition, organisations.values(), typed), themes)

    @routes.get("/")
    async def programmes(request: Request, lang: Lang) -> Response:
        now = clock()
        offers = await writer.read(lambda batch: queries.offers(batch, now))
        ordered = sorted(offers, key=lambda one: (_ORDER.index(one.phase), getattr(one.definition.title, lang)))
        return pages.render(
            "programmes.html",
            request,
            lang,
            say=Sentences(lang),
            open=[one for one in ordered if one.takes_requests],
            later=[one for one in ordered if one.phase == "opens-later"],
            others=[one for one in ordered if not one.takes_requests and one.phase != "opens-later"],
        )

    @routes.get("/programmes/{id_}")
    async def programme(request: Request, id_: str, lang: Lang) -> Response:
        seen = await look(id_)
        if seen is None:
            return pages.nothing(request, lang, 404, "not_found")
        return pages.about("programme.html", request, lang, 200, seen)

    @routes.get("/programmes/{id_}/enrolments")
    async def back(request: Request, id_: str) -> Response:
        # Not by request.url, which the header Host has a part in.
        query = request.scope["query_string"].decode("latin-1")
        return RedirectResponse(f"{_address(id_)}{query and '?'}{query}", 303)

    @routes.post("/programmes/{id_}/enrolments")
    async def enrol(request: Request, id_: str, lang: Lang) -> Response:
        try:
            body = await request.body()
        except BodyTooLarge as error:
            return pages.nothing(request, lang, error.status_code, "too_large", _address(id_))
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _FORM_TYPE:
            return pages.nothing(request, lang, 415, "unreadable", _address(id_))
        try:
            typed = forms.read(body)
        except Unreadable:
            return pages.nothing(request, lang, 400, "unreadable", _address(id_))
        seen = await look(id_, typed)
        if seen is None:
            return pages.nothing(request, lang, 404, "not_found", "/")
        form = seen.form
        try:
            asked = request_of(form)
            answer = await ask_in_public(writer, asked, public_arrival(request, clock, bounds, form.key))
        except Faulty as error:
            return pages.about("enrol.html", request, lang, 422, seen, faults=error.faults)
        except ProblemError as error:
            faults = forms.addresses_at_fault(form, error.problem)
            return pages.about("enrol.html", request, lang, 422, seen, faults=faults)
        if answer.failed:
            problem = Problem.model_validate_json(answer.body)
            after = await look(id_, typed) or seen
            return pages.about("enrol.html", request, lang, problem.status, after, problem=problem)
        receipt = EnrolmentReceipt.model_validate_json(answer.body)
        return pages.about("enrolled.html", request, lang, 202, seen, receipt=receipt)

    return routes


@dataclass(frozen=True, slots=True)
class _Seen:
    """A programme at a moment: the names of its organisers, its form, its themes with the goals that it works on."""

    now: datetime
    offer: Offer
    organisers: tuple[str, ...]
    form: Form
    themes: tuple[tuple[Theme, tuple[Goal, ...]], ...] = ()


def _themes_of(definition: Programme, themes: Mapping[str, Theme]) -> tuple[tuple[Theme, tuple[Goal, ...]], ...]:
    """The themes that a programme belongs to; one that names no goal works on all of them."""
    found = ((reference, themes.get(reference.theme)) for reference in definition.themes)
    return tuple(
        (theme, tuple(goal for goal in theme.goals if not reference.goals or goal.id in reference.goals))
        for reference, theme in found
        if theme is not None
    )


class _Pages(Pages):
    """Pages about a programme, and about there being none."""

    def about(
        self,
        template: str,
        request: Request,
        lang: Language,
        status: int,
        seen: _Seen,
        *,
        problem: Problem | None = None,
        faults: Mapping[str, Fault] | None = None,
        receipt: EnrolmentReceipt | None = None,
    ) -> Response:
        """
        A page with the form.

        The form gets a new key once something was decided with the old one. What could not be stored keeps it: should
        it have been stored after all, sending it again does no harm.
        """
        decided = problem is not None and problem.status < _FAILED
        return self.render(
            template,
            request,
            lang,
            status,
            at=_address(seen.offer.definition.id),
            say=Sentences(lang),
            seen=seen,
            offer=seen.offer,
            definition=seen.offer.definition,
            form=seen.form,
            typed=seen.form.typed,
            key=(None if decided else seen.form.key) or secrets.token_hex(16),
            faults={name: _said(fault, lang) for name, fault in (faults or {}).items()},
            reasons=_reasons(problem, lang),
            receipt=receipt,
        )

    def nothing(self, request: Request, lang: Language, status: int, what: str, at: str = "") -> Response:
        """A page that says that there is nothing to show; ``what`` names its words."""
        words = WORDS[lang]
        heading = words.get(what, words["unreadable"])
        return self.render(
            "problem.html", request, lang, status, at, heading=heading, text=words[f"{what}_text"], back=at
        )


def _said(fault: Fault, lang: Language) -> str:
    if isinstance(fault, Unfit):
        return fault.dutch if lang == "nl" else fault.english
    return WORDS[lang][fault]


def _reasons(problem: Problem | None, lang: Language) -> list[str]:
    if problem is None:
        return []
    if problem.type == problem_type(ID_REUSED):
        return [WORDS[lang]["resent"]]
    if problem.status >= 500 or not problem.errors:
        return [WORDS[lang]["try_again"]]
    return [one.detail_nl if lang == "nl" and one.detail_nl else one.detail for one in problem.errors]


def _address(programme: str) -> str:
    return f"/programmes/{quote(programme, safe='')}"
