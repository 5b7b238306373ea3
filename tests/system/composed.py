"""Everything that compose.yaml starts, as tests start it: under a name, ports and images of their own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import nats
from nats.aio.client import Client

from cli.encryption import trusting
from tests.machine import leave_out
from tests.ports import free_ports
from tests.system.world import Json, Partner, Staff, Web, until
from tests.workspace.members import ROOT

SERVICES = ("registration", "notifications", "reporting")
IMAGES = (*SERVICES, "tools", "catcher")
# One tag for each clone: two at a time must not test each other's images.
TAG = f"test-{hashlib.sha256(str(ROOT).encode()).hexdigest()[:8]}"


def run(*command: str, within: float = 120, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=within,
        env={**os.environ, **(environment or {})},
    )
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def compose_program() -> tuple[str, ...]:
    """Compose v2 where the engine has it, else docker-compose 1.29."""
    if subprocess.run(("docker", "compose", "version"), capture_output=True, check=False).returncode == 0:
        return ("docker", "compose")
    found = shutil.which("docker-compose")
    if found is None:
        leave_out("engine", "neither docker compose nor docker-compose is installed")
    return (found,)


@dataclass(frozen=True)
class Stack:
    """Everything that compose.yaml starts, under a project name and ports of its own."""

    program: tuple[str, ...]
    project: str
    base: int
    override: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        names = ("BROKER", "REGISTRATION", "NOTIFICATIONS", "REPORTING", "MAIL")
        ports = {f"DEELNAME_{name}_PORT": str(self.base + number) for number, name in enumerate(names)}
        return {"DEELNAME_TAG": TAG, **ports}

    def compose(self, *arguments: str, within: float = 200) -> str:
        return run(*self.command, *arguments, within=within, environment=self.environment)

    @property
    def command(self) -> tuple[str, ...]:
        """Compose, for this project."""
        files = ("-f", "compose.yaml", "-f", str(self.override)) if self.override else ()
        return (*self.program, *files, "-p", self.project)

    def container(self, name: str) -> str:
        """The name of a part's container; the two versions of Compose spell it differently."""
        label = f"label=com.docker.compose.service={name}"
        project = f"label=com.docker.compose.project={self.project}"
        (found,) = run("docker", "ps", "--all", "--quiet", "--filter", label, "--filter", project).split()
        return found

    def inspect(self, name: str) -> Json:
        (found,) = json.loads(run("docker", "inspect", self.container(name)))
        return dict(found)

    def inside(self, name: str, *command: str) -> str:
        return run("docker", "exec", self.container(name), *command)

    def url(self, name: str) -> str:
        number = ("nats", *SERVICES, "mail").index(name)
        return f"http://127.0.0.1:{self.base + number}"

    def get(self, name: str, path: str, token: str | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self.url(name).removeprefix("http://"), timeout=20)
        with contextlib.closing(connection):
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            return answer.status, answer.read()


@contextlib.contextmanager
def started(*parts: str, override: Path | None = None, within: float = 300) -> Iterator[Stack]:
    """These parts and what they depend on, or all; ``override`` is a further Compose file."""
    stack = Stack(compose_program(), f"deelname-test-{os.getpid()}", free_ports(5), override)
    try:
        stack.compose("up", "--detach", "--no-build", *parts, within=within)
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "10")


@dataclass
class Outside:
    """Who works with the system over its open ports."""

    staff: Staff
    partner: Partner
    web: Web


@contextlib.asynccontextmanager
async def outside(stack: Stack, folder: Path) -> AsyncIterator[Outside]:
    """Connect with what an operator hands out, which is put into ``folder``."""
    archive = await asyncio.to_thread(_what_an_operator_hands_out, stack)
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    handed = json.loads((folder / "partners" / "demo" / "endpoints.json").read_text(encoding="utf-8"))["nats"]["demo"]
    assert handed["url"] == f"tls://127.0.0.1:{stack.base}", "what a partner is handed says where to connect"

    async def connect(name: str, seed: Path) -> Client:
        return await nats.connect(
            handed["url"],
            nkeys_seed=str(seed),
            tls=trusting(folder / "partners" / "demo" / handed["ca_file"]),
            inbox_prefix=f"_INBOX_{name}".encode(),
        )

    staff = await connect("staff", folder / "secrets" / "staff.nk")
    partner = Partner("demo", await connect("demo", folder / "partners" / "demo" / handed["nkey_seed_file"]))
    try:
        yield Outside(Staff(staff), partner, Web(stack.url("registration")))
    finally:
        await partner.close()
        await staff.close()


def _what_an_operator_hands_out(stack: Stack) -> bytes:
    return subprocess.run(
        (
            *stack.command,
            "run",
            "--rm",
            "--no-deps",
            "-T",
            "operator",
            "tar",
            "-C",
            "/deployment",
            "-c",
            "secrets",
            "partners",
        ),
        cwd=ROOT,
        capture_output=True,
        check=True,
        timeout=60,
        env=os.environ | stack.environment,
    ).stdout


async def healthy(stack: Stack, name: str) -> None:
    async def unwell() -> str:
        return "" if stack.inspect(name)["State"]["Health"]["Status"] == "healthy" else f"{name} is not healthy"

    await until(unwell)
