"""Metrics of a server in the format of Prometheus, at /_mockveo/metrics; only with --metrics.

Exchanges are counted as they are journalled, so scrapes and other requests to the control API do not count. Several
workers share files in PROMETHEUS_MULTIPROC_DIR, which the supervisor makes; each can show the sums of all.
"""

from __future__ import annotations

import os
from collections import Counter as Tally
from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from mockveo.http.responses import Response
from mockveo.rules.client_rules import findings
from mockveo.simulator.worlds import Worlds
from mockveo.traffic.journal import Feed
from mockveo.traffic.record import ExchangeRecord

#: Upper ends of the latency buckets. Arbitrary: from a poll in memory to a delay that a fault makes.
BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0)


class Metrics:
    """What a server counts. `observe_store` is for the store, `feed` for the exchanges."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "mockveo_requests", "Exchanges.", ["operation", "status", "fault"], registry=self._registry
        )
        self._latency = Histogram(
            "mockveo_request_seconds", "Time to answer.", ["operation"], buckets=BUCKETS_S, registry=self._registry
        )
        self._store_latency = Histogram(
            "mockveo_store_seconds",
            "Time that the store took to keep changes.",
            buckets=BUCKETS_S,
            registry=self._registry,
        )
        self._store_errors = Counter(
            "mockveo_store_errors", "Changes that the store failed to keep.", registry=self._registry
        )

    def feed(self, further: Feed | None) -> Feed:
        """Return the feed that counts exchanges and passes them on."""
        return MeteredFeed(self, further)

    def observe(self, exchange: ExchangeRecord) -> None:
        """Count an exchange."""
        operation = exchange.operation or "none"
        faults = ",".join(sorted({name.partition(" ")[0] for name in exchange.faults}))
        self._requests.labels(operation, str(exchange.status), faults).inc()
        self._latency.labels(operation).observe(exchange.duration)

    def observe_store(self, seconds: float, *, failed: bool) -> None:
        """Count a write of the store."""
        self._store_latency.observe(seconds)
        if failed:
            self._store_errors.inc()

    def response(self, worlds: Worlds) -> Response:
        """Return everything in the format of Prometheus; it takes a moment."""
        registry = self._registry
        if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        shown = CollectorRegistry()
        shown.register(WorldCollector(worlds))
        body = generate_latest(registry) + generate_latest(shown)
        headers = [(b"content-type", CONTENT_TYPE_LATEST.encode()), (b"content-length", b"%d" % len(body))]
        return Response(200, headers, body)


class MeteredFeed(Feed):
    """A feed that counts exchanges on their way."""

    def __init__(self, metrics: Metrics, further: Feed | None) -> None:
        super().__init__(1)
        self._metrics, self._further = metrics, further

    def add(self, exchange: ExchangeRecord) -> None:
        """Count an exchange, and pass it on."""
        self._metrics.observe(exchange)
        if self._further is not None:
            self._further.add(exchange)


class WorldCollector(Collector):
    """What is computed from the worlds when it is asked for: jobs by their state, findings by their rule."""

    def __init__(self, worlds: Worlds) -> None:
        self._worlds = worlds

    def collect(self) -> Iterator[Metric]:
        """Yield the gauges."""
        worlds = list(self._worlds)
        states = Tally(world.view(job).status for world in worlds for job in world.jobs)
        yield _gauge("mockveo_jobs", "Jobs that are kept.", "state", states.items())
        breaches = Tally(
            finding.rule for world in worlds for finding in findings(exchange.to_json() for exchange in world.journal)
        )
        yield _gauge("mockveo_findings", "Breaches of the contract that the journals show.", "rule", breaches.items())


def _gauge(name: str, text: str, label: str, values: Iterable[tuple[str, int]]) -> Metric:
    gauge = GaugeMetricFamily(name, text, labels=[label])
    for value, count in values:
        gauge.add_metric([value], count)
    return gauge
