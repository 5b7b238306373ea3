from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import pytest
from fastapi import Request

from contracts.base import Language
from services.chassis.pages import Pages, language, preferences

COMMON = {"site": "Site", "home": "Home", "skip": "Skip", "other_language": "Other"}
WORDS: dict[Language, dict[str, str]] = {"nl": COMMON | {"hello": "Dag"}, "en": COMMON | {"hello": "Hello"}}


def asked(accept: str | None = None, **query: str) -> Request:
    headers = [] if accept is None else [(b"accept-language", accept.encode("latin-1"))]
    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": urlencode(query).encode()}
    return Request(scope | {"headers": headers})


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "nl"),
        ("", "nl"),
        ("en", "en"),
        ("en-GB,en;q=0.9,nl;q=0.8", "en"),
        ("nl-BE,nl;q=0.9,en;q=0.8", "nl"),
        ("nl;q=0.5, en;q=0.7", "en"),
        ("de-DE, fr;q=0.9", "nl"),
        ("de, en;q=0.1", "en"),
        ("en;q=0", "nl"),
        ("EN", "en"),
        ("*", "nl"),
        ("english", "nl"),
        ("en;q=much, ,;=", "nl"),
    ],
)
def test_a_page_is_in_the_language_that_the_browser_prefers_and_else_in_dutch(
    accept: str | None, expected: Language
) -> None:
    assert language(asked(accept)) == expected


def test_a_language_that_was_chosen_counts_more_than_the_browsers() -> None:
    assert language(asked("en", lang="nl")) == "nl"
    assert language(asked("nl", lang="en")) == "en"
    assert language(asked("en", lang="fr")) == "en"


def test_preferences_pass_over_what_makes_no_sense() -> None:
    assert preferences("text/csv;q=0.5, TEXT/HTML, a;q=x") == {"text/csv": 0.5, "text/html": 1.0}


@pytest.fixture
def pages(tmp_path: Path) -> Pages:
    hello = '{% extends "layout.html" %}{% block title %}T{% endblock %}{% block content %}{{ words.hello }}, {{ who }}'
    (tmp_path / "hello.html").write_text(hello + '<a href="/{{ keep_language }}">x</a>{% endblock %}')
    (tmp_path / "style.css").write_text(".own { color: red }")
    return Pages(tmp_path, WORDS)


def shown(pages: Pages, request: Request, at: str = "") -> str:
    answer = pages.render("hello.html", request, language(request), at=at, who="<b>")
    return bytes(answer.body).decode()


def test_a_page_escapes_and_says_its_language(pages: Pages) -> None:
    page = shown(pages, asked("en"))
    assert '<html lang="en">' in page
    assert "Hello, &lt;b&gt;" in page


def test_a_language_goes_along_with_links_only_if_it_was_chosen(pages: Pages) -> None:
    """What the browser prefers comes by itself; and who chose against it must not lose that at the next link."""
    assert '<a href="/">x</a>' in shown(pages, asked("en"))
    assert '<a href="/?lang=nl">x</a>' in shown(pages, asked("en", lang="nl"))


def test_a_page_leads_to_itself_in_the_other_language_and_keeps_its_question(pages: Pages) -> None:
    assert '<a href="?kind=library&amp;lang=en" lang="en"' in shown(pages, asked(kind="library"))
    assert '<a href="/there?lang=nl" lang="nl"' in shown(pages, asked(lang="en"), at="/there")
