"""The table that `clinic bench` prints."""

from collections.abc import Mapping

from clinic.devtools.bench.figures import RatioOf, Record

RATIO_COLUMNS = ("ratio", "value", "goal", "met", "meaning")
FIGURE_COLUMNS = ("figure", "median", "lowest", "highest", "unit")


def ratio_rows(
    record: Record, ratios: Mapping[str, RatioOf], parts: Mapping[str, str]
) -> list[tuple[str, ...]]:
    """Return a row for each ratio; for one that is missing, the reason instead of its meaning."""
    rows: list[tuple[str, ...]] = []
    for name, of in ratios.items():
        value = record.ratio(of)
        goal = f"{of.goal.sense} {of.goal.value:g}" if of.goal else "-"
        if value is None:
            rows.append((name, "-", goal, "-", record.reason(of, parts[name])))
            continue
        met = ("yes" if of.goal.is_met(value) else "no") if of.goal else "-"
        rows.append((name, f"{value:.3g}", goal, met, of.meaning))
    return rows


def figure_rows(record: Record) -> list[tuple[str, ...]]:
    """Return a row for each figure: the median of its rounds, and their range."""
    rows = []
    for name, values in record.values.items():
        middle = record.median(name)
        assert middle is not None
        numbers = (middle, min(values), max(values))
        rows.append((name, *[_number(each) for each in numbers], record.units[name]))
    return rows


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
