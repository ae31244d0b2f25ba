"""Changed lead times of reminders, over HTTP and through the worker's service."""

import pytest

from clinic.usecases.maintenance.service import Resources
from clinic.usecases.maintenance.services import SERVICES

pytestmark = pytest.mark.anyio


async def test_new_lead_times_apply_to_what_is_booked(api) -> None:
    """Given a booked appointment
    When the clinic's lead times change, and the worker's service runs
    Then its reminders are due by the new ones, and a change of anything else plans nothing."""
    booked = await api.book(0)
    services = api.services
    resources = Resources(services.anonymous(), services.cache)
    run = SERVICES["plan-reminders"].run

    async def change(**body) -> None:
        any_version = {"if-match": "*"}
        answer = await api.send("PATCH", "/clinics/current", body, who="admin", headers=any_version)
        assert answer.status_code == 200, answer.text
        api.clock.advance(minutes=1)

    async def reminders() -> list[tuple[str, str]]:
        path = f"/appointments/{booked['id']}/notifications"
        found = (await api.send("GET", path, who="receptionist")).json()["items"]
        return [
            (each["kind"], each["scheduledFor"]) for each in found if "reminder" in each["kind"]
        ]

    before = await reminders()
    await change(name="Another name", policy={"reminderLeadsMin": [120, 1440]})
    unchanged = await run(resources)
    await change(policy={"reminderLeadsMin": [60]})
    planned = await run(resources)

    assert [kind for kind, _ in before] == ["reminder_1440m", "reminder_120m"]
    assert (unchanged, planned) == ({"appointments": 0}, {"appointments": 1})
    assert await reminders() == [("reminder_60m", "2026-11-24T08:00:00Z")]
