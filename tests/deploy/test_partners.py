"""Partners come, get a new key and go while the broker runs, on a broker as in production."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nats
import nkeys  # type: ignore[import-untyped]
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeout

from cli.encryption import trusting
from deploy.embedded import EmbeddedBroker
from deploy.identities import TOPOLOGY_PARTNERS
from deploy.production import partners
from deploy.production.directory import Directory
from deploy.production.partners import NotInForce, PartnerError
from deploy.production.reload import NotReloaded, reload
from deploy.streams import outcomes_per_subject
from deploy.topology import declare_at
from tests.deploy.test_production import configured
from tests.ports import free_ports
from tests.warm import popen


@pytest.fixture
def production(tmp_path: Path) -> Iterator[Directory]:
    """A broker of the test's own with the partners demo and school-x."""
    directory = configured(tmp_path / "production")
    server = EmbeddedBroker(directory.broker / "nats.conf", directory.read().port, directory.path / "nats.log")
    server.start()
    try:
        url = directory.read().url
        asyncio.run(
            declare_at(
                url,
                url,
                directory.read().partners,
                application_seed=str(directory.seed("topology")),
                partners_seed=str(directory.seed(TOPOLOGY_PARTNERS)),
                authority=str(directory.authority),
            )
        )
        yield directory
    finally:
        server.stop()


@asynccontextmanager
async def connected(directory: Directory, name: str, folder: Path | None = None) -> AsyncIterator[Client]:
    """As an identity of the system, or as a partner with what it was handed over."""
    if folder is not None:
        handed = json.loads((folder / "endpoints.json").read_text())["nats"][name]
        seed, authority = folder / handed["nkey_seed_file"], folder / handed["ca_file"]
    else:
        seed, authority = directory.seed(name), directory.authority
    connection = await nats.connect(
        directory.read().url,
        nkeys_seed=str(seed),
        tls=trusting(authority),
        inbox_prefix=directory.read().access.identity(name).inbox_prefix.encode(),
        allow_reconnect=False,
        max_reconnect_attempts=1,
        error_cb=_ignore,
    )
    try:
        yield connection
    finally:
        await connection.close()


async def _ignore(_: Exception) -> None: ...


async def until_closed(connection: Client) -> None:
    async with asyncio.timeout(10):
        while not connection.is_closed:  # noqa: ASYNC110 - nats-py offers no event
            await asyncio.sleep(0.02)


async def test_a_partner_is_added_by_one_step_and_everybody_else_stays_connected(production: Directory) -> None:
    async with (
        connected(production, "demo", production.partner("demo")) as demo,
        connected(production, "registration_intake") as registration,
        connected(production, "staff") as staff,
    ):
        queue = await registration.jetstream().pull_subscribe_bind("registration", stream="INTAKE_DEMO")

        folder = await partners.add(production, "newcomer")

        async with connected(production, TOPOLOGY_PARTNERS) as owner:
            answers = (await owner.jsm().stream_info("OUTCOMES")).config
        assert answers.max_msgs_per_subject == outcomes_per_subject(3) < outcomes_per_subject(2)
        async with connected(production, "newcomer", folder) as newcomer:
            sent = await newcomer.jetstream().publish("intake.newcomer.enrolment.request", b"{}")
            assert sent.stream == "INTAKE_NEWCOMER"
        theirs = await registration.jetstream().pull_subscribe_bind("registration", stream="INTAKE_NEWCOMER")
        assert [message.data for message in await theirs.fetch(1, timeout=5)] == [b"{}"]
        await demo.jetstream().publish("intake.demo.enrolment.request", b"1")
        assert [message.data for message in await queue.fetch(1, timeout=5)] == [b"1"]
        await staff.flush()
        assert {connection.stats["reconnects"] for connection in (demo, registration, staff)} == {0}


async def test_a_new_key_shuts_the_old_one_out_at_once_and_touches_nobody_else(
    production: Directory, tmp_path: Path
) -> None:
    folder = production.partner("demo")
    old = tmp_path / "old"
    folder.rename(old)
    folder.mkdir()
    (folder / "demo.nk").write_bytes((old / "demo.nk").read_bytes())
    async with (
        connected(production, "demo", old) as before,
        connected(production, "school-x", production.partner("school-x")) as other,
    ):
        await partners.rotate(production, "demo")

        await until_closed(before)
        assert (await other.jetstream().publish("intake.school-x.enrolment.request", b"{}")).stream
    with pytest.raises(NatsError, match=r"(?i)authorization"):
        async with connected(production, "demo", old):
            pass
    async with connected(production, "demo", folder) as after:
        assert (await after.jetstream().publish("intake.demo.enrolment.request", b"{}")).stream == "INTAKE_DEMO"


