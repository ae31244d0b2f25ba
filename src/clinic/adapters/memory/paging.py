"""Cuts a page out of rows ordered by (time, id)."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from clinic.domain.paging import PageRequest

T = TypeVar("T")


def page_of(
    rows: Iterable[T], page: PageRequest, place: Callable[[T], tuple[datetime, UUID]]
) -> list[T]:
    """Return at most `page.one_more` rows beyond `page.after`, earliest first."""
    after = page.after
    ordered = sorted(rows, key=place)
    if after is None:
        return ordered[: page.one_more]
    here = (after.at, after.id)
    if after.backwards:
        return [row for row in ordered if place(row) < here][-page.one_more :]
    return [row for row in ordered if place(row) > here][: page.one_more]
