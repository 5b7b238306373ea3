"""
The broker on three machines: its leader is killed in the middle of work, three times; and how to get there and back.

Everything is as ``deelname broker configure --node …`` writes it: nkeys, TLS everywhere, every stream on three servers,
the services' own files of settings. All of it runs on loopback, on one machine's processors and disk.

How long who stood still is told at the end of the run. Nothing is asserted about it: it depends on the machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.error import HTTPError
from urllib.request import urlopen

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from cli.encryption import trusting
from deploy.local import LocalSystem
from deploy.local.processes import Child
from deploy.local.settings import Layout
from deploy.production.copies import look, until_whole
from deploy.production.directory import Directory
from tests import warm
from tests.cluster import Cluster, configured, running
from tests.ports import free_ports
from tests.system.crowd import Crowd, Letters, check, mail_server, open_programmes
from tests.system.world import ACK_WAIT, SERVICES, Json, Partner, Staff, World, until

pytestmark = pytest.mark.timeout(400)

KILLS = 3
PACE = 0.25
"""Seconds between two requests of each of six callers: less than what one machine with three brokers can do."""
LOG = "LOG_REGISTRATION"


async def connected(directory: Directory, name: str) -> Client:
    """An identity of the deployment, with all servers to choose from."""

    async def quiet(_error: Exception) -> None:
        """Servers are killed here; what that means shows in each answer."""

    deployment = directory.read()
    seed = directory.partner(name) / f"{name}.nk" if name in deployment.partners else directory.seed(name)
    return await nats.connect(
        deployment.url.split(","),
        nkeys_seed=str(seed),
        tls=trusting(directory.authority),
        inbox_prefix=deployment.access.identity(name).inbox_prefix.encode(),
        max_reconnect_attempts=-1,
        reconnect_time_wait=0.1,
        connect_timeout=5,
        ping_interval=5,
        pending_size=0,
        error_cb=quiet,
    )


@dataclass
class Deployed:
    """The services as processes, each with its file of settings: what a ``World`` needs of a system."""

    layout: Layout
    partners: tuple[str, ...]
    children: dict[str, Child]
    endpoints: Json


def services(directory: Directory, data: Path, transport: str) -> Deployed:
    """The three services, not yet started."""
    layout = Layout(data)
    layout.create()
    base = free_ports(3)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("DEELNAME_")}
    children = {}
    for number, name in enumerate(SERVICES):
        lines = (directory.path / "environment" / f"{name}.env").read_text().splitlines()
        settings = dict(line.split("=", 1) for line in lines) | {
            "DEELNAME_DATA": str(layout.database(name)),
            "DEELNAME_HTTP_PORT": str(base + number),
            "DEELNAME_PUBLIC_A_MINUTE": "0",
            "DEELNAME_PUBLIC_MAILS_A_SOURCE_AND_HOUR": "0",
            "DEELNAME_UNCONFIRMED_MAILS_A_DOMAIN_AND_HOUR": "0",
        }
        if name == "notifications":
            settings |= {
                "DEELNAME_TRANSPORT": transport,
                "DEELNAME_SENDER": "Deelname <deelname@deelname.example>",
                "DEELNAME_MAILS_A_PROGRAMME_AND_HOUR": "0",
                "DEELNAME_MAILS_A_MINUTE_AND_DOMAIN": "0",
            }
        command = (sys.executable, "-m", f"services.{name}")
        children[name] = Child(name, command, inherited | settings, layout.database(name), layout.log(name), warm.popen)
    http = {name: f"http://127.0.0.1:{base + number}" for number, name in enumerate(SERVICES)}
    return Deployed(layout, directory.read().partners, children, {"http": http})


class Production(World):
    """Staff, a partner and three services around a broker as ``deelname broker configure`` writes it."""

    def __init__(self, directory: Directory, deployed: Deployed, staff: Staff, partner: Partner, eyes: Client) -> None:
        super().__init__(cast("LocalSystem", deployed), staff, {partner.name: partner})
        self.directory = directory
        self._eyes = eyes
        self._loop = asyncio.get_running_loop()

    async def stream_head(self) -> int:
        """The last number of registration's stream, as its leader says."""
        return (await self._eyes.jetstream(timeout=1).stream_info(LOG)).state.last_seq

    async def position(self, service: str) -> int:
        """How far a service has read registration's log, as it says itself."""
        return int((await asyncio.to_thread(self._readers, service))[LOG]["position"])

    def streams(self) -> dict[str, Json]:
        """See ``World.streams``: asked as an operator would, for there is no one server whose monitoring knows all."""
        seen = look(self.directory)
        try:
            kept = asyncio.run_coroutine_threadsafe(seen, self._loop).result(20)
        except NatsError:
            return {}
        return {stream.name: {"messages": stream.messages, "last_seq": stream.last} for stream in kept}

    def _readers(self, service: str) -> Any:
        return self._health(service)["readers"]

    def _health(self, service: str) -> Json:
        address = self.system.endpoints["http"][service]
        try:
            with urlopen(f"{address}/health/ready", timeout=5) as answer:
                found: Json = json.load(answer)
        except HTTPError as error:
            found = json.load(error)
        return found


