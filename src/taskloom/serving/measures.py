"""Counters of a server for Prometheus, in a registry of its own."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Measures:
    """What a server counts; paths are those of routes, so that clients cannot make new series."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        here: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("taskloom_requests", "Requests answered.", ("path", "status"), **here)
        self.seconds = Histogram(
            "taskloom_request_seconds", "From a request's head to its answer.", ("path",), buckets=SECONDS, **here
        )
        self.turns = Histogram(
            "taskloom_turn_rows", "Rows computed together.", ("work",), buckets=ROWS, **here
        )  # fmt: skip
        self.joined = Counter("taskloom_turn_requests", "Requests that turns answered, wholly or in part.", **here)
        self.busy = Counter("taskloom_model_seconds", "Seconds in which the model computed.", **here)
        self.gone = Counter("taskloom_gone", "Requests whose client went away before the answer.", **here)
        self.queued = Gauge("taskloom_queued", "Requests that wait.", **here)

    def turn(self, work: Any, jobs: int, rows: int, seconds: float) -> None:
        """Count one turn of the model."""
        self.turns.labels(work.name).observe(rows)
        self.joined.inc(jobs)
        self.busy.inc(seconds)

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self.requests.labels(path, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def text(self) -> bytes:
        """Return all counters in Prometheus' text format."""
        return generate_latest(self.registry)
