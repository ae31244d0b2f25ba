"""The contract of Appointments, AppointmentReader and BookingDesk."""

from clinic.testing.contracts.appointments_changing import AppointmentChangesContract
from clinic.testing.contracts.appointments_locking import AppointmentLocksContract
from clinic.testing.contracts.appointments_reading import AppointmentReaderContract
from clinic.testing.contracts.booking_desk import BookingDeskContract


class AppointmentsContract(
    AppointmentReaderContract,
    AppointmentLocksContract,
    AppointmentChangesContract,
    BookingDeskContract,
    contract=True,
):
    """Give it a fixture `store`: an open, empty Store."""