async def test_a_partner_that_is_removed_is_cut_off_and_its_answers_are_kept(production: Directory) -> None:
    async with (
        connected(production, "demo", production.partner("demo")) as leaver,
        connected(production, "school-x", production.partner("school-x")) as other,
        connected(production, "registration_intake") as registration,
        connected(production, TOPOLOGY_PARTNERS) as owner,
    ):
        await registration.jetstream().publish("outcome.demo.accepted", b"{}")

        await partners.remove(production, "demo")

        await until_closed(leaver)
        assert (await other.jetstream().publish("intake.school-x.enrolment.request", b"{}")).stream
        reply = await owner.request("$JS.API.STREAM.NAMES", b"{}")
        assert json.loads(reply.data)["streams"] == ["INTAKE_SCHOOL_X", "OUTCOMES"]
        assert (await owner.jsm().stream_info("OUTCOMES")).state.messages == 1
    assert not production.partner("demo").exists()
    with pytest.raises(PartnerError, match="there are: school-x"):
        await partners.remove(production, "demo")


async def test_a_partner_whose_requests_wait_is_removed_by_force_alone(production: Directory) -> None:
    async with connected(production, "demo", production.partner("demo")) as partner:
        await partner.jetstream().publish("intake.demo.enrolment.request", b"{}")

        with pytest.raises(PartnerError, match=r"1 requests of demo wait.*--force"):
            await partners.remove(production, "demo")

        await partner.jetstream().publish("intake.demo.enrolment.request", b"{}")
        found = {one.name: one.requests for one in await partners.waiting(production)}
        assert found == {"demo": 2, "school-x": 0}
        await partners.remove(production, "demo", force=True)
    assert [one.name for one in await partners.waiting(production)] == ["school-x"]


async def test_a_partner_may_keep_its_seed_to_itself(production: Directory, tmp_path: Path) -> None:
    seed = nkeys.encode_seed(b"7" * 32, nkeys.PREFIX_BYTE_USER)
    folder = await partners.add(production, "newcomer", nkeys.from_seed(seed).public_key.decode())
    assert {file.name for file in folder.iterdir()} == {"ca.pem", "endpoints.json"}
    (folder / "newcomer.nk").write_bytes(seed)
    async with connected(production, "newcomer", folder) as newcomer:
        await newcomer.jetstream().publish("intake.newcomer.enrolment.request", b"{}")


async def test_what_the_broker_refuses_is_taken_back(production: Directory) -> None:
    """A file of the broker's that is broken: nobody comes in, and nothing is written that was not in force."""
    key = production.broker / "server-key.pem"
    whole, before = key.read_text(), production.read()
    kept = production.path / "authority" / "server-key.pem"
    for path in (key, kept):
        path.write_text("no key")

    with pytest.raises(NotReloaded, match="refuses its configuration"):
        await partners.add(production, "newcomer")

    assert production.read() == before
    assert not production.partner("newcomer").exists()
    for path in (key, kept):
        path.write_text(whole)
    assert await reload(production, before) == ("deelname",)


async def test_a_broker_that_reads_a_copy_of_the_files_is_not_said_to_have_changed(
    production: Directory, tmp_path: Path
) -> None:
    """As on three machines: nobody may be told that an old key is worth nothing while it is."""
    written = Directory(shutil.copytree(production.path, tmp_path / "elsewhere"))
    for change in (
        partners.add(written, "newcomer"),
        partners.rotate(written, "demo"),
        partners.remove(written, "school-x"),
    ):
        with pytest.raises(NotInForce, match=r"deelname went on with what it had.* 'deelname broker reload "):
            await change
    async with connected(production, "school-x", production.partner("school-x")):
        pass

    shutil.copyfile(written.broker / "accounts.conf", production.broker / "accounts.conf")
    await reload(written, written.read())

    for name in ("newcomer", "demo"):
        async with connected(written, name, written.partner(name)):
            pass
    with pytest.raises(NatsError):
        async with connected(production, "school-x", production.partner("school-x")):
            pass
    await partners.remove(written, "school-x")
    assert written.read().partners == ("demo", "newcomer")


