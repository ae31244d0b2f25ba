"""The cost of one million pending reminders, and their effect on messages that are due.

Run: python tests/chaos/million.py [--pending 1000000] [--seconds 30]. Prints one line each for
publishing, memory, lateness while they wait, and the resync after a FLUSHALL.
"""

import argparse
import asyncio
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import redis
from harness import Chaos, stage  # type: ignore[import-not-found]

from clinic.adapters.dramatiq import DramatiqQueue
from clinic.adapters.postgres.store import PostgresStore
from clinic.usecases.messaging.relay_outbox import relay_outbox, resync_queue

#: a reminder far in the future for each version of one appointment
FILL = """
INSERT INTO notification_outbox (clinic_id, id, appointment_id, kind, channel, version,
                                 scheduled_for, next_at, expires_at, created_at)
SELECT a.clinic_id, gen_random_uuid(), a.id, 'reminder_1440m', 'email', 1000 + n,
       now() + interval '30 days' + n * interval '1 second',
       now() + interval '30 days' + n * interval '1 second',
       now() + interval '60 days', now()
FROM (SELECT clinic_id, id FROM appointments LIMIT 1) a, generate_series(1, %s) n
"""


class Million(Chaos):  # type: ignore[misc]
    """A run without faults, with reminders pending that are not due for weeks."""

    pending = 1_000_000

    def fill(self) -> None:
        """Add the reminders, and print the cost of publishing them."""
        with psycopg.connect(self.owner_url, autocommit=True) as connection:
            connection.execute(FILL, (self.pending,))
            connection.execute("ANALYZE notification_outbox")
        asyncio.run(self._publish())

    async def _publish(self) -> None:
        store, queue = PostgresStore(self.app_url), DramatiqQueue(self.valkey.url)
        await store.open()
        await resync_queue(outbox=store.outbox, queue=queue)
        began = time.monotonic()
        count = await relay_outbox(outbox=store.outbox, queue=queue, batches_max=10_000)
        took = time.monotonic() - began
        print(f"published {count} in {took:.1f} s: {count / took:.0f}/s", flush=True)
        await queue.stop(timeout_s=1)
        await store.close()

    def catch_up(self) -> None:
        """Wait until messages that came due while the relay was away have been sent."""
        query = (
            "SELECT count(*) FROM notification_outbox WHERE published_at IS NULL"
            " OR next_at < now() - interval '1 second' AND state = 'pending'"
        )
        for _ in range(600):
            with psycopg.connect(self.owner_url) as connection:
                left = connection.execute(query).fetchone()
            assert left is not None
            if left[0] < 20:
                return
            time.sleep(0.2)

    def drain(self) -> None:
        deadline = time.monotonic() + self.drain_max_s
        while time.monotonic() < deadline:
            with psycopg.connect(self.owner_url) as connection:
                left = connection.execute(
                    "SELECT count(*) FROM notification_outbox"
                    " WHERE next_at < now() + interval '1 day'"
                ).fetchone()
            assert left is not None
            self.report.stuck = left[0]
            if not left[0]:
                return
            time.sleep(0.3)


def rss_mib(pid: int) -> float:
    """Return a process's resident memory."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return 0.0


def watch(run: Million, peaks: dict[str, float], stop: threading.Event) -> None:
    """Record each worker's peak memory until `stop`."""
    while not stop.wait(0.5):
        for name in ("relay", "worker-1", "worker-2"):
            process = run.children[name].process
            if process is not None and process.poll() is None:
                peaks[name] = max(peaks.get(name, 0.0), rss_mib(process.pid))


def measure_resync(run: Million) -> None:
    """Empty Redis and print how long it takes until every reminder is back."""
    with redis.Redis.from_url(run.valkey.url) as client:
        info: Any = client.info("memory")
        print(f"Redis holds {info['used_memory'] / 2**20:.0f} MiB", flush=True)
        client.flushall()
        began = time.monotonic()
        while int(client.zcard("clinic:scheduled")) < run.pending:
            time.sleep(0.05)
            if time.monotonic() - began > 120:
                break
        print(f"resync after FLUSHALL took {time.monotonic() - began:.1f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pending", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=20.0)
    options = parser.parse_args()
    with stage() as (folder, postgres, valkey):
        run = Million(
            folder,
            postgres,
            valkey,
            fault="none",
            seed=1,
            seconds=options.seconds + 400,
            rate=options.rate,
        )
        run.pending = options.pending
        run.prepare()
        run.start()
        try:
            run._warm_up()
            asyncio.run(run._add_slots())
            time.sleep(2)
            pids = {name: run.children[name].process.pid for name in ("relay", "worker-1")}
            before = {name: rss_mib(pid) for name, pid in pids.items()}
            run.children["relay"].stop()
            run.fill()
            run.children["relay"] = run.child("relay")
            stop, peaks = threading.Event(), dict(before)
            watcher = threading.Thread(target=watch, args=(run, peaks, stop), daemon=True)
            watcher.start()
            run.catch_up()
            began = time.time()
            time.sleep(options.seconds)
            ended = time.time()
            measure_resync(run)
            run.children["web"].stop()
            run.drain()
            stop.set()
            watcher.join()
        finally:
            run.stop()
        run.judge()
        lines = [json.loads(line) for line in run.mail_log.read_text().splitlines()]
        with psycopg.connect(run.owner_url) as connection:
            due = {
                str(row[0]): row[1].timestamp()
                for row in connection.execute("SELECT id, scheduled_for FROM notification")
            }
        late = sorted(
            line["taken"] - due[line["id"][1:37]]
            for line in lines
            if line["id"][1:37] in due and began <= due[line["id"][1:37]] < ended
        )
        for name, mib in before.items():
            print(f"memory of {name}: {mib:.0f} MiB before, {peaks[name]:.0f} MiB at most")
        print(
            f"lateness of {len(late)} due messages meanwhile: p50 {late[len(late) // 2]:.2f}"
            f" p99 {late[int(len(late) * 0.99)]:.2f} max {late[-1]:.2f} s"
        )
        print(run.report.line())
    return 0 if run.report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