@contextlib.asynccontextmanager
async def production(directory: Directory, letters: Letters) -> AsyncIterator[Production]:
    """Three services and those around them, on a broker that runs and has its streams."""
    deployed = services(directory, directory.path.parent / "data", f"smtp://127.0.0.1:{letters.port}")
    async with contextlib.AsyncExitStack() as stack:
        for child in deployed.children.values():
            child.start()
            # Not from this loop: the mail server in it has to say goodbye as well.
            stack.push_async_callback(asyncio.to_thread, child.wait, 20)
        for child in deployed.children.values():
            stack.callback(child.terminate)
        staff, partner, eyes = [await connected(directory, name) for name in ("staff", "demo", "topology")]
        stack.push_async_callback(staff.close)
        stack.push_async_callback(eyes.close)
        demo = Partner("demo", partner)
        stack.push_async_callback(demo.close)
        world = Production(directory, deployed, Staff(staff), demo, eyes)
        for name in SERVICES:
            await until(lambda name=name: world.unready(name))  # type: ignore[misc]
        yield world


@dataclass
class Watch:
    """When each of several numbers was seen to grow."""

    grown: dict[str, list[float]] = field(default_factory=dict)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def follow(self, name: str, number: Callable[[], Awaitable[int]]) -> None:
        self._tasks.append(asyncio.create_task(self._follow(self.grown.setdefault(name, []), number)))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def longest(self, name: str, since: float, until: float) -> float:
        """The longest time within these moments for which it did not grow."""
        moments = [since, *(moment for moment in sorted(self.grown[name]) if since < moment < until), until]
        return max(later - earlier for earlier, later in itertools.pairwise(moments))

    async def _follow(self, moments: list[float], number: Callable[[], Awaitable[int]]) -> None:
        last = -1
        while True:
            with contextlib.suppress(NatsError, OSError):
                seen = await number()
                if seen > last:
                    moments.append(time.monotonic())
                    last = seen
            await asyncio.sleep(0.05)


async def kill_the_leader(cluster: Cluster) -> str:
    """End the server that leads registration's stream, as a power cut would; its name."""
    (log,) = [stream for stream in await look(cluster.directory) if stream.name == LOG]
    assert log.leader is not None
    cluster.nodes[log.leader].kill()
    return log.leader


