"""Three servers as ``deelname broker configure --node …`` writes them, and the streams that they keep together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.errors import Error as NatsError

from cli.connection import Connection
from cli.doctor import servers
from cli.doctor.findings import Report
from cli.encryption import trusting
from cli.endpoints import read
from contracts import subjects
from deploy.identities import REGISTRATION_INTAKE
from deploy.production import partners
from deploy.production.certificates import make_certificates, names_of
from deploy.production.copies import NotWhole, declare_all, look, until_whole
from deploy.production.deployment import Node, NotADeployment
from deploy.production.directory import Directory
from services.chassis.broker import connect, faststream_broker
from services.chassis.cluster import Cluster as WhoIsThere
from services.chassis.intake import Delivery, take_in
from services.chassis.relay import publish_batch
from tests.cluster import NAMES, Cluster, configured, running
from tests.tool import invoke

THREE = tuple(Node(name=name, host=f"nats-{name}.example.org") for name in NAMES)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three servers with all streams, left whole by each test."""
    with running(configured(tmp_path_factory.mktemp("cluster") / "production")) as cluster:
        asyncio.run(cluster.declared())
        yield cluster


async def test_streams_go_from_three_servers_to_one_and_back_and_keep_every_message(cluster: Cluster) -> None:
    made = cluster.directory
    assert {stream.current for stream in await look(made)} == {NAMES}
    publisher = await connect(
        made.read().url, "registration", nkey_seed_file=made.seed("registration"), ca_file=made.authority
    )
    try:
        before = (await publisher.jetstream().stream_info("LOG_REGISTRATION")).state.last_seq
        facts: list[tuple[str, bytes, dict[str, str]]] = [
            (f"log.registration._.test.{number}", b"%d" % number, {}) for number in range(40)
        ]
        await publish_batch(publisher, facts)
        for replicas in (1, 3):
            made.configure({"replicas": replicas})
            changes = await declare_all(made)
            assert set(changes.updated) == {stream.name for stream in await look(made)}
            kept = {stream.name: stream for stream in await until_whole(made, 60)}
            assert {len(stream.current) for stream in kept.values()} == {replicas}
            assert kept["LOG_REGISTRATION"].messages == before + 40
            # The numbers stay, which is what relays and readers go by.
            raw = await publisher.jetstream().get_msg("LOG_REGISTRATION", before + 40)
            assert raw.data == b"39"
    finally:
        await publisher.close()


async def test_a_partner_is_let_in_by_every_server(cluster: Cluster) -> None:
    made = cluster.directory
    folder = await partners.add(made, "newcomer")
    try:
        for node in made.read().nodes:
            newcomer = await nats.connect(
                f"tls://{node.host}:{node.port}",
                nkeys_seed=str(folder / "newcomer.nk"),
                tls=trusting(folder / "ca.pem"),
                inbox_prefix=b"_INBOX_newcomer",
            )
            stored = await newcomer.jetstream(timeout=10).publish("intake.newcomer.enrolment.request", b"{}")
            assert stored.stream == "INTAKE_NEWCOMER"
            await newcomer.close()
        kept = {stream.name: stream for stream in await until_whole(made, 30)}
        assert (kept["INTAKE_NEWCOMER"].messages, kept["INTAKE_NEWCOMER"].wanted) == (3, 3)
    finally:
        await partners.remove(made, "newcomer", force=True)


@pytest.mark.parametrize("victim", NAMES)
async def test_whichever_server_is_missing_a_service_comes_in_by_another(cluster: Cluster, victim: str) -> None:
    made = cluster.directory
    lines = (made.path / "environment" / "reporting.env").read_text().splitlines()
    settings = dict(line.split("=", 1) for line in lines)
    cluster.nodes[victim].kill()
    try:
        async with asyncio.timeout(15):
            connection = await connect(
                settings["DEELNAME_NATS_URL"],
                settings["DEELNAME_NATS_NAME"],
                nkey_seed_file=settings["DEELNAME_NATS_NKEY_SEED_FILE"],
                ca_file=settings["DEELNAME_NATS_CA_FILE"],
            )
        await connection.close()
    finally:
        cluster.nodes[victim].start()
    await until_whole(made, 60)


