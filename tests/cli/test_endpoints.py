"""Where the tool looks for a system, and what it says when it finds none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.endpoints import find
from cli.failure import Failure
from tests.cli.conftest import Deelname
from tests.conftest import Broker
from tests.ports import free_ports
from tests.tool import invoke

# One system for all of them, not one for each worker.


def write(path: Path, url: str, identity: str = "staff") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"nats": {identity: {"url": url, "inbox_prefix": f"_INBOX_{identity}"}}}))
    return path


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DEELNAME_ENDPOINTS", "DEELNAME_NATS_URL", "DEELNAME_NATS_NAME"):
        monkeypatch.delenv(name, raising=False)


def test_an_option_goes_before_the_environment_and_that_before_the_usual_places(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "demo-data/endpoints.json", "nats://demo-data:1")
    assert find(None, "staff").access("staff").address == "demo-data:1"
    write(tmp_path / "data/endpoints.json", "nats://data:1")
    assert find(None, "staff").access("staff").address == "data:1"
    monkeypatch.setenv("DEELNAME_NATS_URL", "nats://me:secret@url:1")
    assert find(None, "staff").access("staff").address == "url:1"
    assert find(None, "staff").access("staff").inbox_prefix == "_INBOX_me"
    monkeypatch.setenv("DEELNAME_ENDPOINTS", str(write(tmp_path / "named.json", "nats://named:1")))
    assert find(None, "staff").access("staff").address == "named:1"
    assert find(write(tmp_path / "chosen.json", "nats://chosen:1"), "staff").access("staff").address == "chosen:1"


def test_no_system_is_wrong_usage_and_says_how_to_start_one() -> None:
    nowhere = invoke("programme", "list")
    assert nowhere.code == 2
    assert "deelname up" in nowhere.err
    assert nowhere.out == ""


def test_a_missing_file_is_wrong_usage() -> None:
    assert "cannot be read" in invoke("programme", "list", "--endpoints", "absent.json").err
    assert invoke("programme", "list", "--endpoints", "absent.json").code == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"nats": {"staff": {}}}', '{"nats": 3}'])
def test_a_file_that_is_something_else_is_wrong_usage(tmp_path: Path, content: str) -> None:
    path = tmp_path / "endpoints.json"
    path.write_text(content)
    told = invoke("programme", "list", "--endpoints", path)
    assert told.code == 2
    assert "is not an endpoints file" in told.err


def test_an_unknown_identity_is_told_which_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "endpoints.json", "nats://127.0.0.1:1")
    told = invoke("programme", "list", "--endpoints", path, "--as", "biblionet")
    assert told.code == 2
    assert "Choose one of these with --as: staff." in told.said


def test_no_broker_is_exit_code_3_and_names_the_address_without_the_password(tmp_path: Path) -> None:
    port = free_ports(1)
    path = write(tmp_path / "endpoints.json", f"nats://staff:secret@127.0.0.1:{port}")
    told = invoke("programme", "list", "--endpoints", path)
    assert told.code == 3
    assert f"No broker answers at 127.0.0.1:{port}." in told.said
    assert "secret" not in told.said


def test_a_broker_without_services_is_exit_code_3_and_names_the_service(broker: Broker) -> None:
    told = invoke("report", "programmes", env={"DEELNAME_NATS_URL": broker.url})
    assert told.code == 3
    assert "the service 'reporting' is not there" in told.said


def test_json_says_a_failure_as_a_problem_and_nothing_else_on_standard_output(broker: Broker) -> None:
    told = invoke("report", "programmes", "--json", env={"DEELNAME_NATS_URL": broker.url})
    assert told.code == 3
    assert told.json["status"] == 503
    assert "reporting" in told.json["title"]


def test_a_wrong_password_is_exit_code_3(running: Path, tmp_path: Path) -> None:
    content = json.loads(running.read_text())
    entry = content["nats"]["staff"]
    address = entry["url"].rpartition("@")[2]
    told = invoke("programme", "list", "--endpoints", write(tmp_path / "e.json", f"nats://staff:wrong@{address}"))
    assert told.code == 3
    assert "does not know 'staff' by this password" in told.said


def test_a_partner_may_not_do_what_staff_do(deelname: Deelname) -> None:
    told = deelname("programme", "list", "--as", "demo")
    assert told.code in {1, 3}
    assert "ask.registration.programme.list" in told.said


@pytest.mark.parametrize(
    "url", ["nats://me:secret@localhost:abc", "localhost:4222", "http://me:secret@localhost:1", ""]
)
@pytest.mark.parametrize("words", [("token", "list"), ("doctor",)], ids=" ".join)
def test_an_address_that_is_none_is_told_without_the_password_in_it(
    tmp_path: Path, words: tuple[str, ...], url: str
) -> None:
    told = invoke(*words, "--endpoints", write(tmp_path / "endpoints.json", url))
    assert told.code == 2
    assert "'staff' has no address like nats://HOST:PORT" in told.said
    assert "secret" not in told.said


def test_the_environment_s_address_is_looked_at_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEELNAME_NATS_URL", "nats://me:secret@localhost:abc")
    with pytest.raises(Failure, match="DEELNAME_NATS_URL is no address") as told:
        find(None, "staff")
    assert "secret" not in str(told.value)
