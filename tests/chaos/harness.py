"""Books, moves, confirms, cancels and checks in under load while parts are killed and clocks jump,
then compares the messages at the mail server with those that the database requires.

Run: python tests/chaos/harness.py --seconds 30 --fault worker-kill, or without --fault for all
faults in turn. Exits with 0 only if no message was lost, none was sent early or after a cancel, and
every second copy is flagged.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import redis

from clinic.adapters.postgres.migrations import migrate
from clinic.bootstrap import build
from clinic.devtools.embedded import EmbeddedPostgres, EmbeddedValkey
from clinic.domain.calendar.slots import Slot
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.notifications import (
    CANCELLATION,
    CONFIRMATION,
    DOCTOR_CHANGE,
    DOCTOR_LEFT,
    RESCHEDULE,
    is_last_minute,
    reminder_kind,
)
from clinic.domain.people.people import Role, User
from clinic.domain.status import Status
from clinic.settings import Settings

HERE = Path(__file__).parent
LEAD_MIN = 1
LEASE_S = 4.0
#: how long before DATA the last check of the database may be: PERMISSION_MAX_S of smtp.py
FENCE_TOLERANCE_S = 2.0
#: PostgreSQL's clock and the mail server's are read one after the other
EARLY_TOLERANCE_S = 0.01
DRAIN_MAX_S = 90.0
WARM_UP_MAX_S = 40.0
#: the last slots start this many seconds after the end of the run
MARGIN_S = 4
DOCTORS, PATIENTS = 60, 400
SECRET = "chaos-" * 8


@dataclass
class Report:
    """What one run found."""

    fault: str
    seed: int
    changes: int = 0
    expected: int = 0
    received: int = 0
    injected: int = 0
    lost: list[str] = field(default_factory=list)
    after_change: list[str] = field(default_factory=list)
    early: list[str] = field(default_factory=list)
    duplicates: int = 0
    unflagged: list[str] = field(default_factory=list)
    unlogged: list[str] = field(default_factory=list)
    stuck: int = 0
    dead: int = 0
    worst_after_s: float = 0.0
    lateness_p50_s: float = 0.0
    lateness_p99_s: float = 0.0
    lateness_max_s: float = 0.0

    @property
    def is_clean(self) -> bool:
        # A run without messages proves nothing.
        return self.expected > 0 and not (
            self.lost
            or self.after_change
            or self.early
            or self.unflagged
            or self.unlogged
            or self.stuck
        )

    def line(self) -> str:
        verdict = "ok " if self.is_clean else "RED"
        return (
            f"{verdict} {self.fault:<22} seed {self.seed} injected {self.injected:>3}"
            f" changes {self.changes:>5} expected {self.expected:>5} received {self.received:>5}"
            f" lost {len(self.lost)} after-change {len(self.after_change)}"
            f" (latest {self.worst_after_s * 1000:.0f} ms) early {len(self.early)}"
            f" duplicates {self.duplicates} unflagged {len(self.unflagged)}"
            f" unlogged {len(self.unlogged)} stuck {self.stuck} dead {self.dead}"
            f" late p50 {self.lateness_p50_s:.2f} p99 {self.lateness_p99_s:.2f}"
            f" max {self.lateness_max_s:.2f} s"
        )


class Child:
    """A process that is restarted whenever it ends, as a supervisor does."""

    def __init__(
        self, name: str, command: list[str], env: dict[str, str], output: Path | None = None
    ) -> None:
        self.name, self._command, self._env = name, command, env
        self._output = output
        self._wanted = True
        self.process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        while self._wanted:
            output: Any = self._output.open("ab") if self._output else subprocess.DEVNULL
            self.process = subprocess.Popen(
                self._command,
                env=self._env,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=None if os.environ.get("CHAOS_VERBOSE") else subprocess.DEVNULL,
            )
            self.process.wait()
            assert self.process.stdin is not None
            self.process.stdin.close()
            if self._output:
                output.close()
            if self._wanted:
                time.sleep(0.2)

    def send(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def stop(self, number: int = signal.SIGKILL) -> None:
        self._wanted = False
        self.send(signal.SIGCONT)
        self.send(number)
        self._thread.join(40)
        if self._thread.is_alive():
            self.send(signal.SIGKILL)
            self._thread.join()


class Chaos:
    """One run: a database, a queue, a mail server, a web process and three workers."""

    def __init__(
        self,
        folder: Path,
        postgres: EmbeddedPostgres,
        valkey: EmbeddedValkey,
        *,
        fault: str,
        seed: int,
        seconds: float,
        rate: float,
        without: str = "",
        policy: str = "resend",
        drain_max_s: float = DRAIN_MAX_S,
    ) -> None:
        self.folder, self.postgres, self.valkey = folder, postgres, valkey
        self.fault, self.seed, self.seconds, self.rate = fault, seed, seconds, rate
        self.without, self.policy = without, policy
        self.drain_max_s = drain_max_s
        self.chance = random.Random(seed)
        self.report = Report(f"{fault}{f' without {without}' if without else ''}", seed)
        self.clinic = Clinic(
            UUID(int=seed + 1),
            "Chaos",
            "Europe/London",
            Policy(notice_min=0, cancel_notice_min=0, reminder_leads_min=(LEAD_MIN,)),
        )
        self.said = folder / "web.jsonl"
        self.mail_log = folder / "mail.jsonl"
        self.mail_control = folder / "mail.control"
        self.mail_port = _free_port()
        self.children: dict[str, Child] = {}

    # --- the stage

    def prepare(self) -> None:
        name = f"chaos_{self.seed}_{os.getpid()}"
        self.postgres.drop_database(name)
        self.postgres.create_database(name)
        self.owner_url = self.postgres.url(name, "owner")
        migrate(self.owner_url)
        self.app_url = self.postgres.url(name, "app")
        with redis.Redis.from_url(self.valkey.url) as client:
            client.flushall()
        asyncio.run(self._fill())

    async def _fill(self) -> None:
        services = build(Settings(database_url=self.app_url, secret=SECRET))
        await services.store.open()
        new_id = services.new_id
        async with services.store.begin() as unit:
            await unit.people.add_clinic(self.clinic)
            doctors = []
            for number in range(DOCTORS):
                user = User(new_id(), f"Doctor {number}", f"d{number}@chaos.test", Role.DOCTOR)
                await unit.people.add_user(user)
                await unit.people.add_doctor(self.clinic.id, user.id, "Medicine")
                doctors.append(user.id)
            for number in range(PATIENTS):
                user = User(new_id(), f"Patient {number}", f"p{number}@chaos.test", Role.PATIENT)
                await unit.people.add_user(user)
                await unit.people.add_patient(self.clinic.id, user.id)
            self.doctors = doctors
            await unit.calendars.add_slots(self._slots(new_id, 1))
            await unit.commit()
        await services.close()

    def _slots(self, new_id: Callable[[], UUID], seconds: int) -> list[Slot]:
        """Return one-second slots for each doctor, whose reminders come due from 4 s from now."""
        start = datetime.now(UTC) + timedelta(minutes=LEAD_MIN, seconds=4)
        return [
            Slot(
                new_id(),
                self.clinic.id,
                doctor,
                "Medicine",
                start + timedelta(seconds=second),
                start + timedelta(seconds=second + 1),
            )
            for doctor in self.doctors
            for second in range(seconds)
        ]

    async def _add_slots(self) -> None:
        """Open the slots of the run itself; the first ones were for the warm-up."""
        services = build(Settings(database_url=self.app_url, secret=SECRET))
        await services.store.open()
        async with services.store.begin() as unit:
            await unit.calendars.add_slots(
                self._slots(services.new_id, int(self.seconds) + MARGIN_S)
            )
            await unit.commit()
        await services.close()

    def start(self) -> None:
        env = {
            **os.environ,
            "PYTHONPATH": str(HERE.parent.parent / "src"),
            "CLINIC_DATABASE_URL": self.app_url,
            "CLINIC_BROKER_URL": self.valkey.url,
            "CLINIC_SECRET": SECRET,
            "CLINIC_MAIL_URL": f"smtp://127.0.0.1:{self.mail_port}",
            "CLINIC_MAIL_FROM": "no-reply@chaos.test",
            "CLINIC_MAIL_LEASE_S": str(LEASE_S),
            "CLINIC_AMBIGUOUS_MAIL": self.policy,
            "CLINIC_WORKER_PORT": "0",
            "CLINIC_LOG_LEVEL": "warning",
            "CHAOS_WITHOUT": self.without,
        }
        if self.without == "outbox":
            env["CHAOS_WITHOUT_OUTBOX"] = "1"
        self._env = env
        python = sys.executable
        self.mail_control.write_text("ok")
        mail = [str(self.mail_port), str(self.mail_log), str(self.mail_control)]
        web = [python, str(HERE / "web.py"), str(self.seed), str(self.clinic.id), str(self.rate)]
        self.children = {
            "mail": Child("mail", [python, str(HERE / "mail_server.py"), *mail], env),
            "relay": self.child("relay"),
            "worker-1": self.child("worker-1"),
            "worker-2": self.child("worker-2"),
            "web": Child("web", web, env, self.said),
        }

    def child(self, name: str) -> Child:
        """Start a worker process in the role given by its name."""
        role = "relay" if name == "relay" else "deliver"
        command = [sys.executable, str(HERE / "worker_main.py"), "--supervised", role]
        return Child(name, command, self._env)

    def stop(self) -> None:
        for name in ("web", "worker-1", "worker-2", "relay", "mail"):
            child = self.children.get(name)
            if child is not None:
                child.stop(signal.SIGTERM if name != "web" else signal.SIGKILL)

    # --- the faults

    def injectors(self) -> dict[str, Callable[[], None]]:
        return {
            "none": lambda: time.sleep(0.5),
            "worker-kill": self._kill("worker-1", "worker-2"),
            "relay-kill": self._kill("relay"),
            "web-kill": self._kill("web"),
            "mail-kill": self._kill("mail"),
            "worker-stop": self._terminate,
            "worker-freeze": self._freeze,
            "clock-jump": self._clock_jump,
            "redis-kill": self._redis_kill,
            "redis-wipe": self._redis_wipe,
            "redis-flushall": self._redis_flush,
            "redis-hang": self._redis_hang,
            "postgres-kill": self._postgres_kill,
            "postgres-restart": self._postgres_restart,
            "mail-refuse": self._mail_mode("refuse", 2.0),
            "mail-hang": self._mail_mode("hang", 2.0),
            "mail-die": self._mail_mode("die", 0.5),
            "mail-lose": self._mail_mode("lose", 0.3),
        }

    def _kill(self, *names: str) -> Callable[[], None]:
        return lambda: self.children[self.chance.choice(names)].send(signal.SIGKILL)

    def _terminate(self) -> None:
        self.children[self.chance.choice(["worker-1", "worker-2"])].send(signal.SIGTERM)

    def _freeze(self) -> None:
        child = self.children[self.chance.choice(["worker-1", "worker-2"])]
        child.send(signal.SIGSTOP)
        time.sleep(LEASE_S + 2)
        child.send(signal.SIGCONT)

    def _clock_jump(self) -> None:
        for name in ("relay", "worker-1", "worker-2"):
            self.children[name].send(signal.SIGUSR1)

    def _redis_kill(self) -> None:
        self.valkey.kill9()
        time.sleep(0.5)
        self.valkey.start()

    def _redis_wipe(self) -> None:
        self.valkey.kill9()
        data = self.valkey.data_dir / "data"
        shutil.rmtree(data / "appendonlydir", ignore_errors=True)
        for left in data.glob("*.rdb"):
            left.unlink()
        time.sleep(0.3)
        self.valkey.start()

    def _redis_flush(self) -> None:
        with redis.Redis.from_url(self.valkey.url) as client:
            client.flushall()

    def _redis_hang(self) -> None:
        pid = self.valkey.pid
        os.kill(pid, signal.SIGSTOP)
        time.sleep(5)
        os.kill(pid, signal.SIGCONT)

    def _postgres_kill(self) -> None:
        self.postgres.kill9()
        time.sleep(0.5)
        self.postgres.start()

    def _postgres_restart(self) -> None:
        self.postgres.stop()
        self.postgres.start()

    def _mail_mode(self, mode: str, seconds: float) -> Callable[[], None]:
        def inject() -> None:
            self.mail_control.write_text(mode)
            time.sleep(seconds)
            self.mail_control.write_text("ok")

        return inject

    def inject(self, until: float) -> None:
        injectors = self.injectors()
        names = [self.fault] if self.fault != "everything" else [*injectors][1:]
        while time.monotonic() < until:
            time.sleep(self.chance.uniform(0.8, 2.0))
            injectors[self.chance.choice(names)]()
            self.report.injected += 1

    # --- the run

    def run(self) -> Report:
        self.prepare()
        self.start()
        try:
            self._warm_up()
            asyncio.run(self._add_slots())
            time.sleep(1.0)
            self.inject(time.monotonic() + self.seconds)
            self.children["web"].stop()
            self.drain()
        finally:
            self.stop()
        self.judge()
        return self.report

    def _warm_up(self) -> None:
        """Wait until the first message has been delivered."""
        deadline = time.monotonic() + WARM_UP_MAX_S
        while not (self.mail_log.exists() and self.mail_log.stat().st_size):
            if time.monotonic() > deadline:
                raise TimeoutError("no message came through before any fault was injected")
            time.sleep(0.05)

    def drain(self) -> None:
        deadline = time.monotonic() + self.drain_max_s
        while time.monotonic() < deadline:
            try:
                with psycopg.connect(self.owner_url) as connection:
                    left = connection.execute(
                        "SELECT count(*) FILTER (WHERE state <> 'dead'),"
                        " count(*) FILTER (WHERE state = 'dead') FROM notification_outbox"
                    ).fetchone()
            except psycopg.OperationalError:
                time.sleep(0.5)
                continue
            assert left is not None
            self.report.stuck, self.report.dead = left
            if self.report.stuck == 0:
                return
            time.sleep(0.3)

    # --- the verdict

    def judge(self) -> None:
        report = self.report
        received = [json.loads(line) for line in _lines(self.mail_log)]
        commits, arrivals = {}, {}
        for said in map(json.loads, _lines(self.said)):
            if said["status"] == Status.ARRIVED:
                arrivals[said["appointment"]] = said["committed"]
            elif said["status"] != Status.CONFIRMED:
                commits[said["appointment"], said["version"]] = said["committed"]
        with psycopg.connect(self.owner_url) as connection:
            appointments = connection.execute(
                "SELECT id, status, schedule_version, starts_at FROM appointments"
            ).fetchall()
            changes = connection.execute(
                "SELECT appointment_id, action, to_status, at FROM audit_appointment"
                " ORDER BY appointment_id, version"
            ).fetchall()
            log = connection.execute(
                "SELECT id, appointment_id, kind, version, status, maybe_twice, scheduled_for"
                " FROM notification"
            ).fetchall()
            held = connection.execute(
                "SELECT appointment_id, kind, version FROM notification_outbox WHERE state = 'dead'"
            ).fetchall()
        report.changes, report.received = len(changes), len(received)
        taken = Counter(_message_of(line) for line in received)
        by_id = {str(row[0]): row for row in log}
        self._judge_losses(taken, log, set(held), appointments, changes)
        self._judge_copies(taken, by_id)
        self._judge_times(received, by_id, commits, arrivals)

    def _judge_losses(
        self,
        taken: Counter[str],
        log: list[Any],
        held: set[Any],
        appointments: list[Any],
        changes: list[Any],
    ) -> None:
        """Check that every message that should have been sent is logged as such and has arrived."""
        sent = {(row[1], row[2], row[3]): str(row[0]) for row in log if row[4] == "SENT"}
        for expected in self._expected(appointments, changes):
            self.report.expected += 1
            found = sent.get(expected)
            # A dead letter waits for an operator's decision.
            is_lost = found is None and expected not in held
            if is_lost or (found is not None and not taken[found]):
                appointment, kind, version = expected
                self.report.lost.append(f"{kind} v{version} of {appointment}")

    def _judge_copies(self, taken: Counter[str], by_id: dict[str, Any]) -> None:
        """Check that every message that arrived is in the log, and flagged if it arrived twice."""
        for message_id, times in taken.items():
            row = by_id.get(message_id)
            if row is None:
                if self.policy == "resend":
                    self.report.unlogged.append(message_id)
            elif times > 1:
                self.report.duplicates += times - 1
                if not row[5]:
                    self.report.unflagged.append(message_id)

    def _judge_times(
        self,
        received: list[Any],
        by_id: dict[str, Any],
        commits: dict[tuple[str, int], float],
        arrivals: dict[str, float],
    ) -> None:
        """Check that no hand-over began after the commit of a change that outdated the message."""
        report, late = self.report, []
        for line in received:
            row = by_id.get(_message_of(line))
            if row is None:
                continue
            late.append(line["taken"] - row[6].timestamp())
            if line["began"] < row[6].timestamp() - EARLY_TOLERANCE_S:
                report.early.append(str(row[0]))
            committed = commits.get((str(row[1]), row[3] + 1))
            if committed is None and row[2] not in (CANCELLATION, DOCTOR_CHANGE, DOCTOR_LEFT):
                # Patients who have arrived need no reminder.
                committed = arrivals.get(str(row[1]))
            if committed is not None and line["began"] > committed:
                report.worst_after_s = max(report.worst_after_s, line["began"] - committed)
                if line["began"] - committed > FENCE_TOLERANCE_S:
                    report.after_change.append(str(row[0]))
        if late:
            late.sort()
            report.lateness_p50_s = late[len(late) // 2]
            report.lateness_p99_s = late[int(len(late) * 0.99)]
            report.lateness_max_s = late[-1]

    def _expected(
        self, appointments: list[Any], changes: list[Any]
    ) -> Iterator[tuple[UUID, str, int]]:
        """Yield the messages that each appointment's last change requires and that still fit."""
        last: dict[UUID, datetime] = {
            appointment: at
            for appointment, action, to_status, at in changes
            if action in ("BOOK", "RESCHEDULE", "SWAP") or to_status == "CANCELLED"
        }
        for appointment, status, version, starts_at in appointments:
            at = last[appointment]
            if is_last_minute(starts_at, self.clinic.zone, at):
                yield appointment, DOCTOR_CHANGE, version
            if status == "CANCELLED":
                yield appointment, CANCELLATION, version
                continue
            if status == "ARRIVED":
                # A message due before may have been sent, or dropped as too late: both are correct.
                continue
            yield appointment, CONFIRMATION if version == 0 else RESCHEDULE, version
            if starts_at - timedelta(minutes=LEAD_MIN) > at:
                yield appointment, reminder_kind(LEAD_MIN), version


