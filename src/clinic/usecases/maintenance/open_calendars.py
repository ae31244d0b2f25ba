"""Keep slots open up to each clinic's horizon, which moves by a day every midnight."""

import logging
from datetime import timedelta
from uuid import UUID

from clinic.domain.calendar.availability import ExceptionKind
from clinic.domain.errors import ClinicError, DoctorNotFound
from clinic.usecases.calendar.open_slots import open_slots
from clinic.usecases.maintenance.service import (
    DoctorFailures,
    MaintenanceIncomplete,
    Resources,
    RowCounts,
    Service,
)

logger = logging.getLogger(__name__)


async def open_calendars(resources: Resources) -> RowCounts:
    """Align the slots of every doctor who has hours, added hours or added places, one doctor after
    the other.

    A doctor without any is left alone: slots created in another way would be retired. A failure
    for one doctor does not stop the others. Raises TemporaryFailure, MaintenanceIncomplete.
    """
    opened = retired = stranded = failed = 0
    failures = DoctorFailures()
    store = resources.context.store
    for clinic in await store.people.clinics():
        service = resources.context.as_system(clinic.id)
        for doctor_id in await _with_slots_to_open(resources, clinic.id):
            try:
                changed = await open_slots(service, doctor_id=doctor_id)
                failures.passed()
            except DoctorNotFound:
                continue
            except ClinicError as error:
                failures.add(doctor_id, error)
                failed += 1
                logger.warning("slots of doctor %s were not opened: %s", doctor_id, error.code)
                continue
            opened += changed.counts.added
            retired += changed.counts.retired
            stranded += len(changed.stranded)
    if stranded:
        logger.info("%d appointments are not within open hours", stranded)
    if failed:
        raise MaintenanceIncomplete(f"The slots of {failed} doctors could not be opened.")
    return {"slots_opened": opened, "slots_retired": retired}


async def _with_slots_to_open(resources: Resources, clinic_id: UUID) -> list[UUID]:
    """Return the doctors for whom something is entered that makes slots, by id."""
    store, now = resources.context.store, resources.context.clock.now()
    hours = await store.calendars.availabilities(clinic_id)
    exceptions = await store.calendars.exceptions(clinic_id)
    places = await store.closings.places(clinic_id, since=now)
    found = {each.doctor_id for each in hours} | {each.doctor_id for each in places}
    found |= {each.doctor_id for each in exceptions if each.kind is ExceptionKind.ADD}
    return sorted(found)


OPEN_SLOTS = Service(
    "open-slots",
    "Open the slots of every doctor up to the clinic's horizon.",
    timedelta(hours=1),
    open_calendars,
)
