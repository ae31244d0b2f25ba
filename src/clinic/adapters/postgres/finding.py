"""What `clinic check` finds in the database."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong in the database, and how to mend it."""

    problem: str
    remedy: str
