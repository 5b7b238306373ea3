"""The broker's configuration file, as the server itself reads it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import nats
import nkeys  # type: ignore[import-untyped]
import pytest

from deploy import configuration
from deploy.broker import prepare_broker
from deploy.configuration import (
    Broker,
    InvalidCredential,
    KeyInEnvironment,
    Password,
    PublicKey,
    keys_in_environment,
    render,
)
from deploy.embedded import EmbeddedBroker, free_port, server_binary
from deploy.identities import Access, access
from deploy.topology import declare_at

CHECKED_IN = Path(configuration.__file__).with_name("nats.conf")


def accepted_by_the_server(file: Path, environment: dict[str, str] | None = None) -> None:
    result = subprocess.run(
        [server_binary(), "-t", "-c", str(file)],
        capture_output=True,
        text=True,
        env=os.environ | (environment or {}),
        check=False,
    )
    assert result.returncode == 0, result.stderr


def new_key() -> tuple[bytes, str]:
    """A seed and its public key."""
    seed: bytes = nkeys.encode_seed(os.urandom(32), nkeys.PREFIX_BYTE_USER)
    return seed, nkeys.from_seed(seed).public_key.decode()


def passwords(table: Access) -> dict[str, Password]:
    return {identity.name: Password(f"secret of {identity.name}") for identity in table.identities}


def test_the_checked_in_sample_is_what_is_written_today(capsys: pytest.CaptureFixture[str]) -> None:
    """When this fails: ``python -m deploy.configuration > deploy/nats.conf``, and read the difference."""
    assert configuration.main([]) == 0
    assert capsys.readouterr().out == CHECKED_IN.read_text(encoding="utf-8")


def test_the_server_accepts_the_checked_in_sample() -> None:
    credentials = keys_in_environment(access(["biblionet"])).values()
    keys = {key.variable: new_key()[1] for key in credentials if isinstance(key, KeyInEnvironment)}
    assert len(keys) == len(credentials)
    accepted_by_the_server(CHECKED_IN, keys)


@pytest.mark.parametrize("partners", [[], ["demo"], ["a", "b-2", "school-x"]])
def test_the_server_accepts_what_is_written_for_any_partners(tmp_path: Path, partners: list[str]) -> None:
    table = access(partners)
    file = tmp_path / "nats.conf"
    file.write_text(render(table, passwords(table), Broker(tmp_path / "a store", port=free_port())), encoding="utf-8")
    accepted_by_the_server(file)


def test_nothing_acknowledged_waits_for_the_disk() -> None:
    """The server's default loses every message of two minutes when the power fails."""
    table = access([])
    assert "sync_interval: always" in render(table, passwords(table), Broker(Path("/data")))


def test_a_password_that_holds_anything_is_written_so_that_it_stays_one(tmp_path: Path) -> None:
    table = access([])
    awkward = {identity.name: Password('a"b\\c{$HOME}\n#;') for identity in table.identities}
    file = tmp_path / "nats.conf"
    file.write_text(render(table, awkward, Broker(tmp_path / "store")), encoding="utf-8")
    accepted_by_the_server(file)
    assert "b\\\\c" not in repr(awkward)


def test_whoever_has_no_credential_is_named() -> None:
    table = access(["demo"])
    given = passwords(table)
    del given["demo"], given["staff"]
    with pytest.raises(InvalidCredential, match="demo, staff"):
        render(table, given, Broker(Path("/data")))


@pytest.mark.parametrize("value", ["", "UABC", "SUAAVWRZG6M5FA5VRRGWSCIHKTOJC7EWNIT4JV3FTOIPO4OBFR5WA7X5TE"])
def test_what_is_no_public_key_is_refused_a_seed_above_all(value: str) -> None:
    with pytest.raises(InvalidCredential):
        PublicKey(value)


def test_the_command_says_what_is_wrong_with_the_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text(json.dumps({"registration": new_key()[1]}))
    assert configuration.main(["--keys", str(keys), "--partners", "demo"]) == 1
    assert "no credential for demo, monitor, notifications" in capsys.readouterr().err


async def test_in_production_everybody_comes_in_with_a_seed(tmp_path: Path) -> None:
    """Production: the broker knows public keys alone."""
    table = access(["demo"])
    seeds = {identity.name: new_key() for identity in table.identities}
    port = free_port()
    file = tmp_path / "nats.conf"
    credentials = {name: PublicKey(public) for name, (_, public) in seeds.items()}
    file.write_text(render(table, credentials, Broker(tmp_path / "store", port=port)), encoding="utf-8")
    files = {name: tmp_path / f"{name}.nk" for name in seeds}
    for name, (seed, _) in seeds.items():
        files[name].write_bytes(seed)
    server = EmbeddedBroker(file, port, tmp_path / "nats.log")
    server.start()
    address = f"nats://127.0.0.1:{port}"
    try:
        await declare_at(
            address,
            address,
            ["demo"],
            application_seed=str(files["topology"]),
            partners_seed=str(files["topology_partners"]),
        )
        connection = await nats.connect(
            address, nkeys_seed=str(files["demo"]), inbox_prefix=b"_INBOX_demo", allow_reconnect=False
        )
        assert (await connection.jetstream().publish("intake.demo.enrolment.request", b"{}")).stream == "INTAKE_DEMO"
        await connection.close()
    finally:
        server.stop()


def test_passwords_are_random_kept_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    first = prepare_broker(tmp_path, ["demo"], port=1)
    again = prepare_broker(tmp_path, ["demo", "school-x"], port=1)

    assert again.passwords["demo"] == first.passwords["demo"]
    assert len(set(again.passwords.values())) == len(again.access.identities)
    for name in ("nats.conf", "passwords.json"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0
