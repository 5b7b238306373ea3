"""What a service tells its operator: one JSON object a line, without anybody's personal data."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from contracts.characters import visible_json
from services.chassis import tracing
from services.chassis.sparing import Sparing, left_out


def configure(level: str = "info", service: str = "") -> None:
    """
    Send structlog's and the standard library's messages to standard output as JSON.

    Args:
        level: debug, info, warning or error.
        service: stands in every line as ``service``.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )

    def add_service(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**({"service": service} if service else {}), **event, **tracing.ids()}

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                left_out,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                add_service,
                # Tracebacks without local variables: those hold people's data.
                structlog.processors.ExceptionRenderer(
                    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
                ),
                structlog.processors.JSONRenderer(_on_one_line, default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [Sparing(handler)]
    root.setLevel(threshold)
    # One line a request would drown the rest; failures are told elsewhere, and so is that the face listens. aiosqlite
    # tells every statement at debug.
    for talkative in ("uvicorn.access", "uvicorn.error", "aiosqlite", "asyncio"):
        logging.getLogger(talkative).setLevel(max(threshold, logging.WARNING))


def _on_one_line(event: Any, **how: Any) -> str:
    # Lines are read in terminals too, and may quote what a server said.
    return visible_json(json.dumps(event, **how))
