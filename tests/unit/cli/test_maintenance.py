"""`clinic maintenance`: listing services, and running them now."""

import asyncio
from datetime import timedelta

import pytest

from clinic.domain.errors import SlotOverlap
from clinic.usecases.maintenance import open_calendars
from clinic.usecases.maintenance.services import SERVICES


@pytest.fixture(autouse=True)
def _databases_clock(line):
    line.services.store.maintenance.now = line.clock.now


def test_services_are_listed_with_how_they_ran(line, ids):
    before = line.json("maintenance", "list")
    line("maintenance", "run", "remove-expired")
    after = {each["service"]: each for each in line.json("maintenance", "list")}

    assert [each["service"] for each in before] == list(SERVICES)
    assert {each["state"] for each in before} == {"has not run"}
    assert after["remove-expired"]["state"] == "on time"
    assert after["remove-expired"]["rows"] == 0
    assert after["open-slots"]["state"] == "has not run"
    assert {each["every"] for each in after.values()} == {"6 h", "1 h", "1 min", "10 s", "2 s"}
    assert "every" in line("maintenance", "list")


def test_service_can_be_run_before_it_is_due(line, ids):
    first = line("maintenance", "run", "open-slots")
    again = line("maintenance", "run", "open-slots")

    for told in (first, again):
        assert told.startswith("open-slots: 0 slots opened, 0 slots retired; 0.")


def test_service_that_does_not_exist_is_refused_with_those_that_do(line):
    status, told = line.refused("maintenance", "run", "sweep")

    assert status == 1
    assert "There is no service sweep; choose from: open-slots, align-calendars," in told


def test_service_that_runs_elsewhere_is_refused(line, ids):
    hour = timedelta(hours=1)
    asyncio.run(
        line.services.store.maintenance.claim(
            "open-slots", token=line.services.new_id(), period=hour, retry=hour, lease=hour / 60
        )
    )

    status, told = line.refused("maintenance", "run", "open-slots")

    assert status == 1
    assert told == "clinic: open-slots is running elsewhere at the moment.\n"
    [state] = [
        each["state"]
        for each in line.json("maintenance", "list")
        if each["service"] == "open-slots"
    ]
    assert state == "running"


def test_service_that_could_not_do_all_says_so(line, ids, monkeypatch):
    async def open_slots(*_, **__):
        raise SlotOverlap()

    monkeypatch.setattr(open_calendars, "open_slots", open_slots)

    status, told = line.refused("maintenance", "run", "open-slots")

    assert status == 1
    assert told.endswith("clinic: The slots of 1 doctors could not be opened.\n")
