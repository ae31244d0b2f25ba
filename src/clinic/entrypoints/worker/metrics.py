"""Prometheus metrics of a worker. No label or value names a person."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from clinic.ports.job_queue import QueueCounts
from clinic.ports.maintenance import MaintenanceHistory
from clinic.ports.outbox import OutboxCounts
from clinic.usecases.maintenance.remove_expired import REMOVE_EXPIRED
from clinic.usecases.maintenance.run import Ran
from clinic.usecases.maintenance.services import SERVICES
from clinic.usecases.messaging.deliver_notification import Delivery
from clinic.usecases.messaging.relay_outbox import Rescued

LATENESS_BUCKETS_S = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
DURATION_BUCKETS_S = (0.01, 0.1, 1, 10, 60, 300, 1800)


class Metrics:
    """Counters and gauges of one worker, in a separate registry."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._delivered = Counter(
            "clinic_notifications",
            "Attempts at messages, by what became of them.",
            ["result"],
            registry=registry,
        )
        self._maybe_twice = Counter(
            "clinic_notifications_maybe_twice",
            "Messages sent although an earlier attempt may have been delivered.",
            registry=registry,
        )
        self._lateness = Histogram(
            "clinic_notification_lateness_seconds",
            "How long after its time a message was sent.",
            buckets=LATENESS_BUCKETS_S,
            registry=registry,
        )
        self._published = Counter(
            "clinic_outbox_published", "Messages handed to the queue.", registry=registry
        )
        self._rescued = Counter(
            "clinic_outbox_rescued",
            "Messages that the reconciler found lost, by how. Alert on any.",
            ["how"],
            registry=registry,
        )
        self._resynced = Counter(
            "clinic_queue_resyncs",
            "Times everything was sent to the queue again.",
            registry=registry,
        )
        self._removed = Counter(
            "clinic_removed",
            "Rows that were kept for long enough, by what they were.",
            ["what"],
            registry=registry,
        )
        self._failures = Counter(
            "clinic_worker_failures",
            "Rounds of a loop that failed, such as while the database is away.",
            ["loop"],
            registry=registry,
        )
        self._queue = Gauge(
            "clinic_queue_depth", "Jobs in the queue, by where.", ["where"], registry=registry
        )
        self._outbox = Gauge(
            "clinic_outbox_depth", "Messages in the outbox.", ["where"], registry=registry
        )
        self._oldest = Gauge(
            "clinic_outbox_oldest_due_seconds",
            "How late the message is that has been due for longest.",
            registry=registry,
        )

        self._maintenance = _MaintenanceMetrics(registry)

    def delivered(self, delivery: Delivery) -> None:
        """Count the result of an attempt."""
        self._delivered.labels(delivery.result.value).inc()
        if delivery.late_s is not None:
            self._lateness.observe(max(delivery.late_s, 0.0))
        if delivery.maybe_twice and delivery.late_s is not None:
            self._maybe_twice.inc()

    def broke(self) -> None:
        """Count an attempt that ended without a result because the database was unavailable."""
        self._delivered.labels("database_away").inc()

    def published(self, count: int) -> None:
        """Count messages that the relay handed to the queue."""
        self._published.inc(count)

    def rescued(self, found: Rescued) -> None:
        """Count what a sweep found."""
        self._rescued.labels("overdue").inc(found.overdue)
        self._rescued.labels("stranded").inc(found.stranded)
        self._rescued.labels("expired").inc(found.expired)

    def resynced(self) -> None:
        """Count a complete resync."""
        self._resynced.inc()

    def maintained(self, service: str, ran: Ran) -> None:
        """Count a maintenance service's run that succeeded."""
        self._maintenance.ran(service, ran)
        if service == REMOVE_EXPIRED.name:
            for what, count in ran.rows.items():
                self._removed.labels(what).inc(count)

    def not_maintained(self, service: str) -> None:
        """Count a maintenance service's run that failed."""
        self._maintenance.failures.labels(service).inc()

    def history(self, history: MaintenanceHistory) -> None:
        """Record when each service last succeeded, in any worker."""
        for service, record in history.records.items():
            if record.succeeded_at is not None:
                at_s = record.succeeded_at.timestamp()
                self._maintenance.last_success.labels(service).set(at_s)

    def failed(self, loop: str) -> None:
        """Count a round of a loop that failed."""
        self._failures.labels(loop).inc()

    def depths(self, queue: QueueCounts, outbox: OutboxCounts) -> None:
        """Record the depths of the queue and the outbox."""
        for where in ("scheduled", "ready", "running", "poison"):
            self._queue.labels(where).set(getattr(queue, where))
        for where in ("due", "unpublished", "in_flight", "dead"):
            self._outbox.labels(where).set(getattr(outbox, where))
        self._oldest.set(outbox.oldest_due_s)


class _MaintenanceMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.last_success = Gauge(
            "clinic_maintenance_last_success_timestamp_seconds",
            "When a service last succeeded, in whichever worker.",
            ["service"],
            registry=registry,
        )
        self.failures = Counter(
            "clinic_maintenance_failures",
            "Runs of a service in this worker that failed.",
            ["service"],
            registry=registry,
        )
        self._durations = Histogram(
            "clinic_maintenance_duration_seconds",
            "How long runs of a service in this worker took.",
            ["service"],
            buckets=DURATION_BUCKETS_S,
            registry=registry,
        )
        self._rows = Counter(
            "clinic_maintenance_rows",
            "Rows that a service made or removed, by what they were.",
            ["service", "what"],
            registry=registry,
        )
        for name in SERVICES:
            self.failures.labels(name)
            self._durations.labels(name)

    def ran(self, service: str, ran: Ran) -> None:
        self._durations.labels(service).observe(ran.duration_s)
        for what, count in ran.rows.items():
            self._rows.labels(service, what).inc(count)
