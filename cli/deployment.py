"""What the tool uses of the deployment, which it alone does not bring."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType

import nats.errors

from cli.failure import REFUSED, UNREACHABLE, USAGE, Failure
from cli.passing import in_words, passes


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
    except (nats.errors.Error, TimeoutError) as error:
        said = in_words(error)
        if not passes(error):
            raise Failure(f"{said[0].upper()}{said[1:]}.", code=REFUSED) from None
        raise Failure(
            f"The broker does not answer: {said}.",
            "Start it, or correct where this tool reaches it: 'deelname broker configure DIR --operations-url URL'."
            " While its servers elect a leader or are started again, wait a moment. Then repeat the command.",
            code=UNREACHABLE,
        ) from None
    except OSError as error:
        named = f"{error.filename} cannot be used: {error.strerror}." if error.filename and error.strerror else ""
        raise Failure(named or str(error) or type(error).__name__, code=REFUSED) from None
    except (ValueError, RuntimeError) as error:
        raise Failure(str(error) or type(error).__name__, code=REFUSED) from None
