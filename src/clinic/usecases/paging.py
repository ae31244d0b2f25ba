"""Cuts the items that a reader found into a page with links to its neighbours."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from clinic.domain.paging import LIMIT_MAX, Keyset, Page, PageRequest

T = TypeVar("T")

Read = Callable[[PageRequest], Awaitable[Sequence[T]]]


def page_of(found: Sequence[T], request: PageRequest, place: Callable[[T], Keyset]) -> Page[T]:
    """Return the page of `found`, which has up to `request.one_more` items, in order."""
    more = len(found) > request.limit
    backwards = request.after is not None and request.after.backwards
    items = tuple(found[-request.limit :] if backwards else found[: request.limit])
    if not items:
        return Page(())
    has_next = backwards or more
    has_previous = more if backwards else request.after is not None
    return Page(
        items,
        next=place(items[-1]) if has_next else None,
        previous=replace(place(items[0]), backwards=True) if has_previous else None,
    )


async def every_page(read: Read[T], place: Callable[[T], Keyset]) -> AsyncIterator[Sequence[T]]:
    """Yield all that `read` finds, page by page, reading each only when it is requested."""
    request = PageRequest(LIMIT_MAX)
    while True:
        page = page_of(await read(request), request, place)
        yield page.items
        if page.next is None:
            return
        request = PageRequest(LIMIT_MAX, page.next)
