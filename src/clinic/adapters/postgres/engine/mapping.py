"""Groups of columns that statements select together, and their places in a row."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any

from sqlalchemy import Row, Select

Part = Sequence[Any]
Values = dict[str, Any]
SqlRow = Row[*tuple[Any, ...]]
Query = Select[*tuple[Any, ...]]
AnyRow = SqlRow | Part


class Columns:
    """Named SQL expressions that are selected side by side."""

    def __init__(self, **expressions: str) -> None:
        self.names = tuple(expressions)
        self.sql = ",\n       ".join(expressions.values())

    def __len__(self) -> int:
        return len(self.names)

    def named(self, part: Part) -> dict[str, Any]:
        """Return the values of this group's part of a row, by name."""
        return dict(zip(self.names, part, strict=True))


def of_table(alias: str, *names: str) -> Columns:
    """Return columns of one table under their own names."""
    return Columns(**{name: f"{alias}.{name}" for name in names})


class Layout:
    """Groups of columns in the order in which a statement selects them.

    The offset of each group is computed once: reading a row costs no more than slicing it, and
    adding a column to a group needs no renumbering.
    """

    def __init__(self, *groups: Columns) -> None:
        self.sql = ",\n       ".join(group.sql for group in groups)
        ends = [sum(map(len, groups[:number])) for number in range(len(groups) + 1)]
        places = [slice(*each) for each in pairwise(ends)]
        self.width = ends[-1]
        self._parts: Callable[[Part], tuple[Part, ...]] = itemgetter(*places)

    def parts(self, row: Part) -> tuple[Part, ...]:
        """Return each group's part of a row. Raises ValueError for a row of another width."""
        if len(row) != self.width:
            raise ValueError(f"{len(row)} columns where {self.width} were asked for")
        return self._parts(row)
