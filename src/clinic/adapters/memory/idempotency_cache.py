"""A cache of stored answers in this process."""

from collections import OrderedDict

from clinic.domain.idempotency import IdempotentRequest, StoredAnswer

ANSWERS_MAX = 10_000


class MemoryIdempotencyCache:
    """Remembers the latest answers and forgets the oldest."""

    def __init__(self, answers_max: int = ANSWERS_MAX) -> None:
        self._answers_max = answers_max
        self._stored: OrderedDict[tuple[object, ...], StoredAnswer] = OrderedDict()

    async def get(self, request: IdempotentRequest) -> StoredAnswer | None:
        return self._stored.get(_key(request))

    async def put(self, stored: StoredAnswer) -> None:
        key = _key(stored.request)
        self._stored[key] = stored
        self._stored.move_to_end(key)
        while len(self._stored) > self._answers_max:
            self._stored.popitem(last=False)

    async def close(self) -> None:
        """There is nothing to give back."""


def _key(request: IdempotentRequest) -> tuple[object, ...]:
    return (request.clinic_id, request.principal_id, request.key)
