"""What `clinic check` reports about the database."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """Something wrong in the database, and the remedy."""

    problem: str
    remedy: str
