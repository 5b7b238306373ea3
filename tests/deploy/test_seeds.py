"""A seed that is broken, or another's, is told in words, once: by services, by the tool and by the doctor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.embedded import EmbeddedBroker, free_port
from deploy.production.directory import Directory
from deploy.topology import declare_at
from services.chassis.broker import connect
from services.chassis.encryption import NotLetIn
from tests.tool import invoke
from tests.warm import popen

Spoil = Callable[[bytes], bytes]

NO_SEEDS: dict[str, Spoil] = {
    "empty": lambda _: b"",
    "too short": lambda seed: seed[:-3],
    "too long": lambda seed: seed.strip() + b"AA",
    "one letter mistyped": lambda seed: seed[:20] + (b"A" if seed[20:21] != b"A" else b"B") + seed[21:],
    "in small letters": lambda seed: seed.lower(),
    "not base 32": lambda seed: seed[:20] + b"1" + seed[21:],
    "two of them": lambda seed: seed + seed,
    "a public key": lambda _: b"U" + b"A" * 55,
    "octets": lambda _: bytes(range(256)),
    "a megabyte": lambda _: b"SU" * 500_000,
}


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    directory = tmp_path_factory.mktemp("seeds")
    made = Directory(directory / "production")
    port = free_port()
    made.configure(
        {"url": f"tls://localhost:{port}", "port": port, "host": "127.0.0.1", "monitoring_port": None,
         "store": str(directory / "store"), "partners": ("demo",)}
    )  # fmt: skip
    server = EmbeddedBroker(made.broker / "nats.conf", port, directory / "nats.log")
    server.start()
    yield made
    server.kill()


@pytest.fixture
def spoilt(production: Directory) -> Iterator[Callable[[str, Spoil], Path]]:
    """Spoils the seed of an identity for the length of a test."""
    before = {path: path.read_bytes() for path in (production.path / "secrets").glob("*.nk")}

    def spoil(name: str, how: Spoil) -> Path:
        path = production.seed(name)
        path.write_bytes(how(before[path]))
        return path

    yield spoil
    for path, content in before.items():
        path.write_bytes(content)


async def come_in(production: Directory, name: str, key_of: str, probe: str | None = None) -> None:
    authority = production.path / "secrets" / "ca.pem"
    url = production.read().url
    connection = await connect(url, name, nkey_seed_file=production.seed(key_of), ca_file=authority, probe=probe)
    await connection.close()


@pytest.mark.parametrize("how", NO_SEEDS.values(), ids=NO_SEEDS)
async def test_a_service_says_which_file_holds_no_seed_and_repeats_nothing_of_it(
    production: Directory, spoilt: Callable[[str, Spoil], Path], how: Spoil
) -> None:
    path = spoilt("reporting", how)
    with pytest.raises(NotLetIn, match="does not hold the seed of an nkey user") as refused:
        await come_in(production, "reporting", "reporting")
    assert str(path) in str(refused.value)
    assert not path.read_text("latin-1").strip() or path.read_text("latin-1").strip()[:20] not in str(refused.value)


async def test_a_service_whose_seed_is_not_there_says_so(production: Directory, tmp_path: Path) -> None:
    with pytest.raises(NotLetIn, match="cannot be read: No such file"):
        await connect(production.read().url, "reporting", nkey_seed_file=tmp_path / "nowhere.nk")


@pytest.mark.parametrize(
    ("name", "key_of", "probe"),
    [
        ("reporting", "notifications", None),
        ("notifications", "staff", None),
        ("registration", "reporting", None),
        # They hear under the same name.
        ("registration", "registration_intake", "$JS.API.STREAM.INFO.LOG_REGISTRATION"),
        ("registration", "registration", "$JS.API.STREAM.NAMES"),
    ],
)
async def test_a_service_with_the_seed_of_another_finds_out_before_it_begins(
    production: Directory, name: str, key_of: str, probe: str | None
) -> None:
    with pytest.raises(NotLetIn, match=f"takes '{name}' for somebody else, by the seed in .*/{key_of}.nk"):
        await come_in(production, name, key_of, probe)


async def test_a_service_with_its_own_seed_comes_in(production: Directory) -> None:
    await come_in(production, "reporting", "reporting")
    await come_in(production, "registration", "registration", "$JS.API.STREAM.INFO.LOG_REGISTRATION")
    await come_in(production, "registration", "registration_intake", "$JS.API.STREAM.NAMES")


async def test_who_declares_streams_is_told_too(production: Directory, spoilt: Callable[[str, Spoil], Path]) -> None:
    seed = spoilt("topology", lambda seed: seed[:-9])
    url = production.read().url
    with pytest.raises(OSError, match="does not hold the seed"):
        await declare_at(url, url, [], application_seed=str(seed), partners_seed=str(seed))


def stranger(directory: Path) -> Spoil:
    """The seed of the same identity of another deployment."""
    other = Directory(directory / "other")
    other.configure({"url": "tls://localhost:1", "store": str(directory / "store")})
    return lambda _: other.seed("reporting").read_bytes()


def test_a_service_that_is_not_let_in_ends_with_one_line_in_words_and_the_doctor_repeats_it(
    production: Directory, spoilt: Callable[[str, Spoil], Path], tmp_path: Path
) -> None:
    spoilt("reporting", stranger(tmp_path))
    settings = (production.path / "environment" / "reporting.env").read_text().splitlines()
    port = free_port()
    own = {"DEELNAME_DATA": str(tmp_path / "data"), "DEELNAME_HTTP_PORT": str(port)}
    environment = os.environ | dict(line.split("=", 1) for line in settings if "=" in line) | own
    logs = tmp_path / "logs"
    logs.mkdir()
    with (logs / "reporting.log").open("wb") as log:
        service = popen(
            [sys.executable, "-m", "services.reporting"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
        service.wait(timeout=30)
    assert service.returncode == 1
    lines = [json.loads(line) for line in (logs / "reporting.log").read_text().splitlines()]
    # asyncio has a word of its own on TLS connections that end.
    (line,) = [each for each in lines if each["level"] != "warning"]
    assert line["event"] == "the broker does not let us in"
    assert "does not know 'reporting' by the seed in" in line["reason"]
    assert "exception" not in line

    endpoints = json.loads((production.path / "endpoints.json").read_text())
    for access in endpoints["nats"].values():
        access.update({key: str(production.path / access[key]) for key in ("nkey_seed_file", "ca_file")})
    (tmp_path / "endpoints.json").write_text(json.dumps(endpoints | {"logs": str(logs)}))
    asked = ("--endpoints", tmp_path / "endpoints.json", "--http", f"reporting=http://127.0.0.1:{port}", "--json")
    (found,) = [each for each in invoke("doctor", *asked).json["findings"] if each["part"] == "reporting"]
    assert (found["code"], "by the seed in" in found["what"]) == ("wrong-credentials", True)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        *((how, "does not hold the seed of an nkey user") for how in NO_SEEDS.values()),
        (None, "takes 'staff' for somebody else"),
    ],
    ids=[*NO_SEEDS, "another's"],
)
def test_the_tool_says_it_in_words_and_the_doctor_once(
    production: Directory, spoilt: Callable[[str, Spoil], Path], how: Spoil | None, words: str
) -> None:
    spoilt("staff", how or (lambda _: production.seed("monitor").read_bytes()))
    endpoints = production.path / "endpoints.json"
    outcome = invoke("programme", "list", "--endpoints", endpoints)
    assert (outcome.code != 0, words in outcome.said, "Traceback" in outcome.said) == (True, True, False)
    findings = invoke("doctor", "--endpoints", endpoints, "--json").json["findings"]
    about = [
        each for each in findings if each["part"] not in ("KV_contacts", "OUTCOMES") and "LOG_" not in each["part"]
    ]
    assert [(each["part"], each["code"]) for each in about] == [("broker", "wrong-credentials")]
    assert words in about[0]["what"]
