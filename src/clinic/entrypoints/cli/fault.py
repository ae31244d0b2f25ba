"""The faults that `clinic check` finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckFault:
    """A problem, and how to fix it; a `hint` is acceptable in development."""

    problem: str
    remedy: str
    hint: bool = False
