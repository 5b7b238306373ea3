"""What an operator sees of a running system: metrics, traces from a web form to a mail server's answer, logs."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from ruamel.yaml import YAML

from deploy.broker import ServerKind
from tests.ports import free_ports
from tests.system.collector import Collector, collecting
from tests.system.test_privacy import found, traces
from tests.system.world import (
    SERVICES,
    Json,
    World,
    _http,
    enrolment,
    organisation,
    person,
    programme,
    session,
    started,
    until,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
ID = "watched"
VISITOR = person("Xanthippe Quevedo-Zwart", "xanthippe.quevedo@zwart-people.example")
PARTNERS = person("Ysbrand Wrzesniewski", "ysbrand@wrzesniewski-people.example", "en")
STAFFS = person("Zebulon Oxfordshaw", "zebulon@oxfordshaw-people.example")
EVERYBODY = (VISITOR, PARTNERS, STAFFS)
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class Watched:
    """A world whose services export traces, and which mails by SMTP."""

    world: World
    collector: Collector

    async def exposed(self, service: str, media_type: str = "text/plain") -> str:
        """What Prometheus would read."""
        address = self.world.system.endpoints["http"][service]
        status, body = await asyncio.to_thread(_http, address, "GET", "/metrics")
        assert status == 200
        return body.decode()

    async def sample(self, service: str, series: str) -> float:
        """One value; 0 for a series that is not there."""
        for line in (await self.exposed(service)).splitlines():
            if line.startswith(f"{series} "):
                return float(line.rpartition(" ")[2])
        return 0.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(server: ServerKind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watched]:
    smtp = Controller(Sink(), hostname="127.0.0.1", port=free_ports(1))
    smtp.start()
    try:
        with collecting() as collector, pytest.MonkeyPatch.context() as environment:
            environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.address)
            environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
            environment.setenv("DEELNAME_LOG_LEVEL", "debug")
            transport = f"smtp://127.0.0.1:{smtp.port}?starttls=never"
            async with started(tmp_path_factory.mktemp("watched"), server, transport=transport) as world:
                await live(world)
                yield Watched(world, collector)
    finally:
        smtp.stop()


async def live(world: World) -> None:
    """A programme in which each way of asking for a place is used, and some are refused."""
    staff, partner, web = world.staff, world.partner, world.web
    await staff.register(organisation("bisc"), organisation("bieb"))
    await staff.publish(programme(ID, sessions=[session("only", 6)], capacity=3, eligible={"kinds": ["library"]}))
    assert (await web.enrol(enrolment(ID, VISITOR, organisation_id="bieb"), key="k-1")).certainty == "done"
    await partner.enrol("p-1", enrolment(ID, PARTNERS, organisation_id="bieb"))
    await partner.enrol("p-2", enrolment(ID, PARTNERS))
    await partner.answer("p-2")
    request = json.dumps(enrolment(ID, STAFFS, organisation_id="bieb")).encode()
    await staff.connection.request(
        "do.registration.enrolment.request", request, timeout=30, headers={"traceparent": CALLER}
    )
    assert (await staff.attempt("do.registration.enrolment.request", {"programme": STAFFS["email"]})).rules
    await web.post(f"/api/enrolments/{VISITOR['email']}/withdraw")
    await world.settled()


# Metrics --------------------------------------------------------------------------------------------------------------

_NAME = re.compile(r"\b(?:deelname|process)_[a-z_]+")
_SERVED = re.compile(r"^# TYPE (\S+) (\S+)$", re.MULTILINE)


async def served(watched: Watched) -> set[str]:
    """Every name of a series that the services serve."""
    names: set[str] = set()
    for service in SERVICES:
        for name, kind in _SERVED.findall(await watched.exposed(service)):
            names |= {f"{name}{part}" for part in ("_bucket", "_sum", "_count")} if kind == "histogram" else {name}
    return names


def asked_for(document: Any) -> set[str]:
    """Every name in the expressions of a board or of rules."""
    match document:
        case dict():
            own = set(_NAME.findall(document["expr"])) if "expr" in document else set()
            return own.union(*map(asked_for, document.values())) if document else own
        case list():
            return set().union(*map(asked_for, document))
        case _:
            return set()


async def test_the_board_and_the_rules_ask_for_nothing_that_no_service_serves(watched: Watched) -> None:
    names = await served(watched)
    board = asked_for(json.loads((MONITORING / "board.json").read_text()))
    rules = asked_for(YAML(typ="safe").load(MONITORING / "alerts.yaml"))
    assert len(board) > 20
    assert len(rules) > 12
    assert (board | rules) - names == set()


async def test_the_board_or_a_rule_shows_everything_that_the_services_serve(watched: Watched) -> None:
    shown = asked_for(json.loads((MONITORING / "board.json").read_text()))
    shown |= asked_for(YAML(typ="safe").load(MONITORING / "alerts.yaml"))
    own = {name for name in await served(watched) if name.startswith("deelname_")}
    families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in own}
    assert families - {re.sub(r"_(bucket|sum|count)$", "", name) for name in shown} == set()


@pytest.mark.promtool
@pytest.mark.parametrize("service", SERVICES)
async def test_promtool_finds_nothing_to_say_about_the_metrics(watched: Watched, service: str) -> None:
    text = await watched.exposed(service)
    checked = await asyncio.to_thread(
        subprocess.run,
        [str(shutil.which("promtool")), "check", "metrics"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("service", "series", "least"),
    [
        ("registration", 'deelname_commands_total{command="do.registration.enrolment.request",status="200"}', 1),
        ("registration", 'deelname_commands_total{command="do.registration.enrolment.request",status="422"}', 1),
        ("registration", 'deelname_command_duration_seconds_count{command="do.registration.enrolment.request"}', 2),
        ("registration", 'deelname_facts_appended_total{fact="enrolment.confirmed.v1"}', 3),
        ("registration", 'deelname_intake_outcomes_total{outcome="accepted",source="demo"}', 1),
        ("registration", 'deelname_intake_outcomes_total{outcome="refused",source="demo"}', 1),
        (
            "registration",
            'deelname_http_requests_total{method="POST",route="/api/enrolments",status="202"}',
            1,
        ),
        ("registration", 'deelname_relay_batch_facts_sum{stream="LOG_REGISTRATION"}', 5),
        ("registration", "deelname_writer_batch_requests_count", 5),
        ("registration", "deelname_database_transaction_duration_seconds_count", 5),
        ("notifications", 'deelname_mails_total{purpose="confirmation",status="sent"}', 3),
        ("notifications", "deelname_mail_delivery_duration_seconds_count", 3),
        ("notifications", 'deelname_reader_batch_facts_sum{stream="LOG_REGISTRATION"}', 5),
        ("notifications", 'deelname_facts_appended_total{fact="mail.sent.v1"}', 3),
        ("reporting", 'deelname_reader_position_total{stream="LOG_NOTIFICATIONS"}', 3),
        ("reporting", "deelname_ready", 1),
        ("reporting", "deelname_disk_free_bytes", 1),
    ],
)
async def test_a_programmes_life_is_counted(watched: Watched, service: str, series: str, least: int) -> None:
    assert await watched.sample(service, series) >= least


async def test_what_is_at_rest_shows_no_lag_and_no_queue(watched: Watched) -> None:
    assert 'deelname_relay_lag_facts{stream="LOG_REGISTRATION"} 0.0' in await watched.exposed("registration")
    mails = await watched.exposed("notifications")
    for series in ('deelname_mail_queue{state="due"}', "deelname_mail_overdue_seconds", "deelname_transport_fault"):
        assert f"{series} 0.0" in mails


# Traces ---------------------------------------------------------------------------------------------------------------


async def trace_of(watched: Watched, request: str, route: str | None = None) -> set[tuple[str, str]]:
    """Service and name of each span of the trace that a request began, once the mail server has answered."""

    def begun() -> str | None:
        return next(
            (
                span.trace
                for span in watched.collector.spans
                if span.name == request and (route is None or span.attributes.get("http.route") == route)
            ),
            None,
        )

    async def incomplete() -> str:
        spans = {(span.service, span.name) for span in watched.collector.spans if span.trace == begun()}
        whole = {("deelname-notifications", "send mail"), ("deelname-reporting", "apply fact")}
        return "" if whole <= spans else f"only {spans}"

    await until(incomplete, within=30)
    return {(span.service, span.name) for span in watched.collector.spans if span.trace == begun()}


@pytest.mark.parametrize(
    ("request_", "route"),
    [("HTTP POST", "/api/enrolments"), ("take in a message of a partner", None)],
    ids=["a web form", "a partner's message"],
)
async def test_one_trace_goes_to_the_mail_servers_answer(watched: Watched, request_: str, route: str | None) -> None:
    """Over three processes: registration decides, notifications mails, reporting counts."""
    assert await trace_of(watched, request_, route) >= {
        ("deelname-registration", request_),
        ("deelname-registration", "publish fact"),
        ("deelname-notifications", "apply fact"),
        ("deelname-notifications", "send mail"),
        ("deelname-reporting", "apply fact"),
    }
    answers = [span.attributes for span in watched.collector.spans if span.name == "send mail"]
    assert all(answer["smtp.response.code"] == "250" for answer in answers)
    assert all(answer["deelname.mail.outcome"] == "sent" for answer in answers)


async def test_a_command_belongs_to_the_trace_of_who_sent_it(watched: Watched) -> None:
    trace = CALLER.split("-")[1]

    async def missing() -> str:
        services = {span.service for span in watched.collector.spans if span.trace == trace}
        return "" if len(services) == 3 else f"only {services}"

    await until(missing, within=30)
    (called,) = [span for span in watched.collector.spans if span.parent == CALLER.split("-")[2]]
    assert called.name == "do.registration.enrolment.request"


async def test_the_fact_and_the_planned_mail_name_the_trace(watched: Watched) -> None:
    trace = CALLER.split("-")[1]
    facts = [fact for fact in await watched.world.staff.facts(ID) if trace in (fact.get("traceparent") or "")]
    assert {fact["type"] for fact in facts} >= {"enrolment.confirmed.v1"}
    rows = watched.world.rows("notifications", f"SELECT status FROM mails WHERE traceparent LIKE '00-{trace}-%'")
    assert {status for (status,) in rows} == {"sent"}


# Without anybody's name -----------------------------------------------------------------------------------------------


async def test_no_byte_of_anybody_is_in_a_span_or_a_metric(watched: Watched) -> None:
    told = b"".join(watched.collector.raw) + "".join([await watched.exposed(each) for each in SERVICES]).encode()
    assert len(watched.collector.spans) > 20
    assert {trace for who in EVERYBODY for trace in traces(who) if trace in told} == set()


async def test_no_byte_of_anybody_is_in_a_log_with_everything_told(watched: Watched) -> None:
    """At the level debug, with requests that break off where a value might be quoted back."""
    logs = list((watched.world.data / "logs").glob("*.log"))
    assert {f"{service}.log" for service in SERVICES} <= {log.name for log in logs}
    assert found(logs, EVERYBODY) == {}


async def test_every_line_of_a_services_log_is_an_object_that_names_the_service(watched: Watched) -> None:
    for service in SERVICES:
        lines: list[Json] = [
            json.loads(line) for line in (watched.world.data / "logs" / f"{service}.log").read_text().splitlines()
        ]
        assert lines
        assert all(line["service"] == service and line["level"] and line["timestamp"] for line in lines)
