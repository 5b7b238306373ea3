"""The doctor, before systems that are broken for real."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import socket
import sqlite3
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cli.doctor import RUNBOOK, examine
from cli.doctor.services import _REASONS, _get
from cli.endpoints import read
from deploy.broker import RunningBroker, ServerKind, prepare_broker
from deploy.embedded import EmbeddedBroker, free_port
from deploy.identities import APPLICATION, PARTNERS
from deploy.links import new_link_keys
from deploy.production.certificates import make_certificates
from deploy.production.directory import Directory
from deploy.streams import streams_of
from deploy.topology import declare_streams
from tests.deploy.conftest import visit
from tests.notifications.inbox.returned import person as person_wrote
from tests.system.moody import Moody, moody_server
from tests.system.world import Json, World, enrolment, organisation, person, programme, session, started, until
from tests.tool import invoke

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
]


async def examined(endpoints: Path, *words: object) -> tuple[int, dict[str, Json]]:
    """The exit code, and the findings by their code."""
    outcome = await asyncio.to_thread(invoke, "doctor", "--endpoints", endpoints, "--json", *words)
    return outcome.code, {finding["code"]: finding for finding in outcome.json["findings"]}


async def diagnosed(world: World, code: str, *words: object) -> Json:
    """Wait until the doctor finds this, and give the finding."""
    found: dict[str, Json] = {}

    async def missing() -> str:
        nonlocal found
        ended, found = await examined(world.system.layout.endpoints, *words)
        return "" if code in found and ended == int(found[code]["wrong"]) else f"{ended} {found}"

    await until(missing, within=60)
    return found[code]


@pytest.fixture(scope="module")
def moody() -> Iterator[tuple[Moody, str]]:
    with moody_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient(
    server: ServerKind, moody: tuple[Moody, str], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    """A system that goes by a clock that can be set, and sends four mails an hour of each programme."""
    # What the system says as it goes must not come between the words of the tool, which runs in this process.
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DEELNAME_MAILS_A_PROGRAMME_AND_HOUR", "4")
        patch.setenv("DEELNAME_INBOX_MAILS", "10")
        async with started(
            tmp_path_factory.mktemp("patient"),
            server,
            transport=moody[1],
            say=said.append,
            now=datetime.now(UTC).isoformat(),
        ) as world:
            await world.staff.register(organisation("bisc"))
            for ill in ("ill", "doubtful", "gone", "busy"):
                await world.staff.publish(programme(ill, sessions=[session("only", 6)]))
            await world.settled()
            yield world


async def test_nothing_is_wrong_with_a_system_that_is_well(patient: World) -> None:
    outcome = await asyncio.to_thread(invoke, "doctor", "--endpoints", patient.system.layout.endpoints, "--free", 0)
    assert outcome.code == 0, outcome.said
    assert "Nothing is wrong" in outcome.said
    for part in ("the broker as staff", "registration over HTTP (ready)", "reporting over the broker", "5 streams"):
        assert part in outcome.said


async def test_a_disk_that_fills_up_is_told_before_it_is_full(patient: World) -> None:
    finding = await diagnosed(patient, "disk-nearly-full", "--free", 100)
    assert (finding["part"], finding["wrong"]) == ("reporting", False)
    assert "GiB are free" in finding["what"]


async def test_a_mail_server_that_refuses_us_is_named_with_what_it_says(
    patient: World, moody: tuple[Moody, str]
) -> None:
    moody[0].refuses = True
    noor = person("Noor", "noor@people.example")
    await patient.staff.do("do.registration.enrolment.request", enrolment("ill", noor))
    finding = await diagnosed(patient, "mail-server-refuses")
    assert "530" in finding["what"]
    assert finding["runbook"] == f"{RUNBOOK}#mail-relay-down"
    moody[0].refuses = False
    mail, *_ = await patient.staff.mails(status="planned")
    # As the runbook says: one word, and the queue moves again. Nothing was lost meanwhile.
    await patient.staff.attempt("do.notifications.mail.retry", {"mail": mail["mail"]})
    await patient.settled()


async def test_a_database_that_is_newer_than_the_code_is_named(patient: World) -> None:
    path = patient.data / "reporting" / "reporting.db"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
        ((before,),) = database.execute("PRAGMA user_version")
        database.execute("PRAGMA user_version = 99")
        patient.kill("reporting")
        finding = await diagnosed(patient, "database-too-new")
        assert "schema 99" in finding["what"]
        assert finding["part"] == "reporting"
        database.execute(f"PRAGMA user_version = {before:d}")

    async def still_ill() -> str:
        return await patient.unready("reporting")

    await until(still_ill)


async def test_mails_of_unknown_fate_and_addresses_that_do_not_exist_are_listed_with_what_to_do(
    patient: World, moody: tuple[Moody, str]
) -> None:
    moody[0].hangs_up = True
    asked = enrolment("doubtful", person("Eva", "eva@people.example"))
    await patient.staff.do("do.registration.enrolment.request", asked)
    finding = await diagnosed(patient, "mails-uncertain")
    moody[0].hangs_up = False
    assert "nobody knows whether they arrived" in finding["what"]
    assert "'deelname mail retry MAIL'" in finding["remedy"]
    assert finding["runbook"] == f"{RUNBOOK}#mails-of-unknown-fate"
    await patient.settled()

    asked = enrolment("gone", person("Jan", "nobody.jan@people.example"))
    await patient.staff.do("do.registration.enrolment.request", asked)
    finding = await diagnosed(patient, "addresses-suppressed")
    assert finding["what"].endswith(": 1.")
    assert "correct a person's address, or 'deelname mail lift' one" in finding["remedy"]
    await patient.settled()
    _, findings = await examined(patient.system.layout.endpoints)
    assert "'deelname mail list --status failed' says why" in findings["mails-failed"]["remedy"]
    # Nothing of this stops the work: it is for a person to decide, and does not end a script.
    assert not any(findings[code]["wrong"] for code in ("mails-uncertain", "mails-failed", "addresses-suppressed"))


async def test_letters_that_wait_for_a_person_and_those_that_there_is_no_room_for_are_told_and_stop_nothing(
    patient: World,
) -> None:
    """A tenth of the room for ten is one sender's."""

    def letter(words: str) -> Json:
        return {
            "raw": base64.b64encode(person_wrote("deelname@deelname.example", "noor@people.example", words)).decode()
        }

    taken = await patient.staff.do("do.notifications.mail.receive", letter("Mag mijn collega ook?"))
    refused = await patient.staff.attempt("do.notifications.mail.receive", letter("En nog iemand?"))
    assert refused.certainty != "done"
    finding = await diagnosed(patient, "mails-unread")
    assert finding["what"].endswith("wait for a person: 1.")
    assert "'deelname mail dismiss NUMBER'" in finding["remedy"]
    assert finding["runbook"] == f"{RUNBOOK}#mails-that-wait-for-a-person"
    finding = await diagnosed(patient, "inbox-full")
    assert "no more room for one sender" in finding["what"]
    assert not finding["wrong"]
    assert await patient.unready("notifications") == ""
    await patient.staff.do("do.notifications.received.dismiss", {"received": [taken["received"]]})
    _, findings = await examined(patient.system.layout.endpoints)
    assert "mails-unread" not in findings


