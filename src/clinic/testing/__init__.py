"""For projects that embed or extend Clinic: contracts, builders, strategies and a fixed clock.

Importing this is cheap; each name loads its module, and with it pytest or Hypothesis, on first use.
docs/embedding.md shows how to use them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clinic.bootstrap import in_memory as in_memory
    from clinic.testing.builders import World as World
    from clinic.testing.builders import a_block as a_block
    from clinic.testing.builders import a_clinic as a_clinic
    from clinic.testing.builders import a_closure as a_closure
    from clinic.testing.builders import a_context as a_context
    from clinic.testing.builders import a_leave as a_leave
    from clinic.testing.builders import a_location as a_location
    from clinic.testing.builders import a_patient as a_patient
    from clinic.testing.builders import a_place as a_place
    from clinic.testing.builders import a_slot as a_slot
    from clinic.testing.builders import a_type as a_type
    from clinic.testing.builders import a_user as a_user
    from clinic.testing.builders import an_actor as an_actor
    from clinic.testing.builders import an_anonymous_context as an_anonymous_context
    from clinic.testing.builders import an_appointment as an_appointment
    from clinic.testing.builders import an_availability as an_availability
    from clinic.testing.builders import seed_booking as seed_booking
    from clinic.testing.builders import seed_clinic as seed_clinic
    from clinic.testing.builders import seed_closings as seed_closings
    from clinic.testing.builders import seed_doctor as seed_doctor
    from clinic.testing.builders import seed_hours as seed_hours
    from clinic.testing.builders import seed_location as seed_location
    from clinic.testing.builders import seed_patient as seed_patient
    from clinic.testing.builders import seed_slots as seed_slots
    from clinic.testing.builders import seed_type as seed_type
    from clinic.testing.builders import seed_world as seed_world
    from clinic.testing.builders import some_holidays as some_holidays
    from clinic.testing.clock import FixedClock as FixedClock
    from clinic.testing.contracts.accounts import AccountsContract as AccountsContract
    from clinic.testing.contracts.adding import AddingContract as AddingContract
    from clinic.testing.contracts.appointment_types import (
        AppointmentTypesContract as AppointmentTypesContract,
    )
    from clinic.testing.contracts.appointments import AppointmentsContract as AppointmentsContract
    from clinic.testing.contracts.audit_log import AuditLogContract as AuditLogContract
    from clinic.testing.contracts.calendar_changes import (
        CalendarChangesContract as CalendarChangesContract,
    )
    from clinic.testing.contracts.calendar_check import (
        CalendarCheckContract as CalendarCheckContract,
    )
    from clinic.testing.contracts.calendar_meetings import (
        CalendarMeetingsContract as CalendarMeetingsContract,
    )
    from clinic.testing.contracts.calendars import CalendarsContract as CalendarsContract
    from clinic.testing.contracts.change_feed import ChangeFeedContract as ChangeFeedContract
    from clinic.testing.contracts.closings import ClosingsContract as ClosingsContract
    from clinic.testing.contracts.crowds import CrowdsContract as CrowdsContract
    from clinic.testing.contracts.erasures import ErasuresContract as ErasuresContract
    from clinic.testing.contracts.figures import FiguresContract as FiguresContract
    from clinic.testing.contracts.idempotency import (
        IdempotencyCacheContract as IdempotencyCacheContract,
    )
    from clinic.testing.contracts.idempotency import IdempotencyContract as IdempotencyContract
    from clinic.testing.contracts.interleavings import (
        InterleavingsContract as InterleavingsContract,
    )
    from clinic.testing.contracts.job_queue import JobQueueContract as JobQueueContract
    from clinic.testing.contracts.locations import LocationsContract as LocationsContract
    from clinic.testing.contracts.maintenance import MaintenanceContract as MaintenanceContract
    from clinic.testing.contracts.memberships import MembershipsContract as MembershipsContract
    from clinic.testing.contracts.notifier import NotifierContract as NotifierContract
    from clinic.testing.contracts.outbox import OutboxContract as OutboxContract
    from clinic.testing.contracts.people import PeopleContract as PeopleContract
    from clinic.testing.contracts.rate_limiter import RateLimiterContract as RateLimiterContract
    from clinic.testing.contracts.store import StoreContract as StoreContract
    from clinic.testing.contracts.unit_of_work import UnitOfWorkContract as UnitOfWorkContract
    from clinic.testing.ids import CountingIds as CountingIds
    from clinic.testing.soundness import check_on_plan as check_on_plan
    from clinic.testing.soundness import check_sound as check_sound
    from clinic.testing.stateful import StoreComparison as StoreComparison

_BUILDERS = (
    "World a_block a_clinic a_closure a_context a_leave a_location a_patient a_place a_slot a_type"
    " a_user an_actor an_anonymous_context an_appointment an_availability"
    " seed_booking seed_clinic seed_closings seed_doctor seed_hours seed_location seed_patient"
    " seed_slots seed_type seed_world some_holidays"
)
_HOMES = {
    "in_memory": "clinic.bootstrap",
    **dict.fromkeys(_BUILDERS.split(), "clinic.testing.builders"),
    "FixedClock": "clinic.testing.clock",
    "CountingIds": "clinic.testing.ids",
    "check_on_plan": "clinic.testing.soundness",
    "check_sound": "clinic.testing.soundness",
    "StoreComparison": "clinic.testing.stateful",
    "AccountsContract": "clinic.testing.contracts.accounts",
    "AuditLogContract": "clinic.testing.contracts.audit_log",
    "RateLimiterContract": "clinic.testing.contracts.rate_limiter",
    "AddingContract": "clinic.testing.contracts.adding",
    "AppointmentTypesContract": "clinic.testing.contracts.appointment_types",
    "AppointmentsContract": "clinic.testing.contracts.appointments",
    "CalendarChangesContract": "clinic.testing.contracts.calendar_changes",
    "CalendarCheckContract": "clinic.testing.contracts.calendar_check",
    "CalendarMeetingsContract": "clinic.testing.contracts.calendar_meetings",
    "CalendarsContract": "clinic.testing.contracts.calendars",
    "ChangeFeedContract": "clinic.testing.contracts.change_feed",
    "ClosingsContract": "clinic.testing.contracts.closings",
    "CrowdsContract": "clinic.testing.contracts.crowds",
    "ErasuresContract": "clinic.testing.contracts.erasures",
    "FiguresContract": "clinic.testing.contracts.figures",
    "IdempotencyCacheContract": "clinic.testing.contracts.idempotency",
    "IdempotencyContract": "clinic.testing.contracts.idempotency",
    "InterleavingsContract": "clinic.testing.contracts.interleavings",
    "JobQueueContract": "clinic.testing.contracts.job_queue",
    "LocationsContract": "clinic.testing.contracts.locations",
    "MaintenanceContract": "clinic.testing.contracts.maintenance",
    "MembershipsContract": "clinic.testing.contracts.memberships",
    "NotifierContract": "clinic.testing.contracts.notifier",
    "OutboxContract": "clinic.testing.contracts.outbox",
    "PeopleContract": "clinic.testing.contracts.people",
    "StoreContract": "clinic.testing.contracts.store",
    "UnitOfWorkContract": "clinic.testing.contracts.unit_of_work",
}

__all__ = sorted(_HOMES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
