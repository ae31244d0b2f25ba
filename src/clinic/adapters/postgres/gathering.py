"""Questions of many callers as one statement: whoever asks during one goes with the next.

A short statement costs more to send and to receive than to answer, on both sides.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from clinic.adapters.postgres.hot_connection import Row

#: how many questions go together at most, and how many statements are under way. More together
#: would have everybody wait for the same answer, and this process for the database meanwhile.
TOGETHER_MAX = 8
UNDER_WAY_MAX = 2

Fetch = Callable[[str, Sequence[object]], Awaitable[list[Row]]]
_Asked = tuple[Sequence[object], "asyncio.Future[Row | None]"]


class Gathering:
    """Asks `statement`, whose parameters are one array for each parameter of a question.

    Its rows begin with the number of the question, counted from 1; at most one row for each. It is
    sent after every question in it was asked, so nobody is told less than was committed then.
    """

    def __init__(self, fetch: Fetch, statement: str) -> None:
        self._fetch = fetch
        self._statement = statement
        self._waiting: deque[_Asked] = deque()
        self._under_way = 0
        #: kept, since the loop itself holds tasks only weakly
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Sequence[object]) -> Row | None:
        """Return the row for this question, or None. Raises as `fetch`."""
        answer: asyncio.Future[Row | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((question, answer))
        if self._under_way < UNDER_WAY_MAX:
            self._under_way += 1
            task = asyncio.create_task(self._run(), name="gathering")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await answer

    async def _run(self) -> None:
        try:
            while self._waiting:
                number = min(TOGETHER_MAX, len(self._waiting))
                asked = [self._waiting.popleft() for _ in range(number)]
                # Whoever has given up meanwhile is not asked for.
                asked = [each for each in asked if not each[1].done()]
                if asked:
                    await self._answer(asked)
        finally:
            # In the same breath as nobody was found waiting: whoever asks next starts another.
            self._under_way -= 1

    async def _answer(self, asked: Sequence[_Asked]) -> None:
        columns = [list(column) for column in zip(*(each[0] for each in asked), strict=True)]
        try:
            rows = await self._fetch(self._statement, columns)
        except Exception as error:  # noqa: BLE001 - handed to those who asked
            for _, answer in asked:
                if not answer.done():
                    answer.set_exception(error)
            return
        except BaseException:
            for _, answer in asked:
                answer.cancel()
            raise
        found = {number: tuple(found) for number, *found in rows}
        for number, (_, answer) in enumerate(asked, 1):
            if not answer.done():
                answer.set_result(found.get(number))