async def test_a_cap_that_holds_mails_back_for_more_than_an_hour_is_named(patient: World) -> None:
    """Ten mails, four an hour: after an hour four more are on their way and two still wait."""
    clock = patient.system.layout.clock
    begun = datetime.now(UTC)
    try:
        for number in range(5):
            asked = enrolment("busy", person(f"Busy {number}", f"busy-{number}@people.example"))
            await patient.staff.do("do.registration.enrolment.request", asked)

        async def sent(number: int) -> str:
            out = await patient.staff.mails(programme="busy", status="sent")
            return "" if len(out) == number else f"{len(out)} of {number} mails are out"

        dues: list[datetime] = []

        async def unmoved() -> str:
            waiting = await patient.staff.mails(programme="busy", status="planned")
            dues[:] = [datetime.fromisoformat(mail["due_at"]) for mail in waiting]
            put_off = [due for due in dues if due > begun + timedelta(minutes=30)]
            return "" if len(put_off) == len(dues) == 6 else f"{len(put_off)} of {len(dues)} mails are put off"

        await until(lambda: sent(4), within=30)
        await until(unmoved, within=30)
        due = max(dues)
        # Not much later: a cap that holds nothing back for a minute is over, and the next one another.
        clock.write_text((due + timedelta(seconds=5)).isoformat())
        await until(lambda: sent(8), within=30)
        finding = await diagnosed(patient, "mails-over-the-cap")
        assert "programme:busy" in finding["what"]
        assert "If that is right, raise the cap" in finding["remedy"]
        assert finding["runbook"] == f"{RUNBOOK}#more-mails-than-the-caps-allow"
        _, findings = await examined(patient.system.layout.endpoints)
        assert "DEELNAME_NOW" in findings["clock-set"]["remedy"]
        clock.write_text((begun + timedelta(minutes=130)).isoformat())
        await patient.settled()
    finally:
        clock.write_text((begun + timedelta(minutes=130)).isoformat())


