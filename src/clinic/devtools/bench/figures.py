"""What was measured: figures, one value for each round, and the ratios between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

#: whether a ratio should be at least or at most its goal's value
AT_LEAST, AT_MOST = "at least", "at most"


@dataclass(frozen=True, slots=True)
class Goal:
    """The value that a ratio should reach."""

    sense: str
    value: float

    def is_met(self, value: float) -> bool:
        return value >= self.value if self.sense == AT_LEAST else value <= self.value


@dataclass(frozen=True, slots=True)
class RatioOf:
    """`numerator` over `denominator`, both names of figures."""

    numerator: str
    denominator: str
    goal: Goal | None
    meaning: str


@dataclass(slots=True)
class Record:
    """Figures by name as they come in, and why others are missing."""

    values: dict[str, list[float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str) -> None:
        """Record what one round measured."""
        self.values.setdefault(name, []).append(value)
        self.units[name] = unit

    def skip(self, name: str, reason: str) -> None:
        """Record why a figure, or all of a part, could not be measured."""
        self.reasons[name] = reason

    def median(self, name: str) -> float | None:
        """Return the median of the rounds, or None for what was not measured."""
        found = self.values.get(name)
        return median(found) if found else None

    def ratio(self, of: RatioOf) -> float | None:
        """Return the median of the rounds' own ratios: speed drifts between rounds, and one round's
        figures were measured right after each other."""
        above, below = self.values.get(of.numerator), self.values.get(of.denominator)
        if not above or not below:
            return None
        if len(above) != len(below):
            return median(above) / median(below)
        return median(a / b for a, b in zip(above, below, strict=True))

    def reason(self, of: RatioOf, part: str) -> str:
        """Return why this ratio is missing."""
        for name in (of.numerator, of.denominator, part):
            if name in self.reasons:
                return self.reasons[name]
        return "not asked for"


def summary(
    record: Record,
    ratios: Mapping[str, RatioOf],
    parts: Mapping[str, str],
    *,
    machine: Mapping[str, Any],
    conditions: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything as JSON: the ratios by name, then what they are based on.

    A ratio that was not measured is null, and `reasons` says why.
    """
    found = {name: _rounded(record.ratio(of)) for name, of in ratios.items()}
    missing = {
        name: record.reason(of, parts[name]) for name, of in ratios.items() if found[name] is None
    }
    return {
        **found,
        "reasons": {**record.reasons, **missing},
        "goals": {
            name: f"{of.goal.sense} {of.goal.value:g}" for name, of in ratios.items() if of.goal
        },
        "figures": {
            name: _figure(values, record.units[name]) for name, values in record.values.items()
        },
        "machine": dict(machine),
        "conditions": dict(conditions),
    }


def _figure(values: Sequence[float], unit: str) -> dict[str, Any]:
    return {
        "median": _rounded(median(values)),
        "unit": unit,
        "rounds": [_rounded(value) for value in values],
    }


def _rounded(value: float | None) -> float | None:
    """Return four significant digits: more would be noise."""
    return None if value is None else float(f"{value:.4g}")
