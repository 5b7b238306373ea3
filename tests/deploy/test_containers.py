"""The one-shot that makes a deployment and hands each container its own."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from cli.endpoints import read
from deploy.containers import BrokerDoesNotListen, configure, declare
from deploy.demo.samples import samples
from deploy.embedded import free_port
from deploy.production.directory import Directory
from services.chassis import tracing
from tests.deploy.test_kubernetes import SETTINGS
from tests.workspace.members import ROOT

ENVIRONMENT = {"DEELNAME_PARTNERS": "demo, school", "DEELNAME_PARTNERS_URL": "tls://broker.example:4222"}


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    (tmp_path / "handed" / "clock").mkdir(parents=True)
    configure(tmp_path / "deployment", tmp_path / "handed", ENVIRONMENT)
    return tmp_path / "handed"


OF_THE_IMAGE = {"data", "http_host", "http_port", "nats_name", "partners_nats_name"}
BY_SEED_INSTEAD = {"nats_user", "nats_password", "partners_nats_user", "partners_nats_password"}


@pytest.mark.parametrize("name", SETTINGS)
def test_whatever_the_runbook_has_an_operator_set_can_be_set_through_compose(name: str) -> None:
    """A variable that the file does not pass on changes nothing, and nobody is told."""
    compose = YAML(typ="safe", pure=True).load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    passed_on = set(compose["services"][name]["environment"]) - set(tracing.SWITCHES)
    known = {f"DEELNAME_{field.upper()}" for field in set(SETTINGS[name].model_fields) - OF_THE_IMAGE - BY_SEED_INSTEAD}
    assert passed_on == known


def test_what_a_partner_command_writes_is_what_the_broker_of_compose_reads() -> None:
    compose = YAML(typ="safe", pure=True).load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    operator = compose["operator"]
    deployment = Directory(Path(operator["environment"]["DEELNAME_DEPLOYMENT"]))
    volume = next(each.split(":")[0] for each in operator["volumes"] if each.endswith(f":{deployment.broker}"))
    assert any(each.split(":")[0] == volume and each.endswith(":ro") for each in compose["nats"]["volumes"])


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_each_container_is_handed_its_own_and_no_other_secrets(handed: Path) -> None:
    assert files(handed / "registration") == {
        "registration.nk",
        "registration_intake.nk",
        "registration.links",
        "ca.pem",
    }
    assert files(handed / "notifications") == {"notifications.nk", "notifications.links", "ca.pem"}
    assert files(handed / "reporting") == {"reporting.nk", "ca.pem"}
    assert files(handed / "topology") == {"topology.nk", "topology_partners.nk", "ca.pem"}
    assert files(handed / "broker") == {"nats.conf", "accounts.conf", "server.pem", "server-key.pem"}
    for path in (*handed.rglob("*.nk"), *handed.rglob("*.links"), handed / "broker" / "server-key.pem"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_the_demo_can_be_staff_and_its_partner(handed: Path) -> None:
    endpoints = read(handed / "demo" / "endpoints.json")
    assert set(endpoints.accesses) == {"staff", "demo"}
    for access in endpoints.accesses.values():
        assert access.seed
        assert access.seed.exists()
        assert access.authority
        assert access.authority.exists()
    assert endpoints.http["reporting"] == "http://reporting:8080"


def test_a_partner_is_told_where_it_connects_from_outside(handed: Path) -> None:
    told = handed.parent / "deployment" / "partners" / "school" / "endpoints.json"
    assert json.loads(told.read_text(encoding="utf-8"))["nats"]["school"]["url"] == "tls://broker.example:4222"


def test_once_more_keeps_the_keys_and_whoever_came_meanwhile(handed: Path) -> None:
    before = {path: path.read_bytes() for kind in ("*.nk", "*.links") for path in handed.rglob(kind)}
    configure(handed.parent / "deployment", handed, {"DEELNAME_PARTNERS": "late"})
    assert {path: path.read_bytes() for path in before} == before
    accounts = (handed / "broker" / "accounts.conf").read_text(encoding="utf-8")
    assert all(f"intake.{name}.>" in accounts for name in ("demo", "school", "late"))


def test_a_clock_of_its_own_starts_before_the_first_sample_and_is_then_left_alone(handed: Path) -> None:
    clock = handed / "clock" / "now"
    assert not clock.exists(), "in production there is the real time alone"
    configure(handed.parent / "deployment", handed, {"DEELNAME_NOW": "/clock/now"})
    assert clock.read_text(encoding="utf-8").strip() < samples()[0].begins.isoformat()
    clock.write_text("2023-11-01T00:00:00+00:00\n", encoding="utf-8")
    configure(handed.parent / "deployment", handed, {"DEELNAME_NOW": "/clock/now"})
    assert clock.read_text(encoding="utf-8").startswith("2023-11-01")


def test_a_broker_that_never_comes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.containers.BROKER_WITHIN", 0.5)
    with pytest.raises(BrokerDoesNotListen, match=r"127\.0\.0\.1:\d+ after"):
        declare({"DEELNAME_NATS_URL": f"tls://127.0.0.1:{free_port()}"})
