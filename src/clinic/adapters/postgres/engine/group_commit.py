"""Group commit: bookings that arrive while others are being written share the next statement.

Most of what a booking costs the database is per statement, however many bookings it writes.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Container, Sequence

from clinic.domain.appointments.appointments import Booking
from clinic.domain.errors import ClinicError, OutcomeUnknown, TemporaryFailure

_logger = logging.getLogger(__name__)

#: most bookings that share a statement, and most statements in flight
BATCH_MAX = 16
IN_FLIGHT_MAX = 1
#: a statement that takes longer is waiting for a lock; other bookings stop waiting for it
STALL_S = 0.05

WriteOne = Callable[[Booking], Awaitable[None]]
#: returns the numbers, from 1, of the bookings written; after an error none is written, except
#: after OutcomeUnknown
WriteMany = Callable[[Sequence[Booking]], Awaitable[Container[int]]]
_Waiter = tuple[Booking, "asyncio.Future[bool]"]


class GroupCommit:
    """Writes a booking alone, or together with others that had to wait.

    A booking that a batch left out is written alone afterwards, which tells why it is refused or
    waits for the transaction that holds its slot.
    """

    def __init__(self, write_one: WriteOne, write_many: WriteMany) -> None:
        self._write_one = write_one
        self._write_many = write_many
        self._waiting: deque[_Waiter] = deque()
        #: for each statement in flight, the timer that ends its turn if the statement does not
        self._turns: dict[object, asyncio.TimerHandle] = {}
        #: references to running tasks: the event loop holds only weak ones
        self._tasks: set[asyncio.Task[None]] = set()

    async def write(self, booking: Booking) -> None:
        """Write the booking. Raises as `write_one`."""
        if len(self._turns) < IN_FLIGHT_MAX:
            turn = self._begin()
            try:
                await self._write_one(booking)
            finally:
                self._end(turn)
            return
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((booking, written))
        if not await written:
            await self._write_one(booking)

    def _begin(self) -> object:
        turn = object()
        loop = asyncio.get_running_loop()
        self._turns[turn] = loop.call_later(STALL_S, self._end, turn)
        return turn

    def _end(self, turn: object) -> None:
        """End a turn, unless it has ended, and write the bookings that wait."""
        timer = self._turns.pop(turn, None)
        if timer is None:
            return
        timer.cancel()
        # Leave out bookings whose caller has given up.
        batch: list[_Waiter] = []
        while self._waiting and len(batch) < BATCH_MAX:
            each = self._waiting.popleft()
            if not each[1].done():
                batch.append(each)
        if batch:
            task = asyncio.create_task(self._write(batch, self._begin()), name="bookings")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _write(self, batch: Sequence[_Waiter], turn: object) -> None:
        numbers: Container[int] = ()
        failure: BaseException | None = None
        try:
            numbers = await self._write_many([booking for booking, _ in batch])
        except (OutcomeUnknown, TemporaryFailure) as error:
            failure = error
        except ClinicError:
            pass  # One of them breaks a constraint; written alone, each gets its own error.
        except Exception as error:  # noqa: BLE001 - a bug that writing one by one would hide
            # Log only the type: databases quote personal data in their messages.
            kind, sqlstate = type(error).__qualname__, getattr(error, "sqlstate", None)
            _logger.error("bookings could not go together: %s %s", kind, sqlstate)  # noqa: TRY400
        except BaseException:
            for _, written in batch:
                written.cancel()
            raise
        finally:
            self._end(turn)
        for number, (_, written) in enumerate(batch, 1):
            if written.done():
                continue
            if failure is not None:
                written.set_exception(failure)
            else:
                written.set_result(number in numbers)