async def test_a_database_that_takes_no_write_is_named(patient: World) -> None:
    """Another program holds it; whatever is asked meanwhile has no effect."""
    path = patient.data / "registration" / "registration.db"
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        finding = await diagnosed(patient, "database-not-writable")
        assert (finding["part"], finding["runbook"]) == ("registration", f"{RUNBOOK}#disk-full")
        assert "cannot be written" in finding["what"]
        assert "the service goes on by itself" in finding["remedy"]
        holder.execute("ROLLBACK")

    async def still_ill() -> str:
        return await patient.unready("registration")

    await until(still_ill)


async def test_keys_of_links_that_registration_does_not_have_and_links_that_lead_nowhere_are_named(
    patient: World,
) -> None:
    keys, notifications = patient.system.layout.link_keys, patient.system.children["notifications"]
    shared, told = keys.read_text(), notifications.environment
    keys.write_text(new_link_keys())
    notifications.environment = {**told, "DEELNAME_PUBLIC_URL": ""}
    patient.kill("notifications")
    finding = await diagnosed(patient, "links-refused")
    assert finding["runbook"] == f"{RUNBOOK}#personal-links"
    assert "DEELNAME_LINK_KEYS" in finding["remedy"]
    nowhere = await diagnosed(patient, "no-public-url")
    assert (nowhere["part"], nowhere["wrong"]) == ("notifications", True)
    assert "--public-url" in nowhere["remedy"]
    keys.write_text(shared)
    notifications.environment = told
    patient.kill("notifications")
    await patient.settled()
    _, findings = await examined(patient.system.layout.endpoints)
    assert not {"links-refused", "no-public-url", "link-keys-half-rotated"} & findings.keys()


async def test_an_inbox_that_cannot_listen_is_named(patient: World) -> None:
    notifications = patient.system.children["notifications"]
    told = notifications.environment
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        notifications.environment = {**told, "DEELNAME_INBOX": f"lmtp://127.0.0.1:{port}"}
        patient.kill("notifications")
        finding = await diagnosed(patient, "inbox-not-answering")
    assert f"cannot listen on 127.0.0.1:{port}" in finding["what"]
    assert finding["runbook"] == f"{RUNBOOK}#mail-that-comes-back-is-not-taken"
    # Once the port is free, nobody has to do anything.
    await patient.settled()
    _, findings = await examined(patient.system.layout.endpoints)
    assert "inbox-not-answering" not in findings
    notifications.environment = told
    patient.kill("notifications")
    await patient.settled()


