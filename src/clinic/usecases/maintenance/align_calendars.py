"""Carry out changes of calendars that concern too many slots for one transaction."""

import logging
from datetime import timedelta
from uuid import UUID

from clinic.domain.errors import ClinicError
from clinic.usecases.calendar.calendar_changes import carry_on
from clinic.usecases.maintenance.service import (
    DoctorFailures,
    MaintenanceIncomplete,
    Resources,
    RowCounts,
    Service,
)

logger = logging.getLogger(__name__)

#: pieces of work that are read at once; a new change of nearer days waits for at most these
BATCH = 20


async def align_calendars(resources: Resources) -> RowCounts:
    """Align doctor after doctor, the nearest days first, until no work is left. A failure for one
    does not stop the others.

    Raises TemporaryFailure, MaintenanceIncomplete.
    """
    aligned = 0
    failed: set[tuple[UUID, UUID]] = set()
    failures = DoctorFailures()
    changes = resources.context.store.calendar_changes
    while True:
        found = await changes.next_work(limit=BATCH + len(failed))
        todo = [work for work in found if (work.change_id, work.doctor_id) not in failed]
        if not todo:
            break
        for work in todo[:BATCH]:
            try:
                effect = await carry_on(resources.context.as_system(work.clinic_id), work)
                failures.passed()
            except ClinicError as error:
                failures.add(work.doctor_id, error)
                failed.add((work.change_id, work.doctor_id))
                logger.warning(
                    "slots of doctor %s were not aligned: %s", work.doctor_id, error.code
                )
                continue
            counts = effect.counts
            aligned += counts.added + counts.retired + counts.blocked + counts.unblocked
    if failed:
        raise MaintenanceIncomplete(f"The slots of {len(failed)} doctors could not be aligned.")
    return {"slots_aligned": aligned}


ALIGN_CALENDARS = Service(
    "align-calendars",
    "Carry out changes of many calendars, such as closures.",
    timedelta(seconds=2),
    align_calendars,
)
