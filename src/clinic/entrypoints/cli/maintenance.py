"""`clinic maintenance …`: list the maintenance services and their runs, and run one."""

from datetime import datetime, timedelta

from clinic.domain.errors import InvalidInput
from clinic.entrypoints.cli.app import REFUSED, complain
from clinic.entrypoints.cli.output import AsJson, Row, print_rows
from clinic.entrypoints.cli.session import open_services
from clinic.ports.maintenance import MaintenanceHistory, ServiceRecord
from clinic.usecases.maintenance.run import is_running, overdue_since, run_service
from clinic.usecases.maintenance.service import MaintenanceIncomplete, Service
from clinic.usecases.maintenance.services import SERVICES

COLUMNS = ("service", "every", "state", "succeededAt", "tookMs", "rows", "failures")


async def list_services(*, as_json: AsJson = False) -> None:
    """List the maintenance services: how often each is due, and the outcome of its last runs.

    Parameters
    ----------
    as_json
        Print JSON.
    """
    async with open_services() as services:
        history = await services.store.maintenance.history()
    print_rows([_row(each, history) for each in SERVICES.values()], COLUMNS, as_json=as_json)


async def run(service: str, /) -> int:
    """Run one service now, whether or not it is due.

    Parameters
    ----------
    service
        Name of the service, as `clinic maintenance list` shows it.
    """
    chosen = SERVICES.get(service)
    if chosen is None:
        raise InvalidInput(f"There is no service {service}; choose from: {', '.join(SERVICES)}.")
    async with open_services() as services:
        try:
            ran = await run_service(chosen, services.resources, only_when_due=False)
        except MaintenanceIncomplete as error:
            complain(str(error))
            return REFUSED
    if ran is None:
        complain(f"{service} is running elsewhere at the moment.")
        return REFUSED
    counts = ", ".join(f"{count} {what.replace('_', ' ')}" for what, count in ran.rows.items())
    print(f"{service}: {counts}; {ran.duration_s:.1f} s.")
    return 0


def words_of(period: timedelta) -> str:
    """Return a period in its largest unit, such as 10 s, 1 min or 1 h."""
    seconds = round(period.total_seconds())
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _row(service: Service, history: MaintenanceHistory) -> Row:
    record = history.records.get(service.name, ServiceRecord())
    return {
        "service": service.name,
        "every": words_of(service.period),
        "state": _state(service, record, history),
        "succeededAt": _minute(record.succeeded_at),
        "tookMs": record.duration_ms,
        "rows": record.row_count,
        "failures": record.failures,
        "summary": service.summary,
    }


def _minute(at: datetime | None) -> datetime | None:
    return at and at.replace(microsecond=0)


def _state(service: Service, record: ServiceRecord, history: MaintenanceHistory) -> str:
    if is_running(record, history.now):
        return "running"
    if overdue_since(service, history) is not None:
        return "overdue"
    return "on time" if record.succeeded_at is not None else "has not run"
