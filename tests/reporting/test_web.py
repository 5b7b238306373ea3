"""Reports over HTTP: JSON by the contract, CSV for who asks, pages that a browser and a screen reader can use."""

from __future__ import annotations

import asyncio
import json
import random
import re
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from html.parser import HTMLParser
from http.client import HTTPResponse
from typing import get_args

import pytest
import pytest_asyncio
from pydantic import BaseModel

from contracts.problem import Problem
from contracts.queries import Participation, ProgrammeReport, ProgrammeReportList, ThemeReport
from deploy.embedded import free_port
from services.chassis.access import Caller, Gate
from services.chassis.guard import Guard
from services.chassis.health import Health
from services.chassis.reader import Message
from services.chassis.service import run
from services.notifications.letters import Purpose
from services.reporting import store
from services.reporting.app import web
from services.reporting.handlers import Reports
from services.reporting.projection import Projection
from services.reporting.web import prefers_csv
from services.reporting.words import WORDS
from tests.plausible import grown, subject_and_body

on_the_site = pytest.mark.asyncio(loop_scope="module")
"""In the loop of the one site that all of these ask."""

LOGS = grown(random.Random(11).choice, 400)
PAGES = ["/", "/programmes/{programme}", "/participation/municipality", "/participation/theme", "/themes/vluchtelingen"]


class Site:
    """The address of a running HTTP face."""

    def __init__(self, port: int, programme: str) -> None:
        self._address = f"http://127.0.0.1:{port}"
        self.programme = programme

    async def get(self, path: str, **headers: str) -> tuple[int, dict[str, str], str]:
        """Status, headers in lower case, and the body."""
        named = {"authorization": "Bearer good"} | {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self._address + path.format(programme=self.programme), headers=named)

        def fetch() -> tuple[int, dict[str, str], str]:
            try:
                answer: HTTPResponse
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return answer.status, _lower(answer.headers), answer.read().decode()
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, _lower(error.headers), error.read().decode()

        return await asyncio.to_thread(fetch)


def _lower(headers: object) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}  # type: ignore[attr-defined]  # a Message


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    projection = await Projection.open(tmp_path_factory.mktemp("site") / "reporting.db")
    for stream, log in zip(store.STREAMS, (LOGS.registration, LOGS.notifications), strict=True):
        await projection.apply(stream, [Message(n, *subject_and_body(fact)) for n, fact in enumerate(log, 1)])
    reports, port, stop = Reports(projection), free_port(), asyncio.Event()
    gate = Gate(lambda text: Caller("token", "a", "viewer") if text == "good" else None)
    running = asyncio.create_task(run(web(reports, Health(projection), Guard(gate)), port=port, stop=stop))
    site = Site(port, (await reports.programmes()).programmes[0].programme)
    async with asyncio.timeout(20):
        while True:
            try:
                await site.get("/health/live")
                break
            except urllib.error.URLError:
                await asyncio.sleep(0.02)
    yield site
    stop.set()
    await running
    await projection.close()


@on_the_site
@pytest.mark.parametrize(
    ("address", "model"),
    [
        ("/api/programmes", ProgrammeReportList),
        ("/api/programmes/{programme}", ProgrammeReport),
        ("/api/participation/theme", Participation),
        ("/api/participation/organiser", Participation),
        ("/api/participation/province", Participation),
        ("/api/participation/municipality?kind=library", Participation),
        ("/api/themes/vluchtelingen", ThemeReport),
    ],
)
async def test_an_answer_is_what_its_contract_says(site: Site, address: str, model: type[BaseModel]) -> None:
    status, headers, body = await site.get(address)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert json.loads(model.model_validate_json(body).model_dump_json()) == json.loads(body)

    status, headers, body = await site.get(address, Accept="text/csv")
    assert (status, headers["content-type"]) == (200, "text/csv; charset=utf-8; header=present")
    assert headers["content-disposition"].startswith("attachment; filename=")
    assert "," in body.splitlines()[0]
    office = (await site.get(address + ("&" if "?" in address else "?") + "format=csv&lang=nl"))[2]
    assert office.startswith("\ufeff")
    assert ";" in office.splitlines()[0]
    assert len(office.splitlines()) == len(body.splitlines())


@on_the_site
@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/api/programmes/nooit", 404),
        ("/api/themes/nooit", 404),
        ("/api/participation/province?key=nooit", 404),
        ("/api/participation/weather", 422),
        ("/api/participation/province?kind=castle", 422),
        ("/api/programmes?format=pdf", 422),
    ],
)
async def test_a_failure_is_told_as_problem_details(site: Site, address: str, status: int) -> None:
    answered, headers, body = await site.get(address)
    assert (answered, headers["content-type"]) == (status, "application/problem+json")
    assert Problem.model_validate_json(body).status == status


