"""
What a service counts for its operator, as Prometheus reads it: names begin with ``deelname_``, units are base units.

A label takes one of a few values that the code or the deployment knows: never a person, a programme or an address.
What happens thousands of times a second is counted once a batch; what can be looked up is looked up when asked for.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client import Gauge as Standing
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from services.chassis.health import Follower, Health

# A second series for each counter and histogram, which says when the process began.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
"""What this process counts. Not the library's own registry: other packages put things of theirs into that one."""

ProcessCollector(registry=REGISTRY)

_FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def counter(name: str, documentation: str, labels: Iterable[str] = ()) -> Counter:
    """A number that only grows; it is served as ``<name>_total``."""
    return Counter(name, documentation, tuple(labels), registry=REGISTRY)


def gauge(name: str, documentation: str) -> Standing:
    """A number that grows and shrinks, set by whoever knows it."""
    return Standing(name, documentation, registry=REGISTRY)


def durations(name: str, documentation: str, labels: Iterable[str] = ()) -> Histogram:
    """How long something took, in seconds."""
    return Histogram(name, documentation, tuple(labels), registry=REGISTRY, buckets=_FAST)


def sizes(name: str, documentation: str, labels: Iterable[str] = ()) -> Histogram:
    """How many came together, from 1 to 1000."""
    return Histogram(name, documentation, tuple(labels), registry=REGISTRY, buckets=_SIZES)


class Calls(Collector):
    """
    Commands and questions by name and status, and how long each took until its answer was handed over.

    Counted by hand, on the event loop alone: the library's own objects lock, which for a counter and a histogram costs
    4 microseconds a command, and this a tenth of that.
    """

    def __init__(self) -> None:
        self._counts: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(_FAST) + 1))
        self._sums: defaultdict[str, float] = defaultdict(float)

    def observe(self, command: str, status: str, seconds: float) -> None:
        """One was answered."""
        self._counts[command, status] += 1
        self._buckets[command][bisect_left(_FAST, seconds)] += 1
        self._sums[command] += seconds

    def collect(self) -> Iterator[Metric]:
        """See ``Collector.collect``."""
        counted = CounterMetricFamily(
            "deelname_commands", "Commands and questions that were answered.", labels=["command", "status"]
        )
        for (command, status), number in sorted(self._counts.items()):
            counted.add_metric([command, status], number)
        yield counted
        lasted = HistogramMetricFamily(
            "deelname_command_duration_seconds", "From a command's arrival to its answer.", labels=["command"]
        )
        for command, buckets in sorted(self._buckets.items()):
            total, cumulated = 0, []
            for bound, number in zip((*map(str, _FAST), "+Inf"), buckets, strict=True):
                total += number
                cumulated.append((bound, float(total)))
            lasted.add_metric([command], cumulated, self._sums[command])
        yield lasted


CALLS = Calls()
REGISTRY.register(CALLS)


@dataclass(frozen=True, slots=True)
class Gauge:
    """A number that is looked up when Prometheus asks; ``labels`` are the label's name and values, if it has one."""

    name: str
    documentation: str
    value: float
    label: tuple[str, str] | None = None


Measure = Callable[[], Awaitable[Iterable[Gauge]]]
"""Looks up what a service alone knows."""


async def nothing_more() -> Iterable[Gauge]:
    """For a service that has no measures of its own."""
    return ()


def together(*measures: Measure) -> Measure:
    """All of these as one."""

    async def look() -> Iterable[Gauge]:
        return [gauge for measure in measures for gauge in await measure()]

    return look


class _Once(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families


class _Everything:
    """Two registries as one, as the library's encoders take it."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._asked = CollectorRegistry()
        self._asked.register(_Once(families))

    def collect(self) -> Iterator[Metric]:
        yield from self._asked.collect()
        yield from REGISTRY.collect()


def metrics_router(health: Health, measure: Measure = nothing_more) -> APIRouter:
    """``/metrics``: what the process has counted, and how things stand at the moment."""
    router = APIRouter(tags=["health"])

    @router.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        """What the service counts, as Prometheus or OpenMetrics text."""
        encode, media_type = choose_encoder(request.headers.get("accept", ""))
        families = [*await _standing(health), *_families(await measure())]
        return Response(encode(_Everything(families)), media_type=media_type)

    return router


def while_starting(request: Request) -> Response:
    """What there is to say before there is a service: that it is not ready, and what its process takes."""
    encode, media_type = choose_encoder(request.headers.get("accept", ""))
    return Response(encode(_Everything([_ready(False)])), media_type=media_type)


def _ready(ready: bool) -> Metric:
    return GaugeMetricFamily("deelname_ready", "Whether the service is of use: 1 or 0.", int(ready))


async def _standing(health: Health) -> list[Metric]:
    """Readiness, and how far relays and readers are."""
    ready, report = await health.report()
    disk = report["disk"]
    families: list[Metric] = [
        _ready(ready),
        GaugeMetricFamily(
            "deelname_database_writable", "Whether the database takes a write: 1 or 0.", int(report["database"])
        ),
        GaugeMetricFamily(
            "deelname_clock_seconds",
            "The time that the service goes by, in seconds since 1970.",
            datetime.fromisoformat(report["now"]).timestamp(),
        ),
        GaugeMetricFamily("deelname_disk_free_bytes", "What is free where the database is.", disk["free"]),
        GaugeMetricFamily("deelname_disk_size_bytes", "The size of the file system of the database.", disk["size"]),
    ]
    for kind, followers in (("relay", health.relays), ("reader", health.readers)):
        families += _following(kind, followers)
    return families


_FOLLOWS = {
    "relay": ("Facts that are committed and not yet in the stream.", "The last fact that is in the stream."),
    "reader": ("Facts in the stream that were not applied yet.", "The last fact that was applied."),
}


def _following(kind: str, followers: dict[str, Follower]) -> Iterator[Metric]:
    behind, reached = _FOLLOWS[kind]
    lag = GaugeMetricFamily(f"deelname_{kind}_lag_facts", behind, labels=["stream"])
    follows = GaugeMetricFamily(f"deelname_{kind}_following", "Whether it makes progress: 1 or 0.", labels=["stream"])
    position = CounterMetricFamily(f"deelname_{kind}_position", reached, labels=["stream"])
    for stream, follower in sorted(followers.items()):
        lag.add_metric([stream], follower.lag)
        follows.add_metric([stream], int(follower.following))
        position.add_metric([stream], follower.position)
    return iter((lag, follows, position)) if followers else iter(())


def _families(gauges: Iterable[Gauge]) -> Iterable[Metric]:
    families: dict[str, GaugeMetricFamily] = {}
    for gauge in gauges:
        family = families.get(gauge.name)
        if family is None:
            labels = [gauge.label[0]] if gauge.label else []
            family = families[gauge.name] = GaugeMetricFamily(gauge.name, gauge.documentation, labels=labels)
        family.add_metric([gauge.label[1]] if gauge.label else [], gauge.value)
    return families.values()
