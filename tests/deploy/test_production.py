"""The directory that ``deelname broker configure`` writes, used by the real server and real clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.errors import Error as NatsError

from deploy.embedded import EmbeddedBroker, server_binary
from deploy.links import LINKED, NoLinkKeys
from deploy.links import names_of as names_of_keys
from deploy.production.certificates import make_certificates, names_of
from deploy.production.deployment import NotADeployment
from deploy.production.directory import Directory
from deploy.topology import declare_at
from services.chassis.broker import connect
from services.chassis.encryption import NotEncrypted, NotTrusted
from services.notifications.settings import Settings as NotificationSettings
from services.registration.settings import Settings as RegistrationSettings
from services.reporting.settings import Settings as ReportingSettings
from tests.conftest import Broker
from tests.ports import free_ports


def configured(directory: Path, partners: tuple[str, ...] = ("demo", "school-x")) -> Directory:
    port = free_ports(2)
    made = Directory(directory)
    made.configure(
        {
            "url": f"tls://localhost:{port}",
            "partners": partners,
            "host": "127.0.0.1",
            "port": port,
            "monitoring_port": port + 1,
            "store": str(directory / "store"),
        }
    )
    return made


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """A broker as in production, with its streams, shared by the tests of this module."""
    directory = configured(tmp_path_factory.mktemp("production"))
    server = EmbeddedBroker(directory.broker / "nats.conf", directory.read().port, directory.path / "nats.log")
    server.start()
    try:
        subprocess.run(
            [sys.executable, "-m", "deploy.topology"],
            env={**os.environ, **environment(directory, "topology")},
            check=True,
            timeout=60,
        )
        yield directory
    finally:
        server.stop()


def environment(directory: Directory, name: str) -> dict[str, str]:
    lines = (directory.path / "environment" / f"{name}.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_secret_is_its_owners_alone_and_the_broker_knows_public_keys_alone(production: Directory) -> None:
    seeds = [*(production.path / "secrets").glob("*.nk"), *(production.path / "partners").glob("*/*.nk")]
    keys = [production.broker / "server-key.pem", production.path / "authority" / "ca-key.pem"]
    table = production.read().access
    assert {seed.stem for seed in seeds} == {identity.name for identity in table.identities}
    assert {mode(path) for path in (*seeds, *keys)} == {0o600}
    told = "".join(path.read_text() for path in production.broker.glob("*.conf")) + production.description.read_text()
    assert not any(seed.read_text().strip() in told for seed in seeds)
    assert "password" not in told


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("registration", RegistrationSettings),
        ("notifications", NotificationSettings),
        ("reporting", ReportingSettings),
    ],
)
async def test_each_service_comes_in_with_its_file_of_settings(
    production: Directory, monkeypatch: pytest.MonkeyPatch, name: str, settings: Any
) -> None:
    for variable, value in environment(production, name).items():
        monkeypatch.setenv(variable, value)
    own = {"transport": "maildir:/nowhere", "sender": "d@example.org"} if name == "notifications" else {}
    given = settings(data=production.path, **own)
    logins = [given.login, *([given.partners_login] if name == "registration" else [])]
    for login in logins:
        connection = await connect(**login)
        assert connection.connected_url is not None
        await connection.close()
    assert len(logins) == (2 if name == "registration" else 1)


async def test_whoever_speaks_no_tls_is_refused(production: Directory) -> None:
    port = production.read().port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await reader.readline()
    writer.write(b"CONNECT {}\r\nPING\r\n")
    assert b"PONG" not in await asyncio.wait_for(reader.read(), 10)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_a_certificate_of_a_stranger_is_told_at_once_and_what_to_do(
    production: Directory, tmp_path: Path
) -> None:
    stranger = make_certificates(tmp_path, ["localhost"])
    url = production.read().url
    seed = production.seed("reporting")
    async with asyncio.timeout(10):
        with pytest.raises(NotTrusted, match=r"ca\.pem vouches for"):
            await connect(url, "reporting", nkey_seed_file=seed, ca_file=stranger.authority)
        with pytest.raises(NotTrusted, match="set DEELNAME_NATS_CA_FILE"):
            await connect(url, "reporting", nkey_seed_file=seed)
        with pytest.raises(NatsError, match="vouches for"):
            await declare_at(url, url, [], application_seed=str(seed), authority=str(stranger.authority))


@contextlib.asynccontextmanager
async def elsewhere(port: int) -> AsyncIterator[int]:
    """The broker under an address that its certificate does not name; whoever stands there only passes bytes on."""

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)

        async def one_way(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await source.read(65536):
                    target.write(data)
                    await target.drain()
            target.close()

        await asyncio.gather(one_way(reader, behind_writer), one_way(behind_reader, writer))

    server = await asyncio.start_server(pass_on, "127.0.0.2", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_certificate_for_another_name_is_refused(production: Directory) -> None:
    async with asyncio.timeout(10), elsewhere(production.read().port) as port:
        with pytest.raises(NotTrusted, match=r"127\.0\.0\.2"):
            await connect(f"tls://127.0.0.2:{port}", "reporting", ca_file=production.authority)


async def test_a_broker_that_offers_no_tls_is_not_spoken_to_in_plain_text(
    broker: Broker, production: Directory
) -> None:
    """nats-py alone goes on in plain text, and a man in the middle need only say that there is no TLS."""
    async with asyncio.timeout(10):
        for url, authority in ((broker.url, production.authority), (broker.url.replace("nats:", "tls:"), None)):
            with pytest.raises(NotEncrypted):
                await connect(url, "reporting", ca_file=authority)
        with pytest.raises(NatsError, match="offers no TLS"):
            await declare_at(broker.url, broker.url, [], authority=str(production.authority))


async def test_an_authority_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name, said in (("absent.pem", "No such file"), ("empty.pem", "holds no certificate")):
        with pytest.raises(OSError, match=f"{name}.*{said}"):
            await connect("tls://127.0.0.1:1", "reporting", ca_file=tmp_path / name)


def test_configured_again_it_keeps_keys_choices_and_certificates(tmp_path: Path) -> None:
    made = configured(tmp_path / "production", ("demo",))
    before = made.read()
    authority, certificate = made.authority.read_bytes(), (made.broker / "server.pem").read_bytes()

    assert made.configure({}) == before
    assert (made.broker / "server.pem").read_bytes() == certificate

    more = made.configure({"names": ("broker.example.org",), "partners": ("demo", "newcomer")})
    assert more.keys.items() > before.keys.items()
    assert "broker.example.org" in names_of(made.broker / "server.pem")
    assert made.authority.read_bytes() == authority

    made.configure({}, renew_certificate=True)
    assert (made.broker / "server.pem").read_bytes() != certificate


def test_two_services_are_handed_the_same_keys_of_links_and_keep_them(tmp_path: Path) -> None:
    made = configured(tmp_path / "production", ("demo",))
    files = [made.link_keys(service) for service in LINKED]
    assert [environment(made, service)["DEELNAME_LINK_KEYS"] for service in LINKED] == list(map(str, files))
    assert "DEELNAME_LINK_KEYS" not in environment(made, "reporting")
    assert {mode(file) for file in files} == {0o600}
    (keys,) = {file.read_text() for file in files}
    for lost in files:
        lost.unlink()
        made.configure({"partners": ("demo", "newcomer")})
        assert [file.read_text() for file in files] == [keys, keys], "of the other's, for links are under way"


def test_rotated_keys_of_links_are_the_new_one_and_the_one_before_it_in_both_files(tmp_path: Path) -> None:
    made = configured(tmp_path / "production", ("demo",))
    first = names_of_keys(made.link_keys("registration").read_text())
    second = made.rotate_links()
    assert len(first) == 1
    assert second[1:] == first
    third = made.rotate_links()
    assert third[1:] == second[:1]
    assert made.read() == made.configure({}), "rotating changes nothing else"
    assert {names_of_keys(made.link_keys(service).read_text()) for service in LINKED} == {third}
    assert {mode(made.link_keys(service)) for service in LINKED} == {0o600}
    for service in LINKED:
        made.link_keys(service).write_text("# edited by hand\n")
    with pytest.raises(NoLinkKeys, match="configure again"):
        made.rotate_links()
    with pytest.raises(NotADeployment):
        Directory(tmp_path / "elsewhere").rotate_links()


def test_notifications_is_told_where_people_reach_the_pages_when_somebody_has_said_it(tmp_path: Path) -> None:
    made = configured(tmp_path / "production", ("demo",))
    assert "DEELNAME_PUBLIC_URL" not in environment(made, "notifications")
    made.configure({"public_url": "https://deelname.example.org/pages"})
    made.configure({"partners": ("demo", "newcomer")})
    assert environment(made, "notifications")["DEELNAME_PUBLIC_URL"] == "https://deelname.example.org/pages"
    assert "DEELNAME_PUBLIC_URL" not in environment(made, "registration")


def test_the_server_accepts_what_is_written_for_containers(tmp_path: Path) -> None:
    """The broker sees its directory elsewhere; everything in it is found from there."""
    made = Directory(tmp_path / "here")
    made.configure({"url": "tls://nats:4222", "broker_at": str(tmp_path / "there"), "secrets_at": "/run/secrets"})
    made.broker.rename(tmp_path / "there")
    result = subprocess.run(
        [server_binary(), "-t", "-c", str(tmp_path / "there" / "nats.conf")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert environment(made, "reporting")["DEELNAME_NATS_NKEY_SEED_FILE"] == "/run/secrets/reporting.nk"
    assert environment(made, "registration")["DEELNAME_LINK_KEYS"] == "/run/secrets/registration.links"


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"url": "nats://nats:4222"}, "tls://HOST:PORT"),
        ({"url": "tls://user:secret@nats:4222"}, "without user"),
        ({"port": 70000}, "port"),
        ({"colour": "red"}, "colour"),
        ({"public_url": "deelname.example.org"}, "https://HOST"),
        ({"public_url": "https://deelname.example.org/#top"}, "https://HOST"),
        ({"public_url": "https://deelname.example.org\nDEELNAME_NOW=x"}, "https://HOST"),
        ({"public_url": "https://staff:secret@deelname.example.org"}, "https://HOST"),
        ({"public_url": "https://[deelname"}, "https://HOST"),
    ],
)
def test_what_makes_no_deployment_is_refused(tmp_path: Path, chosen: dict[str, Any], said: str) -> None:
    with pytest.raises(NotADeployment, match=said):
        Directory(tmp_path / "production").configure(chosen)
    assert not (tmp_path / "production" / "deployment.json").exists()


def test_a_certificate_is_good_for_its_names_and_for_loopback(tmp_path: Path) -> None:
    made = make_certificates(tmp_path, ["mail.example.org", "10.0.0.7"])
    assert names_of(made.server) == ("mail.example.org", "10.0.0.7", "localhost", "127.0.0.1", "::1")
    strict = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    strict.load_verify_locations(made.authority)
    assert [entry["subject"] for entry in strict.get_ca_certs()]
    with pytest.raises(ValueError, match="without scheme"):
        make_certificates(tmp_path / "other", ["tls://x"])
