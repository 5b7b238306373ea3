"""
What our images and the broker's container start from: each is one setting, and tests read it where it stands.

``DEELNAME_NATS_IMAGE`` and ``DEELNAME_PYTHON_IMAGE`` are other references, with a digest or without.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_DEFAULT = {
    "DEELNAME_NATS_IMAGE": (_ROOT / "compose.yaml", r"\$\{DEELNAME_NATS_IMAGE:-([^}]+)\}"),
    "DEELNAME_PYTHON_IMAGE": (_ROOT / "deploy" / "Dockerfile", r"\$\{PYTHON_IMAGE:-([^}]+)\}"),
}


def base_image(setting: str) -> str:
    """The reference that a setting names, or that stands where it is used."""
    file, pattern = _DEFAULT[setting]
    (default,) = re.findall(pattern, file.read_text(encoding="utf-8"))
    return os.environ.get(setting) or str(default)


NATS = base_image("DEELNAME_NATS_IMAGE")
PYTHON = base_image("DEELNAME_PYTHON_IMAGE")
