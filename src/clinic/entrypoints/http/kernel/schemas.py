"""Base classes of request and response bodies, and the bodies that all resources share."""

from collections.abc import Iterable
from typing import Annotated, Any, Generic, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

T = TypeVar("T")

#: in the `extra` of a Meta with a pattern: the sentence that says how to write such a text
HOW = "how"

# Short enough to bound the work; the domain has stricter limits and names them.
Text = Annotated[str, Meta(max_length=2000)]


def given(value: T | UnsetType) -> T | None:
    """Return a field's value, or None if it was left out."""
    return None if value is UNSET else value


def changes_in(body: Struct, names: Iterable[str]) -> dict[str, Any]:
    """Return those of the fields `names` that were sent, by name."""
    fields = {name: getattr(body, name) for name in names}
    return {name: value for name, value in fields.items() if value is not UNSET}


class In(
    Struct,
    rename="camel",
    forbid_unknown_fields=True,
    omit_defaults=True,
    kw_only=True,
):
    """A request body. Defaults are left out of fingerprints, so that a field can be added."""


class Out(Struct, rename="camel", gc=False):
    """A part of a response."""


class ItemsOut(Struct, Generic[T], frozen=True):
    """One page of a list; `next` is the cursor of the page after it."""

    items: list[T]
    next: str | None = None


class FaultOut(Out, omit_defaults=True):
    """One thing that is wrong, with a JSON pointer into the body or a parameter's name."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class ProblemOut(Out, omit_defaults=True):
    """An RFC 9457 problem. Further members are facts of its code, such as `nearest`."""

    type: str
    title: str
    status: int
    instance: str
    code: str
    request_id: str
    detail: str | None = None
    errors: list[FaultOut] | None = None
