"""One worker process: relay, promoter, reconciler and maintenance as loops, and the threads that
deliver.

The supervisor runs it as a program, which notices by its standard input that the supervisor ended.
"""

import asyncio
import logging
import os
import random
import signal
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from clinic.bootstrap import WorkerServices, build_worker
from clinic.domain.errors import ClinicError, TemporaryFailure
from clinic.entrypoints.logs import configure_worker_log, log_zone_data
from clinic.entrypoints.worker.metrics import Metrics
from clinic.entrypoints.worker.status import StatusServer
from clinic.ports.job_queue import QueueUnavailable
from clinic.settings import Settings, settings_from_environment
from clinic.usecases.faults import kind_of, place_of
from clinic.usecases.maintenance.run import run_service
from clinic.usecases.maintenance.service import MaintenanceIncomplete, Service
from clinic.usecases.maintenance.services import SERVICES
from clinic.usecases.messaging.deliver_notification import deliver_notification
from clinic.usecases.messaging.relay_outbox import relay_outbox, resync_queue, sweep_outbox

logger = logging.getLogger(__name__)

#: seconds between two rounds of each loop
RELAY_S, PROMOTE_S, RESYNC_S, SWEEP_S, COUNT_S, WATCH_S = 0.2, 0.2, 1.0, 2.0, 5.0, 2.0
#: each maintenance service is tried five times in its period, within these bounds
ASK_MIN_S, ASK_MAX_S = 1.0, 30.0
#: services that run at once in one worker; few, to leave most connections to messages
SERVICES_AT_ONCE = 2
PROMOTE_LIMIT = 500
#: longest pause of a loop that keeps failing, unless its own pause is longer
PAUSE_MAX_S = 2.0
#: how long a message is postponed when the database is unavailable
AWAY_PAUSE_S = 2.0
READY_TIMEOUT_S = 1.0
#: how often a task is cancelled at shutdown, and how long it gets each time
CANCELLATIONS_MAX, CANCELLATION_S = 6, 1.0

#: a loop's name, one round of it, and the seconds between two rounds
Loop = tuple[str, Callable[[], Awaitable[bool]], float]

RELAY, DELIVER = "relay", "deliver"
ROLES = (RELAY, DELIVER)


