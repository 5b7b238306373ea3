"""``broker`` and ``partner``, against a broker as in production."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import topology
from deploy.embedded import EmbeddedBroker
from deploy.production.directory import Directory
from tests.ports import free_ports
from tests.tool import invoke


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the command wrote, and a broker that runs on it."""
    path = tmp_path_factory.mktemp("deployment") / "production"
    port = free_ports(2)
    told = invoke(
        "broker", "configure", str(path), "--url", f"tls://localhost:{port}", "--port", str(port),
        "--host", "127.0.0.1",
        "--monitoring", f"127.0.0.1:{port + 1}", "--store", str(path / "store"), "--partner", "demo",
    )  # fmt: skip
    assert told.code == 0, told.said
    assert f"tls://localhost:{port}" in told.out
    server = EmbeddedBroker(path / "broker" / "nats.conf", port, path / "nats.log")
    server.start()
    try:
        settings = dict(line.split("=", 1) for line in (path / "environment" / "topology.env").read_text().splitlines())
        assert topology.main(
            [
                "--application-url", settings["DEELNAME_NATS_URL"],
                "--partners-url", settings["DEELNAME_PARTNERS_NATS_URL"],
                "--application-seed", settings["DEELNAME_NATS_NKEY_SEED_FILE"],
                "--partners-seed", settings["DEELNAME_PARTNERS_NATS_NKEY_SEED_FILE"],
                "--authority", settings["DEELNAME_NATS_CA_FILE"],
                "--partners", settings["DEELNAME_PARTNERS"],
            ]
        ) == 0  # fmt: skip
        yield path
    finally:
        server.stop()


def test_a_partner_is_let_in_given_a_new_key_listed_and_shut_out(production: Path) -> None:
    where = ("--deployment", str(production))
    added = invoke("partner", "add", "schoolweb", *where)
    assert added.code == 0, added.said
    assert "Hand over" in added.out
    seed = production / "partners" / "schoolweb" / "schoolweb.nk"
    first = seed.read_text()

    assert invoke("partner", "rotate", "schoolweb", *where).code == 0
    assert seed.read_text() != first
    listed = invoke("partner", "list", "--json", *where)
    assert {one["name"]: one["requests"] for one in listed.json} == {"demo": 0, "schoolweb": 0}

    assert invoke("partner", "remove", "schoolweb", "--yes", *where).code == 0
    gone = invoke("partner", "remove", "schoolweb", "--yes", *where)
    assert gone.code == 1
    assert "there is no partner 'schoolweb'" in gone.said


def test_the_broker_reads_its_configuration_again(production: Path) -> None:
    told = invoke("broker", "reload", str(production))
    assert (told.code, "Reloaded: deelname" in told.out) == (0, True)


def test_the_tool_speaks_tls_as_staff_and_finds_no_service(production: Path) -> None:
    told = invoke("programme", "list", "--endpoints", str(production / "endpoints.json"))
    assert told.code == 3
    assert "the service 'registration' is not there" in told.said


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("ca.pem", None, "ca.pem cannot be read"),
        ("ca.pem", "stranger", "vouches for"),
        ("staff.nk", None, "staff.nk"),
    ],
)
def test_what_does_not_prove_who_is_who_is_named(
    production: Path, tmp_path: Path, file: str, content: str | None, said: str
) -> None:
    (tmp_path / "secrets").mkdir()
    for name in ("ca.pem", "staff.nk"):
        (tmp_path / "secrets" / name).write_bytes((production / "secrets" / name).read_bytes())
    (tmp_path / "endpoints.json").write_bytes((production / "endpoints.json").read_bytes())
    (tmp_path / "secrets" / file).unlink()
    if content == "stranger":
        assert invoke("broker", "certificates", str(tmp_path / "other"), "--name", "localhost").code == 0
        (tmp_path / "secrets" / file).write_bytes((tmp_path / "other" / "ca.pem").read_bytes())
    told = invoke("programme", "list", "--endpoints", str(tmp_path / "endpoints.json"))
    assert told.code in (2, 3)
    assert said in " ".join(told.said.split())


def test_a_directory_that_holds_no_deployment_is_named(tmp_path: Path) -> None:
    for words in (("partner", "list", "--deployment", str(tmp_path)), ("broker", "reload", str(tmp_path))):
        told = invoke(*words)
        assert told.code == 1
        assert "deelname broker configure" in told.said


def test_what_was_written_can_be_had_as_json_without_a_secret(production: Path) -> None:
    told = invoke("broker", "configure", str(production), "--json")
    assert told.json == json.loads(Directory(production).description.read_text())
    assert "SU" not in {value[:2] for value in told.json["keys"].values()}