async def until_led(made: Directory, stream: str) -> None:
    """Wait until the servers have elected who leads a partner's queue, which its stream's leader need not be."""
    url, seed = made.read().url, made.seed(REGISTRATION_INTAKE)
    asking = await connect(url, "registration", nkey_seed_file=seed, ca_file=made.authority)
    try:
        async with asyncio.timeout(40):
            while True:
                with contextlib.suppress(NatsError):
                    await asking.jetstream(timeout=2).consumer_info(stream, subjects.INTAKE_READER)
                    return
    finally:
        await asking.close()


async def test_what_was_handed_to_a_client_that_died_comes_first_also_after_its_leader_died(cluster: Cluster) -> None:
    made = cluster.directory
    deployment, seed, name = made.read(), made.seed(REGISTRATION_INTAKE), "registration"
    folder = made.partner("demo")
    demo = await nats.connect(
        deployment.url.split(","),
        nkeys_seed=str(folder / "demo.nk"),
        tls=trusting(made.authority),
        inbox_prefix=b"_INBOX_demo",
    )
    dead = await connect(deployment.url, name, nkey_seed_file=seed, ca_file=made.authority)
    broker = faststream_broker(deployment.url, name, nkey_seed_file=seed, ca_file=made.authority)
    handled: list[int] = []

    async def handle(delivery: Delivery) -> None:
        handled.append(delivery.sequence)

    async def ask(number: int, batch: str) -> list[int]:
        return [await send(b"%d" % each, f"{batch}-{each}") for each in range(number)]

    async def send(body: bytes, id_: str) -> int:
        """Under an id, so that what was stored without a word is not stored again."""
        stream, headers = demo.jetstream(timeout=5), {"Nats-Msg-Id": id_}
        async with asyncio.timeout(40):
            while True:
                with contextlib.suppress(NatsError):
                    return (await stream.publish("intake.demo.enrolment.request", body, headers=headers)).seq

    stream = subjects.intake_stream("demo")
    victim = next(each.leader for each in await look(made) if each.name == stream)
    assert victim is not None
    try:
        older = await ask(10, "older")
        reading = await dead.jetstream(timeout=10).pull_subscribe_bind(subjects.INTAKE_READER, stream)
        taken = await reading.fetch(10, timeout=10)
        # What is acknowledged out of order does not come again.
        await taken[4].ack_sync(timeout=10)
        await dead.close()
        cluster.nodes[victim].kill()
        newer = await ask(10, "newer")
        await until_led(made, stream)
        take_in(
            broker,
            stream=stream,
            durable=subjects.INTAKE_READER,
            subject=subjects.intake_of("demo"),
            handler=handle,
            inbox="_INBOX_registration",
        )
        await broker.start()
        # By themselves the servers would keep the older ones for half a minute.
        async with asyncio.timeout(15):
            while len(handled) < len(older) - 1 + len(newer):  # noqa: ASYNC110  # the servers tell nobody
                await asyncio.sleep(0.05)
        assert handled[: len(older) - 1] == [each for each in older if each != taken[4].metadata.sequence.stream]
        assert handled == sorted(handled)
    finally:
        await broker.stop()
        await demo.close()
        cluster.nodes[victim].start()
    await until_whole(made, 60)


async def test_who_has_a_server_too_few_is_told_which_streams_suffer(cluster: Cluster) -> None:
    cluster.nodes["b"].kill()
    try:
        said = ""
        async with asyncio.timeout(60):
            while "lacks" not in said:
                # At first there is an election for what the killed one led, and the others do not miss it yet.
                try:
                    await until_whole(cluster.directory, 0.5)
                except NotWhole as reason:
                    said = str(reason)
        assert "on 2 of 3 servers, b lacks" in said
        told = await asyncio.to_thread(invoke, "broker", "streams", cluster.directory.path, "--wait", "0")
        assert told.code == 1, told.said
        assert "b by" in told.out
        assert "Not every server has everything" in told.said
        await everybody_notices(cluster, ["broker-server-missing"], "1 of the 3 servers of the broker does not", "b")
        cluster.nodes["c"].kill()
        try:
            codes = ["broker-server-missing", "streams-without-leader"]
            await everybody_notices(cluster, codes, "2 of the 3 servers of the broker do not", "b, c")
        finally:
            cluster.nodes["c"].start()
    finally:
        cluster.nodes["b"].start()
    await until_whole(cluster.directory, 60)
    assert await diagnosed(cluster) == {}


