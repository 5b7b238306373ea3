"""
Each failure that the runbook names is seen by readiness, by the doctor and by an alert, where its table says so.

What can be made to happen in a moment happens here, in one system; of the rest, the table's line names the test.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from aiosmtpd.controller import Controller

from cli.doctor import examine
from cli.doctor.findings import Section
from cli.endpoints import read
from deploy.broker import RunningBroker, ServerKind
from deploy.embedded import BrokerDidNotStart
from tests.ports import free_ports
from tests.system.moody import Moody
from tests.system.outages import EXPRESSIONS, ROOT, Series, fires, quiet, scraped, table
from tests.system.world import World, enrolment, organisation, person, programme, session, started, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]

ROWS = table()
WELL = "nothing"
SERVICES = ("registration", "notifications", "reporting")

SHOWN_BY = {
    "A server of a cluster is lost": "tests/deploy/test_cluster.py::"
    "test_who_has_a_server_too_few_is_told_which_streams_suffer",
    "A server of a cluster lags": "tests/cli/test_doctor_servers.py::"
    "test_a_copy_that_lags_at_every_look_is_named_and_no_other",
    "Most servers of a cluster are lost": "tests/deploy/test_cluster.py::"
    "test_who_has_a_server_too_few_is_told_which_streams_suffer",
    "A service has another's seed, or none": "tests/deploy/test_seeds.py::"
    "test_a_service_that_is_not_let_in_ends_with_one_line_in_words_and_the_doctor_repeats_it",
    "A certificate ends": "tests/system/test_doctor.py::test_a_certificate_that_ends_soon_is_named",
    "A service ended": "tests/system/test_doctor.py::test_a_service_that_does_not_answer_is_named",
    "Strangers hold connections": "tests/chassis/test_serving.py::"
    "test_the_oldest_unfinished_of_a_source_makes_room_and_others_notice_nothing",
    "A database is newer than the code": "tests/system/test_doctor.py::"
    "test_a_database_that_is_newer_than_the_code_is_named",
    "A stream is not the log's": "tests/system/test_doctor.py::"
    "test_a_stream_that_does_not_go_on_from_the_database_stops_the_service_and_is_named",
    "A reader does not follow": "tests/chassis/test_reader.py::test_a_reader_waits_for_a_stream_that_moved_backwards",
    "A stream is full": "tests/system/test_doctor.py::test_streams_that_are_missing_or_full_are_named",
    "The broker's disk is lost": "tests/system/test_disasters.py::"
    "test_a_broker_that_loses_its_disk_is_filled_again_and_nobody_hears_twice",
    "A database is damaged": "tests/cli/test_doctor.py::test_a_database_that_is_damaged_is_said_with_what_cures_it",
    "The mail server says nothing": "tests/notifications/test_reach.py::"
    "test_all_that_wait_for_a_connection_learn_at_once_that_there_is_none",
    "The mail server is slow": "tests/notifications/test_under_way.py::"
    "test_a_mail_that_stays_under_way_is_trouble_until_somebody_knows_what_became_of_it",
    "Mails wait for a person": "tests/system/test_doctor.py::"
    "test_letters_that_wait_for_a_person_and_those_that_there_is_no_room_for_are_told_and_stop_nothing",
    "Too many mails wait for a person": "tests/system/test_doctor.py::"
    "test_letters_that_wait_for_a_person_and_those_that_there_is_no_room_for_are_told_and_stop_nothing",
    "Mails of unknown fate": "tests/system/test_doctor.py::"
    "test_mails_of_unknown_fate_and_addresses_that_do_not_exist_are_listed_with_what_to_do",
    "Addresses get nothing": "tests/system/test_doctor.py::"
    "test_mails_of_unknown_fate_and_addresses_that_do_not_exist_are_listed_with_what_to_do",
    "Mails are refused because of us": "tests/notifications/inbox/test_receiving.py::"
    "test_what_is_refused_because_of_us_fails_the_mail_tells_nobody_and_is_counted",
    "A cap holds mails back": "tests/system/test_doctor.py::"
    "test_a_cap_that_holds_mails_back_for_more_than_an_hour_is_named",
    "Messages of a partner are refused": "tests/system/test_poison.py::"
    "test_a_flood_of_what_cannot_be_read_has_an_answer_each_and_does_not_fill_the_log",
    "Erased, and not overwritten": "tests/registration/test_contacts.py::"
    "test_a_broker_that_does_not_let_us_erase_is_told_of_and_holds_nothing_up",
    "A service's disk is full": "tests/system/test_full_disk.py::"
    "test_a_full_disk_of_registration_refuses_what_cannot_be_stored_and_keeps_what_waits",
    "The broker's disk is full": "tests/system/test_full_disk.py::"
    "test_a_broker_that_met_a_full_disk_is_started_again_once_there_is_room_and_has_lost_nothing",
    "Links lead nowhere": "tests/system/test_doctor.py::"
    "test_keys_of_links_that_registration_does_not_have_and_links_that_lead_nowhere_are_named",
}

SIGNS: dict[str, str] = {
    "DeelnameServiceDown": 'up{job="reporting"} 0',
    "DeelnameConnectionsRefused": 'deelname_http_connections_closed_total{job="registration",reason="total"} 0+240x120',
    "DeelnameRelayNotFollowing": 'deelname_relay_following{job="registration",stream="LOG_REGISTRATION"} 0',
    "DeelnameReaderNotFollowing": 'deelname_reader_following{job="reporting",stream="LOG_REGISTRATION"} 0',
    "DeelnameMailServerUnreachable": 'deelname_mail_server_unreachable{job="notifications"} 1',
    "DeelnameMailsStayUnderWay": 'deelname_mail_under_way_seconds{job="notifications"} 601',
    "DeelnameUnreadMails": 'deelname_unread_seconds{job="notifications"} 86401',
    "DeelnameInboxRefuses": 'deelname_inbox_refused_mails_total{job="notifications",share="sender"} 0+1x120',
    "DeelnameMailsUncertain": 'deelname_mail_queue{job="notifications",state="uncertain"} 2',
    "DeelnameMailsRefusedBecauseOfUs": 'deelname_mails_refused_for_our_sake{job="notifications"} 2',
    "DeelnameMailsCapped": 'deelname_sender_capped{job="notifications",kind="person"} 1',
    "DeelnameIntakeRefused": 'deelname_intake_outcomes_total{job="registration",source="a",outcome="refused"} 0+8x120',
    "DeelnameNotReady": 'deelname_ready{job="registration"} 0',
    "DeelnameDatabaseNotWritable": 'deelname_database_writable{job="registration"} 0',
    "DeelnameBrokerServerMissing": 'deelname_broker_servers_missing{job="registration"} 1',
    "DeelnameBrokerCopiesBehind": 'deelname_broker_copies_behind{job="registration"} 1',
    "DeelnameBrokerWithoutLeader": 'deelname_broker_streams_without_leader{job="registration"} 1',
    "DeelnameBrokerNotStoring": 'deelname_broker_servers_not_storing{job="registration"} 1',
}
"""What an alert is to fire at, for failures that another test makes happen."""


@dataclass
class Seen:
    """What was seen of a failure while it lasted."""

    ready: dict[str, dict[str, str] | None] = field(default_factory=dict)
    findings: set[str] = field(default_factory=set)
    series: dict[str, str] = field(default_factory=dict)


class Outages:
    """A system in which things go wrong."""

    def __init__(self, world: World, moody: Moody, smtp: Controller) -> None:
        self.world = world
        self.moody = moody
        self.smtp = smtp
        self._seen: dict[str, Seen] = {}
        self._number = 0

    async def mail_somebody(self) -> None:
        self._number += 1
        who = person(f"Person {self._number}", f"p{self._number}@people.example")
        await self.world.staff.do("do.registration.enrolment.request", enrolment("outages", who))

    async def seen(self, what: str) -> Seen:
        """Let it happen, once for all tests, until it is seen where the table says; then mend it."""
        if what not in self._seen:
            async with HAPPENS[what](self):
                self._seen[what] = await self._look(ROWS[what].ready, ROWS[what].doctor)
            await self.world.settled()
        return self._seen[what]

    async def well(self) -> Seen:
        """After whatever happened until now, once for all tests."""
        if WELL not in self._seen:
            await self.world.settled()
            self._seen[WELL] = await self._once()
        return self._seen[WELL]

    async def _look(self, keys: tuple[str, ...], code: str) -> Seen:
        seen = Seen()

        async def unseen() -> str:
            nonlocal seen
            seen = await self._once()
            reasons = {reason.partition("/")[0] for each in seen.ready.values() for reason in each or ()}
            silent = None in seen.ready.values()
            told = set(keys) - {"now"} <= reasons and bool(keys) is not silent
            return "" if told and code in seen.findings else f"{seen.ready} {seen.findings}"

        await until(unseen, within=60)
        return seen

    async def _once(self) -> Seen:
        return await asyncio.to_thread(self._look_around)

    def _look_around(self) -> Seen:
        seen = Seen()
        endpoints = read(self.world.system.layout.endpoints)
        for service in SERVICES:
            address = endpoints.http[service]
            body = _get(address, "/health/ready")
            reasons = read_reasons(body) if body is not None else None
            # One that still starts says so, and nothing of how things stand.
            seen.ready[service] = None if reasons is None or "start" in reasons else reasons
            exposed = _get(address, "/metrics")
            seen.series |= scraped(service, exposed, time.time())
        seen.findings = {finding.code for finding in examine(endpoints, dict(endpoints.http)).findings}
        return seen


def _get(address: str, path: str) -> str | None:
    """None where nobody answers soon: Prometheus gives up as well."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def read_reasons(body: str) -> dict[str, str]:
    """Why a service is not ready."""
    reasons: dict[str, str] = json.loads(body)["reasons"]
    return reasons


