"""`clinic slots …`: open, list, block and unblock the slots that patients book."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

from cyclopts import Parameter

from clinic.domain.calendar.slots import SlotState
from clinic.domain.paging import PageRequest
from clinic.entrypoints.cli.changing import Preview
from clinic.entrypoints.cli.output import AsJson, Row, local, print_row, print_rows, progress
from clinic.entrypoints.cli.rendering import counted, print_affected, print_effect
from clinic.entrypoints.cli.session import Acting, CommandSession, Explaining, Where, session
from clinic.entrypoints.cli.time_parsing import parse_instant, parse_required_instant
from clinic.ports.calendars import SlotView
from clinic.usecases.appointments.explain import ExplainedStart, Question, explain
from clinic.usecases.calendar.block_slots import set_slots_state, slots_changed
from clinic.usecases.calendar.find_slots import SlotSearch, find_slots
from clinic.usecases.calendar.open_slots import open_slots

COLUMNS = ("id", "startsAt", "endsAt", "doctor", "specialty", "state", "taken", "lane", "places")
NOBODY, FOR_STAFF, HERE = Acting(), Explaining(), Where()

From = Annotated[str, Parameter(name="--from")]
To = Annotated[str, Parameter(name=("--to", "--until"))]


async def open_hours(
    *, doctor: UUID | None = None, until: date | None = None, acting: Acting = NOBODY
) -> None:
    """Open slots from the current hours up to the clinic's horizon; safe to repeat.

    Parameters
    ----------
    doctor
        Only those of this doctor.
    until
        Last day to open, such as 2026-12-31.
    """
    async with session(acting) as at:
        with progress("Opening slots", "doctors") as on_progress:
            opened = await open_slots(
                at.context, doctor_id=doctor, until=until, on_progress=on_progress
            )
    print_effect(opened)


async def list_slots(
    *,
    doctor: UUID | None = None,
    specialty: str | None = None,
    type: UUID | str | None = None,
    location: UUID | None = None,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: Annotated[str | None, Parameter(name=("--to", "--until"))] = None,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    limit: int = 50,
    where: Where = HERE,
    as_json: AsJson = False,
) -> None:
    """List slots that can be booked now, or all of them.

    Parameters
    ----------
    doctor
        Only those of this doctor.
    specialty
        Only those of this specialty.
    type
        Only those in which an appointment of this type, named by name or id, can begin.
    location
        Only those at this location, by its id.
    from_
        First day or time, such as 2026-11-23 or 2026-11-23T09:00 on the clinic's clock.
    to
        Last day, or the time before which they start.
    every
        Include taken and blocked ones.
    limit
        How many at most, up to 200.
    as_json
        Print JSON.
    """
    async with session(where) as at:
        zone = at.clinic.zone
        page = await find_slots(
            at.context,
            SlotSearch(
                doctor,
                specialty,
                parse_instant(from_, zone, "--from"),
                parse_instant(to, zone, "--to", end=True),
                free_only=not every,
                type=type,
                location_id=location,
            ),
            PageRequest(limit),
        )
    rows = [_row(view, at) for view in page.items]
    print_rows(rows, COLUMNS, as_json=as_json, more=page.next is not None)


async def explain_times(
    doctor: UUID,
    /,
    *,
    at: str | None = None,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    to: Annotated[str | None, Parameter(name=("--to", "--until"))] = None,
    type: str | None = None,
    patient: UUID | None = None,
    acting: Acting = NOBODY,
    as_json: AsJson = False,
) -> None:
    """Say why a doctor's times can be booked or not: each rule that refuses.

    Parameters
    ----------
    doctor
        Id of the doctor.
    at
        One time, such as 2026-11-23T09:00 on the clinic's clock.
    from_
        In place of --at: first day or time, such as 2026-11-23 or 2026-11-23T09:00.
    to
        Last day, or the time before which they start; at most 7 days later.
    type
        The type of appointment; by default the clinic's default.
    patient
        Id of the patient; without one, the rules about patients are left out.
    as_json
        Print JSON, with the rules that are kept.
    """
    async with session(acting) as at_clinic:
        zone = at_clinic.clinic.zone
        question = Question(
            doctor,
            parse_instant(at, zone, "--at"),
            parse_instant(from_, zone, "--from"),
            parse_instant(to, zone, "--to", end=True),
            type,
            patient,
        )
        found = await explain(at_clinic.context, question, clinic=at_clinic.clinic)
    rows = [_explained(start, zone) for start in found.starts]
    nearest = [_row(view, at_clinic) for view in found.nearest]
    if as_json:
        print_row({"starts": rows, "nearest": nearest}, as_json=True)
        return
    print_rows(rows, ("startsAt", "possible", "why"))
    if nearest:
        print("The nearest that can be booked:")
        print_rows(nearest, COLUMNS)


def _explained(start: ExplainedStart, zone: ZoneInfo) -> Row:
    rules = [
        {"kind": each.kind, "refuses": each.refuses, "detail": each.sentence}
        for each in start.findings
    ]
    return {
        "slotId": start.slot_id,
        "startsAt": local(start.starts_at, zone),
        "endsAt": None if start.ends_at is None else local(start.ends_at, zone),
        "possible": start.is_possible,
        "why": " ".join(each.sentence for each in start.findings if each.refuses) or None,
        "rules": rules,
    }


async def block(
    doctor: UUID,
    /,
    *,
    from_: From,
    to: To,
    preview: Preview = False,
    acting: Explaining = FOR_STAFF,
) -> None:
    """Block a doctor's slots; appointments in them are listed, not cancelled.

    It stores a block, as clinic blocks add does.

    Parameters
    ----------
    doctor
        Id of the doctor.
    from_
        First day or time, such as 2026-11-23 or 2026-11-23T09:00 on the clinic's clock.
    to
        Last day, or the time at which it ends.
    """
    await _set_state(SlotState.BLOCKED, doctor, from_, to, acting, preview=preview)


async def unblock(
    doctor: UUID, /, *, from_: From, to: To, preview: Preview = False, acting: Acting = NOBODY
) -> None:
    """Open a doctor's blocked slots again.

    It cuts that time out of blocks; closures, leave and missing hours stay.

    Parameters
    ----------
    doctor
        Id of the doctor.
    from_
        First day or time, such as 2026-11-23 or 2026-11-23T09:00 on the clinic's clock.
    to
        Last day, or the time at which it ends.
    """
    await _set_state(SlotState.OPEN, doctor, from_, to, acting, preview=preview)


WORDS: Mapping[SlotState, str] = {SlotState.BLOCKED: "block", SlotState.OPEN: "open"}


async def _set_state(
    state: SlotState, doctor: UUID, start: str, end: str, acting: Acting, *, preview: bool
) -> None:
    async with session(acting) as at:
        done = await set_slots_state(
            at.context,
            state,
            doctor_id=doctor,
            starts_at=parse_required_instant(start, at.clinic.zone, "--from"),
            ends_at=parse_required_instant(end, at.clinic.zone, "--to", end=True),
            preview=preview,
        )
    changed = slots_changed(done)
    word, slots = WORDS[state], counted(len(changed.slots), "slot")
    would = f"It would {word} {slots}. Nothing is changed."
    print(would if preview else f"{slots} {word}ed.")
    if changed.note is not None:
        print(changed.note)
    print_affected(
        changed.appointments,
        "in slots that would be blocked" if preview else "in blocked slots; move or cancel them",
    )


def _row(view: SlotView, at: CommandSession) -> Row:
    slot = view.slot
    return {
        "id": slot.id,
        "startsAt": local(slot.starts_at, at.clinic.zone),
        "endsAt": local(slot.ends_at, at.clinic.zone),
        "doctor": view.doctor_name,
        "doctorId": slot.doctor_id,
        "specialty": slot.specialty,
        "state": slot.state,
        "taken": slot.taken,
        "lane": slot.lane if view.places is None else None,
        "places": view.places,
        "locationId": slot.location_id,
    }
