"""Ids that sort by the time they were made."""

from uuid import UUID

from uuid_utils import compat


def uuid7() -> UUID:
    """Return a new, unique id; later ids sort after earlier ones."""
    return compat.uuid7()
