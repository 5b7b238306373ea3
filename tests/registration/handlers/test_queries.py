"""Questions, answered from the present state."""

from __future__ import annotations

import pytest

from contracts.queries import EnrolmentList, EnrolmentsQuestion
from services.registration.handlers import queries
from tests.registration.conftest import Desk


async def _page(desk: Desk, after: int) -> EnrolmentList:
    question = EnrolmentsQuestion(programme="ontmoeting", after=after)
    answer = await desk.writer.read(lambda batch: queries.enrolment_list(batch, question))
    return EnrolmentList.model_validate_json(answer.body)


async def test_a_list_that_does_not_fit_into_one_answer_comes_in_pages(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "_LARGEST_PAGE", 2_000)
    await desk.open()
    made = [(await desk.request(f"p{number}@x.example"))[1]["enrolment"] for number in range(20)]

    pages = [await _page(desk, 0)]
    while (following := pages[-1].next) is not None:
        pages.append(await _page(desk, following))

    assert len(pages) > 2
    assert [view.enrolment for page in pages for view in page.enrolments] == made


async def test_a_list_that_fits_comes_whole(desk: Desk) -> None:
    await desk.open()
    await desk.request("noor@x.example")
    page = await _page(desk, 0)
    assert (len(page.enrolments), page.next) == (1, None)
