"""The part of `clinic check` about calendars: slots, changes of them, and appointments."""

from collections.abc import Iterator
from datetime import datetime

from clinic.entrypoints.cli.fault import CheckFault
from clinic.entrypoints.cli.maintenance import words_of
from clinic.usecases.calendar.check_calendars import (
    COUNTED_MAX,
    NAMED_MAX,
    CalendarReport,
    Difference,
    OffPlan,
    Shifted,
)


def calendars(report: CalendarReport, now: datetime) -> Iterator[CheckFault]:
    """Yield what is wrong with calendars, then what people should look at."""
    for found in report.off_plan:
        yield _off_plan(found)
    if len(report.off_plan) == NAMED_MAX:
        yield CheckFault(f"only the first {NAMED_MAX} doctors were compared with their plans", "")
    for change in report.unfinished:
        left = change.doctors - change.doctors_done
        yield CheckFault(
            f"calendar change {change.id} ({change.action}, clinic {change.clinic_id}) is not"
            f" finished after {words_of(now - change.created_at)}: {left} of {change.doctors}"
            " doctors are left, and their old slots can still be booked",
            "run clinic worker, and look at its log; clinic maintenance run align-calendars"
            " carries it out here, or says why it cannot",
        )
    for clinic, number in report.stranded:
        some = f"{number} or more" if number == COUNTED_MAX else str(number)
        yield CheckFault(
            f"appointments ahead at {clinic.name} that are not within open slots: {some}",
            "they keep their times; clinic slots open lists them, to be moved or cancelled",
            hint=True,
        )
    for shifted in report.shifted:
        yield _shifted(shifted)
    for hurried in report.hurried:
        at = hurried.at.astimezone(hurried.clinic.zone)
        yield CheckFault(
            f"{hurried.doctor.name} ({hurried.doctor.id}) at {hurried.clinic.name} cannot be at"
            f" another location by {at:%Y-%m-%d %H:%M}: the way takes"
            f" {hurried.clinic.policy.travel_min} minutes",
            "change those hours, or travelMin of the clinic's policy",
            hint=True,
        )


def _off_plan(found: OffPlan) -> CheckFault:
    doctor = f"{found.doctor.name} ({found.doctor.id}) at {found.clinic.name}"
    if found.error is not None:
        return CheckFault(
            f"slots of {doctor} cannot be planned: {found.error.message}",
            "find that closure with clinic closures list, delete it, and add it with the right"
            " country; until then these slots do not change",
        )
    more = len(found.days) - 1
    days = f"{found.days[0]}" + (f" and {more} more day{'s' if more > 1 else ''}" if more else "")
    listed = ", ".join(f"{found.counts[one]} {one}" for one in Difference if found.counts.get(one))
    return CheckFault(
        f"slots of {doctor} differ from the plan on {days}: {listed}",
        f"clinic slots open --doctor {found.doctor.id}; of all doctors with hours: clinic"
        " maintenance run open-slots",
    )


def _shifted(shifted: Shifted) -> CheckFault:
    view = shifted.view
    now = view.appointment.starts_at.astimezone(view.zone)
    before = now.replace(tzinfo=None) - shifted.shift
    return CheckFault(
        f"appointment {view.appointment.id} with {view.doctor_name} is at {now:%Y-%m-%d %H:%M} now,"
        f" and was at {before:%Y-%m-%d %H:%M} when that day was opened: the data of"
        f" {view.zone.key} has changed",
        "it keeps its instant; ask the patient which time they know, and move it if need be",
        hint=True,
    )
