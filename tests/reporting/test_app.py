"""Reporting as others see it: a process on the broker with reporting's rights and no more."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client
from pydantic import BaseModel

from contracts.commands import RebuiltReport
from contracts.problem import ERROR_CODE_HEADER, Problem
from contracts.queries import Participation, ProgrammeReport, ProgrammeReportList, ThemeReport
from contracts.subjects import command, query
from deploy.broker import RunningBroker, start_broker
from deploy.embedded import free_port
from services.chassis.broker import connect
from services.reporting.app import document
from tests.plausible import grown
from tests.reporting.conftest import publish
from tests.warm import popen

LOGS = grown(random.Random(3).choice, 200)
PROGRAMME = next(fact.subject for fact in LOGS.registration if fact.type == "programme.published.v1")


@pytest.fixture
def production(tmp_path: Path) -> Any:
    """The broker with the accounts and permissions of production."""
    with start_broker(tmp_path / "nats", ["demo"]) as broker:
        yield broker


@pytest.fixture
async def staff(production: RunningBroker, tmp_path: Path) -> AsyncIterator[Client]:
    """Somebody who asks, while the service runs and has counted everything."""
    for service, log in (("registration", LOGS.registration), ("notifications", LOGS.notifications)):
        relay = await connect(production.url(service), service)
        await publish(relay, log)
        await relay.close()
    process = popen(
        [sys.executable, "-m", "services.reporting"],
        env={
            **os.environ,
            "DEELNAME_NATS_URL": production.url("reporting"),
            "DEELNAME_DATA": str(tmp_path / "data"),
            "DEELNAME_HTTP_PORT": str(free_port()),
            "DEELNAME_LOG_LEVEL": "warning",
        },
    )
    connection = await connect(production.url("staff"), "staff")
    async with asyncio.timeout(40):
        while not await counted(connection):  # noqa: ASYNC110  # another process tells when asked, and only then
            await asyncio.sleep(0.05)
    yield connection
    await connection.close()
    process.terminate()
    assert await asyncio.to_thread(process.wait) == 0


async def counted(connection: Client) -> bool:
    """Whether the service runs and has counted both logs."""
    try:
        report = json.loads((await connection.request(command("reporting", "report", "rebuild"), b"", timeout=10)).data)
    except Exception:
        return False
    return bool(report.get("facts") == len(LOGS.registration) + len(LOGS.notifications))


async def test_every_question_is_answered_as_its_contract_says(staff: Client) -> None:
    questions: list[tuple[str, str, dict[str, Any], type[BaseModel]]] = [
        ("programme", "list", {}, ProgrammeReportList),
        ("programme", "get", {"programme": PROGRAMME}, ProgrammeReport),
        *(
            ("participation", "get", {"by": by}, Participation)
            for by in ("theme", "organiser", "province", "municipality")
        ),
        ("theme", "get", {"theme": "vluchtelingen"}, ThemeReport),
    ]
    for entity, verb, question, model in questions:
        answer = await staff.request(query("reporting", entity, verb), json.dumps(question).encode(), timeout=10)
        assert not answer.headers, answer.data
        parsed = model.model_validate_json(answer.data)
        assert json.loads(parsed.model_dump_json()) == json.loads(answer.data)

    rebuilt = await staff.request(command("reporting", "report", "rebuild"), b"{}", timeout=20)
    report = RebuiltReport.model_validate_json(rebuilt.data)
    assert report.identical
    assert report.facts == len(LOGS.registration) + len(LOGS.notifications)

    for entity, verb, question, status in (
        ("programme", "get", {"programme": "nooit"}, 404),
        ("programme", "get", {}, 422),
        ("theme", "get", {"theme": "nooit"}, 404),
        ("participation", "get", {"by": "weather"}, 422),
        ("participation", "get", {"by": "province", "key": "nooit"}, 404),
    ):
        answer = await staff.request(query("reporting", entity, verb), json.dumps(question).encode(), timeout=10)
        assert (answer.headers or {})[ERROR_CODE_HEADER] == str(status)
        assert Problem.model_validate_json(answer.data).status == status


def test_the_document_names_every_call_and_every_fact_that_is_counted() -> None:
    addresses = {channel["address"] for channel in document()["channels"].values()}
    assert {command("reporting", "report", "rebuild"), query("reporting", "theme", "get")} <= addresses
    assert "log.notifications.{programme}.mail.failed" in addresses
    assert json.dumps(document(), sort_keys=True) == json.dumps(document(), sort_keys=True)