def _message_of(line: Any) -> str:
    message_id: str = line["id"].strip("<>").partition("@")[0]
    return message_id


def _lines(path: Path) -> Iterator[str]:
    """Yield complete lines; a killed process may leave a partial line anywhere."""
    if path.exists():
        for line in path.read_text().splitlines():
            try:
                json.loads(line)
            except ValueError:
                continue
            yield line


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def stage() -> Iterator[tuple[Path, EmbeddedPostgres, EmbeddedValkey]]:
    """Run separate servers in their own folder, and remove both at the end."""
    folder = Path(tempfile.mkdtemp(prefix="clinic-chaos-"))
    folder.chmod(0o755)
    postgres = EmbeddedPostgres(folder / "postgres", {"max_connections": "100"})
    valkey = EmbeddedValkey(folder / "valkey")
    try:
        postgres.start()
        valkey.start()
        yield folder, postgres, valkey
    finally:
        valkey.stop()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


FAULTS = (
    "none",
    "worker-kill",
    "relay-kill",
    "web-kill",
    "worker-stop",
    "worker-freeze",
    "clock-jump",
    "redis-kill",
    "redis-wipe",
    "redis-flushall",
    "redis-hang",
    "postgres-kill",
    "postgres-restart",
    "mail-kill",
    "mail-refuse",
    "mail-hang",
    "mail-die",
    "mail-lose",
    "everything",
)


