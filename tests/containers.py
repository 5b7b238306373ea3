"""
A broker in a container, from the image and with the configuration of production, where ``EmbeddedBroker`` is a process.

testcontainers is imported late: it takes a second, and a machine without an engine has no use for it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from deploy.embedded import BrokerDidNotStart, BrokerRefused
from tests.base_images import NATS

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

_OURS = "deelname.tests.process"
"""The label that names the process which started a container."""
_PROJECT = "com.docker.compose.project"
_OF_A_TEST = re.compile(r"deelname-test-(\d+)")
"""The name of a Compose project that a test starts; the number is the test's process."""
_IMAGES = "deelname-*:test-*"
_IMAGES_KEPT = timedelta(days=7)

# Its cleaner is an image of its own, which may not be there; `sweep` does that work. Traffic stays on loopback.
os.environ.setdefault("TESTCONTAINERS_RYUK_DISABLED", "true")
os.environ.setdefault("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")


def _process() -> int:
    return os.getpid()


class NoEngine(RuntimeError):  # noqa: N818 - it reads as what is wrong
    """No container can be started here; the message says why not."""


def engine() -> str:
    """
    Which engine answers, with the image at hand: ``Docker 20.10.24``.

    Raises:
        NoEngine: there is none, it is on another machine, or it has no image and cannot get it.
    """
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not address.startswith("unix://"):
        # Its containers could not see the files that tests write for them.
        raise NoEngine(f"the Docker engine is at {address}, not on this machine")
    if not Path(address.removeprefix("unix://")).exists():
        raise NoEngine(f"no Docker engine at {address}")
    with docker() as client:
        try:
            version: str = client.version()["Version"]
        except Exception as error:
            raise NoEngine(f"the Docker engine does not answer: {error}") from error
        from docker.errors import ImageNotFound  # type: ignore[import-untyped]

        try:
            client.images.get(NATS)
        except ImageNotFound:
            try:
                client.images.pull(NATS)
            except Exception as error:
                raise NoEngine(f"Docker {version} has no image {NATS} and cannot get it: {error}") from error
    return f"Docker {version}"


def sweep() -> None:
    """
    Remove what test runs left that were killed: their containers, and the projects that their Compose had started.

    The images of clones that have not been tested for a week go too.
    """
    from docker.errors import APIError, NotFound

    with docker() as client:
        _sweep_projects(client)
        for image in client.images.list(filters={"reference": _IMAGES}):
            made = datetime.fromisoformat(image.attrs["Created"][:19] + "+00:00")
            if datetime.now(UTC) - made > _IMAGES_KEPT:
                for tag in image.tags:
                    # One that a container is made of stays.
                    with contextlib.suppress(APIError):
                        client.images.remove(tag)
        # Other runs start, end and sweep beside this one: what is gone meanwhile is gone.
        for container in client.containers.list(all=True, filters={"label": _OURS}, ignore_removed=True):
            if not Path(f"/proc/{container.labels[_OURS]}").exists():
                with contextlib.suppress(NotFound):
                    container.remove(force=True, v=True)


def _sweep_projects(client: Any) -> None:
    """Remove containers, then volumes and networks, of Compose projects whose tests are gone."""
    from docker.errors import APIError

    of_compose = {"label": _PROJECT}
    containers = client.containers.list(all=True, filters=of_compose, ignore_removed=True)
    ways: list[tuple[Mapping[str, str] | None, Callable[[], None]]] = [
        *((each.labels, functools.partial(each.remove, force=True, v=True)) for each in containers),
        *((each.attrs["Labels"], each.remove) for each in client.volumes.list(filters=of_compose)),
        *((each.attrs["Labels"], each.remove) for each in client.networks.list(filters=of_compose)),
    ]
    for labels, remove in ways:
        project = _OF_A_TEST.fullmatch((labels or {}).get(_PROJECT, ""))
        if project and not Path(f"/proc/{project[1]}").exists():
            # Another run may sweep at the same time.
            with contextlib.suppress(APIError):
                remove()


@contextlib.contextmanager
def docker() -> Any:
    """A client of the engine. Raises NoEngine when none answers."""
    from testcontainers.core.docker_client import DockerClient

    try:
        client = DockerClient().client
    except Exception as error:
        raise NoEngine(f"the Docker engine does not answer: {error}") from error
    with contextlib.closing(client):
        yield client


