"""Ratios, goals, the JSON and the tables of `clinic bench`."""

from clinic.devtools.bench.figures import AT_LEAST, AT_MOST, Goal, RatioOf, Record, summary
from clinic.devtools.bench.ratios import ratios_of
from clinic.devtools.bench.report import figure_rows, ratio_rows

PUBLISHED = {
    "booking_full_of_floor",
    "booking_bare_of_floor",
    "booking_full_of_yardstick",
    "graphql_30_of_rest_time",
    "graphql_1000_of_rest_time",
    "first_open_10m_of_1m",
    "listing_of_antijoin_db_time",
    "flash_2000_of_yardstick_time",
    "copy_of_raw_copy",
}
FAST = RatioOf("ours", "theirs", Goal(AT_LEAST, 2), "ours of theirs")


def a_record(**values: list[float]) -> Record:
    record = Record()
    for name, rounds in values.items():
        for value in rounds:
            record.add(name, value, "requests/s")
    return record


def test_ratio_is_the_middle_of_the_rounds_own_ratios() -> None:
    # The machine became ten times slower between the rounds; within each, ours was twice as fast.
    record = a_record(ours=[200, 20, 210], theirs=[100, 10, 70])

    assert record.ratio(FAST) == 2


def test_ratio_of_different_numbers_of_rounds_is_that_of_the_medians() -> None:
    record = a_record(ours=[10, 30, 20], theirs=[5, 10])

    assert record.ratio(FAST) == 20 / 7.5


def test_ratio_without_one_side_is_missing() -> None:
    assert a_record(ours=[1]).ratio(FAST) is None
    assert a_record(theirs=[1]).ratio(FAST) is None


def test_goal_at_its_limit_is_met() -> None:
    assert Goal(AT_LEAST, 0.26).is_met(0.26)
    assert not Goal(AT_LEAST, 0.26).is_met(0.2599)
    assert Goal(AT_MOST, 1.2).is_met(1.2)
    assert not Goal(AT_MOST, 1.2).is_met(1.21)


def test_summary_has_every_published_key_at_any_size() -> None:
    for sizes in (("1m", "10m"), ("10k", "100k")):
        by_part = ratios_of(*sizes)
        ratios = {name: of for found in by_part.values() for name, of in found.items()}
        parts = {name: part for part, found in by_part.items() for name in found}

        report = summary(Record(), ratios, parts, machine={}, conditions={})

        assert set(report) >= PUBLISHED
        assert all(report[name] is None for name in PUBLISHED)
        assert all(report["reasons"][name] == "not asked for" for name in PUBLISHED)


def test_smaller_sizes_never_answer_for_ten_million() -> None:
    scale = ratios_of("10k", "100k")["scale"]

    assert scale["first_open_100k_of_10k"].numerator == "first_open_100k"
    assert scale["first_open_10m_of_1m"].numerator == "first_open_10m"


def test_summary_tells_figures_rounds_and_the_reason_of_what_is_missing() -> None:
    record = a_record(ours=[4, 2, 3], theirs=[1, 1, 1])
    record.skip("other", "the other one is not installed")
    missing = RatioOf("other", "theirs", None, "other of theirs")

    report = summary(
        record,
        {"fast": FAST, "missing": missing},
        {"fast": "a", "missing": "b"},
        machine={"cores": 2},
        conditions={"rounds": 3},
    )

    assert report == {
        "fast": 3.0,
        "missing": None,
        "reasons": {
            "other": "the other one is not installed",
            "missing": "the other one is not installed",
        },
        "goals": {"fast": "at least 2"},
        "figures": {
            "ours": {"median": 3.0, "unit": "requests/s", "rounds": [4.0, 2.0, 3.0]},
            "theirs": {"median": 1.0, "unit": "requests/s", "rounds": [1.0, 1.0, 1.0]},
        },
        "machine": {"cores": 2},
        "conditions": {"rounds": 3},
    }


def test_reason_of_a_part_stands_for_its_ratios() -> None:
    record = Record()
    record.skip("booking", "RuntimeError: no")

    assert record.reason(FAST, "booking") == "RuntimeError: no"


def test_table_shows_value_goal_and_whether_it_is_met() -> None:
    record = a_record(ours=[3], theirs=[2])

    rows = ratio_rows(record, {"fast": FAST, "none": RatioOf("x", "y", None, "")}, {"none": "x"})

    assert rows == [
        ("fast", "1.5", "at least 2", "no", "ours of theirs"),
        ("none", "-", "-", "-", "not asked for"),
    ]


def test_figures_show_the_middle_and_how_far_the_rounds_lie_apart() -> None:
    assert figure_rows(a_record(ours=[1500, 2500, 9])) == [
        ("ours", "1,500", "9", "2,500", "requests/s")
    ]
