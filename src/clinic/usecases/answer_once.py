"""Answers a request with an idempotency key once, and repeats that answer ever after."""

from collections.abc import Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from clinic.domain.errors import ClinicError, IdempotencyConflict, TemporaryFailure
from clinic.domain.idempotency import (
    Answer,
    IdempotentRequest,
    StoredAnswer,
    answer_to_repeat,
    is_erased,
    is_final,
)
from clinic.ports.answers import AnswerBook, IdempotencyCache
from clinic.ports.clock import Clock
from clinic.ports.unit_of_work import UnitOfWork
from clinic.usecases.transactions import Commits, Work

T = TypeVar("T")

#: how often a change runs whose key is taken, and free again when it is looked up
ATTEMPTS = 3


class Keyed(NamedTuple, Generic[T]):
    """A request with a key, and how its entrypoint puts results and refusals into words."""

    request: IdempotentRequest
    render: Callable[[T], Answer]
    refuse: Callable[[ClinicError], Answer]


class Outcome(NamedTuple):
    answer: Answer
    #: the answer was given before; nothing was done this time
    replayed: bool


class _Answering(Generic[T]):
    """Writes the answer in the same transaction as what it answers for."""

    def __init__(self, inner: Commits[T], keyed: Keyed[T], clock: Clock) -> None:
        self._inner, self._keyed, self._clock = inner, keyed, clock
        self.stored: StoredAnswer | None = None

    async def run(self, work: Work[T]) -> T:
        async def work_and_answer(unit: UnitOfWork) -> T:
            result = await work(unit)
            answer = self._keyed.render(result)
            self.stored = StoredAnswer(self._keyed.request, answer, self._clock.now())
            await unit.answers.add(self.stored)
            return result

        return await self._inner.run(work_and_answer)


async def find_answer(
    request: IdempotentRequest, *, answers: AnswerBook, cache: IdempotencyCache
) -> Outcome | None:
    """Return the earlier answer to this key, if there is one. Raises IdempotencyKeyReused,
    AnswerErased."""
    stored = await cache.get(request)
    if stored is None:
        stored = await answers.find(request)
        if stored is not None and not is_erased(stored):
            await cache.put(stored)
    answer = answer_to_repeat(stored, request)
    return Outcome(answer, replayed=True) if answer is not None else None


async def keep_refusal(
    error: ClinicError,
    keyed: Keyed[T],
    *,
    answers: AnswerBook,
    cache: IdempotencyCache | None = None,
    clock: Clock,
) -> Outcome:
    """Store a final refusal and return it, or the answer that a twin request stored first.

    Raises `error` again when it is not final.
    """
    if not is_final(error):
        raise error
    mine = StoredAnswer(keyed.request, keyed.refuse(error), clock.now())
    stands = await answers.keep(mine)
    answer = answer_to_repeat(stands, keyed.request)
    assert answer is not None
    if cache is not None:
        await cache.put(stands)
    return Outcome(answer, replayed=stands is not mine and stands != mine)


async def answer_once(
    act: Callable[[Commits[T]], Awaitable[T]],
    keyed: Keyed[T],
    *,
    transactions: Commits[T],
    answers: AnswerBook,
    cache: IdempotencyCache,
    clock: Clock,
) -> Outcome:
    """Return the answer to `keyed`, running `act` only when the key is new.

    `act` runs its change in what it is given, once, and returns its result. Whatever refuses it,
    the key is read again first: a twin may have been answered meanwhile, or it itself, where the
    connection was lost at the commit. Raises what `act` raises when that is not final.
    """
    request = keyed.request
    earlier = await find_answer(request, answers=answers, cache=cache)
    if earlier is not None:
        return earlier
    lost: ClinicError | None = None
    for _ in range(ATTEMPTS):
        answering = _Answering(transactions, keyed, clock)
        try:
            await act(answering)
        except ClinicError as error:
            try:
                twin = await find_answer(request, answers=answers, cache=cache)
            except TemporaryFailure:
                # What was lost before says more: "nothing was changed" may not be true.
                raise error from None
            if twin is not None:
                return twin
            if isinstance(error, IdempotencyConflict):
                # A twin's answer was in the way, and is removed by now.
                lost = error
                continue
            return await keep_refusal(error, keyed, answers=answers, cache=cache, clock=clock)
        assert answering.stored is not None
        await cache.put(answering.stored)
        return Outcome(answering.stored.answer, replayed=False)
    assert lost is not None
    raise lost
