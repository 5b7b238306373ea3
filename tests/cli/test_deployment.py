"""``broker`` and ``partner``, against a broker as in production."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import topology
from deploy.embedded import EmbeddedBroker
from deploy.production.directory import Directory
from tests.partner_programs import program, run
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
    assert "the stream OUTCOMES, which it reads by its consumer schoolweb" in added.said
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


@pytest.mark.parametrize("language", [pytest.param("javascript", marks=pytest.mark.node), "python"])
def test_a_partners_program_comes_in_by_key_and_tls_with_what_was_handed_over(
    production: Path, tmp_path: Path, language: str
) -> None:
    """The programs of docs/partners.md, with nothing to send: nobody decides here."""
    handed = production / "partners" / "demo" / "endpoints.json"
    assert run(program(language, tmp_path), handed, "demo", []) == []


def test_the_keys_of_links_are_rotated_and_it_says_who_is_to_be_started_in_which_order(production: Path) -> None:
    told = invoke("broker", "rotate-links", str(production))
    assert told.code == 0, told.said
    assert "Start registration again, then notifications" in told.out
    files = [production / "secrets" / f"{service}.links" for service in ("registration", "notifications")]
    assert all(file.name in told.out for file in files)
    keys = [line.split() for line in files[0].read_text().splitlines() if not line.startswith("#")]
    assert len(keys) == 2
    assert not any(secret in told.said for _, secret in keys)
    again = invoke("broker", "rotate-links", str(production), "--json")
    assert again.json["keys"][1:] == [keys[0][0]]
    assert again.json["newest"] == again.json["keys"][0]
    nowhere = invoke("broker", "rotate-links", str(production / "secrets"))
    assert (nowhere.code, "deelname broker configure" in nowhere.said) == (1, True)
    assert not (production / "secrets" / "secrets").exists()


def test_the_broker_reads_its_configuration_again(production: Path) -> None:
    told = invoke("broker", "reload", str(production))
    assert (told.code, "Reloaded: deelname" in told.out, told.err) == (0, True, "")


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


@pytest.mark.parametrize(
    "words",
    [
        ("partner", "list", "--deployment"),
        ("partner", "add", "schoolweb", "--deployment"),
        ("partner", "rotate", "schoolweb", "--deployment"),
        ("partner", "remove", "schoolweb", "--yes", "--deployment"),
        ("broker", "reload"),
        ("broker", "declare"),
        ("broker", "streams"),
    ],
    ids=" ".join,
)
def test_a_directory_that_holds_no_deployment_is_named_and_stays_as_it_is(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    for mistaken in (tmp_path / "there", tmp_path / "not-there"):
        (tmp_path / "there").mkdir(exist_ok=True)
        told = invoke(*words, mistaken)
        assert told.code == 1
        assert "deelname broker configure" in told.said
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_who_asks_for_partners_of_a_system_on_one_machine_is_told_where_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    endpoints = tmp_path / "endpoints.json"
    endpoints.write_text('{"nats": {}, "process": 1, "partners": ["demo", "biblionet"]}')
    told = invoke("partner", "list", "--endpoints", endpoints)
    assert told.code == 1
    assert "'deelname up --partner demo --partner biblionet --partner NAME'" in told.said
    assert "--deployment DIR" in told.said
    assert "deelname up" not in invoke("partner", "list").said


@pytest.mark.parametrize(
    "words",
    [
        ("broker", "declare", "--wait", "0"),
        ("broker", "streams"),
        ("broker", "streams", "--wait", "1"),
        ("partner", "list", "--deployment"),
        ("partner", "add", "schoolweb", "--deployment"),
    ],
    ids=" ".join,
)
def test_a_broker_that_does_not_run_is_told_in_words(silent: Path, words: tuple[str, ...]) -> None:
    told = invoke(*words, silent)
    assert told.code == 3
    assert "✗ The broker does not answer: " in told.said
    assert "Start it, or correct where this tool reaches it" in told.said


@pytest.fixture(scope="module")
def silent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A deployment whose broker was never started."""
    path = tmp_path_factory.mktemp("silent")
    url = f"nats://localhost:{free_ports(1)}"
    assert invoke("broker", "configure", path, "--no-encryption", "--url", url, "--partner", "demo").code == 0
    return path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--monitoring", "8222"), "--monitoring is HOST:PORT, such as 127.0.0.1:8222, or off; not '8222'"),
        (("--monitoring", "localhost:http"), "--monitoring is HOST:PORT"),
        (("--url", "tls://nats:99999"), "'tls://nats:99999' must look like tls://HOST:PORT"),
        (("--server-name", "broker of ours"), "server_name: "),
        (("--replicas", "3"), "✗ 3 replicas need as many servers"),
    ],
)
def test_what_the_broker_would_not_start_with_is_refused(tmp_path: Path, words: tuple[str, ...], said: str) -> None:
    told = invoke("broker", "configure", tmp_path / "production", *words)
    assert told.code == 1
    assert said in told.said


def test_a_place_where_nothing_can_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    told = invoke("broker", "configure", tmp_path / "file" / "production")
    assert told.code == 1
    assert f"✗ {tmp_path}/file/production cannot be used: Not a directory." in told.said


def test_what_was_written_can_be_had_as_json_without_a_secret(production: Path) -> None:
    told = invoke("broker", "configure", str(production), "--json")
    assert told.json == json.loads(Directory(production).description.read_text())
    assert "SU" not in {value[:2] for value in told.json["keys"].values()}
