"""Hypothesis strategies for edge cases: odd hours, days on which clocks change."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from hypothesis import strategies as st

from clinic.domain.appointments.types import BUSY_MAX_MIN, AppointmentType, BookableBy, Offer
from clinic.domain.calendar.added_places import AddedPlace
from clinic.domain.calendar.availability import (
    SLOT_MAX_MIN,
    SLOT_MIN_MIN,
    Availability,
    Interval,
    instant_of,
)
from clinic.domain.calendar.closings import Block, Closure, ClosureKind, Leave
from clinic.domain.clinic import HORIZON_MAX_DAYS, NOTICE_MAX_MIN, Clinic, Policy, zone_named
from clinic.domain.contact import LANGUAGES, Contact

#: zones with the days of 2026 on which their clocks change: Lord Howe by half an hour, Troll by two
#: hours, Casablanca for Ramadan, Santiago at midnight, Kathmandu never, but it is 5 h 45 min ahead
CLOCK_CHANGES = {
    "Africa/Casablanca": (date(2026, 2, 15), date(2026, 3, 22)),
    "America/Santiago": (date(2026, 4, 4), date(2026, 9, 6)),
    "Antarctica/Troll": (date(2026, 3, 29), date(2026, 10, 25)),
    "Europe/London": (date(2026, 3, 29), date(2026, 10, 25)),
    "America/New_York": (date(2026, 3, 8), date(2026, 11, 1)),
    "Australia/Lord_Howe": (date(2026, 4, 5), date(2026, 10, 4)),
    "Asia/Kathmandu": (date(2026, 3, 29),),
}
SLOT_LENGTHS_MIN = (5, 10, 15, 20, 30, 45, 60, 90)
MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Window:
    """A range on the wall clock that is a whole number of slots."""

    start: time
    end: time
    slot_min: int
    #: it ends on the next day, or with the day when `end` is 00:00
    overnight: bool = False


def _wall(minute: int) -> time:
    return time(minute // 60, minute % 60)


def zone_names() -> st.SearchStrategy[str]:
    """Names of the zones above."""
    return st.sampled_from(sorted(CLOCK_CHANGES))


@st.composite
def days_near_a_clock_change(draw: st.DrawFn, zone_name: str) -> date:
    """Days from the eve of a clock change to the day after."""
    day = draw(st.sampled_from(CLOCK_CHANGES[zone_name]))
    return day + timedelta(days=draw(st.integers(-1, 1)))


@st.composite
def instants_near_a_clock_change(draw: st.DrawFn, zone_name: str) -> datetime:
    """Instants, to the minute, within a day of a clock change; in UTC."""
    day = draw(st.sampled_from(CLOCK_CHANGES[zone_name]))
    midnight = instant_of(day, time(0), zone_named(zone_name))
    return midnight + timedelta(minutes=draw(st.integers(-MINUTES_A_DAY, 2 * MINUTES_A_DAY)))


@st.composite
def windows(draw: st.DrawFn, *, slots_max: int = 24) -> Window:
    """Windows of 1 to `slots_max` slots, at any time of the day."""
    slot_min = draw(st.sampled_from(SLOT_LENGTHS_MIN))
    number = draw(st.integers(1, min(slots_max, (MINUTES_A_DAY - 5) // slot_min)))
    last_start = MINUTES_A_DAY - 1 - number * slot_min
    start = draw(st.integers(0, last_start // 5)) * 5
    return Window(_wall(start), _wall(start + number * slot_min), slot_min)


@st.composite
def nights(draw: st.DrawFn, *, slots_max: int = 24) -> Window:
    """Windows of 1 to `slots_max` slots that last until midnight or over it, a day at most."""
    slot_min = draw(st.sampled_from(SLOT_LENGTHS_MIN))
    number = draw(st.integers(1, min(slots_max, MINUTES_A_DAY // slot_min)))
    length_min = number * slot_min
    earliest = -(-(MINUTES_A_DAY - length_min) // 5)
    start_min = draw(st.integers(earliest, (MINUTES_A_DAY - 1) // 5)) * 5
    end_min = start_min + length_min - MINUTES_A_DAY
    return Window(_wall(start_min), _wall(end_min), slot_min, overnight=True)


def capacities() -> st.SearchStrategy[int]:
    """How many places hours have at a time: mostly one."""
    return st.sampled_from((1, 1, 2, 3))


@st.composite
def weekly_hours(
    draw: st.DrawFn, clinic_id: UUID, doctor_id: UUID, *, slots_max: int = 24
) -> Availability:
    """Hours on one or more weekdays."""
    window = draw(windows(slots_max=slots_max))
    weekdays = draw(st.sets(st.integers(1, 7), min_size=1))
    return Availability(
        UUID(int=draw(st.integers(1, 2**64))),
        clinic_id,
        doctor_id,
        window.start,
        window.end,
        window.slot_min,
        tuple(weekdays),
        capacity=draw(capacities()),
    )


@st.composite
def _days_and_times(
    draw: st.DrawFn, today: date
) -> tuple[tuple[date, date], tuple[time | None, time | None]]:
    """First and last day, near `today` and not over yet, and times on them, mostly none."""
    first = today + timedelta(days=draw(st.integers(-1, 4)))
    last = max(today, first + timedelta(days=draw(st.sampled_from((0, 0, 1, 3)))))
    start_min, end_min = (
        draw(st.none() | st.integers(0, (MINUTES_A_DAY - 5) // 5)) for _ in range(2)
    )
    if first == last and end_min is not None and end_min <= (start_min or 0):
        end_min = None
    walls = [None if each is None else _wall(each * 5) for each in (start_min, end_min)]
    return (first, last), (walls[0], walls[1])


@st.composite
def closures(draw: st.DrawFn, clinic_id: UUID, today: date) -> Closure:
    """Closures on days near `today`, on the same days of every year, or on the public holidays of
    the country GB; the clinic may be open on one of the days nonetheless."""
    kind = draw(st.sampled_from(ClosureKind))
    (first, last), (start, end) = draw(_days_and_times(today))
    open_on = draw(st.sampled_from(((), (), (today + timedelta(days=1),))))
    closure_id = UUID(int=draw(st.integers(1, 2**64)))
    if kind is ClosureKind.HOLIDAYS:
        return Closure(closure_id, clinic_id, "Holiday", kind, country="GB", open_on=open_on)
    if kind is ClosureKind.YEARLY:
        years = timedelta(days=365 * draw(st.integers(0, 2)))
        first, last = first - years, last - years
    return Closure(closure_id, clinic_id, "Closed", kind, first, last, start, end, open_on=open_on)


@st.composite
def appointment_types(
    draw: st.DrawFn, clinic_id: UUID, doctor_ids: Sequence[UUID]
) -> AppointmentType:
    """Types of any length and with any members, offered by all doctors or by some of these."""
    lengths = st.integers(SLOT_MIN_MIN, SLOT_MAX_MIN)
    offers = st.builds(Offer, st.sampled_from(doctor_ids), st.none() | lengths)
    buffers = st.integers(0, (BUSY_MAX_MIN - SLOT_MAX_MIN) // 2)
    return AppointmentType(
        UUID(int=draw(st.integers(1, 2**64))),
        clinic_id,
        draw(st.sampled_from(("Check-up", "Überweisung", "X-ray", "Straße", "STRASSE"))),
        draw(lengths),
        draw(buffers),
        draw(buffers),
        draw(st.none() | st.integers(0, NOTICE_MAX_MIN)),
        draw(st.none() | st.integers(1, HORIZON_MAX_DAYS)),
        draw(st.sampled_from(BookableBy)),
        draw(st.none() | st.lists(offers, unique_by=lambda offer: offer.doctor_id).map(tuple)),
        draw(st.sampled_from((None, "Bring your card."))),
        draw(st.sampled_from((None, "#2f6fde"))),
        is_default=draw(st.booleans()),
        is_active=draw(st.booleans()),
    )


@st.composite
def leaves(draw: st.DrawFn, clinic_id: UUID, doctor_id: UUID, today: date) -> Leave:
    """Leave near `today`, of whole days or parts of them."""
    (first, last), (start, end) = draw(_days_and_times(today))
    leave_id = UUID(int=draw(st.integers(1, 2**64)))
    reason = draw(st.sampled_from((None, "Holiday")))
    return Leave(leave_id, clinic_id, doctor_id, first, last, start, end, reason)


@st.composite
def blocks(draw: st.DrawFn, clinic_id: UUID, doctor_id: UUID, now: datetime) -> Block:
    """Blocks of some minutes up to two days, which end in the four days after `now`."""
    ends_at = now + timedelta(minutes=draw(st.integers(1, 4 * MINUTES_A_DAY)))
    length = timedelta(minutes=draw(st.integers(1, 600) | st.integers(1, 2 * MINUTES_A_DAY)))
    block_id = UUID(int=draw(st.integers(1, 2**64)))
    reason = draw(st.sampled_from((None, "Training")))
    lane = draw(st.sampled_from((None, None, 1, 2)))
    return Block(block_id, clinic_id, doctor_id, ends_at - length, ends_at, reason, lane)


@st.composite
def places(draw: st.DrawFn, clinic_id: UUID, doctor_id: UUID, now: datetime) -> AddedPlace:
    """Added places of 5 to 120 minutes, which begin in the three days after `now`, mostly on a
    quarter of an hour."""
    minute = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    begins_min = draw(
        st.integers(5, 3 * MINUTES_A_DAY // 15).map(lambda quarter: quarter * 15)
        | st.integers(61, 3 * MINUTES_A_DAY)
    )
    starts_at = minute + timedelta(minutes=begins_min)
    length = timedelta(minutes=draw(st.sampled_from((*SLOT_LENGTHS_MIN, 5, 120))))
    place_id = UUID(int=draw(st.integers(1, 2**64)))
    reason = draw(st.sampled_from((None, "Dressing")))
    return AddedPlace(place_id, clinic_id, doctor_id, starts_at, starts_at + length, reason)


@st.composite
def intervals(draw: st.DrawFn, *, span_min: int = MINUTES_A_DAY) -> Interval:
    """Intervals of whole minutes, all within one span."""
    first = draw(st.integers(0, span_min - 1))
    last = draw(st.integers(first + 1, span_min))
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return Interval(start + timedelta(minutes=first), start + timedelta(minutes=last))


@st.composite
def clinics(draw: st.DrawFn, *, horizon_days: st.SearchStrategy[int] | None = None) -> Clinic:
    """Clinics in the zones above, with any policy."""
    policy = Policy(
        notice_min=draw(st.sampled_from((0, 60, 24 * 60))),
        horizon_days=draw(horizon_days or st.integers(1, 90)),
        cancel_notice_min=draw(st.sampled_from((0, 120))),
        reminder_leads_min=tuple(draw(st.sets(st.sampled_from((60, 120, 1440)), max_size=3))),
    )
    contact = Contact(
        address=draw(st.sampled_from((None, "1 Quay Road\nBristol"))),
        phone=draw(st.sampled_from((None, "+441174960123"))),
        language=draw(st.sampled_from(LANGUAGES)),
    )
    clinic_id = UUID(int=draw(st.integers(1, 2**64)))
    return Clinic(clinic_id, "Riverside", draw(zone_names()), policy, contact)


_WORDS = (
    "Ada",
    "Toma\u0301s",
    "No\u0308e\u0323",
    "\u212bke",
    "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627",
    "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "\u09b0\u200d\u09cd\u09af\u0958",
    "\u0d28\u0d4d\u200d",
    "\U0001f469\U0001f3fd\u200d\u2695\ufe0f",
    "\u1112\u1161\u11ab",
    "\u845b\U000e0100\U0002ebf0",
)
_ODD = "a\u0301\u200d\ufe0f\u202e\u2066\u200b\u00ad\ufeff\x00\x07\x1c\x85\ue000\u3164\u037e"


def typed_lines(*, max_size: int = 30) -> st.SearchStrategy[str]:
    """Texts as people type and paste them: scripts that need joiners, decomposed letters, emoji,
    odd spaces, and occasionally a character that is refused."""
    words = st.sampled_from(_WORDS)
    spaces = st.text(st.sampled_from(" \t\n\u00a0\u2009\u3000\u2028"), max_size=2)
    typed = st.lists(st.tuples(spaces, words), min_size=1, max_size=4)
    lines = st.tuples(typed, spaces).map(lambda line: "".join(sum(line[0], ())) + line[1])
    pasted = st.tuples(lines, st.text(st.sampled_from(_ODD), max_size=3)).map("".join)
    anything = st.text(max_size=max_size)
    return st.one_of(lines, lines, pasted, anything).map(lambda text: text[:max_size])
