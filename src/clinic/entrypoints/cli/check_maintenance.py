"""The part of `clinic check` about maintenance."""

from collections.abc import Iterator

from clinic.entrypoints.cli.fault import CheckFault
from clinic.entrypoints.cli.maintenance import words_of
from clinic.ports.maintenance import MaintenanceHistory
from clinic.usecases.maintenance.run import overdue_since
from clinic.usecases.maintenance.services import SERVICES


def overdue(history: MaintenanceHistory) -> Iterator[CheckFault]:
    """Yield a fault for each maintenance service that has not succeeded for twice its period."""
    for service in SERVICES.values():
        since = overdue_since(service, history)
        if since is None:
            continue
        record = history.records.get(service.name)
        last = words_of(history.now - since)
        yield CheckFault(
            f"maintenance: {service.name} is due every {words_of(service.period)}, and"
            + (f" last succeeded {last} ago" if record and record.succeeded_at else " never ran")
            + (f"; {record.failures} runs have failed since" if record and record.failures else ""),
            f"run clinic worker, and look at its log; clinic maintenance run {service.name} shows"
            " why it fails",
        )