async def test_for_whatever_a_service_may_say_of_itself_there_is_a_remedy(patient: World) -> None:
    """A check that the doctor does not know would send people to a log."""
    for service, address in read(patient.system.layout.endpoints).http.items():
        said = (await asyncio.to_thread(_get, address, "/health/ready"))[2]
        checks = {name for name, finding in json.loads(said).items() if isinstance(finding, bool)}
        assert "database" in checks, service
        assert checks <= _REASONS.keys(), service


async def test_clocks_that_differ_are_named(patient: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The doctor's machine is twenty seconds ahead of all others."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + timedelta(seconds=20)

    monkeypatch.setattr("cli.doctor.services.datetime", Ahead)
    monkeypatch.setattr("cli.doctor.servers.time.time", lambda: datetime.now(UTC).timestamp() + 20)
    endpoints = patient.system.layout.endpoints
    report = await asyncio.to_thread(lambda: examine(read(endpoints), dict(read(endpoints).http)))
    found = {finding.part: finding for finding in report.findings if finding.code == "clock-differs"}
    assert found.keys() >= {"registration", "notifications", "reporting"}
    assert any(part.startswith("broker ") for part in found)
    assert all("differ by" in finding.what and "same time servers" in finding.remedy for finding in found.values())


async def test_an_old_copy_of_the_database_is_made_whole_from_the_stream(patient: World, tmp_path: Path) -> None:
    """Somebody put it in place while the broker lived on."""
    path = patient.data / "registration" / "registration.db"
    old = tmp_path / "old.db"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database:
        database.execute("VACUUM INTO ?", (str(old),))
    await patient.staff.publish(programme("later", sessions=[session("only", 6)]))
    await patient.settled()
    facts = await patient.staff.facts()
    patient.kill("registration")
    for file in path.parent.glob("registration.db*"):
        file.unlink()
    old.replace(path)
    await patient.settled()
    assert await patient.staff.facts() == facts


async def test_a_stream_that_does_not_go_on_from_the_database_stops_the_service_and_is_named(patient: World) -> None:
    """Something was decided on the old copy: what others were told would be contradicted."""
    path = patient.data / "registration" / "registration.db"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database, database:
        ((head,),) = database.execute("SELECT max(position) FROM log")
        row = database.execute("SELECT * FROM log WHERE position = ?", (head,)).fetchone()
        ((before,),) = database.execute("SELECT id FROM log WHERE position = ?", (head - 1,))
        database.execute("DELETE FROM log WHERE position = ?", (head,))
        database.execute("UPDATE log SET id = 'decided-later' WHERE position = ?", (head - 1,))
    patient.kill("registration")
    finding = await diagnosed(patient, "stream-diverged")
    assert "LOG_REGISTRATION" in finding["what"]
    assert "Put the newest copy of the database back" in finding["what"]
    assert finding["runbook"] == f"{RUNBOOK}#a-relay-does-not-follow"
    with contextlib.closing(sqlite3.connect(path, timeout=30)) as database, database:
        database.execute("UPDATE log SET id = ? WHERE position = ?", (before, head - 1))
        database.execute(f"INSERT INTO log VALUES ({', '.join('?' * len(row))})", row)
    await until(lambda: patient.unready("registration"))
    await patient.settled()


@pytest.mark.parametrize("service", ["registration", "notifications"])
async def test_a_service_that_does_not_answer_is_named(patient: World, service: str, tmp_path: Path) -> None:
    """Nothing listens at the address that the doctor is given."""
    code, findings = await examined(
        patient.system.layout.endpoints, "--http", f"{service}=http://127.0.0.1:{free_port()}"
    )
    assert code == 1
    assert findings["service-not-answering"]["part"] == service


def changed(world: World, directory: Path, old: str, new: str) -> Path:
    """The endpoints with something else in them."""
    path = directory / "endpoints.json"
    path.write_text(world.system.layout.endpoints.read_text().replace(old, new))
    return path


async def test_a_broker_that_is_not_there_is_named(patient: World, tmp_path: Path) -> None:
    port = patient.system.ports.broker
    code, findings = await examined(changed(patient, tmp_path, f":{port}", f":{free_port()}"))
    assert code == 1
    assert "No broker answers" in findings["broker-unreachable"]["what"]


async def test_a_wrong_password_is_named(patient: World, tmp_path: Path) -> None:
    password = patient.system.broker.passwords["staff"]
    code, findings = await examined(changed(patient, tmp_path, password, "mistyped"))
    assert code == 1
    assert "does not know 'staff'" in findings["wrong-credentials"]["what"]


# A broker alone -------------------------------------------------------------------------------------------------------


def endpoints_of(broker: RunningBroker, path: Path) -> Path:
    identities = ("staff", "monitor")
    nats = {name: {"url": broker.url(name), "inbox_prefix": broker.inbox_prefix(name)} for name in identities}
    path.write_text(json.dumps({"nats": nats}))
    return path


async def test_streams_that_are_missing_or_full_are_named(tmp_path: Path) -> None:
    broker = prepare_broker(tmp_path / "broker", ("demo",), port=free_port())
    broker.start()
    try:
        full = [
            replace(stream, config=stream.config.evolve(max_msgs=2))
            for stream in streams_of(PARTNERS, ("demo",))
            if stream.name == "INTAKE_DEMO"
        ]
        present = [stream for stream in streams_of(APPLICATION, ("demo",)) if stream.name != "KV_contacts"]
        async with visit(broker, "topology") as application, visit(broker, "topology_partners") as partners:
            await declare_streams(application.connection, present)
            await declare_streams(partners.connection, full)
        async with visit(broker, "demo") as partner:
            for number in range(2):
                await partner.connection.jetstream().publish("intake.demo.enrolment.request", b"%d" % number)
        outcome = await asyncio.to_thread(
            invoke, "doctor", "--endpoints", endpoints_of(broker, tmp_path / "endpoints.json"), "--json"
        )
    finally:
        broker.stop()
    assert outcome.code == 1
    findings = outcome.json["findings"]
    assert {each["part"] for each in findings if each["code"] == "stream-missing"} == {"KV_contacts", "OUTCOMES"}
    (full_one,) = [each for each in findings if each["code"] == "stream-full"]
    assert (full_one["part"], "2 of 2" in full_one["what"]) == ("INTAKE_DEMO", True)
    assert "registration over HTTP: name its address with --http registration=URL" in outcome.json["skipped"]


async def test_a_certificate_that_ends_soon_is_named(tmp_path: Path) -> None:
    """With the settings of production: nkeys and TLS."""
    made = Directory(tmp_path / "production")
    port = free_port()
    made.configure(
        {"url": f"tls://localhost:{port}", "port": port, "host": "127.0.0.1", "monitoring_port": None,
         "store": str(tmp_path / "store"), "partners": ("demo",)}
    )  # fmt: skip
    soon = make_certificates(made.path / "authority", ("localhost",), renew=True, lasts=timedelta(days=12))
    (made.broker / "server.pem").write_bytes(soon.server.read_bytes())
    (made.broker / "server-key.pem").write_bytes(soon.server_key.read_bytes())
    server = EmbeddedBroker(made.broker / "nats.conf", port, tmp_path / "nats.log")
    server.start()
    try:
        _, findings = await examined(made.path / "endpoints.json")
        assert "in 11 days" in findings["certificate-ends"]["what"]
        assert findings["certificate-ends"]["wrong"] is False
        assert "stream-missing" in findings
        _, findings = await examined(made.path / "endpoints.json", "--days", 3)
        assert "certificate-ends" not in findings
    finally:
        server.kill()
