"""Prometheus metrics of one process of `clinic serve`.

No label or value names a person, and every label has few values: routes are templates, never paths.
Imported only if CLINIC_METRICS_PORT is set, since prometheus-client decides on import whether
processes share their values.
"""

import asyncio
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from clinic.bootstrap import Services
from clinic.entrypoints.http.kernel.access_log import AccessLog
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.entrypoints.logs import write_to_stderr
from clinic.ports.figures import BOOKED

DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15)
#: how often counts that are kept elsewhere are sampled
SAMPLE_S = 1.0
METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
#: labels of requests that match no route, or have another method
NO_ROUTE, OTHER_METHOD = "none", "other"
#: outcomes that a booking finds only when it is written, after it has seen a free slot
LOST = frozenset({"slot_taken", "patient_busy"})


class WebMetrics:
    """Counts requests as they are answered, and samples the services' counts once a second."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.registry = registry = CollectorRegistry()
        self._requests = Histogram(
            "clinic_http_request_duration_seconds",
            "How long requests took, by method, template of the route and status.",
            ["method", "route", "status"],
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self._by_kind: dict[tuple[str, str, int], Callable[[float], None]] = {}
        self._counts = _Counts(registry)
        self._waiting = Gauge(
            "clinic_audit_events_waiting",
            "Audit events that are not written yet.",
            multiprocess_mode="livesum",
            registry=registry,
        )
        self._task: asyncio.Task[None] | None = None

    def answered(self, call: RequestContext, status: int, duration_s: float) -> None:
        """Count a request."""
        route = call.route or NO_ROUTE
        kind = (call.method if call.method in METHODS else OTHER_METHOD, route, status)
        observe = self._by_kind.get(kind)
        if observe is None:
            method, route, _ = kind
            observe = self._requests.labels(method, route, str(status)).observe
            self._by_kind[kind] = observe
        observe(duration_s)

    def sample(self) -> None:
        """Add what the services have counted since the last sample."""
        services, counts = self._services, self._counts
        figures, audit = services.store.figures, services.audit
        for outcome, number in list(figures.bookings.items()):
            counts.bookings.reach(number, outcome)
        lost = sum(number for outcome, number in figures.bookings.items() if outcome in LOST)
        counts.lost_races.reach(lost)
        for size, number in list(figures.batches.items()):
            counts.batches.reach(number, str(size))
        counts.pool_waits.reach(figures.pool_waits)
        counts.pool_wait_s.reach(figures.pool_wait_s)
        counts.retried.reach(services.transactions.retried)
        counts.reads_refused.reach(audit.refused)
        counts.dropped.reach(audit.dropped)
        counts.set_aside.reach(audit.set_aside)
        self._waiting.set(audit.waiting)

    def start(self) -> None:
        """Sample in the background."""
        self.sample()
        self._task = asyncio.create_task(self._run(), name="metrics")

    def stop(self) -> None:
        """Sample a last time."""
        if self._task is not None:
            self._task.cancel()
        self.sample()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_S)
            self.sample()


class MeasuredLog(AccessLog):
    """An access log that also counts each request."""

    def __init__(
        self, level: str, metrics: WebMetrics, write: Callable[[bytes], None] = write_to_stderr
    ) -> None:
        super().__init__(level, write)
        self._metrics = metrics

    def add(self, call: RequestContext, status: int, duration_s: float) -> None:
        """Note that `call` was answered with `status`."""
        self._metrics.answered(call, status, duration_s)
        super().add(call, status, duration_s)


class _Followed:
    """A counter that follows a number kept elsewhere."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._reached: dict[tuple[str, ...], float] = {}

    def reach(self, number: float, *labels: str) -> None:
        """Count what has been added since the last call."""
        new = number - self._reached.get(labels, 0)
        if new or labels not in self._reached:
            (self._counter.labels(*labels) if labels else self._counter).inc(new)
            self._reached[labels] = number


class _Counts:
    def __init__(self, registry: CollectorRegistry) -> None:
        def followed(name: str, text: str, *labels: str) -> _Followed:
            return _Followed(Counter(name, text, labels, registry=registry))

        self.bookings = followed(
            "clinic_bookings",
            f"Attempts to write a booking, by outcome: {BOOKED}, or the error's code.",
            "outcome",
        )
        self.lost_races = followed(
            "clinic_lost_races",
            "Bookings that saw a free slot, and found it or the patient's time taken.",
        )
        self.batches = followed(
            "clinic_booking_statements",
            "Statements that wrote bookings, by how many each tried to write.",
            "size",
        )
        self.pool_waits = followed(
            "clinic_pool_waits", "Times that a caller waited for a database connection."
        )
        self.pool_wait_s = followed(
            "clinic_pool_wait_seconds", "How long callers waited for database connections."
        )
        self.retried = followed(
            "clinic_transactions_retried", "Changes that gave way to another one and ran again."
        )
        self.reads_refused = followed(
            "clinic_audit_reads_refused", "Events that there was no room for: reads were refused."
        )
        self.dropped = followed(
            "clinic_audit_events_dropped", "Audit events that a process could not write at its end."
        )
        self.set_aside = followed(
            "clinic_audit_events_set_aside", "Audit events that can never be written."
        )
