"""Caches replies by the facts they were rendered from, so that the same facts are rendered once.

The cache is no source of facts: callers have just read them and pass them as `state`. So no entry
has to be invalidated, and none can be stale (docs/decisions/041-rendered-once.md).
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from msgspec.structs import replace

from clinic.entrypoints.http.kernel.reply import Reply, content_tag

#: memory for the replies and their state, in one process
BYTES_MAX = 16 << 20
#: size of one entry, besides its body and its state
_OVERHEAD_BYTES = 2_000

State = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    state: State
    reply: Reply
    size: int


class ResponseCache:
    """Keeps the most recently used replies, as many as fit into `bytes_max`."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._left = bytes_max
        #: least recently used first
        self._kept: dict[State, _Kept] = {}

    def reply(self, key: State, state: State, render: Callable[[], Reply]) -> Reply:
        """Return what `render` makes, with its entity tag. `render` may depend only on `key` and
        `state`."""
        kept = self._kept.pop(key, None)
        if kept is None or kept.state != state:
            if kept is not None:
                self._left += kept.size
            kept = _made(key, state, render())
            self._left -= kept.size
        self._kept[key] = kept
        while self._left < 0:
            self._left += self._kept.pop(next(iter(self._kept))).size
        return kept.reply


def _made(key: State, state: State, reply: Reply) -> _Kept:
    tag = content_tag(reply.body).encode()
    headers = [*reply.headers, (b"etag", tag), (b"cache-control", b"private, no-cache")]
    parts = sum(len(part) for part in (*key, *state) if isinstance(part, bytes | str))
    size = len(reply.body) + parts + _OVERHEAD_BYTES
    return _Kept(state, replace(reply, headers=headers), size)
