"""What the contracts of calendars have in common."""

from dataclasses import replace
from datetime import timedelta

from clinic.domain.calendar.slots import Slot
from clinic.domain.paging import PageRequest
from clinic.ports.calendars import SlotQuery
from clinic.ports.unit_of_work import Store
from clinic.testing.builders import (
    MORNING,
    World,
)

WHOLE_DAY = (MORNING - timedelta(hours=9), MORNING + timedelta(hours=15))


def query_of(world: World, **changes: object) -> SlotQuery:
    query = SlotQuery(world.clinic.id, *WHOLE_DAY, doctor_id=world.doctor.id)
    return replace(query, **changes)  # type: ignore[arg-type]


async def listed_slots(
    store: Store, query: SlotQuery, page: PageRequest | None = None
) -> list[Slot]:
    return [view.slot for view in await store.calendars.list_slots(query, page or PageRequest())]
