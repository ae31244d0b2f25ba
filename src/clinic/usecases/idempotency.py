"""Answers a request with an idempotency key once, and replays that answer to repeated requests."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Generic, NamedTuple, TypeVar, cast

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
from clinic.usecases.context import Context
from clinic.usecases.transactions import TransactionRunner, Work

T = TypeVar("T")
R = TypeVar("R")

#: how often a change runs when its key is taken but free again when it is looked up
ATTEMPTS = 3


class IdempotentCall(NamedTuple, Generic[T]):
    """A request with an idempotency key, and how its entrypoint renders results and refusals."""

    request: IdempotentRequest
    render: Callable[[T], Answer]
    refuse: Callable[[ClinicError], Answer]


class KeyedAnswer(NamedTuple):
    answer: Answer
    #: the answer is an earlier one; nothing was done this time
    replayed: bool


class _AnsweringRunner(Generic[T]):
    """Writes the answer in the same transaction as the change it reports."""

    def __init__(self, inner: TransactionRunner, call: IdempotentCall[T], clock: Clock) -> None:
        self._inner, self._call, self._clock = inner, call, clock
        self.stored: StoredAnswer | None = None

    async def run(self, work: Work[R]) -> R:
        async def work_and_answer(unit: UnitOfWork) -> R:
            result = await work(unit)
            # A use case returns the result of its one change.
            answer = self._call.render(cast(T, result))
            self.stored = StoredAnswer(self._call.request, answer, self._clock.now())
            await unit.answers.add(self.stored)
            return result

        return await self._inner.run(work_and_answer)


async def find_answer(
    request: IdempotentRequest, *, answers: AnswerBook, cache: IdempotencyCache
) -> KeyedAnswer | None:
    """Return the earlier answer to this key, if there is one. Raises IdempotencyKeyReused,
    AnswerErased."""
    stored = await cache.get(request)
    if stored is None:
        stored = await answers.find(request)
        if stored is not None and not is_erased(stored):
            await cache.put(stored)
    answer = answer_to_repeat(stored, request)
    return KeyedAnswer(answer, replayed=True) if answer is not None else None


async def keep_refusal(
    context: Context,
    error: ClinicError,
    call: IdempotentCall[T],
    *,
    cache: IdempotencyCache | None = None,
) -> KeyedAnswer:
    """Store a final refusal and return it, or the answer that a duplicate request stored first.

    Raises `error` again when it is not final.
    """
    if not is_final(error):
        raise error
    mine = StoredAnswer(call.request, call.refuse(error), context.clock.now())
    kept = await context.store.answers.keep(mine)
    answer = answer_to_repeat(kept, call.request)
    assert answer is not None
    if cache is not None:
        await cache.put(kept)
    return KeyedAnswer(answer, replayed=kept is not mine and kept != mine)


async def answer_once(
    context: Context,
    act: Callable[[Context], Awaitable[T]],
    call: IdempotentCall[T],
    *,
    cache: IdempotencyCache,
) -> KeyedAnswer:
    """Return the answer to `call`, running `act` only when its key is new.

    `act` runs one change in the context it is given, and returns that change's result. If it
    raises, the key is read again first: a duplicate may have been answered meanwhile, or this very
    request, if the connection was lost at the commit. Raises what `act` raises when that is not
    final.
    """
    request, answers = call.request, context.store.answers
    earlier = await find_answer(request, answers=answers, cache=cache)
    if earlier is not None:
        return earlier
    lost: ClinicError | None = None
    for _ in range(ATTEMPTS):
        answering = _AnsweringRunner(context.transactions, call, context.clock)
        try:
            await act(replace(context, transactions=answering))
        except ClinicError as error:
            try:
                twin = await find_answer(request, answers=answers, cache=cache)
            except TemporaryFailure:
                # Raise the first error: this one says that nothing was changed, which may be wrong.
                raise error from None
            if twin is not None:
                return twin
            if isinstance(error, IdempotencyConflict):
                # A duplicate's answer conflicted, but has been removed by now.
                lost = error
                continue
            return await keep_refusal(context, error, call, cache=cache)
        assert answering.stored is not None
        await cache.put(answering.stored)
        return KeyedAnswer(answering.stored.answer, replayed=False)
    assert lost is not None
    raise lost