async def test_what_is_sent_while_servers_elect_a_leader_is_sent_again_and_stored(
    cluster: Cluster, tmp_path: Path
) -> None:
    """Nobody decides it here: that is registration's, and told when there is an outcome."""
    made = cluster.directory
    stream = subjects.intake_stream("demo")
    request = {
        "specversion": "1.0",
        "id": "in-an-election",
        "source": "demo",
        "type": "enrolment.request.v1",
        "time": "2026-02-06T09:00:00+01:00",
        "data": {"programme": "p", "participants": [{"person": {"name": "Anna", "email": "anna@people.example"}}]},
    }
    (tmp_path / "request.json").write_text(json.dumps(request))
    before = next(each for each in await look(made) if each.name == stream)
    assert before.leader is not None
    cluster.nodes[before.leader].kill()
    try:
        told = await asyncio.to_thread(
            invoke, "intake", "send", tmp_path / "request.json", "--wait", "0", "--as", "demo",
            "--endpoints", made.path / "partners" / "demo" / "endpoints.json",
        )  # fmt: skip
        assert told.code == 3, told.said
        assert "1 of 1 messages have no outcome after 0 seconds" in told.said
        assert "Sending: " in told.said
        assert "It is tried again for up to 60 seconds" in told.said
    finally:
        cluster.nodes[before.leader].start()
    kept = await until_whole(made, 60)
    assert next(each for each in kept if each.name == stream).last > before.last


async def everybody_notices(cluster: Cluster, codes: list[str], how_many: str, names: str) -> None:
    """The doctor, as the monitor, and a service by the permissions that each service has."""
    async with asyncio.timeout(60):
        while set(found := await diagnosed(cluster)) != set(codes):
            assert set(found) <= {*codes, "copies-behind"}, "what is found at first is true as well"
    assert found["broker-server-missing"].startswith(f"{how_many} answer: {names}.")
    made = cluster.directory
    for name in ("registration", "notifications"):
        service = await connect(made.read().url, name, nkey_seed_file=made.seed(name), ca_file=made.authority)
        try:
            seen = WhoIsThere(service)
            await seen.look()
            assert await seen.remark() == f"{how_many} answer: {names}"
            gauges = {gauge.name: gauge.value for gauge in await seen.measure()}
            assert gauges["deelname_broker_servers_missing"] == len(names.split(", "))
            assert (gauges["deelname_broker_streams_without_leader"] > 0) is ("streams-without-leader" in codes)
        finally:
            await service.close()


async def diagnosed(cluster: Cluster) -> dict[str, str]:
    """What the doctor finds of the broker, by code."""
    report = Report()
    connection = Connection(read(cluster.directory.path / "endpoints.json").access("monitor"))

    def look() -> None:
        with connection:
            servers.examine(report, connection, servers.ask(connection)[0])

    await asyncio.to_thread(look)
    return {finding.code: finding.what for finding in report.findings}


@asynccontextmanager
async def route(cluster: Cluster, certificate: Path | None, key: Path | None) -> AsyncIterator[asyncio.StreamReader]:
    """What another server would hear that comes with this certificate and guesses the password."""
    context = ssl.create_default_context(cafile=cluster.directory.authority)
    if certificate is not None:
        context.load_cert_chain(certificate, key)
    port = cluster.directory.read().nodes[0].routes_port
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    try:
        writer.write(b'CONNECT {"user":"deelname","pass":"guess","name":"d","cluster":"deelname"}\r\nPING\r\n')
        yield reader
    finally:
        writer.transport.abort()


@pytest.mark.parametrize("what", ["no certificate", "a certificate of another authority"])
async def test_nobody_becomes_a_server_without_a_certificate_of_the_authority(
    cluster: Cluster, tmp_path: Path, what: str
) -> None:
    stranger = make_certificates(tmp_path, ["localhost"])
    shown = (None, None) if what == "no certificate" else (stranger.server, stranger.server_key)
    # With TLS 1.3 a client learns of the refusal when it reads.
    async with route(cluster, *shown) as reader:
        with pytest.raises((ssl.SSLError, ConnectionError), match=r"(?i)alert|certificate|reset"):
            await asyncio.wait_for(reader.read(), 10)


async def test_nobody_becomes_a_server_without_the_password(cluster: Cluster) -> None:
    broker = cluster.directory.broker
    async with route(cluster, broker / "server.pem", broker / "server-key.pem") as reader:
        said = await asyncio.wait_for(reader.read(), 10)
        assert b"Authorization Violation" in said