class ContainerBroker:
    """
    One nats-server in a container; its configuration lies in a folder that is the same one inside and outside.

    It may do as little as it may in production: no root, no privileges, nothing to write but its store. Its ports are
    open on loopback alone.
    """

    listens_on: ClassVar[str] = "0.0.0.0"

    def __init__(self, configuration: Path, port: int, log: Path, monitoring_port: int | None = None) -> None:
        self.configuration = configuration
        self.port = port
        self.log = log
        self.monitoring_port = monitoring_port
        self.starts = 0
        self._container: DockerContainer | None = None
        self._copied = 0
        self._ended = threading.Event()
        self._ended.set()

    @property
    def runs(self) -> bool:
        """Whether the container runs."""
        return not self._ended.is_set()

    def start(self, timeout: float = 30.0) -> None:
        """Start the container, or start it again after ``kill``, and return when the server accepts connections."""
        start_of_log = self._size_of_log()
        try:
            if self._container is None:
                self._copied = 0
                self._container = self._new()
                self._container.start()
            else:
                self._container.get_wrapped_container().start()
        except Exception as error:
            self._remove()
            raise BrokerDidNotStart(f"{NATS} did not start on 127.0.0.1:{self.port}: {error}") from error
        self._ended = threading.Event()
        threading.Thread(target=self._follow, args=(self._container.get_wrapped_container(), self._ended)).start()
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if "Server is ready" in self._said_since(start_of_log):
                self.starts += 1
                return
            if not self.runs:
                break
            time.sleep(0.01)
        self.stop()
        said = self._said_since(start_of_log)[-2000:]
        raise BrokerDidNotStart(f"{NATS} did not start on 127.0.0.1:{self.port}. Its log {self.log} ends:\n{said}")

    def reload(self, timeout: float = 10.0) -> None:
        """Have the server read its configuration again, twice as ``EmbeddedBroker.reload`` does."""
        for _ in range(2):
            start_of_log = self._size_of_log()
            if self._container is None or not self.runs:
                raise BrokerRefused("nats-server does not run, so it cannot read its configuration again")
            self._container.get_wrapped_container().kill("HUP")
            deadline = time.monotonic() + timeout
            while "Reloaded server configuration" not in (said := self._said_since(start_of_log)):
                if "Failed to reload" in said or time.monotonic() > deadline:
                    raise BrokerRefused(f"nats-server did not take its configuration:\n{said}")
                time.sleep(0.01)

    def stop(self) -> None:
        """End the server in order and remove the container."""
        if self._container is None:
            return
        if self.runs:
            self._container.get_wrapped_container().stop(timeout=10)
            self._ended.wait(10)
        self._remove()

    def kill(self) -> None:
        """``docker kill``: SIGKILL for the server, which never learns of it."""
        if self._container is not None and self.runs:
            self._container.get_wrapped_container().kill("KILL")
            self._ended.wait(10)

    @property
    def attributes(self) -> dict[str, Any]:
        """What ``docker inspect`` tells of the container."""
        if self._container is None:
            raise RuntimeError("the container was not started")
        container = self._container.get_wrapped_container()
        container.reload()
        found: dict[str, Any] = container.attrs
        return found

    def _new(self) -> DockerContainer:
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(NATS)
        folder = str(self.configuration.parent.absolute())
        container.with_volume_mapping(folder, folder, "rw")
        container.with_command(["-c", str(self.configuration.absolute())])
        for port in filter(None, (self.port, self.monitoring_port)):
            # with_bind_ports would open it to the world.
            container.ports[f"{port}/tcp"] = ("127.0.0.1", port)  # type: ignore[assignment]
        client = container.get_docker_client().client
        # Without root, root inside is this user outside.
        rootless = any("rootless" in option for option in client.info()["SecurityOptions"])
        container.with_kwargs(
            entrypoint=["nats-server"],
            user="0:0" if rootless else f"{os.getuid()}:{os.getgid()}",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            labels={_OURS: str(_process())},
        )
        return container

    def _remove(self) -> None:
        if self._container is not None:
            container, self._container = self._container, None
            container.stop()

    def _size_of_log(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def _said_since(self, start: int) -> str:
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")

    def _follow(self, container: Any, ended: threading.Event) -> None:
        """Copy to the log what the server writes, until the container ends."""
        # A container that is removed while it runs ends this by an error, and that is an end too.
        with contextlib.suppress(Exception), self.log.open("ab") as log:
            known, told = self._copied, 0
            for piece in container.logs(stream=True, follow=True):
                # After a second start the engine begins with what was said before the first end.
                told += len(piece)
                new = piece[max(0, len(piece) - max(0, told - known)) :]
                log.write(new)
                log.flush()
                self._copied += len(new)
            container.wait(timeout=None)
        ended.set()
