"""`clinic worker` runs maintenance while it delivers, by the database's clock."""

import re
import urllib.request
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from tests.integration.workers import PATIENCE_S, SECRET, start_worker, until

from clinic.adapters.postgres.store import PostgresStore
from clinic.domain.people.people import Role
from clinic.testing.builders import (
    NOW,
    World,
    a_request,
    a_session,
    a_stored_answer,
    an_availability,
    new_id,
    seed_doctor,
)
from clinic.testing.contracts.outbox import seed_message
from clinic.usecases.maintenance.services import SERVICES

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)
# Older than allowed, by the database's clock, which is the only one used.
BACK_DATE = """
UPDATE idempotency_keys SET created_at = now() - interval '73 hours' WHERE key = 'old';
UPDATE idempotency_keys SET created_at = now() - interval '71 hours' WHERE key = 'young';
UPDATE sessions SET created_at = now() - interval '90 days',
    expires_at = now() - CASE token_hash WHEN %(old)s THEN interval '31 days'
        ELSE interval '29 days' END
"""
LAST_DAY = """
SELECT max(s.starts_at)::date - (now() AT TIME ZONE 'Europe/London')::date FROM slots s
WHERE s.doctor_id = %s AND s.state = 'OPEN'
"""


async def seed(urls) -> tuple[World, str]:
    """Seed a due message, hours without slots, and an old and a recent answer and session."""
    store = PostgresStore(urls.app_url)
    await store.open()
    world = (await seed_message(store)).world
    doctor = await seed_doctor(store, world.clinic, name="Dr Late")
    old, young = (bytes([number]) * 32 for number in (1, 2))
    async with store.begin() as unit:
        await unit.calendars.add_availability(an_availability(doctor, weekdays=EVERY_DAY))
        for token_hash in (old, young):
            session = a_session(world.clinic, world.patients[0].id, Role.PATIENT, now=NOW)
            await unit.sessions.add(replace(session, id=new_id(), token_hash=token_hash))
        await unit.commit()
    for key in ("old", "young"):
        await store.answers.keep(
            a_stored_answer(a_request(world.clinic, world.patients[0].id, key=key))
        )
    await store.close()
    with psycopg.connect(urls.owner_url, autocommit=True) as owner:
        for statement in BACK_DATE.split(";"):
            owner.execute(statement.encode(), {"old": old})
    return world, str(doctor.id)


async def test_worker_does_the_maintenance_beside_its_messages(
    commands, postgres_urls, valkey_url, tmp_path: Path
) -> None:
    world, doctor_id = await seed(postgres_urls)
    next_month = (datetime.now(UTC).replace(day=1) + timedelta(days=32)).strftime("%Y_%m")
    mail, log = tmp_path / "mail", tmp_path / "log"
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        owner.execute(f"DROP TABLE audit_event_{next_month}")

        def found(query: str, *parameters: object) -> list[object]:
            return [row[0] for row in owner.execute(query.encode(), parameters).fetchall()]

        worker = start_worker(
            commands, postgres_urls, valkey_url, f"maildir://{mail}", log, CLINIC_WORKER_PORT="0"
        )
        try:
            until(lambda: found("SELECT key FROM idempotency_keys") == ["young"])
            until(lambda: found("SELECT token_hash FROM sessions") == [b"\2" * 32])
            horizon = world.clinic.policy.horizon_days
            until(lambda: found(LAST_DAY, doctor_id) == [horizon])
            until(lambda: found("SELECT to_regclass(%s)", f"audit_event_{next_month}") != [None])
            until(lambda: len(list((mail / "new").glob("*.eml"))) == 1)
            services = "SELECT count(*) FROM maintenance_runs WHERE succeeded_at IS NOT NULL"
            until(lambda: found(services) == [len(SERVICES)])
            until(lambda: 'success_timestamp_seconds{service="open-slots"}' in metrics(log))
        finally:
            worker.terminate()
            worker.wait(PATIENCE_S)

        assert found("SELECT sum(failures)::int FROM maintenance_runs") == [0]
        assert found("SELECT count(lease_until) FROM maintenance_runs") == [0]
        # Slots of doctors without hours are not touched.
        slots = "SELECT DISTINCT state FROM slots WHERE doctor_id = ANY (%s)"
        assert found(slots, [world.doctor.id, world.colleague.id]) == ["OPEN"]
    assert "failed" not in log.read_text()


def metrics(log: Path) -> str:
    (url,) = re.findall(r"worker ready (http\S+)", log.read_text())
    with urllib.request.urlopen(url) as answer:
        text: str = answer.read().decode()
    return text


def test_check_names_services_that_have_not_run_for_twice_their_period(
    commands, postgres_urls, valkey_url, tmp_path
) -> None:
    environ = {
        "CLINIC_DATABASE_URL": postgres_urls.app_url,
        "CLINIC_BROKER_URL": valkey_url,
        "CLINIC_SECRET": SECRET,
        "CLINIC_MAIL_URL": f"maildir://{tmp_path}",
    }
    with psycopg.connect(postgres_urls.owner_url, autocommit=True) as owner:
        owner.execute(
            "INSERT INTO clinics (id, name, time_zone, notice_min, horizon_days,"
            " cancel_notice_min, hold_min, reminder_leads_min, created_at) VALUES"
            " (gen_random_uuid(), 'Here', 'UTC', 0, 60, 0, 10, '{}', now() - interval '3 days')"
        )
        for service, age, failures in (
            ("open-slots", "119 min", 0),
            ("remove-expired", "11 min", 3),
            ("align-calendars", "9 min", 0),
            ("plan-reminders", "9 min", 0),
            ("finish-erasures", "9 min", 0),
            ("index-closed-months", "11 hours", 0),
        ):
            owner.execute(
                "INSERT INTO maintenance_runs (service, succeeded_at, failures)"
                " VALUES (%s, now() - %s::interval, %s)",
                [service, age, failures],
            )

        ran = commands.run(["check"], environ, tmp_path)

        assert [line for line in ran.stdout.splitlines() if line.startswith("WRONG")] == [
            "WRONG: maintenance: remove-expired is due every 1 min, and last succeeded 11 min ago;"
            " 3 runs have failed since",
            "WRONG: maintenance: make-partitions is due every 1 h, and never ran",
        ]
        assert "clinic maintenance run make-partitions" in ran.stdout
        assert ran.returncode == 1

        owner.execute("DELETE FROM clinics")
        owner.execute("DELETE FROM maintenance_runs")
        assert commands.run(["check"], environ, tmp_path).stdout == "All is well.\n"
