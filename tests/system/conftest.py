"""One started system for all tests of a module that leave it as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from deploy.broker import ServerKind
from tests.system.world import World, started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(server: ServerKind, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Broker, three services, staff, and the partners ``demo`` and ``school``."""
    async with started(tmp_path_factory.mktemp("world"), server, partners=("demo", "school")) as world:
        yield world