class Worker:
    """Delivers messages until it is stopped. `roles`: relay (outbox to queue) and deliver."""

    def __init__(self, services: WorkerServices, roles: Sequence[str] = ROLES) -> None:
        self._services = services
        self._roles = roles
        self.metrics = Metrics()
        self._stop = asyncio.Event()
        self._maintaining = asyncio.Semaphore(SERVICES_AT_ONCE)
        self._tasks: list[asyncio.Task[None]] = []
        self._status = StatusServer(self.metrics, self._what_is_wrong)
        #: whether it ended because a thread of the queue died
        self.broken = False

    @property
    def port(self) -> int:
        """The port of metrics and health checks."""
        return self._status.port

    async def start(self) -> None:
        """Start every loop; they wait for a database or queue that is unavailable."""
        services = self._services
        await self._status.start(services.settings.worker_port)
        loops: list[Loop] = []
        if RELAY in self._roles:
            loops += [
                ("relay", self._relay, RELAY_S),
                ("resync", self._resync, RESYNC_S),
                ("sweep", self._sweep, SWEEP_S),
                ("count", self._count, COUNT_S),
            ]
            loops += [self._maintenance_loop(service) for service in SERVICES.values()]
        if DELIVER in self._roles:
            loops.append(("promote", self._promote, PROMOTE_S))
            threads = services.settings.worker_threads
            await services.queue.start(self._deliver, threads=threads)
            loops.append(("watch", self._watch, WATCH_S))
        self._tasks = [asyncio.create_task(self._loop(*each), name=each[0]) for each in loops]

    async def run(self) -> None:
        """Wait for `request_stop`, then finish the work in progress."""
        await self._stop.wait()
        try:
            await end(self._tasks)
            with suppress(QueueUnavailable):
                await self._services.queue.stop(
                    timeout_s=self._services.settings.shutdown_timeout_s
                )
        finally:
            await self._status.stop()
            await self._services.close()

    def request_stop(self) -> None:
        """Let `run` finish."""
        self._stop.set()

    async def _loop(self, name: str, round_: Callable[[], Awaitable[bool]], pause_s: float) -> None:
        """Run rounds until the stop: without pauses while there is more, slower while they fail."""
        failures = 0
        # A cancellation is not enough: clients of a server that is going down may swallow it.
        while not self._stop.is_set():
            try:
                more = await round_()
                failures = 0
            except (ClinicError, MaintenanceIncomplete, QueueUnavailable, OSError) as error:
                more, failures = False, failures + 1
                self.metrics.failed(name)
                logger.warning("%s failed: %s", name, type(error).__name__)
            except Exception as error:  # noqa: BLE001 - one fault must not end the loop
                more, failures = False, failures + 1
                self.metrics.failed(name)
                kind, place = kind_of(error), place_of(error)
                logger.error("%s broke: %s\n%s", name, kind, place)  # noqa: TRY400
            if not more:
                wait = min(pause_s * 2**failures, max(PAUSE_MAX_S, pause_s))
                # Jitter keeps several workers from asking all at once.
                await asyncio.sleep(wait * random.uniform(0.75, 1.0))  # noqa: S311

    async def _relay(self) -> bool:
        services = self._services
        count = await relay_outbox(outbox=services.store.outbox, queue=services.queue)
        self.metrics.published(count)
        return count > 0

    async def _promote(self) -> bool:
        return await self._services.queue.promote(limit=PROMOTE_LIMIT) == PROMOTE_LIMIT

    async def _resync(self) -> bool:
        services = self._services
        count = await resync_queue(outbox=services.store.outbox, queue=services.queue)
        if count is not None:
            self.metrics.resynced()
            logger.warning("%d messages were sent to the queue again", count)
        return False

    async def _sweep(self) -> bool:
        services = self._services
        found = await sweep_outbox(outbox=services.store.outbox, queue=services.queue)
        self.metrics.rescued(found)
        if found.overdue or found.stranded:
            logger.warning("lost and found: %s", found)
        return False

    async def _count(self) -> bool:
        services = self._services
        queue = await services.queue.counts()
        self.metrics.depths(queue, await services.store.outbox.counts())
        self.metrics.history(await services.store.maintenance.history())
        return False

    def _maintenance_loop(self, service: Service) -> Loop:
        async def round_() -> bool:
            try:
                async with self._maintaining:
                    ran = await run_service(service, self._services.resources)
            except Exception:
                self.metrics.not_maintained(service.name)
                raise
            if ran is not None:
                self.metrics.maintained(service.name, ran)
            return False

        pause_s = min(max(service.period.total_seconds() / 5, ASK_MIN_S), ASK_MAX_S)
        return service.name, round_, pause_s

    async def _watch(self) -> bool:
        if not self._services.queue.is_working():
            logger.error("a thread of the queue died; this worker ends so that it is restarted")
            self.broken = True
            self.request_stop()
        return False

    async def _deliver(self, clinic_id: UUID, message_id: UUID) -> None:
        services = self._services
        try:
            delivery = await deliver_notification(
                services.delivery, clinic_id=clinic_id, message_id=message_id
            )
        except TemporaryFailure:
            self.metrics.broke()
            wait = timedelta(seconds=AWAY_PAUSE_S * random.uniform(0.5, 1))  # noqa: S311
            with suppress(QueueUnavailable):
                await services.queue.postpone(clinic_id, message_id, wait=wait)
            return
        self.metrics.delivered(delivery)

    async def _what_is_wrong(self) -> str | None:
        if self._stop.is_set():
            return "stopping"
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                await self._services.store.check_ready()
                await self._services.queue.counts()
        except (ClinicError, QueueUnavailable, TimeoutError) as error:
            return type(error).__name__
        if DELIVER in self._roles and not self._services.queue.is_working():
            return "the queue's threads are not running"
        return None


async def end(tasks: Iterable[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Cancel tasks repeatedly, since a client may swallow a cancellation; return those that still
    run."""
    running = set(tasks)
    for _ in range(CANCELLATIONS_MAX):
        for task in running:
            task.cancel()
        if not running:
            return running
        _, running = await asyncio.wait(running, timeout=CANCELLATION_S)
    logger.error("left behind: %s", ", ".join(task.get_name() for task in running))
    return running


async def run_worker(settings: Settings, roles: Sequence[str], on_end: Callable[..., None]) -> int:
    """Run a worker until SIGTERM, SIGINT or the end of standard input; return its exit status.

    `on_end` is called with a function to call when the supervisor has ended.
    """
    services = build_worker(settings)
    worker = Worker(services, roles)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.request_stop)
    try:
        await services.store.open()
    except TemporaryFailure:
        # The pool keeps trying; messages wait in the outbox until then.
        await log_zone_data(None, settings.log_level)
    else:
        await log_zone_data(services.store, settings.log_level)
    await worker.start()
    on_end(lambda: loop.call_soon_threadsafe(worker.request_stop))
    print(f"worker ready http://127.0.0.1:{worker.port}/metrics", flush=True)  # noqa: T201
    await worker.run()
    status = 1 if worker.broken else 0
    # End deliveries that exceed the shutdown timeout; their rows tell other workers their state.
    if await end(asyncio.all_tasks() - {asyncio.current_task()}):
        # asyncio.run would wait for them to end.
        logging.shutdown()
        os._exit(status)
    return status


def main() -> int:
    """Run the worker with the roles given as arguments."""
    settings = settings_from_environment()
    configure_worker_log(settings.log_level)
    roles = [role for role in sys.argv[1:] if role in ROLES] or list(ROLES)
    return asyncio.run(run_worker(settings, roles, _when_stdin_ends))


def _when_stdin_ends(stop: Callable[[], None]) -> None:
    """Call `stop` when the supervisor, which holds the other end of the pipe, ends in any way."""

    def wait() -> None:
        with suppress(OSError, ValueError):
            while os.read(0, 1024):
                pass
        stop()

    if "--supervised" in sys.argv:
        threading.Thread(target=wait, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