@on_the_site
@pytest.mark.parametrize("lang", ["nl", "en"])
@pytest.mark.parametrize("address", PAGES)
async def test_a_page_can_be_read_by_all(site: Site, address: str, lang: str) -> None:
    """WCAG 2.2: 3.1.1 language, 2.4.2 title, 1.3.1 structure; and nothing is asked of third parties."""
    status, headers, body = await site.get(f"{address}?lang={lang}")
    page = _Page()
    page.feed(body)

    assert status == 200
    assert page.language == lang == headers["content-language"]
    assert page.count["h1"] == page.count["main"] == page.count["title"] == 1
    assert page.headings == sorted(page.headings) or all(
        b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False)
    )
    assert page.unscoped == []
    assert page.bare == [], "a table that is wider than a telephone scrolls by itself, not with the page"
    assert page.addresses
    assert all(address.startswith(("/", "?", "#")) for address in page.addresses)
    assert page.count["script"] == page.count["style"] == 0
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert "=HYPERLINK(&#34;" in body or "=HYPERLINK" not in body


@on_the_site
@pytest.mark.parametrize("address", PAGES)
async def test_every_link_of_a_page_leads_somewhere(site: Site, address: str) -> None:
    page = _Page()
    page.feed((await site.get(f"{address}?lang=en"))[2])
    for link in {each for each in page.addresses if not each.startswith("#")}:
        status, _, _ = await site.get(link if link.startswith("/") else address + link)
        assert status == 200, link


@on_the_site
async def test_who_has_yet_to_confirm_is_a_column_where_there_is_anybody_and_of_every_overview(site: Site) -> None:
    listed = ProgrammeReportList.model_validate_json((await site.get("/api/programmes"))[2]).programmes
    assert {bool(row.counts.people_pending) for row in listed} == {True, False}, "the log has both"
    for row in listed:
        page = (await site.get(f"/programmes/{row.programme}?lang=nl"))[2]
        overview, _, rest = page.partition("<h2>Organisaties</h2>")
        assert ">wacht op bevestiging</th>" in overview
        by_organisation = rest.partition("<h2>Provincies</h2>")[0]
        assert (">wacht op bevestiging</th>" in by_organisation) is bool(row.counts.people_pending)


@on_the_site
async def test_a_page_that_does_not_exist_is_a_page_too(site: Site) -> None:
    status, headers, body = await site.get("/programmes/%3Cscript%3Ealert(1)?lang=en")
    assert status == 404
    assert headers["content-type"].startswith("text/html")
    assert "<h1>Not found</h1>" in body
    assert "<script>" not in body


@on_the_site
async def test_the_style_keeps_its_contrast(site: Site) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1, on white and on the shaded heads of tables."""
    style = (await site.get("/style.css"))[2]
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", style))
    for text in ("ink", "quiet", "link"):
        for background in ("#ffffff", colours["band"], "#fdf2f2"):
            assert contrast(colours[text], background) >= 4.5, (text, background)


def test_every_mail_is_called_something_in_both_languages() -> None:
    for words in WORDS.values():
        assert [each for each in get_args(Purpose) if f"purpose_{each}" not in words] == []


def test_both_languages_have_the_same_words() -> None:
    assert WORDS["nl"].keys() == WORDS["en"].keys()


@pytest.mark.parametrize(
    ("accept", "csv"),
    [
        ("text/csv", True),
        ("text/csv;q=0.5, application/json", False),
        ("application/json;q=0.5, text/csv", True),
        ("TEXT/CSV; header=present", True),
        ("text/csv;q=0", False),
        ("text/csv;q=veel", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_csv_is_given_to_who_prefers_it(accept: str, csv: bool) -> None:
    assert prefers_csv(accept) is csv


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours (WCAG 2.2, definition of contrast ratio)."""

    def luminance(colour: str) -> float:
        parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


class _Page(HTMLParser):
    """What a page consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.language: str | None = None
        self.count: dict[str, int] = dict.fromkeys(("h1", "main", "title", "script", "style"), 0)
        self.headings: list[int] = []
        self.unscoped: list[int] = []
        self.bare: list[int] = []
        self._before: str | None = None
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag in self.count:
            self.count[tag] += 1
        if tag == "html":
            self.language = attributes["lang"]
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag == "th" and "scope" not in attributes:
            self.unscoped.append(self.getpos()[0])
        if tag == "table" and "wide" not in (self._before or ""):
            self.bare.append(self.getpos()[0])
        self._before = attributes.get("class")
        self.addresses += [value for name in ("href", "src") if (value := attributes.get(name))]
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)


@on_the_site
@pytest.mark.parametrize("address", ["/api/programmes", "/api/participation/theme", "/", "/programmes/{programme}"])
async def test_reports_are_for_staff(site: Site, address: str) -> None:
    for authorization in ("", "Bearer wrong", "Basic eDp3cm9uZw=="):
        status, headers, text = await site.get(address, authorization=authorization, accept="text/html")
        assert (status, headers["content-type"]) == (401, "application/problem+json")
        assert headers["www-authenticate"].startswith("Basic ")
        assert site.programme not in text
    status, _, _ = await site.get(address, authorization="Basic d2hvZXZlcjpnb29k")
    assert status == 200


@on_the_site
async def test_the_style_and_the_description_are_everybodys(site: Site) -> None:
    assert (await site.get("/style.css", authorization=""))[0] == 200
    assert (await site.get("/openapi.json", authorization=""))[0] == 200
