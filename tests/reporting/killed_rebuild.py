"""A process that rebuilds and dies at the moment that it is told: ``python killed_rebuild.py URL PATH MOMENT``."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from services.chassis.broker import connect
from services.reporting import rebuild, store
from services.reporting.app import readers
from services.reporting.projection import Projection


def die(*_: Any) -> Any:
    """As a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


async def main(url: str, path: Path, moment: str) -> None:
    """Rebuild up to ``moment``."""
    projection = await Projection.open(path)
    connection = await connect(url, "killed")
    following = [asyncio.create_task(reader.run()) for reader in readers(connection, projection).values()]
    rename = rebuild._rename

    def rename_and_die(source: Path, target: Path) -> None:
        rename(source, target)
        die()

    def fill_half_and_die(connection: Any, state: Any, positions: Any) -> None:
        connection.execute("BEGIN")
        store.save(connection, state, positions)
        die()

    if moment == "while folding":
        setattr(rebuild, "fold", die)  # noqa: B010  # typed assignments would want the same signature
    elif moment == "while filling":
        store.fill = fill_half_and_die
    elif moment == "before the swap":
        setattr(rebuild, "_rename", die)  # noqa: B010
    else:
        rebuild._rename = rename_and_die
    await rebuild.Rebuild(connection, projection)()
    await asyncio.gather(*following)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3]))
