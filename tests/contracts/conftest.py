"""What the tests of the contracts share."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import schemas


@pytest.fixture(scope="session")
def documents() -> dict[str, dict[str, Any]]:
    """Every schema as the code makes it now, by its name."""
    return schemas.documents()
