"""
Everything that Deelname writes is its owner's alone, under a umask that keeps nothing from anybody; what the broker and
each service read can be read by the user who runs it, and by no other.
"""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.embedded import server_binary
from tests.cli.conftest import definition
from tests.ports import free_ports
from tests.tool import ROOT, SAMPLES, START, invoke

OTHERS = 0o077
FOR_EVERYBODY = {"ca.pem"}
"""The authority's certificate: every client is given it, and it is no use to whoever has it."""
_BROKER, _SERVICE, _STRANGER = 4201, 4202, 4203
"""Numbers of users whom no machine needs to know."""


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(folder: Path) -> dict[str, str]:
    """What others may do anything with, by its path below a folder."""
    return {
        str(each.relative_to(folder)): oct(stat.S_IMODE(each.lstat().st_mode))
        for each in folder.rglob("*")
        if not each.is_symlink() and each.lstat().st_mode & OTHERS and each.name not in FOR_EVERYBODY
    }


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("no_umask")
def test_a_whole_system_with_its_traffic_and_backups_is_its_owners_alone(tmp_path: Path) -> None:
    data, endpoints = tmp_path / "data", tmp_path / "data" / "endpoints.json"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "cli",
        "up",
        "--data",
        data,
        "--port-base",
        str(free_ports(5)),
        "--now",
        START,
    ]
    with (tmp_path / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, cwd=ROOT, umask=0)
    try:
        deadline = time.monotonic() + 100
        while not endpoints.exists():
            assert process.poll() is None, (tmp_path / "said").read_text()
            assert time.monotonic() < deadline, (tmp_path / "said").read_text()
            time.sleep(0.05)

        def tool(*words: object) -> str:
            told = invoke(*words, "--endpoints", endpoints)
            assert told.code == 0, told.said
            return told.out

        (tmp_path / "programme.yaml").write_text(definition("samen"))
        tool("organisation", "load", SAMPLES / "organisations.csv")
        tool("programme", "publish", tmp_path / "programme.yaml")
        tool("enrolment", "request", "samen", "-o", "bibliotheek-zeist", "-p", "Noor <noor@zeist.example>")
        deadline = time.monotonic() + 60
        while not list((data / "mail" / "new").iterdir()):
            assert time.monotonic() < deadline, "nobody was mailed"
            time.sleep(0.05)
        tool("person", "export", "noor@zeist.example", "--output", tmp_path / "noor.json")
        tool("token", "create", "--name", "dashboard", "--header-file", tmp_path / "dashboard.header")
        tool("backup", tmp_path / "backup")
        assert "noor@zeist.example" in (tmp_path / "noor.json").read_text()
        while_it_runs = open_to_others(tmp_path)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)
    ours = {"said", "programme.yaml"}
    assert set(while_it_runs) == ours, "what this test wrote itself, and so the umask was as it should be"
    assert invoke("restore", tmp_path / "backup", "--data", data, "--force").code == 0
    assert set(open_to_others(tmp_path)) == ours
    assert {"registration.db", "mail", "nats.log", "manifest.json"} <= {each.name for each in tmp_path.rglob("*")}
    assert not [token for token in tokens(data) if token in (tmp_path / "said").read_text()]


def tokens(data: Path) -> list[str]:
    found = list(json.loads((data / "tokens.json").read_text()).values())
    assert len(found) == 2
    for role, token in zip(("viewer", "admin"), found, strict=True):
        assert (data / f"{role}.header").read_text() == f"Authorization: Bearer {token}\n"
    return found


def configure(path: Path, *words: object) -> None:
    told = invoke("broker", "configure", path, "--partner", "demo", "--monitoring", "off", *words)
    assert told.code == 0, told.said


@pytest.mark.usefixtures("no_umask")
@pytest.mark.parametrize("before", [0o777, 0o644, 0o700])
def test_a_deployment_is_its_operators_alone_also_one_of_an_earlier_release(tmp_path: Path, before: int) -> None:
    production = tmp_path / "production"
    nodes = (f"--node={name}={name}.example" for name in "abc")
    configure(production, *nodes)
    seed = (production / "secrets" / "registration.nk").read_bytes()
    for each in production.rglob("*"):
        each.chmod(before | (0o111 if each.is_dir() else 0))
    configure(production)
    assert open_to_others(tmp_path) == {}
    assert (production / "secrets" / "registration.nk").read_bytes() == seed
    assert {each.parent.name for each in production.rglob("ca.pem")} == {"authority", "broker", "secrets", "demo"}


