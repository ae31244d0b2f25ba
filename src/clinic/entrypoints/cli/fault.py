"""What `clinic check` finds."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong, and how to mend it; a mere `hint` is all right in development."""

    problem: str
    remedy: str
    hint: bool = False