# What happens ---------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def the_broker_is_gone(outages: Outages) -> AsyncIterator[None]:
    def cannot(_: RunningBroker) -> None:
        raise BrokerDidNotStart("its machine is away")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunningBroker, "start", cannot)
        outages.world.system.broker.kill()
        yield


@contextlib.asynccontextmanager
async def a_service_stands_still(outages: Outages) -> AsyncIterator[None]:
    process = outages.world.system.children["reporting"].process
    assert process is not None
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process.pid, signal.SIGCONT)


@contextlib.asynccontextmanager
async def the_mail_server_refuses(outages: Outages) -> AsyncIterator[None]:
    outages.moody.refuses = True
    await outages.mail_somebody()
    yield
    outages.moody.refuses = False
    await retried(outages.world)


@contextlib.asynccontextmanager
async def the_mail_server_is_gone(outages: Outages) -> AsyncIterator[None]:
    await asyncio.to_thread(outages.smtp.stop)
    await outages.mail_somebody()
    yield
    outages.smtp = Controller(outages.moody, hostname="127.0.0.1", port=outages.smtp.port)
    await asyncio.to_thread(outages.smtp.start)
    await retried(outages.world)


async def retried(world: World) -> None:
    """As the runbook says: one word, and the queue moves."""
    for mail in await world.staff.mails(status="planned"):
        await world.staff.attempt("do.notifications.mail.retry", {"mail": mail["mail"]})


