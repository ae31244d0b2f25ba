"""Rooms and equipment: what appointments of some types need besides a doctor."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from clinic.domain.calendar.availability import Interval
from clinic.domain.clinic import checked_instant
from clinic.domain.errors import EndBeforeStart, InvalidInput
from clinic.domain.text import checked_line, plain_line

KIND_MAX_CHARS = 80
RESOURCE_NAME_MAX_CHARS = 80
#: appointments of one occasion that a resource can hold
CAPACITY_MAX = 100
#: kinds of resources that one type can need
NEEDS_MAX = 10
REASON_MAX_CHARS = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: longer than an appointment can be busy
_LONGEST = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Resource:
    """A room or a piece of equipment. One appointment has it at a time, or one occasion: a group
    that one doctor sees at one time. Raises InvalidInput."""

    id: UUID
    clinic_id: UUID
    #: what types ask for, such as "ultrasound room"; never changes
    kind: str
    name: str
    #: how many appointments of one occasion it holds
    capacity: int = 1
    #: where it is; one without a location can be had at every one
    location_id: UUID | None = None
    #: whether new appointments get it
    is_active: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", checked_kind(self.kind, "/kind"))
        name = checked_line(self.name, "name", max_chars=RESOURCE_NAME_MAX_CHARS, pointer="/name")
        object.__setattr__(self, "name", name)
        if not 1 <= self.capacity <= CAPACITY_MAX:
            raise InvalidInput(f"Give a number from 1 to {CAPACITY_MAX}.", pointer="/capacity")


@dataclass(frozen=True, slots=True)
class ResourceClosure:
    """A time `[starts_at, ends_at)` at which no appointment gets the resource; instants, in UTC."""

    id: UUID
    clinic_id: UUID
    resource_id: UUID
    starts_at: datetime
    ends_at: datetime
    #: for staff only
    reason: str | None = None

    def __post_init__(self) -> None:
        checked_instant(self.starts_at, "/from")
        checked_instant(self.ends_at, "/to")
        if self.ends_at <= self.starts_at:
            raise EndBeforeStart("to must be after from.", pointer="/to")

    def checked(self) -> "ResourceClosure":
        """Return a copy with its reason normalized for storage. Raises InvalidInput."""
        if self.reason is None:
            return self
        reason = checked_line(self.reason, "reason", max_chars=REASON_MAX_CHARS, pointer="/reason")
        return replace(self, reason=reason)

    @property
    def interval(self) -> Interval:
        return Interval(self.starts_at, self.ends_at)


@dataclass(frozen=True, slots=True)
class HeldResource:
    """A resource as its appointment shows it."""

    id: UUID
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Hold:
    """The time for which an appointment has a resource."""

    appointment_id: UUID
    resource_id: UUID
    occasion_id: UUID
    #: which of the places for its occasion it has, from 1
    place: int
    time: Interval


def checked_kind(kind: str, pointer: str) -> str:
    """Return the kind of a resource in the form to store. Raises InvalidInput."""
    return checked_line(kind, "kind", max_chars=KIND_MAX_CHARS, pointer=pointer)


def kind_key(kind: str) -> str:
    """Return what is equal for kinds that differ only in case or encoding."""
    return plain_line(kind).casefold()


def known_kind(kind: str, resources: Iterable[Resource]) -> str | None:
    """Return the kind as these resources spell it, None when none of them is of this kind."""
    key = kind_key(kind)
    return next((each.kind for each in resources if kind_key(each.kind) == key), None)


def checked_needs(needs: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds that a type needs in the form to store, sorted. Raises InvalidInput."""
    kinds: dict[str, str] = {}
    for place, need in enumerate(needs):
        kind = checked_kind(need, f"/needs/{place}")
        if kind_key(kind) in kinds:
            raise InvalidInput("The kind is named twice.", pointer=f"/needs/{place}")
        kinds[kind_key(kind)] = kind
    if len(kinds) > NEEDS_MAX:
        raise InvalidInput(f"Name at most {NEEDS_MAX} kinds.", pointer="/needs")
    return tuple(sorted(kinds.values()))


