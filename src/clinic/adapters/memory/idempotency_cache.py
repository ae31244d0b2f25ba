"""A cache of stored answers within this process."""

from collections import OrderedDict
from collections.abc import Sequence

from clinic.domain.idempotency import IdempotentRequest, StoredAnswer, copy_name

ANSWERS_MAX = 10_000


class MemoryIdempotencyCache:
    """Keeps the latest answers and evicts the oldest."""

    def __init__(self, answers_max: int = ANSWERS_MAX) -> None:
        self._answers_max = answers_max
        #: answers by name; None where `forget` removed one
        self._stored: OrderedDict[bytes, StoredAnswer | None] = OrderedDict()

    @property
    def is_shared(self) -> bool:
        """False."""
        return False

    async def get(self, request: IdempotentRequest) -> StoredAnswer | None:
        return self._stored.get(copy_name(request))

    async def put(self, stored: StoredAnswer) -> None:
        name = copy_name(stored.request)
        if name not in self._stored:
            self._keep(name, stored)

    async def forget(self, names: Sequence[bytes]) -> bool:
        for name in names:
            self._keep(name, None)
        return True

    def _keep(self, name: bytes, stored: StoredAnswer | None) -> None:
        self._stored[name] = stored
        self._stored.move_to_end(name)
        while len(self._stored) > self._answers_max:
            self._stored.popitem(last=False)

    async def close(self) -> None:
        """Do nothing: there is no connection to close."""


class NoCopies:
    """A cache that holds nothing, for processes that share a database but no cache: none of them
    could remove the copies held by another."""

    @property
    def is_shared(self) -> bool:
        """False."""
        return False

    async def get(self, request: IdempotentRequest) -> StoredAnswer | None:
        return None

    async def put(self, stored: StoredAnswer) -> None:
        """Keep nothing."""

    async def forget(self, names: Sequence[bytes]) -> bool:
        """Return False if `names` has any: a cache that holds them is out of reach."""
        return not names

    async def close(self) -> None:
        """Do nothing: there is no connection to close."""
