"""A server process's metrics: bounded labels, and the services' growing counters."""

import asyncio
from typing import Any, cast

import pytest
from prometheus_client import generate_latest

from clinic.bootstrap import in_memory
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.kernel import metrics as measuring
from clinic.entrypoints.http.kernel.metrics import WebMetrics
from clinic.usecases.audit.audit_buffer import AuditBuffer

pytestmark = pytest.mark.anyio


@pytest.fixture
async def measured():
    """Sends requests without a network to an application with metrics, and returns what it has
    counted."""
    services = in_memory()
    metrics = WebMetrics(services)
    app = create_app(services, metrics=metrics)

    async def send(method: str, path: str) -> int:
        statuses = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def answer(message):
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": [],
            "client": ("192.0.2.1", 1),
            "server": ("localhost", 80),
            "scheme": "http",
            "http_version": "1.1",
            "root_path": "",
            "state": {},
        }
        await app(cast("Any", scope), receive, answer)
        return int(statuses[0])

    yield services, metrics, send
    await services.close()


def told(metrics):
    metrics.sample()
    return generate_latest(metrics.registry).decode()


async def test_requests_are_counted_by_template_and_status(measured):
    _, metrics, send = measured
    for number in range(3):
        path = f"/appointments/00000000-0000-7000-8000-00000000000{number}"
        assert await send("GET", path) == 401

    text = told(metrics)

    series = 'method="GET",route="/appointments/{appointment_id}",status="401"'
    assert f"clinic_http_request_duration_seconds_count{{{series}}} 3.0" in text.splitlines()
    assert "00000000-0000" not in text


async def test_whatever_strangers_send_makes_no_new_series(measured):
    _, metrics, send = measured
    for number in range(50):
        await send(f"METHOD{number}", f"/nowhere/{number}?ada@example.org")
        await send("GET", f"/ada-lovett-{number}")

    text = told(metrics)

    counts = [line for line in text.splitlines() if "duration_seconds_count{" in line]
    assert len(counts) == 2
    assert all('route="none"' in line for line in counts)
    assert {line.rpartition(" ")[2] for line in counts} == {"50.0"}
    assert "ada" not in text
    assert "METHOD" not in text


async def test_figures_are_counted_once_however_often_they_are_looked_at(measured):
    services, metrics, _ = measured
    figures = services.store.figures
    for _ in range(2):
        for outcome in ("booked", "slot_taken", "slot_taken", "patient_busy"):
            figures.count_booking(outcome)
        figures.count_batch(1)
        figures.count_batch(7)
        figures.pool_waits += 2
        figures.pool_wait_s += 0.5
        services.transactions.retried += 1
        text = told(metrics)
        assert told(metrics) == text

    for line in (
        'clinic_bookings_total{outcome="booked"} 2.0',
        'clinic_bookings_total{outcome="slot_taken"} 4.0',
        "clinic_lost_races_total 6.0",
        'clinic_booking_statements_total{size="1"} 2.0',
        'clinic_booking_statements_total{size="7"} 2.0',
        "clinic_pool_waits_total 4.0",
        "clinic_pool_wait_seconds_total 1.0",
        "clinic_transactions_retried_total 2.0",
    ):
        assert line in text.splitlines()


async def test_audit_buffer_says_what_waits_and_what_found_no_room(measured):
    services, metrics, _ = measured
    audit: AuditBuffer = services.audit
    audit._capacity = 2
    for _ in range(5):
        try:
            audit.check()
            audit._waiting.append(object())  # type: ignore[arg-type]
        except Exception:  # noqa: BLE001
            pass
    audit.set_aside += 1

    lines = told(metrics).splitlines()
    audit._waiting.clear()

    assert "clinic_audit_events_waiting 2.0" in lines
    assert "clinic_audit_reads_refused_total 3.0" in lines
    assert "clinic_audit_events_set_aside_total 1.0" in lines


async def test_counts_are_looked_at_all_the_time(measured, monkeypatch):
    services, metrics, _ = measured
    monkeypatch.setattr(measuring, "SAMPLE_S", 0.0)
    sampled = asyncio.Event()
    sample = metrics.sample

    def note():
        sample()
        if services.store.figures.pool_waits:
            sampled.set()

    monkeypatch.setattr(metrics, "sample", note)
    metrics.start()
    services.store.figures.pool_waits = 3
    async with asyncio.timeout(5):
        await sampled.wait()
    metrics.stop()

    assert "clinic_pool_waits_total 3.0" in generate_latest(metrics.registry).decode()
