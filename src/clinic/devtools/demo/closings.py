"""What closes the sample clinic's calendars: a day of training, public holidays, and leave."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from clinic.bootstrap import Services
from clinic.devtools.demo.sample import REASON, Sample, acting
from clinic.domain.calendar.closings import Closure, ClosureKind, Leave
from clinic.usecases.calendar.closures import add_closure
from clinic.usecases.calendar.leaves import add_leave

TRAINING, HOLIDAYS = "Staff training", "Public holidays"
COUNTRY, SUBDIVISION = "GB", "ENG"
WEDNESDAY = 3
#: the first Wednesday after so many days is closed; the leave is in the week after it
NOTICE = timedelta(days=4)


@dataclass(frozen=True, slots=True)
class Closings:
    """When the sample clinic is closed, and who is away."""

    closures: Sequence[Closure]
    leaves: Sequence[Leave]

    def next_day(self, today: date) -> Closure | None:
        """Return the next closure of one whole day."""
        ahead = [
            one
            for one in self.closures
            if one.first is not None and one.first == one.last and one.first > today
            if one.start is None and one.end is None and not one.open_on
        ]
        return min(ahead, key=lambda one: one.first or today, default=None)


async def make_closings(services: Services, sample: Sample, today: date) -> None:
    """Enter the closures and the leave that are missing."""
    known = await read_closings(services, sample)
    context, names = acting(services, sample.system), {one.name for one in known.closures}
    training = today + NOTICE + timedelta(days=1)
    training += timedelta(days=(WEDNESDAY - training.isoweekday()) % 7)
    if HOLIDAYS not in names:
        holidays = Closure(
            services.new_id(),
            sample.clinic.id,
            HOLIDAYS,
            ClosureKind.HOLIDAYS,
            country=COUNTRY,
            subdivision=SUBDIVISION,
        )
        await add_closure(context, holidays)
    if TRAINING not in names:
        closed = Closure(
            services.new_id(), sample.clinic.id, TRAINING, first=training, last=training
        )
        await add_closure(context, closed)
    if not known.leaves:
        monday = training + timedelta(days=5)
        friday = monday + timedelta(days=4)
        away = sample.doctors[1].id
        leave = Leave(services.new_id(), sample.clinic.id, away, monday, friday, reason=REASON)
        await add_leave(context, leave)


async def read_closings(services: Services, sample: Sample) -> Closings:
    """Return what closes the clinic's calendars now."""
    reader = services.store.closings
    return Closings(await reader.closures(sample.clinic.id), await reader.leaves(sample.clinic.id))