def reads(user: int, *files: Path) -> list[bool]:
    """Which of these files a user can read, found out by being that user."""
    found = []
    for file in files:
        child = subprocess.run(
            ["/bin/cat", file], user=user, group=user, extra_groups=[], capture_output=True, check=False, umask=0o022
        )
        found.append(child.returncode == 0)
    return found


@pytest.fixture
def within_reach(tmp_path: Path) -> Iterator[Path]:
    """A folder to which others have a way: pytest's own are closed to them."""
    folder = Path("/tmp") / f"deelname-private-{os.getpid()}-{tmp_path.name}"
    folder.mkdir()
    folder.chmod(0o755)
    yield folder
    subprocess.run(["/bin/rm", "-r", folder], check=True)


@pytest.mark.root
@pytest.mark.usefixtures("no_umask")
def test_who_runs_the_broker_or_a_service_reads_its_own_files_and_nobody_elses(within_reach: Path) -> None:
    production = within_reach / "production"
    configure(production, "--owner", f"broker={_BROKER}", "--owner", f"registration={_SERVICE}")
    # A partner command, or a certificate that is made anew, replaces files: they stay whose they were.
    configure(production, "--partner", "school", "--renew-certificate")
    secrets, broker = production / "secrets", production / "broker"
    of_the_broker = [broker / name for name in ("nats.conf", "accounts.conf", "server.pem", "server-key.pem")]
    of_registration = [
        *(secrets / name for name in ("registration.nk", "registration_intake.nk")),
        production / "environment" / "registration.env",
    ]
    of_the_operator = [
        *(secrets / name for name in ("staff.nk", "operator.nk", "notifications.nk")),
        *(production / name for name in ("environment/operator.env", "endpoints.json", "deployment.json")),
        *(production / name for name in ("authority/ca-key.pem", "partners/school/school.nk")),
    ]
    everything = [*of_the_broker, *of_registration, *of_the_operator]
    assert all(file.is_file() for file in everything)
    for user, own in ((_BROKER, of_the_broker), (_SERVICE, of_registration), (_STRANGER, [])):
        assert reads(user, *everything) == [file in own for file in everything], user
        assert reads(user, secrets / "ca.pem") == [True]
    assert {stat.S_IMODE(each.stat().st_mode) for each in everything} == {0o600}
    checked = subprocess.run(
        [server_binary(), "-t", "-c", broker / "nats.conf"], user=_BROKER, group=_BROKER, extra_groups=[], cwd="/",
        capture_output=True, check=False,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stderr.decode()
    seen = subprocess.run(
        ["/bin/ls", production], user=_SERVICE, group=_SERVICE, extra_groups=[], capture_output=True, check=False
    )
    assert seen.returncode != 0, "what else is there is nobody's business"


@pytest.mark.root
def test_only_root_hands_files_to_others_and_a_user_must_be_known(within_reach: Path, tmp_path: Path) -> None:
    told = invoke("broker", "configure", tmp_path / "production", "--owner", "broker=nobody-of-this-name")
    assert told.code == 1
    assert "this machine knows no such user: give its number" in told.said
    assert invoke("broker", "configure", tmp_path / "production", "--owner", "brokr=0").code == 1
    within_reach.chmod(0o777)
    code = (
        "from pathlib import Path; from deploy.production.directory import Directory;"
        f"Directory(Path({str(within_reach / 'production')!r})).configure({{'owners': {{'broker': '{_BROKER}'}}}})"
    )
    # Imported by root, whose files they may be; then it is somebody else who runs it.
    code = f"import os, deploy.production.directory; os.setgid({_STRANGER}); os.setuid({_STRANGER}); {code}"
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False)
    assert b"only root may give what broker reads to another user: run this as root" in ended.stderr
