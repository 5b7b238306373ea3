"""
The AsyncAPI 3 documents of the three services: ``python -m tests.workspace.asyncapi`` writes them.

It stands here because nothing but the tests may know all three services.
"""

from __future__ import annotations

import functools
import importlib
import json
from typing import Any

from tests.workspace.members import ROOT

FOLDER = ROOT / "docs" / "asyncapi"
SERVICES = ("registration", "notifications", "reporting")


@functools.cache
def document(service: str) -> dict[str, Any]:
    """What a service hears and says, made of the table that wires it."""
    made: dict[str, Any] = importlib.import_module(f"services.{service}.app").document()
    return made


def encoded(service: str) -> str:
    """A service's document as its file holds it: in the order of names, because FastStream keeps none."""
    made = document(service)
    parts = made["components"]
    for holder, name in [(made, "channels"), (made, "operations"), *((parts, name) for name in parts)]:
        holder[name] = dict(sorted(holder[name].items()))
    return json.dumps(made, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name in SERVICES:
        (FOLDER / f"{name}.json").write_text(encoded(name), encoding="utf-8")