def run_once(
    fault: str,
    *,
    seed: int,
    seconds: float,
    rate: float = 40.0,
    without: str = "",
    policy: str = "resend",
    drain_max_s: float = DRAIN_MAX_S,
) -> Report:
    """Run once on separate servers, and return the report."""
    with stage() as (folder, postgres, valkey):
        chaos = Chaos(
            folder,
            postgres,
            valkey,
            fault=fault,
            seed=seed,
            seconds=seconds,
            rate=rate,
            without=without,
            policy=policy,
            drain_max_s=drain_max_s,
        )
        return chaos.run()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fault", choices=FAULTS, action="append")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=40.0, help="changes a second")
    parser.add_argument("--policy", choices=("resend", "hold", "ask"), default="resend")
    parser.add_argument("--without", choices=("", "outbox", "look-up", "resync"), default="")
    options = parser.parse_args()
    clean = True
    for fault in options.fault or FAULTS:
        report = run_once(
            fault,
            seed=options.seed,
            seconds=options.seconds,
            rate=options.rate,
            without=options.without,
            policy=options.policy,
        )
        print(report.line(), flush=True)
        for name in ("lost", "after_change", "early", "unflagged", "unlogged"):
            found = getattr(report, name)
            if found:
                print(f"    {name}: {', '.join(found[:3])}", flush=True)
        clean = clean and report.is_clean
    return 0 if clean else 1


if __name__ == "__main__":
    sys.exit(main())
