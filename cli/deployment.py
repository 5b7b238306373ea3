"""What the tool uses of the deployment, which it alone does not bring."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType

from cli.failure import REFUSED, USAGE, Failure


def module(name: str) -> ModuleType:
    """
    A module of the deployment.

    Raises:
        Failure: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith(("deploy", "services")):
            missing = f"the package '{error.name}' is not installed"
        else:
            missing = "the package deelname-deploy is not installed"
        raise Failure(
            f"This is a part of the deployment, and {missing}.",
            "Install it beside the tool: pip install deelname-deploy (in a clone of the repository: make install).",
            code=USAGE,
        ) from None


@contextlib.contextmanager
def failures() -> Iterator[None]:
    """Say in one line what the deployment could not do."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        raise Failure(str(error) or type(error).__name__, code=REFUSED) from None
