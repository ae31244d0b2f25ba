"""Ids that sort by when they were made."""

from uuid import UUID

from uuid_utils import compat


def uuid7() -> UUID:
    """Return an id never returned before; later ones sort after earlier ones."""
    return compat.uuid7()