async def test_two_of_one_name_and_impossible_names_are_refused(production: Directory) -> None:
    with pytest.raises(PartnerError, match="partner rotate demo"):
        await partners.add(production, "demo")
    with pytest.raises(ValueError, match="cannot name a partner"):
        await partners.add(production, "monitor")
    with pytest.raises(ValueError, match="not the public key"):
        await partners.add(production, "newcomer", "SUAAVWRZG6M5FA5VRRGWSCIHKTOJC7EWNIT4JV3FTOIPO4OBFR5WA7X5TE")
    assert production.read().partners == ("demo", "school-x")


async def test_a_broker_that_is_not_there_is_named(tmp_path: Path) -> None:
    directory = configured(tmp_path / "production")
    with pytest.raises(NotReloaded, match=r"no broker at tls://localhost"):
        await reload(directory, directory.read())


@pytest.fixture
def registration(production: Directory, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Registration as a process, with the file of settings that was written for it; ready."""
    port = free_ports(1)
    lines = (production.path / "environment" / "registration.env").read_text().splitlines()
    own = {"DEELNAME_DATA": str(tmp_path / "data"), "DEELNAME_HTTP_PORT": str(port)}
    with (tmp_path / "registration.log").open("wb") as journal:
        process = popen(
            [sys.executable, "-m", "services.registration"],
            env={**os.environ, **dict(line.split("=", 1) for line in lines), **own},
            stdout=journal,
            stderr=journal,
        )
    try:
        deadline = time.monotonic() + 60
        while not _is_ready(port):
            assert process.poll() is None, (tmp_path / "registration.log").read_text()
            assert time.monotonic() < deadline, (tmp_path / "registration.log").read_text()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(20)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


async def outcomes(connection: Client, name: str, number: int) -> list[dict[str, Any]]:
    reading = await connection.jetstream().pull_subscribe_bind(name, stream="OUTCOMES")
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(20):
        while len(found) < number:
            with contextlib.suppress(NatsTimeout):
                for message in await reading.fetch(number, timeout=1):
                    await message.ack_sync()
                    found.append({"subject": message.subject, **json.loads(message.data)})
    return found


async def test_registration_answers_a_partner_that_came_while_it_ran_and_outlives_its_going(
    production: Directory, registration: subprocess.Popen[bytes]
) -> None:
    folder = await partners.add(production, "newcomer")
    async with connected(production, "newcomer", folder) as newcomer:
        await newcomer.jetstream().publish("intake.newcomer.enrolment.request", b"not understood")
        assert [one["subject"] for one in await outcomes(newcomer, "newcomer", 1)] == ["outcome.newcomer.refused"]

    await partners.remove(production, "newcomer")

    async with connected(production, "demo", production.partner("demo")) as demo:
        await demo.jetstream().publish("intake.demo.enrolment.request", b"not understood")
        assert await outcomes(demo, "demo", 1)
    again = await partners.add(production, "newcomer")
    async with connected(production, "newcomer", again) as newcomer:
        await newcomer.jetstream().publish("intake.newcomer.enrolment.request", b"not understood either")
        assert await outcomes(newcomer, "newcomer", 1)
    assert registration.poll() is None


async def test_headers_and_words_of_a_partner_lead_no_answer_elsewhere(
    production: Directory, registration: subprocess.Popen[bytes]
) -> None:
    """It claims to be another, in each place that says who speaks and where the answer is to go."""
    elsewhere = "outcome.school-x.accepted"
    headers = {
        "reply_to": elsewhere,
        "reply-to": elsewhere,
        "Nats-Reply": elsewhere,
        "ce-source": "school-x",
        "ce-id": "theirs",
        "correlation_id": "theirs",
    }
    event = {"specversion": "1.0", "id": "theirs", "source": "school-x", "type": "enrolment.request.v1"}
    body = json.dumps(event | {"time": "2023-03-02T09:14:00Z", "data": {}, "reply_to": elsewhere}).encode()
    async with (
        connected(production, "demo", production.partner("demo")) as demo,
        connected(production, TOPOLOGY_PARTNERS) as owner,
        connected(production, "topology") as application,
    ):
        await demo.jetstream().publish("intake.demo.enrolment.request", body, headers=headers)
        await demo.publish("intake.demo.enrolment.request", body, reply=elsewhere, headers=headers)
        answers = await outcomes(demo, "demo", 2)
        assert {answer["subject"] for answer in answers} == {"outcome.demo.refused"}
        assert (await owner.jsm().stream_info("OUTCOMES")).state.messages == 2
        theirs = await owner.jsm().consumer_info("OUTCOMES", "school-x")
        assert theirs.num_pending == 0
        assert (await application.jsm().stream_info("LOG_REGISTRATION")).state.messages == 0
