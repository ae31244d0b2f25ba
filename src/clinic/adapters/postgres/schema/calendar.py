"""Doctors' hours, and the slots made from them."""

from typing import Any

from sqlalchemy import (
    ARRAY,
    Boolean,
    Column,
    Computed,
    Date,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Time,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ExcludeConstraint

from clinic.adapters.postgres.schema.base import (
    LANE_KEY,
    PAIR_KEY,
    TIME_RANGE,
    at_location,
    check,
    id_,
    instant,
    int_,
    key,
    lane,
    metadata,
    one_of,
    references,
    text_,
)
from clinic.domain.calendar.availability import (
    CAPACITY_MAX,
    SLOT_MAX_MIN,
    SLOT_MIN_MIN,
    ExceptionKind,
)
from clinic.domain.calendar.slots import SlotState


def _capacity() -> Column[Any]:
    """Return a new column for how many places there are at a time."""
    return Column("capacity", SmallInteger(), nullable=False, server_default=text("1"))


availabilities = Table(
    "availabilities",
    metadata,
    id_("clinic_id"),
    id_("id"),
    id_("doctor_id"),
    Column("start_time", Time(), nullable=False),
    Column("end_time", Time(), nullable=False),
    int_("slot_min"),
    Column("weekdays", ARRAY(SmallInteger()), nullable=False),
    Column("on_date", Date()),
    Column("valid_from", Date()),
    Column("valid_until", Date()),
    # They end on the day after they began.
    Column("overnight", Boolean(), nullable=False, server_default=false()),
    *at_location("availabilities_location_fkey"),
    _capacity(),
    key("availabilities_pkey", "clinic_id", "id"),
    references(
        "availabilities_doctor_fkey",
        ["clinic_id", "doctor_id"],
        "doctors_profiles",
        ["clinic_id", "user_id"],
    ),
    check(
        "availabilities_times_order",
        "CASE WHEN overnight THEN end_time <= start_time ELSE end_time > start_time END",
    ),
    check("availabilities_slot_range", f"slot_min BETWEEN {SLOT_MIN_MIN} AND {SLOT_MAX_MIN}"),
    check("availabilities_capacity_range", f"capacity BETWEEN 1 AND {CAPACITY_MAX}"),
    check("availabilities_weekdays_known", "weekdays <@ '{1,2,3,4,5,6,7}'::smallint[]"),
    check("availabilities_weekly_or_dated", "(cardinality(weekdays) = 0) = (on_date IS NOT NULL)"),
    check(
        "availabilities_validity_order",
        "valid_until >= valid_from AND (on_date IS NULL OR (valid_from IS NULL"
        " AND valid_until IS NULL))",
    ),
    Index("availabilities_doctor_idx", "clinic_id", "doctor_id", "id"),
)

availability_exceptions = Table(
    "availability_exceptions",
    metadata,
    id_("clinic_id"),
    id_("id"),
    id_("doctor_id"),
    Column("on_date", Date(), nullable=False),
    text_("kind"),
    Column("start_time", Time()),
    Column("end_time", Time()),
    int_("slot_min", nullable=True),
    Column("overnight", Boolean(), nullable=False, server_default=false()),
    *at_location("availability_exceptions_location_fkey"),
    _capacity(),
    key("availability_exceptions_pkey", "clinic_id", "id"),
    references(
        "availability_exceptions_doctor_fkey",
        ["clinic_id", "doctor_id"],
        "doctors_profiles",
        ["clinic_id", "user_id"],
    ),
    check("availability_exceptions_kind_known", f"kind IN {one_of(ExceptionKind)}"),
    check(
        "availability_exceptions_times_order",
        "(start_time IS NULL) = (end_time IS NULL) AND CASE WHEN start_time IS NULL THEN NOT"
        " overnight WHEN overnight THEN end_time <= start_time ELSE end_time > start_time END",
    ),
    check(
        "availability_exceptions_slot_range",
        f"slot_min BETWEEN {SLOT_MIN_MIN} AND {SLOT_MAX_MIN}",
    ),
    check(
        "availability_exceptions_slot_when_added",
        "(kind = 'ADD') = (slot_min IS NOT NULL) AND (kind = 'REMOVE' OR start_time IS NOT NULL)",
    ),
    check("availability_exceptions_location_when_added", "location_id IS NULL OR kind = 'ADD'"),
    check(
        "availability_exceptions_capacity_range",
        f"capacity BETWEEN 1 AND {CAPACITY_MAX} AND (kind = 'ADD' OR capacity = 1)",
    ),
    Index("availability_exceptions_doctor_idx", "clinic_id", "doctor_id", "on_date", "id"),
)


def _slot_columns() -> list[Column[Any]]:
    """Return new columns for what a listing shows of a slot."""
    ids = [id_(name) for name in ("clinic_id", "id", "doctor_id")]
    return [*ids, text_("specialty"), instant("starts_at"), instant("ends_at")]


slots = Table(
    "slots",
    metadata,
    *_slot_columns(),
    lane(),
    *at_location("slots_location_fkey"),
    text_("state"),
    # Always "has an occupying appointment", so that free slots are cheap to list and a booking
    # cannot slip past a transaction that blocks the slot. In no index: see free_slots.
    Column("taken", Boolean(), nullable=False, server_default=false()),
    # The lane, NULL while the slot is retired; a trigger keeps it so. It is in the indexes in place
    # of `state`, so that blocking a slot need not write to them.
    Column("calendar_lane", SmallInteger()),
    key("slots_pkey", "clinic_id", "id"),
    # The target of appointments' foreign key, which keeps their copy of doctor and times correct.
    UniqueConstraint("clinic_id", "id", "doctor_id", "lane", "starts_at", name="slots_lane_key"),
    references(
        "slots_doctor_fkey",
        ["clinic_id", "doctor_id", "specialty"],
        "doctors_profiles",
        ["clinic_id", "user_id", "specialty"],
        onupdate="CASCADE",
    ),
    check("slots_lane_range", "lane >= 1"),
    check("slots_state_known", f"state IN {one_of(SlotState)}"),
    check(
        "slots_length_range",
        f"ends_at > starts_at AND ends_at <= starts_at + interval '{SLOT_MAX_MIN} minutes'",
    ),
    ExcludeConstraint(
        (text(f"{LANE_KEY}(clinic_id, doctor_id, calendar_lane)"), "="),
        (text(TIME_RANGE), "&&"),
        name="slots_doctor_excl",
        using="gist",
        where=text("calendar_lane IS NOT NULL"),
    ),
    # A doctor is not at two locations at a time. Deferrable, so that it is checked once all slots
    # that a statement puts elsewhere are there.
    ExcludeConstraint(
        (text(f"{PAIR_KEY}(clinic_id, doctor_id)"), "="),
        (text("location_id"), "<>"),
        (text(TIME_RANGE), "&&"),
        name="slots_location_excl",
        using="gist",
        where=text("calendar_lane IS NOT NULL AND location_id IS NOT NULL"),
        deferrable=True,
    ),
    # Finds a doctor's slots by time, retired ones included.
    Index(
        "slots_doctor_starts_key",
        "clinic_id",
        "doctor_id",
        "starts_at",
        "calendar_lane",
        unique=True,
    ),
    # Leaves room on each page for new versions of its rows, which then need no index entries.
    postgresql_with={"fillfactor": 90},
)

# Open and free slots, kept by triggers on slots. A separate table, because with `taken` in an index
# on slots, every booking would write to all the other indexes, too.
free_slots = Table(
    "free_slots",
    metadata,
    *_slot_columns(),
    lane(),
    id_("location_id", nullable=True),
    # What differs among a doctor's slots (id, start, end), so that many can be sent as one value.
    # The lane, from 0, is in the microseconds of the end, so that the value stays short: a whole
    # second has six bits left.
    Column(
        "packed",
        LargeBinary(),
        Computed(
            "uuid_send(id) || timestamptz_send(starts_at) || set_byte(timestamptz_send(ends_at), 7,"
            " get_byte(timestamptz_send(ends_at), 7) | (lane - 1))",
            persisted=True,
        ),
        nullable=False,
    ),
    # Needs no id: open and free slots are on the calendar, where starts are unique in a lane.
    PrimaryKeyConstraint(
        "clinic_id",
        "doctor_id",
        "starts_at",
        "lane",
        name="free_slots_pkey",
        postgresql_include=["packed", "location_id"],
    ),
    Index(
        "free_slots_starts_idx",
        "clinic_id",
        "starts_at",
        "doctor_id",
        "lane",
        postgresql_include=["id", "ends_at", "specialty", "location_id"],
    ),
)

Index(
    "free_slots_specialty_idx",
    free_slots.c.clinic_id,
    func.lower(free_slots.c.specialty),
    free_slots.c.starts_at,
    free_slots.c.doctor_id,
    free_slots.c.lane,
    postgresql_include=["id", "ends_at", "specialty", "location_id"],
)
