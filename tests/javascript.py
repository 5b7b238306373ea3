"""What partners in JavaScript use, for tests: packages of ``requirements/node``, and ajv as the judge of messages."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.machine import NODE_MODULES

_SCRIPT = Path(__file__).parent / "contracts" / "ajv.mjs"


class Ajv:
    """A process of Node that judges, for as long as ``ajv`` lasts."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **question: Any) -> list[str]:
        """What is wrong; nothing where all is well."""
        if self._process.stdin is None or self._process.stdout is None:
            raise TypeError("the process was started without pipes")
        self._process.stdin.write(json.dumps(question) + "\n")
        self._process.stdin.flush()
        said: list[str] = json.loads(self._process.stdout.readline())
        return said


@contextmanager
def ajv() -> Iterator[Ajv]:
    """Start one and end it."""
    command = ["node", str(_SCRIPT), f"{NODE_MODULES}/"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Ajv(process)
        if process.stdin is not None:
            process.stdin.close()
