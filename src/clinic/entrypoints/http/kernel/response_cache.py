"""Replies by what they were made of, so that the same facts are not written out twice.

Nothing here is asked what is true now: whoever looks something up here has just read it, and brings
it along as `state`. So nothing has to be invalidated, and nothing can be stale
(docs/decisions/041-rendered-once.md).
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from msgspec.structs import replace

from clinic.entrypoints.http.kernel.reply import Reply, content_tag

#: for the replies and what they were made of, in one process
BYTES_MAX = 16 << 20
#: of one entry, beside its body and its state
_OVERHEAD_BYTES = 2_000

State = tuple[Hashable, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    state: State
    reply: Reply
    size: int


class ResponseCache:
    """Keeps the replies used last, as many as fit into `bytes_max`."""

    def __init__(self, bytes_max: int = BYTES_MAX) -> None:
        self._left = bytes_max
        #: least recently used first
        self._kept: dict[State, _Kept] = {}

    def reply(self, key: State, state: State, render: Callable[[], Reply]) -> Reply:
        """Return what `render` makes, with its entity tag. It may depend on nothing but `key` and
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