@contextlib.asynccontextmanager
async def set_otherwise(outages: Outages, service: str, **settings: str) -> AsyncIterator[None]:
    child = outages.world.system.children[service]
    told = child.environment
    child.environment = {**told, **settings}
    outages.world.kill(service)
    yield
    child.environment = told
    outages.world.kill(service)


@contextlib.asynccontextmanager
async def the_inbox_is_stuck(outages: Outages) -> AsyncIterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as other:
        inbox = f"lmtp://127.0.0.1:{other.getsockname()[1]}"
        async with set_otherwise(outages, "notifications", DEELNAME_INBOX=inbox):
            yield


def a_clock_goes(by: timedelta) -> Callable[[Outages], AbstractAsyncContextManager[None]]:
    return lambda outages: set_otherwise(outages, "reporting", DEELNAME_NOW=(datetime.now(UTC) + by).isoformat())


HAPPENS: dict[str, Callable[[Outages], AbstractAsyncContextManager[None]]] = {
    "The broker is gone": the_broker_is_gone,
    "A clock went ahead": a_clock_goes(timedelta(hours=3)),
    "A clock went back": a_clock_goes(-timedelta(hours=3)),
    "A service stands still": a_service_stands_still,
    "The mail server refuses us": the_mail_server_refuses,
    "The mail server is gone": the_mail_server_is_gone,
    "Mail that comes back is not taken": the_inbox_is_stuck,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outages(server: ServerKind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Outages]:
    moody = Moody()
    smtp = Controller(moody, hostname="127.0.0.1", port=free_ports(1))
    smtp.start()
    transport = f"smtp://127.0.0.1:{smtp.port}?starttls=never"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cli.doctor.services._PATIENCE", 2.0)
        async with started(
            tmp_path_factory.mktemp("outages"), server, transport=transport, say=lambda _: None
        ) as world:
            await world.staff.register(organisation("bisc"))
            await world.staff.publish(programme("outages", sessions=[session("only", 6)]))
            await world.settled()
            outages = Outages(world, moody, smtp)
            yield outages
    outages.smtp.stop()


# What is seen of it ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", HAPPENS)
async def test_it_is_seen_by_readiness_and_by_the_doctor(outages: Outages, what: str) -> None:
    seen = await outages.seen(what)
    assert ROWS[what].doctor in seen.findings


async def test_a_system_that_is_well_is_ready_and_nothing_is_found(outages: Outages) -> None:
    seen = await outages.well()
    assert set(map(str, seen.ready.values())) == {"{}"}
    assert not seen.findings & ({row.doctor for row in ROWS.values()} - {"mails-uncertain", ""})


@pytest.mark.promtool
@pytest.mark.parametrize("what", HAPPENS)
async def test_its_alert_fires(outages: Outages, what: str, tmp_path: Path) -> None:
    seen = await outages.seen(what)
    assert fires(tmp_path, seen.series, ROWS[what].alert)


@pytest.mark.promtool
async def test_no_alert_fires_in_a_system_that_is_well(outages: Outages, tmp_path: Path) -> None:
    assert quiet(tmp_path, (await outages.well()).series, but=["DeelnameDiskNearlyFull"])


@pytest.mark.promtool
@pytest.mark.parametrize("alert", SIGNS)
async def test_an_alert_fires_at_what_services_serve(outages: Outages, alert: str, tmp_path: Path) -> None:
    name, _, value = SIGNS[alert].rpartition(" ")
    series: Series = {name: value if "x" in value else f"{value}x120"}
    assert fires(tmp_path, series, alert)
    metric = name.partition("{")[0]
    served = {each.partition("{")[0] for each in (await outages.well()).series}
    # What counts events is not there before the first of them.
    assert metric in served or metric.endswith("_total")


# The table -----------------------------------------------------------------------------------------------------------


async def test_each_line_of_the_runbooks_table_happens_here_or_in_a_test_that_is_there() -> None:
    assert ROWS.keys() == HAPPENS.keys() | SHOWN_BY.keys()
    assert not HAPPENS.keys() & SHOWN_BY.keys()
    for what, test in SHOWN_BY.items():
        path, _, name = test.partition("::")
        assert re.search(rf"^(?:async )?def {name}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE), what


async def test_what_the_table_names_is_there_and_nothing_that_pages_is_left_out() -> None:
    named = {row.alert for row in ROWS.values()} - {""}
    assert named <= EXPRESSIONS.keys()
    assert {row.alert for row in map(ROWS.get, SHOWN_BY) if row and row.alert} <= SIGNS.keys()
    doctor = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cli" / "doctor").glob("*.py"))
    assert [row.doctor for row in ROWS.values() if row.doctor and f'"{row.doctor}"' not in doctor] == []
    # Where the doctor sends people, something is wrong that the table knows.
    sections = {row.section for row in ROWS.values()}
    assert set(get_args(Section)) - sections == {"where-to-look-first"}
