"""What all commands that change calendars share: a preview, and waiting for the slots to follow."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

from cyclopts import Parameter

from clinic.domain.errors import ConfirmationNeeded, TemporaryFailure
from clinic.entrypoints.cli.app import REFUSED, complain
from clinic.entrypoints.cli.output import progress
from clinic.entrypoints.cli.rendering import counted
from clinic.entrypoints.cli.session import CommandSession
from clinic.usecases.calendar.align import CalendarEffect
from clinic.usecases.calendar.calendar_changes import finish_change

Preview = Annotated[
    bool, Parameter(negative="", help="Only say what it would do; nothing is changed.")
]
NoWait = Annotated[
    bool,
    Parameter(
        negative="",
        help="When it concerns too many slots for one transaction, leave them to clinic worker"
        " instead of waiting.",
    ),
]


@contextmanager
def deciding(what: str, option: str) -> Iterator[None]:
    """Let a change that wants a decision about appointments ahead ask for the command's option. In
    both texts, `{ahead}` is their number.

    Raises ConfirmationNeeded.
    """
    try:
        yield
    except ConfirmationNeeded as error:
        told = f"{what} {option}".format(ahead=error.facts["appointmentsAhead"])
        raise ConfirmationNeeded(told, **error.facts) from None


def status_of(effect: CalendarEffect | None, *, no_wait: bool) -> int:
    """Return the exit status of a change whose slots were waited for."""
    change = None if effect is None else effect.change
    if change is None or change.is_done or no_wait:
        return 0
    left = counted(change.doctors - change.doctors_done, "doctor")
    complain(f"the slots of {left} could not be aligned")
    return REFUSED


async def followed(at: CommandSession, effect: CalendarEffect, *, no_wait: bool) -> CalendarEffect:
    """Return the effect once all slots have followed: a change of many calendars is carried out
    here, whether or not a worker runs, unless `no_wait`."""
    change = effect.change
    if change is None or no_wait:
        return effect
    try:
        days = f"days of {counted(change.doctors, 'doctor')}"
        with progress("Aligning slots", days) as on_progress:
            finished = await finish_change(at.context, change.id, on_progress=on_progress)
    except (asyncio.CancelledError, TemporaryFailure):
        complain(
            "stopped waiting; the change is stored, and the slots follow while clinic worker runs:"
            f" clinic changes show {change.id}"
        )
        raise
    return replace(
        effect,
        counts=finished.change.counts,
        stranded=tuple(finished.stranded),
        change=finished.change,
    )
