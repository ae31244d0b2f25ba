"""`clinic check`: what is misconfigured or inconsistent, and how to fix it."""

import asyncio
from collections.abc import Iterator
from secrets import token_urlsafe

import msgspec

from clinic import bootstrap
from clinic.bootstrap import Services
from clinic.domain.errors import TemporaryFailure
from clinic.entrypoints.cli.check_calendars import calendars
from clinic.entrypoints.cli.check_maintenance import overdue
from clinic.entrypoints.cli.check_messages import mail, queue, waiting
from clinic.entrypoints.cli.fault import CheckFault
from clinic.entrypoints.cli.session import builder, connected
from clinic.ports.maintenance import MaintenanceHistory
from clinic.ports.outbox import OutboxCounts
from clinic.settings import (
    DEFAULT_SECRET,
    Settings,
    SettingsError,
    check_production,
    settings_from_environment,
)
from clinic.usecases.calendar.check_calendars import CalendarReport, check_calendars


def check() -> int:
    """Report what is misconfigured, in which variable, and how to fix it.

    Exits with status 1 when something is wrong. Changes nothing.
    """
    wrong = 0
    for fault in _faults():
        print(f"{'hint' if fault.hint else 'WRONG'}: {fault.problem}")
        if fault.remedy:
            print(f"       {fault.remedy}")
        wrong += not fault.hint
    if wrong == 1:
        print("One thing is wrong.")
    else:
        print(f"{wrong} things are wrong." if wrong else "All is well.")
    return 1 if wrong else 0


def _faults() -> Iterator[CheckFault]:
    """Yield all faults; checks that need something unavailable are left out."""
    try:
        settings = settings_from_environment()
    except SettingsError as error:
        yield CheckFault(str(error), "clinic.toml or the environment sets it")
        return
    try:
        check_production(settings)
    except SettingsError as error:
        yield CheckFault(str(error), "")
    yield from _hints(settings)
    unreachable = list(_broker(settings))
    yield from unreachable
    if settings.queue_url or not unreachable:
        yield from queue(settings)
    yield from mail(settings)
    yield from _database(settings)


def _hints(settings: Settings) -> Iterator[CheckFault]:
    if settings.environment == "production":
        return
    if settings.secret == DEFAULT_SECRET and settings.database_url.startswith("memory:"):
        yield CheckFault(
            "CLINIC_SECRET is the default, which is public",
            "every database except memory:// refuses it; create your own",
            hint=True,
        )
    if settings.database_url.startswith("memory:"):
        yield CheckFault(
            "CLINIC_DATABASE_URL is memory://, which loses everything at exit",
            "set postgresql://user:password@host/name",
            hint=True,
        )


def _broker(settings: Settings) -> Iterator[CheckFault]:
    reason = bootstrap.why_broker_unreachable(settings)
    if reason is not None:
        yield CheckFault(
            f"CLINIC_BROKER_URL: Redis does not answer: {reason}",
            "start it, or correct the address or password; booking works without it, but slower",
        )


def _database(settings: Settings) -> Iterator[CheckFault]:
    variable = "CLINIC_DATABASE_URL"
    if settings.secret == DEFAULT_SECRET:
        # This has been reported already; the database is still checked, and nothing is signed.
        settings = msgspec.structs.replace(settings, secret=token_urlsafe())
    try:
        services = builder.get()(settings)
        counts, history, report = asyncio.run(_looked_up(services))
        found = bootstrap.database_faults(settings, services.clock.now())
    except SettingsError as error:
        yield CheckFault(str(error), "")
    except TemporaryFailure as error:
        unreachable = error.message == TemporaryFailure().message
        if unreachable:
            reason = bootstrap.why_database_unreachable(settings) or _reason(error)
            yield CheckFault(
                f"{variable}: the database cannot be reached: {reason}",
                "start it, or correct the host, user or password",
            )
        else:
            yield CheckFault(f"{variable}: {error.message}", "")
    else:
        yield from (CheckFault(problem, remedy) for problem, remedy in found)
        yield from calendars(report, services.clock.now())
        yield from waiting(counts)
        yield from overdue(history)


async def _looked_up(
    services: Services,
) -> tuple[OutboxCounts, MaintenanceHistory, CalendarReport]:
    async with connected(services):
        store = services.store
        counts, history = await store.outbox.counts(), await store.maintenance.history()
        return counts, history, await check_calendars(services.anonymous())


def _reason(error: BaseException) -> str:
    """Return the first line of the root cause of `error`."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
