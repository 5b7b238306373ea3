"""One started system for all tests of a module that leave it as it was, and the images of this tree."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.broker import ServerKind
from tests.system.composed import IMAGES, TAG, compose_program, run
from tests.system.world import World, started

# Crowds come from one address here, and have mailboxes at one domain: what bounds that has tests of its own.
os.environ.setdefault("DEELNAME_PUBLIC_MAILS_A_SOURCE_AND_HOUR", "0")
os.environ.setdefault("DEELNAME_UNCONFIRMED_MAILS_A_DOMAIN_AND_HOUR", "0")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(server: ServerKind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Broker, three services, staff, and the partners ``demo`` and ``school``."""
    async with started(tmp_path_factory.mktemp("world"), server, partners=("demo", "school")) as world:
        yield world


@pytest.fixture(scope="session")
def images() -> dict[str, int]:
    """All images, built from this tree: quick where the engine remembers the steps. Their sizes in bytes."""
    compose_program()
    run("make", "images", f"TAG={TAG}", within=1200)
    sizes = {name: int(run("docker", "inspect", "--format", "{{.Size}}", f"deelname-{name}:{TAG}")) for name in IMAGES}
    print({name: f"{size / 1e6:.0f} MB" for name, size in sizes.items()})
    return sizes
