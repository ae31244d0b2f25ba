"""Say why slots are blocked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from clinic.domain.calendar.availability import Interval
from clinic.domain.calendar.closings import Blocker, BlockKind, Holidays
from clinic.domain.calendar.plan import Blockers
from clinic.domain.calendar.slots import Slot, SlotState
from clinic.domain.clinic import Clinic
from clinic.domain.errors import UnknownHolidayCalendar
from clinic.domain.people.people import Role
from clinic.ports.calendars import SlotView
from clinic.usecases.calendar.inputs import Reads, read_inputs
from clinic.usecases.context import Context


@dataclass(frozen=True, slots=True)
class ExplainedSlot:
    """A slot, and what blocks it."""

    view: SlotView
    blocked_by: tuple[Blocker, ...] = ()


async def explain_slots(
    context: Context, clinic: Clinic, views: Sequence[SlotView]
) -> list[ExplainedSlot]:
    """Return the slots with what blocks each; patients see no reasons of staff."""
    reasons = await blockers_of(context, context.store, clinic, [view.slot for view in views])
    return [ExplainedSlot(view, by) for view, by in zip(views, reasons, strict=True)]


async def blockers_of(
    context: Context, reads: Reads, clinic: Clinic, slots: Sequence[Slot]
) -> list[tuple[Blocker, ...]]:
    """Return what blocks each of these slots, but for holidays of a country that is not known any
    more; patients see no reasons of staff."""
    blocked = {slot.doctor_id for slot in slots if slot.state is not SlotState.OPEN}
    if not blocked:
        return [()] * len(slots)
    everyone = await reads.people.doctors(clinic.id)
    doctors = [doctor for doctor in everyone if doctor.id in blocked]
    since = min(slot.starts_at for slot in slots)
    inputs = await read_inputs(context, reads, clinic, doctors, since=since)
    holidays = known_holidays(context.holidays)
    blockers = {
        doctor_id: Blockers(replace(each, holidays=holidays)) for doctor_id, each in inputs.items()
    }
    is_staff = context.actor.role is not Role.PATIENT
    found = []
    for slot in slots:
        reasons: tuple[Blocker, ...] = ()
        if slot.state is not SlotState.OPEN:
            reasons = blockers[slot.doctor_id].of(slot.interval, slot.lane, slot.location_id)
            # As of more taken slots than the hours have places.
            reasons = reasons or (Blocker(BlockKind.NO_HOURS),)
        found.append(reasons if is_staff else _for_patients(reasons))
    return found


async def blockers_at(
    context: Context, reads: Reads, clinic: Clinic, visible: Interval, slots: Sequence[Slot]
) -> tuple[Blocker, ...]:
    """Return what blocks those of a doctor's slots that an appointment's visible time overlaps."""
    under = [slot for slot in slots if visible.overlaps(slot.interval)]
    found = await blockers_of(context, reads, clinic, under)
    return tuple(dict.fromkeys(each for by in found for each in by))


def known_holidays(holidays: Holidays) -> Holidays:
    """Return the same calendars, and empty ones of countries that are not known: what is stored can
    be read, whichever countries the installed package knows."""

    def known(country: str, subdivision: str | None, year: int) -> Mapping[date, str]:
        try:
            return holidays(country, subdivision, year)
        except UnknownHolidayCalendar:
            return {}

    return known


def _for_patients(reasons: Sequence[Blocker]) -> tuple[Blocker, ...]:
    """Return the reasons without what is for staff: leave looks like missing hours."""
    shown: list[Blocker] = []
    for each in reasons:
        if each.kind is BlockKind.CLOSURE:
            public = replace(each, id=None)
        else:
            kind = BlockKind.NO_HOURS if each.kind is BlockKind.LEAVE else each.kind
            public = Blocker(kind)
        if public not in shown:
            shown.append(public)
    return tuple(shown)