def occasion_of(doctor_id: UUID, starts_at: datetime, type_id: UUID | None) -> UUID:
    """Return the id of what a group has in common: doctor, start and type. The function
    `clinic_occasion` of the database returns the same."""
    text = f"{doctor_id}/{(starts_at - _EPOCH) // _MICROSECOND}/{type_id or ''}"
    return UUID(bytes=sha256(text.encode()).digest()[:16])


class ResourcesTime:
    """Active resources, and when they are held or closed, to look for free ones."""

    def __init__(
        self,
        resources: Iterable[Resource],
        holds: Iterable[Hold] = (),
        closed: Iterable[tuple[UUID, Interval]] = (),
    ) -> None:
        self._by_kind: defaultdict[str, list[Resource]] = defaultdict(list)
        for resource in resources:
            self._by_kind[resource.kind].append(resource)
        self._holds: defaultdict[UUID, list[Hold]] = defaultdict(list)
        for hold in sorted(holds, key=lambda each: each.time):
            self._holds[hold.resource_id].append(hold)
        self._closed: defaultdict[UUID, list[Interval]] = defaultdict(list)
        for resource_id, time in closed:
            self._closed[resource_id].append(time)

    def at(self, location_id: UUID | None) -> "ResourcesTime":
        """Return those that appointments at this location can have; None is the clinic's own
        address, where no other location's resources are."""
        there = ResourcesTime(())
        there._holds, there._closed = self._holds, self._closed
        for kind, resources in self._by_kind.items():
            there._by_kind[kind] = [
                each for each in resources if each.location_id in (None, location_id)
            ]
        return there

    @property
    def have_locations(self) -> bool:
        """Whether any of them is at a location."""
        return any(each.location_id is not None for kind in self._by_kind.values() for each in kind)

    def lacking(
        self,
        needs: Iterable[str],
        busy: Interval,
        occasion_id: UUID,
        *,
        leaving: Collection[UUID] = (),
    ) -> str | None:
        """Return the first of these kinds of which no resource is free at this time, None when one
        of each is; appointments that are `leaving` do not count."""
        for kind in needs:
            if not self.choices(kind, busy, occasion_id, leaving=leaving):
                return kind
        return None

    def choices(
        self,
        kind: str,
        busy: Interval,
        occasion_id: UUID,
        *,
        leaving: Collection[UUID] = (),
        preferred: Collection[UUID] = (),
    ) -> list[tuple[Resource, int]]:
        """Return the free resources of a kind with their free places, in the order in which to try
        them: those `preferred`, then those that the occasion has already, then the others, in
        another order for each occasion."""
        found: list[tuple[bool, bool, bytes, Resource, list[int]]] = []
        for resource in self._by_kind[kind]:
            if any(map(busy.overlaps, self._closed[resource.id])):
                continue
            there = [
                hold
                for hold in self._holds_near(resource.id, busy)
                if hold.appointment_id not in leaving
            ]
            if any(hold.occasion_id != occasion_id for hold in there):
                continue
            used = {hold.place for hold in there}
            free = [place for place in range(1, resource.capacity + 1) if place not in used]
            if free:
                order = sha256(resource.id.bytes + occasion_id.bytes).digest()
                is_other = resource.id not in preferred
                found.append((is_other, not there, order, resource, free))
        found.sort(key=lambda each: each[:3])
        return [(resource, place) for *_, resource, places in found for place in places]

    def _holds_near(self, resource_id: UUID, busy: Interval) -> Sequence[Hold]:
        holds = self._holds[resource_id]
        first = bisect_left(holds, busy.starts_at - _LONGEST, key=lambda each: each.time.starts_at)
        last = bisect_left(holds, busy.ends_at, key=lambda each: each.time.starts_at)
        return [hold for hold in holds[first:last] if hold.time.overlaps(busy)]
