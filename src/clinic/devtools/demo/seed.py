"""Makes the sample clinic once for each data folder, and opens more slots at every start."""

from pathlib import Path

from clinic.bootstrap import Services
from clinic.devtools.demo.closings import make_closings
from clinic.devtools.demo.history import PAST, at, make_history
from clinic.devtools.demo.offer import make_types
from clinic.devtools.demo.sample import (
    Sample,
    find_clinic,
    make_hours,
    make_people,
    open_coming_weeks,
    read_sample,
)

MARKER = "seeded"


async def seed(services: Services, data_dir: Path) -> tuple[Sample, bool]:
    """Return the sample clinic, and whether it was made now.

    A first start that was killed half-way is continued by the next one. Once the marker is written,
    changes that people made to the sample clinic are kept.
    """
    marker = data_dir / MARKER
    clinic = await find_clinic(services)
    if clinic is not None and marker.exists():
        sample = await read_sample(services, clinic)
        await open_coming_weeks(services, sample)
        return sample, False
    long_ago = at(services, services.clock.now() - PAST)
    sample = await make_people(long_ago)
    await make_hours(long_ago, sample)
    await make_types(long_ago, sample)
    await make_closings(long_ago, sample, sample.clinic.local_date(services.clock.now()))
    await open_coming_weeks(services, sample)
    await make_history(services, sample)
    marker.touch()
    return sample, True