async def test_leaders_killed_under_load_cost_seconds_and_nothing_else(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    directory = configured(tmp_path / "production")
    with running(directory) as cluster:
        await cluster.declared(ack_wait=ACK_WAIT)
        async with mail_server() as letters, production(directory, letters) as world:
            await open_programmes(world)
            watch = Watch()
            watch.follow("commits", lambda: asyncio.to_thread(world.head, "registration"))
            watch.follow("stream", world.stream_head)
            for reader in ("notifications", "reporting"):
                watch.follow(reader, lambda reader=reader: world.position(reader))  # type: ignore[misc]
            killed: list[tuple[str, float]] = []
            async with Crowd(world, letters, "crowd", 1, PACE) as crowd:
                await crowd.more(30)
                for _ in range(KILLS):
                    killed.append((await kill_the_leader(cluster), time.monotonic()))
                    await followed(world, world.head("registration") + 1)
                    cluster.nodes[killed[-1][0]].start()
                    await until_whole(directory, 60)
                await crowd.more(30)
            over = time.monotonic()
            await check(world, letters, crowd)
            await watch.stop()
            await erased_on_every_server(world)
    for channel, name in (("staff", "replies over NATS"), ("web", "replies over HTTP"), ("intake", "intake")):
        watch.grown[name] = [each.answered for each in crowd.history if each.channel == channel and answered(each)]
    ends = [moment for _, moment in killed[1:]] + [over]
    for name in watch.grown:
        stalls = [watch.longest(name, since, end) for (_, since), end in zip(killed, ends, strict=True)]
        record_property("told", f"longest stall of {name}: " + ", ".join(f"{stall:.1f} s" for stall in stalls))
    certain = sum(map(answered, crowd.history))
    record_property("told", f"{KILLS} leaders killed, {len(crowd.history)} requests, {certain} answered with certainty")


async def erased_on_every_server(world: Production) -> None:
    """Who is erased is overwritten in each copy of the bucket, also where a leader was killed before."""
    ((person, email),) = world.rows("registration", "SELECT person, email FROM people ORDER BY person LIMIT 1")

    def holding() -> int:
        copies = (world.directory.path / "store").rglob("KV_contacts/msgs/*.blk")
        return sum(email.encode() in block.read_bytes() for block in copies)

    async def left() -> str:
        return f"{held} servers hold who was erased" if (held := await asyncio.to_thread(holding)) else ""

    assert holding() == 3
    await world.staff.do("do.registration.person.erase", {"person": person})
    await until(left)


async def test_a_system_moves_from_one_machine_to_three_and_back_and_nobody_hears_twice(tmp_path: Path) -> None:
    """By what docs/operations.md says: nothing is copied by hand, for every stream but the intake is a copy anyway."""
    port = free_ports(1)
    alone: dict[str, Any] = {"url": f"tls://localhost:{port}", "port": port, "nodes": ()}
    path = tmp_path / "production"
    crowds: list[Crowd] = []
    async with mail_server() as letters:
        for stage, chosen in (("one", alone), ("three", None), ("back", alone | {"store": str(path / "new-store")})):
            directory = configured(path) if chosen is None else configured(path, **chosen)
            with running(directory) as cluster:
                await cluster.declared(ack_wait=ACK_WAIT)
                async with production(directory, letters) as world:
                    if stage == "one":
                        await open_programmes(world)
                    async with Crowd(world, letters, stage, len(crowds), PACE) as crowd:
                        await crowd.more(20)
                    crowds.append(crowd)
                    for each in crowds:
                        await check(world, letters, each)
    assert (path / "store" / "jetstream").is_dir()


def answered(request: Any) -> bool:
    return bool(request.answer.certainty == "done")


async def followed(world: Production, position: int) -> None:
    """Wait until a fact that was decided after this moment is in the stream and was read by everybody."""

    async def behind() -> str:
        places = {"registration": world.head("registration")}
        try:
            places["the stream"] = await world.stream_head()
            for reader in ("notifications", "reporting"):
                places[reader] = await world.position(reader)
        except (NatsError, OSError) as error:
            return f"{places}, and then {error!r}"
        return "" if min(places.values()) >= position else f"{places}, {position} is awaited"

    await until(behind)
