"""Bookings over HTTP with the worker alive and killed, alternately: does a dead one slow them?

Run: python tests/chaos/web_ratio.py [--rounds 6] [--requests 300]. Prints both p99 and their ratio.
"""

import argparse
import asyncio
import http.client
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from typing import Any
from uuid import UUID

import psycopg
from harness import SECRET, Chaos, stage  # type: ignore[import-not-found]

from clinic.bootstrap import build
from clinic.domain.people.people import Actor, Role
from clinic.entrypoints.http.kernel.tokens import token_of
from clinic.settings import Settings
from clinic.usecases.people.sign_in import sign_in_as

CLIENTS = 4
PORT = 8493


def token(run: Any) -> str:
    """Return a receptionist's bearer token."""
    settings = Settings(database_url=run.app_url, broker_url=run.valkey.url, secret=SECRET)

    async def sign_in() -> str:
        services = build(settings)
        await services.open()
        try:
            actor = Actor(UUID(int=0), Role.SYSTEM, run.clinic.id)
            with psycopg.connect(run.owner_url) as connection:
                row = connection.execute("SELECT user_id FROM doctors_profiles LIMIT 1").fetchone()
            assert row is not None
            user_id: UUID = row[0]
            with psycopg.connect(run.owner_url) as connection:
                connection.execute(
                    "UPDATE users SET role = 'RECEPTIONIST' WHERE id = %s", (user_id,)
                )
                connection.execute(
                    "INSERT INTO staff_profiles (clinic_id, user_id) VALUES (%s, %s)",
                    (run.clinic.id, user_id),
                )
            (signed_in,) = await sign_in_as(services.context(actor), [user_id])
            return token_of(signed_in, settings)
        finally:
            await services.close()

    return asyncio.run(sign_in())


def load(run: Any, bearer: str, slots: Any, patients: Any, count: int) -> list[float]:
    """Book `count` slots by CLIENTS at a time; return how long each response took."""
    times: list[float] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=30)
        for _ in range(count // CLIENTS):
            body = json.dumps(
                {"slotId": next(slots), "patientId": next(patients), "override": True}
            )
            headers = {
                "Authorization": f"Bearer {bearer}",
                "Content-Type": "application/json",
                "Idempotency-Key": f"ratio-{time.monotonic_ns()}-{threading.get_ident()}",
            }
            began = time.perf_counter()
            connection.request("POST", "/appointments", body, headers)
            answer = connection.getresponse()
            answer.read()
            times.append(time.perf_counter() - began)
            assert answer.status in (201, 409), answer.status

    threads = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--requests", type=int, default=300)
    options = parser.parse_args()
    with stage() as (folder, postgres, valkey):
        run = Chaos(folder, postgres, valkey, fault="none", seed=3, seconds=600, rate=1)
        run.prepare()
        run.start()
        run._warm_up()
        asyncio.run(run._add_slots())
        run.children["web"].stop()
        run.children["worker-2"].stop()
        env = {**run._env, "CLINIC_PORT": str(PORT), "CLINIC_WRITE_LIMIT": "999999/60"}
        web = subprocess.Popen(
            [sys.executable, "-m", "clinic.entrypoints.cli", "serve"],
            env=env,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get("CHAOS_VERBOSE") else subprocess.DEVNULL,
        )
        try:
            ratios = measure(run, options.rounds, options.requests)
        finally:
            web.send_signal(signal.SIGTERM)
            web.wait(30)
            run.stop()
    print(f"ratio of p99, worker dead to alive: median {statistics.median(ratios):.2f} of {ratios}")
    return 0


def _wait_until_it_listens() -> None:
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", PORT)).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError("the web server did not start")


def measure(run: Any, rounds: int, requests: int) -> list[float]:
    """Return the ratio of each pair of rounds."""
    bearer = token(run)
    with psycopg.connect(run.owner_url) as connection:
        found = connection.execute(
            "SELECT id FROM slots WHERE NOT taken AND starts_at > now() + interval '60 seconds'"
            " ORDER BY random()"
        ).fetchall()
        people = connection.execute("SELECT user_id FROM patients_profiles").fetchall()
    slots = iter([str(row[0]) for row in found])
    patients = itertools.cycle([str(row[0]) for row in people])
    _wait_until_it_listens()
    load(run, bearer, slots, patients, CLIENTS * 10)
    ratios = []
    for _ in range(rounds // 2):
        p99 = {}
        for alive in (True, False):
            if alive:
                run.children["relay"], run.children["worker-1"] = (
                    run.child("relay"),
                    run.child("worker-1"),
                )
                time.sleep(8)
            else:
                run.children["relay"].stop(signal.SIGKILL)
                run.children["worker-1"].stop(signal.SIGKILL)
            times = sorted(load(run, bearer, slots, patients, requests))
            p99[alive] = times[int(len(times) * 0.99)]
            state = "alive" if alive else "dead"
            print(
                f"worker {state}: p50 {times[len(times) // 2] * 1000:.1f}"
                f" p99 {p99[alive] * 1000:.1f} ms of {len(times)}",
                flush=True,
            )
        ratios.append(round(p99[False] / p99[True], 2))
    return ratios


if __name__ == "__main__":
    sys.exit(main())
