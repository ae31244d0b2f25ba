"""The whole contract of a Store: one class to inherit from."""

from clinic.testing.contracts.accounts import AccountsContract
from clinic.testing.contracts.adding import AddingContract
from clinic.testing.contracts.appointment_types import AppointmentTypesContract
from clinic.testing.contracts.appointments import AppointmentsContract
from clinic.testing.contracts.audit_log import AuditLogContract
from clinic.testing.contracts.busy_times import BusyTimesContract
from clinic.testing.contracts.calendar_changes import CalendarChangesContract
from clinic.testing.contracts.calendar_check import CalendarCheckContract
from clinic.testing.contracts.calendar_meetings import CalendarMeetingsContract
from clinic.testing.contracts.calendars import CalendarsContract
from clinic.testing.contracts.change_feed import ChangeFeedContract
from clinic.testing.contracts.closings import ClosingsContract
from clinic.testing.contracts.crowds import CrowdsContract
from clinic.testing.contracts.erasures import ErasuresContract
from clinic.testing.contracts.explanation import ExplanationContract
from clinic.testing.contracts.figures import FiguresContract
from clinic.testing.contracts.idempotency import IdempotencyContract
from clinic.testing.contracts.interleavings import InterleavingsContract
from clinic.testing.contracts.lanes import LanesContract
from clinic.testing.contracts.lengths import LengthsContract
from clinic.testing.contracts.locations import LocationsContract
from clinic.testing.contracts.maintenance import MaintenanceContract
from clinic.testing.contracts.memberships import MembershipsContract
from clinic.testing.contracts.patient_limits import PatientLimitsContract
from clinic.testing.contracts.people import PeopleContract
from clinic.testing.contracts.planned_slots import PlannedSlotsContract
from clinic.testing.contracts.reminders import RemindersContract
from clinic.testing.contracts.resources import ResourcesContract
from clinic.testing.contracts.undo import UndoContract
from clinic.testing.contracts.unit_of_work import UnitOfWorkContract


class StoreContract(
    UnitOfWorkContract,
    PeopleContract,
    CalendarsContract,
    ClosingsContract,
    CalendarChangesContract,
    LocationsContract,
    AppointmentTypesContract,
    AppointmentsContract,
    AddingContract,
    BusyTimesContract,
    LengthsContract,
    ResourcesContract,
    ExplanationContract,
    LanesContract,
    UndoContract,
    PatientLimitsContract,
    RemindersContract,
    CrowdsContract,
    PlannedSlotsContract,
    CalendarCheckContract,
    IdempotencyContract,
    AccountsContract,
    MembershipsContract,
    AuditLogContract,
    ErasuresContract,
    ChangeFeedContract,
    MaintenanceContract,
    FiguresContract,
    InterleavingsContract,
    CalendarMeetingsContract,
    contract=True,
):
    """Everything a Store must do. Needs a fixture `store`: an open, empty Store."""
