"""The two programs of ``docs/partners.md``, as they stand there, ready to be run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from contracts import schemas
from tests.machine import NODE_MODULES

PAGE = Path(__file__).parents[1] / "docs" / "partners.md"
_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    """The page's blocks in one language."""
    found = _BLOCK.finditer(PAGE.read_text(encoding="utf-8"))
    return [each["text"] for each in found if each["language"] == language]


def program(language: str, folder: Path) -> list[str]:
    """What starts the one in ``javascript`` or ``python``, once it is written into a folder."""
    (text,) = blocks(language)
    script = folder / {"javascript": "partner.mjs", "python": "partner.py"}[language]
    script.write_text(text, encoding="utf-8")
    if language == "javascript":
        (folder / "node_modules").symlink_to(NODE_MODULES)
        return ["node", str(script)]
    return [sys.executable, str(script)]


def run(started: list[str], endpoints: Path, me: str, files: list[str]) -> list[str]:
    """The lines that a program prints, for samples by their names; it must end well."""
    command = [*started, str(endpoints), me, *files]
    ended = subprocess.run(command, cwd=schemas.SAMPLES, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()