def test_all_servers_have_one_table_of_accounts_and_what_is_secret_is_their_owners_alone(tmp_path: Path) -> None:
    made = Directory(tmp_path)
    deployment = made.configure({"nodes": THREE, "partners": ("demo",)})
    files = {path.name for path in made.broker.iterdir()}
    assert files == {
        *(f"nats-{name}.conf" for name in NAMES),
        *("accounts.conf", "routes.conf", "server.pem", "server-key.pem", "ca.pem"),
    }
    assert {path.name for path in made.broker.glob("*.conf") if "accounts:" in path.read_text()} == {"accounts.conf"}
    password = made.path / "secrets" / "routes.password"
    for secret in (made.broker / "routes.conf", password):
        assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert {path.name for path in made.path.rglob("*") if path.is_file() and password.read_text().strip() in
            path.read_text(errors="replace")} == {"routes.conf", "routes.password"}  # fmt: skip
    assert deployment.url == ",".join(f"tls://nats-{name}.example.org:4222" for name in NAMES)
    assert {node.host for node in THREE} <= set(names_of(made.broker / "server.pem"))
    settings = (made.path / "environment" / "topology.env").read_text()
    assert "DEELNAME_REPLICAS=3\n" in settings


def test_a_server_that_ran_alone_never_gives_its_store_to_a_cluster_nor_gets_it_back(tmp_path: Path) -> None:
    """A cluster deletes streams that it did not make itself: half a minute after the start they are gone."""
    made = Directory(tmp_path)
    made.configure({"url": "tls://nats.example.org:4222"})
    password = made.path / "secrets" / "routes.password"

    made.configure({"nodes": THREE})
    assert 'store_dir: "/data/a"' in (made.broker / "nats-a.conf").read_text()
    assert not (made.broker / "nats.conf").exists()
    kept = password.read_text()

    with pytest.raises(NotADeployment, match="its URL"):
        made.configure({"nodes": ()})
    alone = made.configure({"nodes": (), "url": "tls://nats.example.org:4222"})
    assert alone.copies == 1
    assert {path.name for path in made.broker.glob("*.conf")} == {"nats.conf", "accounts.conf"}
    assert 'store_dir: "/data"' in (made.broker / "nats.conf").read_text()
    made.configure({"nodes": THREE})
    assert password.read_text() == kept


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        (("a=one", "b=two"), "name 3 or 5"),
        (("a=one", "b=two", "c=three", "d=four"), "name 3 or 5"),
        (("a=one", "a=two", "c=three"), "the same name"),
        (("a=one", "b=one", "c=three"), "the same host and port"),
        (("a=one:1", "b=one:2", "c=one:3"), "the same host and routes_port"),
        (("a=one:port", "b=two", "c=three"), "must look like NAME=HOST"),
        (("one", "b=two", "c=three"), "must look like NAME=HOST"),
        (("A/../x=one", "b=two", "c=three"), "must look like NAME=HOST"),
    ],
)
def test_servers_that_make_no_cluster_are_refused(tmp_path: Path, nodes: tuple[str, ...], said: str) -> None:
    with pytest.raises(NotADeployment, match=said):
        Directory(tmp_path).configure({"nodes": tuple(map(Node.parse, nodes))})


def test_more_copies_than_servers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotADeployment, match="need as many servers"):
        Directory(tmp_path).configure({"replicas": 3})


def test_the_command_declares_again_and_says_who_keeps_what(cluster: Cluster) -> None:
    path = cluster.directory.path
    declared = invoke("broker", "declare", path)
    assert declared.code == 0, declared.said
    assert "whole on every server" in declared.said
    told = invoke("broker", "streams", path, "--wait", "30", "--json")
    assert told.code == 0, told.said
    assert {stream["name"]: stream["current"] for stream in told.json}["LOG_REGISTRATION"] == list(NAMES)
    assert "3 of 3: a, b, c" in invoke("broker", "streams", path).out


def test_the_command_takes_servers_by_name(tmp_path: Path) -> None:
    nodes = [word for name in NAMES for word in ("--node", f"{name}=nats-{name}.example.org")]
    told = invoke("broker", "configure", tmp_path / "d", *nodes)
    assert told.code == 0, told.said
    assert [(node.port, node.routes_port) for node in Directory(tmp_path / "d").read().nodes] == [(4222, 6222)] * 3
    assert invoke("broker", "configure", tmp_path / "d", "--alone").code != 0
    assert invoke("broker", "configure", tmp_path / "d", "--alone", "--url", "tls://one.example.org:4222").code == 0
    assert Directory(tmp_path / "d").read().nodes == ()
