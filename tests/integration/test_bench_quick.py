"""`clinic bench` from end to end on tiny rounds: what it reports, not how fast it was."""

import tempfile

import pytest

from clinic.devtools.bench.bench import TINY
from clinic.devtools.bench.command import measure

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MEASURED = ("booking", "reads", "listing", "calendars")


def test_bench_measures_and_says_what_it_could_not(tmp_path, memory_path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(memory_path))

    report = measure(TINY, [*MEASURED, "yardstick"], workers=1, yardstick=tmp_path)

    assert {name: why for name, why in report["reasons"].items() if name in MEASURED} == {}
    for name in (
        "booking_full_of_floor",
        "booking_bare_of_floor",
        "slots_full_of_bare",
        "day_full_of_bare",
        "listing_of_antijoin_db_time",
        "closing_day_of_update_time",
        "align_of_raw_copy",
    ):
        assert report[name] > 0
    assert report["booking_full_of_yardstick"] is None
    assert "yardstick" in report["reasons"]["booking_full_of_yardstick"]
    assert report["copy_of_raw_copy"] is None
    assert report["first_open_10m_of_1m"] is None
    assert report["figures"]["booking_full_server_cpu"]["unit"] == "µs"
    for name in ("closing_day", "reopening_day", "aligning_memory"):
        assert report["figures"][name]["median"] > 0
    assert report["conditions"]["postgresql"]["fsync"] == "on"
    assert report["conditions"]["postgresql"]["synchronous_commit"] == "on"
