"""What `clinic check` finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckFault:
    """Something wrong, and how to fix it; a mere `hint` is all right in development."""

    problem: str
    remedy: str
    hint: bool = False
