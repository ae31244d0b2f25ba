"""Every maintenance service, by name."""

from collections.abc import Mapping

from clinic.usecases.maintenance.align_calendars import ALIGN_CALENDARS
from clinic.usecases.maintenance.finish_all_erasures import FINISH_ERASURES
from clinic.usecases.maintenance.index_closed_months import INDEX_CLOSED_MONTHS
from clinic.usecases.maintenance.make_partitions import MAKE_PARTITIONS
from clinic.usecases.maintenance.open_calendars import OPEN_SLOTS
from clinic.usecases.maintenance.plan_reminders import PLAN_REMINDERS
from clinic.usecases.maintenance.remove_expired import REMOVE_EXPIRED
from clinic.usecases.maintenance.service import Service

SERVICES: Mapping[str, Service] = {
    service.name: service
    for service in (
        OPEN_SLOTS,
        ALIGN_CALENDARS,
        PLAN_REMINDERS,
        REMOVE_EXPIRED,
        FINISH_ERASURES,
        MAKE_PARTITIONS,
        INDEX_CLOSED_MONTHS,
    )
}
