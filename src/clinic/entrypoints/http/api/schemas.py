"""Types that requests and responses of several topics share.

Field names are camelCase on the wire. Requests may contain no fields other than those declared.
"""

import datetime as dt
from functools import lru_cache
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from msgspec import Meta, Struct, UnsetType, field

from clinic.entrypoints.http.kernel.schemas import Out, Text

Language = Literal["en", "de"]
# Parsed and checked only by the port PhoneNumbers, which says what is wrong.
Phone = Annotated[str, Meta(max_length=200, examples=["+44 20 7946 0018"])]
# In a change, a field that is left out keeps its value; null clears a field that is `| None`, and
# is refused for any other.
Reason = Text | UnsetType


class ReasonQuery(Struct, forbid_unknown_fields=True, frozen=True):
    reason: Text | None = None


class HealthOut(Out, omit_defaults=True):
    status: Literal["live", "ready"]
    #: how many events this process could never write to the audit trail; absent when 0
    audit_events_set_aside: int = 0


class ProblemPageOut(Out):
    """What a problem's type leads to."""

    type: str
    code: str
    title: str
    status: int
    remedy: str = field(name="mend")


# Cached, since many doctors' slots, and every page of them, begin at the same few times.
@lru_cache(maxsize=16_384)
def local_times(
    starts_at: dt.datetime, ends_at: dt.datetime, zone: ZoneInfo
) -> tuple[dt.datetime, dt.datetime, str, str, int]:
    """Return start and end with the clinic's offset, its day, its time, its length in minutes."""
    start = starts_at.astimezone(zone)
    text = start.isoformat()
    minutes = (ends_at - starts_at) // dt.timedelta(minutes=1)
    return start, ends_at.astimezone(zone), text[:10], text[11:16], minutes
