"""Prometheus: what every process serves. The metrics themselves stand in each app's `metrics.py`.

Two registries: the default one holds what this process did; DATABASE holds what the database says about all
of them, read at each scrape and served by the web processes alone, lest sums count it several times.
"""

from collections.abc import Callable, Iterable
from typing import Any

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

log = structlog.get_logger("metrics")

DATABASE = CollectorRegistry()


class DatabaseGauges(Collector):
    """Gauges read from the database when scraped; a database that is away costs these alone."""

    def __init__(self, read: Callable[[], list[GaugeMetricFamily]]) -> None:
        self._read = read

    def describe(self) -> Iterable[Any]:
        return []  # asked when registering, when no query may run yet

    def collect(self) -> Iterable[Any]:
        try:
            return self._read()
        except DatabaseError as error:
            log.warning("database metrics not read", error=repr(error))
            return []


def gauge(name: str, documentation: str, label: str, values: dict[str, float]) -> GaugeMetricFamily:
    """Return one gauge with one label from `values`, keyed by the label's value."""
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def render() -> bytes:
    """Everything that a web process serves, in Prometheus' text format; asks the database."""
    return generate_latest(REGISTRY) + generate_latest(DATABASE)


def serve_metrics() -> None:
    """Serve this process's metrics at METRICS_ADDRESS and METRICS_PORT, on a thread of its own; port 0: not.

    For pools and workers, which have no HTTP of their own. Raises OSError when the port is taken.
    """
    if settings.METRICS_PORT:
        start_http_server(settings.METRICS_PORT, addr=settings.METRICS_ADDRESS)
        log.info("metrics served", address=settings.METRICS_ADDRESS, port=settings.METRICS_PORT)
