"""Rows by key, with indexes, and layers of uncommitted changes on top of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

Indexes = Mapping[str, Callable[[V], Hashable]]
#: rows written, and keys removed
Changes = tuple[dict[K, V], set[K]]


class Rows(ABC, Generic[K, V]):
    """Rows by key that can be looked up by the value of an index."""

    @abstractmethod
    def get(self, key: K) -> V | None:
        """Return the row, or None."""

    @abstractmethod
    def put(self, key: K, row: V) -> None:
        """Add the row or replace the existing one."""

    @abstractmethod
    def remove(self, key: K) -> None:
        """Remove the row."""

    @abstractmethod
    def items(self) -> Iterator[tuple[K, V]]:
        """Yield every key with its row, in no particular order."""

    @abstractmethod
    def where_items(self, index: str, value: Hashable) -> Iterator[tuple[K, V]]:
        """Yield the rows that `index` files under `value`, with their keys."""

    def where(self, index: str, value: Hashable) -> Iterator[V]:
        """Yield the rows that `index` files under `value`."""
        yield from (row for _, row in self.where_items(index, value))

    def values(self) -> Iterator[V]:
        """Yield every row."""
        yield from (row for _, row in self.items())


class Table(Rows[K, V]):
    """The committed rows."""

    def __init__(self, indexes: Indexes[V] | None = None) -> None:
        self.indexes: Indexes[V] = indexes or {}
        self._rows: dict[K, V] = {}
        self._filed: dict[tuple[str, Hashable], dict[K, V]] = {}

    def get(self, key: K) -> V | None:
        return self._rows.get(key)

    def put(self, key: K, row: V) -> None:
        self.remove(key)
        self._rows[key] = row
        for name, value_of in self.indexes.items():
            self._filed.setdefault((name, value_of(row)), {})[key] = row

    def remove(self, key: K) -> None:
        row = self._rows.pop(key, None)
        if row is None:
            return
        for name, value_of in self.indexes.items():
            filed = self._filed[name, value_of(row)]
            del filed[key]
            if not filed:
                del self._filed[name, value_of(row)]

    def items(self) -> Iterator[tuple[K, V]]:
        return iter(self._rows.items())

    def where_items(self, index: str, value: Hashable) -> Iterator[tuple[K, V]]:
        return iter(self._filed.get((index, value), {}).items())

    def __contains__(self, key: object) -> bool:
        return key in self._rows


class Layer(Rows[K, V]):
    """A table as one unit of work sees it: the committed rows under its own changes."""

    def __init__(self, base: Table[K, V]) -> None:
        self.base = base
        self.changed: Table[K, V] = Table(base.indexes)
        self.removed: set[K] = set()

    def get(self, key: K) -> V | None:
        if key in self.removed:
            return None
        row = self.changed.get(key)
        return row if row is not None else self.base.get(key)

    def put(self, key: K, row: V) -> None:
        self.removed.discard(key)
        self.changed.put(key, row)

    def remove(self, key: K) -> None:
        self.changed.remove(key)
        self.removed.add(key)

    def items(self) -> Iterator[tuple[K, V]]:
        yield from self.changed.items()
        yield from self._untouched(self.base.items())

    def where_items(self, index: str, value: Hashable) -> Iterator[tuple[K, V]]:
        yield from self.changed.where_items(index, value)
        yield from self._untouched(self.base.where_items(index, value))

    def _untouched(self, committed: Iterator[tuple[K, V]]) -> Iterator[tuple[K, V]]:
        for key, row in committed:
            if key not in self.changed and key not in self.removed:
                yield key, row

    def added(self) -> Iterator[K]:
        """Yield the keys of rows that are not committed yet."""
        return (key for key, _ in self.changed.items() if key not in self.base)

    def changes(self) -> Changes[K, V]:
        """Return a copy of the changes, for `restore`."""
        return dict(self.changed.items()), set(self.removed)

    def restore(self, changes: Changes[K, V]) -> None:
        """Replace the changes with an earlier copy of them."""
        changed, removed = changes
        self.changed = Table(self.base.indexes)
        for key, row in changed.items():
            self.changed.put(key, row)
        self.removed = set(removed)

    def merge(self) -> None:
        """Commit the changes."""
        for key in self.removed:
            self.base.remove(key)
        for key, row in self.changed.items():
            self.base.put(key, row)
