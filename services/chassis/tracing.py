"""
Traces from a request to what follows from it (OpenTelemetry), off unless an exporter is set in the environment.

Off costs nothing: nothing of OpenTelemetry is imported, and each place where a span could begin asks one variable. On,
the context travels as ``traceparent`` (W3C Trace Context): in the headers of HTTP requests and commands, in the
extension of that name of CloudEvents, and in the row of a planned mail.

The settings are OpenTelemetry's own: ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or ``OTEL_EXPORTER_OTLP_TRACES_ENDPOINT``)
switches tracing on, ``OTEL_TRACES_SAMPLER`` and the others work as its specification says. Attributes name commands,
routes, streams and purposes of mails; never a person, an address or a text that somebody typed.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from time import time_ns
from typing import TYPE_CHECKING, Any, Literal, Protocol

import structlog

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

_log = structlog.get_logger("chassis.tracing")

SWITCHES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
HEADER = "traceparent"

Kind = Literal["server", "consumer", "client", "internal"]
Attributes = Mapping[str, str | int | bool]

_tracer: Tracer | None = None

# As JSON is written: in a text that somebody typed the quotation marks would be escaped.
_IN_ENVELOPE = re.compile(rb'"traceparent"\s*:\s*"(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})"')


class Span(Protocol):
    """What a span takes while it lasts."""

    def set_attribute(self, key: str, value: str | int | bool) -> Any:
        """Add what became known."""


class _NoSpan:
    def set_attribute(self, key: str, value: str | int | bool) -> None:
        """Tracing is off."""


_NOTHING = contextlib.nullcontext(_NoSpan())


def configure(service: str) -> None:
    """
    Begin to trace, if an exporter is set; ``service`` is the service's name in every span.

    That OpenTelemetry is not installed is told and keeps nobody from enrolling.
    """
    global _tracer  # noqa: PLW0603 - one process has one tracer, as it has one log
    if not any(os.environ.get(switch) for switch in SWITCHES):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError:
        _log.error("traces are asked for, and OpenTelemetry is not installed: deelname-chassis[tracing]")
        return
    name = os.environ.get("OTEL_SERVICE_NAME") or f"deelname-{service}"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    # The provider's own, so that nothing else in the process is traced behind our back. It flushes when we end.
    _tracer = provider.get_tracer("deelname")
    _log.info("traces are exported")


def is_on() -> bool:
    """Whether anything is traced."""
    return _tracer is not None


def span(
    name: str,
    kind: Kind = "internal",
    *,
    parent: str | None = None,
    attributes: Attributes | None = None,
    unless: bool = False,
) -> AbstractContextManager[Span]:
    """
    A piece of work, for the length of a ``with``.

    Args:
        parent: a ``traceparent``; without one it is a part of the span under way, or begins a trace.
        unless: trace nothing this time.
    """
    if _tracer is None or unless:
        return _NOTHING
    return _started(_tracer, name, kind, parent, attributes)


@contextlib.contextmanager
def _started(
    tracer: Tracer, name: str, kind: Kind, parent: str | None, attributes: Attributes | None
) -> Iterator[Span]:
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    with tracer.start_as_current_span(
        name,
        context=_context(parent),
        kind=SpanKind[kind.upper()],
        attributes=attributes,
        # What an error says may quote somebody; the journal tells it without.
        record_exception=False,
        set_status_on_exception=False,
    ) as started:
        yield started


def _context(parent: str | None) -> Any:
    if parent is None:
        return None
    from opentelemetry.context import Context  # noqa: PLC0415
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    return TraceContextTextMapPropagator().extract({HEADER: parent}, Context())


def current() -> str | None:
    """The ``traceparent`` of the span under way, to hand on; None when there is none."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator  # noqa: PLC0415

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get(HEADER)


def ids() -> Mapping[str, str]:
    """``trace_id`` and ``span_id`` of the span under way, for the journal."""
    if _tracer is None:
        return {}
    from opentelemetry import trace  # noqa: PLC0415

    context = trace.get_current_span().get_span_context()
    if not context.is_valid:
        return {}
    return {"trace_id": trace.format_trace_id(context.trace_id), "span_id": trace.format_span_id(context.span_id)}


def now() -> int:
    """The moment at which a batch began, as ``batch_done`` takes it; 0 when nothing is traced."""
    return time_ns() if _tracer is not None else 0


def batch_done(name: str, begun: int, envelopes: Iterable[bytes], attributes: Attributes) -> None:
    """A span for each of many facts that were dealt with together, in the trace that each of them belongs to."""
    if _tracer is None:
        return
    from opentelemetry.trace import SpanKind  # noqa: PLC0415

    for envelope in envelopes:
        parent = traceparent_of(envelope)
        if parent is not None:
            _tracer.start_span(name, _context(parent), SpanKind.CONSUMER, attributes=attributes, start_time=begun).end()


def traceparent_of(envelope: bytes) -> str | None:
    """The ``traceparent`` of a CloudEvent in JSON; None when it has none."""
    found = _IN_ENVELOPE.search(envelope)
    return found[1].decode() if found else None
