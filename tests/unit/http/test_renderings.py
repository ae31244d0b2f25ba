"""Replies cached by the data they were rendered from."""

from clinic.entrypoints.http.kernel.reply import Reply
from clinic.entrypoints.http.kernel.response_cache import ResponseCache


class Writer:
    """Renders replies of so many bytes, and counts them."""

    def __init__(self, size: int = 10) -> None:
        self._size = size
        self.written = 0

    def __call__(self) -> Reply:
        self.written += 1
        return Reply(200, str(self.written).encode().ljust(self._size))


def test_the_same_facts_are_written_once() -> None:
    kept, write = ResponseCache(), Writer()

    first = kept.reply(("list",), (b"a", None), write)
    second = kept.reply(("list",), (b"a", None), write)

    assert second is first
    assert write.written == 1


def test_other_facts_or_another_address_are_written_anew() -> None:
    kept, write = ResponseCache(), Writer()

    replies = [
        kept.reply(key, state, write)
        for key, state in [(("x",), (b"a",)), (("x",), (b"b",)), (("y",), (b"b",))]
    ]

    assert [reply.body.strip() for reply in replies] == [b"1", b"2", b"3"]
    assert len({dict(reply.headers)[b"etag"] for reply in replies}) == 3


def test_what_is_kept_is_what_was_written_last() -> None:
    kept, write = ResponseCache(), Writer()
    kept.reply(("list",), (b"a",), write)
    kept.reply(("list",), (b"b",), write)

    again = kept.reply(("list",), (b"a",), write)

    assert again.body.strip() == b"3"


def test_the_replies_used_last_are_kept_within_the_bound() -> None:
    kept, write = ResponseCache(bytes_max=30_100), Writer(size=8_000)
    for name in ("x", "y", "x", "z", "w"):
        kept.reply((name,), (), write)
    assert write.written == 4

    for name in ("x", "z", "w"):
        kept.reply((name,), (), write)
    assert write.written == 4
    kept.reply(("y",), (), write)

    assert write.written == 5


def test_a_reply_beyond_the_bound_is_given_and_not_kept() -> None:
    kept, write = ResponseCache(bytes_max=5_000), Writer(size=8_000)

    first = kept.reply(("list",), (), write)
    kept.reply(("list",), (), write)

    assert first.status == 200
    assert write.written == 2
