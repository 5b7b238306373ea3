"""Traces: nothing while they are off, and one context handed on while they are on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.chassis import journal, tracing

CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
TRACE = CALLER.split("-")[1]


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """Traces are on, and end in memory."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    yield exporter
    provider.shutdown()


def python(script: str, **environment: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout


def test_a_service_that_is_not_traced_imports_nothing_that_exports() -> None:
    script = (
        "import sys, services.registration.app\n"
        "from services.chassis import tracing\n"
        "tracing.configure('registration')\n"
        "with tracing.span('x', parent=None): assert tracing.current() is None\n"
        "print(tracing.is_on(), [name for name in sys.modules if name.startswith(('opentelemetry.sdk', "
        "'opentelemetry.exporter'))])"
    )
    assert python(script).splitlines()[-1] == "False []"


def test_what_is_asked_for_and_not_installed_is_told_and_stops_nobody() -> None:
    script = (
        "import sys\n"
        "sys.modules['opentelemetry.sdk'] = sys.modules['opentelemetry.exporter'] = None\n"
        "from services.chassis import journal, tracing\n"
        "journal.configure('info', 'x')\n"
        "tracing.configure('x')\n"
        "print(tracing.is_on())"
    )
    told, on = python(script, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1").splitlines()
    assert "deelname-chassis[tracing]" in json.loads(told)["event"]
    assert on == "False"


def test_a_span_goes_on_from_who_called_and_hands_its_own_context_on(exported: InMemorySpanExporter) -> None:
    with tracing.span("outer", "server", parent=CALLER):
        handed_on = tracing.current()
        with tracing.span("inner"):
            pass
    inner, outer = exported.get_finished_spans()
    assert handed_on is not None
    assert outer.context is not None
    assert handed_on == f"00-{TRACE}-{outer.context.span_id:016x}-01"
    assert outer.parent is not None
    assert f"{outer.parent.span_id:016x}" == CALLER.split("-")[2]
    assert inner.parent == outer.context


@pytest.mark.parametrize("nonsense", ["", "00-xyz", f"00-{'0' * 32}-{'0' * 16}-01", "Noor de Wit"])
def test_a_context_that_is_none_begins_a_trace_of_its_own(exported: InMemorySpanExporter, nonsense: str) -> None:
    with tracing.span("outer", "server", parent=nonsense):
        pass
    (span,) = exported.get_finished_spans()
    assert span.parent is None


def test_facts_that_were_dealt_with_together_stay_in_their_own_traces(exported: InMemorySpanExporter) -> None:
    other = CALLER.replace("0af", "0bf")
    envelopes = [b'{"version":1,"traceparent":"%s","data":{}}' % each.encode() for each in (CALLER, other)]
    typed = json.dumps({"data": {"name": f'"traceparent":"{CALLER}"'}}).encode()
    tracing.batch_done("apply fact", tracing.now(), [*envelopes, typed, b'{"data":{}}'], {"stream": "LOG"})
    found = [f"{span.context.trace_id:032x}" for span in exported.get_finished_spans() if span.context]
    assert found == [TRACE, other.split("-")[1]]


def test_an_error_is_not_quoted_in_a_span(exported: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="noor"), tracing.span("outer"):
        raise ValueError("noor@zeist.example")
    (span,) = exported.get_finished_spans()
    assert (span.events, span.status.description) == ((), None)


@pytest.mark.usefixtures("exported", "own_journal")
def test_a_line_in_the_journal_names_the_trace(capsys: pytest.CaptureFixture[str]) -> None:
    journal.configure("info", "registration")
    with tracing.span("outer", "server", parent=CALLER):
        structlog.get_logger("traced").warning("within")
    structlog.get_logger("traced").warning("outside")
    within, outside = map(json.loads, capsys.readouterr().out.splitlines())
    assert within["trace_id"] == TRACE
    assert len(within["span_id"]) == 16
    assert "trace_id" not in outside
