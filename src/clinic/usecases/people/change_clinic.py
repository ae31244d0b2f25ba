"""Change a clinic's settings; where slots depend on them, they follow."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from clinic.domain.calendar.plan import CalendarInputs
from clinic.domain.clinic import Clinic
from clinic.domain.errors import ClinicNotFound, ConfirmationNeeded
from clinic.domain.notifications import day_sheet_times
from clinic.domain.permissions import Operation, permit
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.change_calendar import (
    ClinicDecision,
    Deed,
    carry_out,
    preview_all_doctors,
)
from clinic.usecases.contact_rules import ContactRules
from clinic.usecases.context import Context


@dataclass(frozen=True, slots=True)
class ClinicChanged:
    """The clinic as it was written, and what that did to slots where they depend on it."""

    clinic: Clinic
    effect: CalendarEffect | None = None
    #: how many appointments lie ahead, when the time zone changes
    appointments_ahead: int | None = None


async def change_clinic(
    context: Context,
    change: Callable[[Clinic], Clinic],
    *,
    contacts: ContactRules,
    confirm: int | None = None,
    preview: bool = False,
) -> ClinicChanged:
    """Give the actor's clinic the name, zone, policy and contact that `change` returns.

    `change` gets the current clinic, locked against other changes, and may raise to refuse. A new
    time zone or horizon changes the slots of all doctors; appointments keep their instants. While
    there are appointments ahead, a new time zone needs their number as `confirm`. New lead times of
    reminders are left to the service `plan-reminders`.

    Raises PermissionDenied, ClinicNotFound, InvalidInput, UnknownTimeZone, PhoneNumberRefused,
    ConfirmationNeeded, and what `change` raises.
    """
    permit(context.actor, Operation.CHANGE_CLINIC)
    if preview:
        return await _preview(context, change, contacts)

    async def work(unit: UnitOfWork) -> ClinicChanged:
        before = await unit.people.lock_clinic(context.actor.clinic_id)
        if before is None:
            raise ClinicNotFound()
        clinic = contacts.checked_clinic(change(before), before)
        moves = clinic.time_zone != before.time_zone
        if {*clinic.policy.reminder_leads_min} != {*before.policy.reminder_leads_min}:
            await unit.messages.mark_reminders(clinic.id, context.clock.now())
        ahead = None
        if moves:
            ahead = await unit.appointments.count_ahead(clinic.id, context.clock.now())
            _check_confirmed(ahead, confirm)
        if not moves and clinic.policy.horizon_days == before.policy.horizon_days:
            await unit.people.replace_clinic(clinic)
            await unit.events.add(context.event("change_clinic", "clinic", clinic.id))
            return ClinicChanged(clinic)
        deed = Deed("change_clinic", "clinic", clinic.id)
        effect = await carry_out(context, unit, before, deed, _decision(clinic))
        if moves:
            zone = clinic.zone
            await unit.messages.redate_day_sheets(clinic.id, lambda day: day_sheet_times(day, zone))
        return ClinicChanged(clinic, effect, ahead)

    return await context.transactions.run(work)


def _check_confirmed(ahead: int, confirm: int | None) -> None:
    if ahead and confirm != ahead:
        raise ConfirmationNeeded(
            f"{ahead} appointments lie ahead. They keep their instants, and so get other times on"
            f" the clock: look at the preview, then send confirm: {ahead}.",
            appointmentsAhead=ahead,
        )


def _decision(clinic: Clinic) -> ClinicDecision[Clinic]:
    def applied(inputs: CalendarInputs) -> CalendarInputs:
        return replace(inputs, zone=clinic.zone)

    return ClinicDecision(
        clinic, applied, lambda unit: unit.people.replace_clinic(clinic), clinic=clinic
    )


async def _preview(
    context: Context, change: Callable[[Clinic], Clinic], contacts: ContactRules
) -> ClinicChanged:
    now, store = context.clock.now(), context.store
    before = await store.people.clinic(context.actor.clinic_id)
    if before is None:
        raise ClinicNotFound()
    clinic = contacts.checked_clinic(change(before), before)
    moves = clinic.time_zone != before.time_zone
    ahead = await store.appointments.count_ahead(clinic.id, now) if moves else None
    changed = await preview_all_doctors(context, lambda clinic_now, shared: _decision(clinic))
    return ClinicChanged(clinic, changed.effect, ahead)
