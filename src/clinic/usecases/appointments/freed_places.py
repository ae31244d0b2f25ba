"""Give a place that gets free to an appointment that was left without one when the hours' capacity
was lowered, so that nobody else books it."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from clinic.domain.appointments.appointments import Appointment
from clinic.domain.calendar.availability import CAPACITY_MAX
from clinic.domain.calendar.slots import SlotState
from clinic.domain.clinic import Clinic
from clinic.domain.people.people import Doctor
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.align import align_doctor, span_of
from clinic.usecases.calendar.blocks import days_of
from clinic.usecases.context import Context

T = TypeVar("T")


class _WantsCalendar(Exception):
    """The doctor's calendar has to be locked before the appointment, for its slots to follow."""

    def __init__(self, left: Appointment) -> None:
        super().__init__()
        self.left = left


class Leaving:
    """What follows when an appointment leaves its place, in the transaction in which it does."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._locked: tuple[Clinic, Doctor] | None = None

    async def run(self, work: "Callable[[UnitOfWork, Leaving], Awaitable[T]]") -> T:
        """Run the work in a transaction; where somebody waits for the place, once more, with the
        doctor's calendar locked."""
        try:
            return await self._context.transactions.run(lambda unit: work(unit, self))
        except _WantsCalendar as wanted:
            left = wanted.left

        async def again(unit: UnitOfWork) -> T:
            clinic = await unit.people.share_clinic(left.clinic_id)
            doctor = await unit.calendars.lock_doctor(left.clinic_id, left.doctor_id)
            if clinic is not None and doctor is not None:
                self._locked = clinic, doctor
            return await work(unit, self)

        return await self._context.transactions.run(again)

    async def follow(self, unit: UnitOfWork, left: Appointment) -> None:
        """Give the place that this appointment has left to one that has none."""
        if left.starts_at <= self._context.clock.now() or not await _is_waited_for(unit, left):
            return
        if self._locked is None:
            raise _WantsCalendar(left)
        clinic, doctor = self._locked
        if doctor.id == left.doctor_id:
            days = days_of(clinic, left.visible)
            span = await span_of(self._context, unit.calendars, clinic, [doctor.id], days=days)
            await align_doctor(self._context, unit, clinic, doctor, span)


async def _is_waited_for(unit: UnitOfWork, left: Appointment) -> bool:
    """Return whether an appointment of the same time has a slot that is not on the calendar, while
    one in another lane is free."""
    busy = left.busy
    slots = await unit.calendars.slots_between(
        left.clinic_id, [left.doctor_id], busy.starts_at, busy.ends_at
    )
    in_hours = [slot for slot in slots if slot.lane <= CAPACITY_MAX]
    free = {
        slot.interval for slot in in_hours if slot.state is not SlotState.RETIRED and not slot.taken
    }
    return any(
        slot.state is SlotState.RETIRED and slot.taken and slot.interval in free
        for slot in in_hours
    )
