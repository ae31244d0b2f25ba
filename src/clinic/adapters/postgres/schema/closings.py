"""Closures, leave, blocks and added places, and the work of aligning calendars with them."""

from sqlalchemy import ARRAY, Column, Date, Index, SmallInteger, Table, Time, text

from clinic.adapters.postgres.schema.base import (
    at_location,
    check,
    created_at,
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
from clinic.domain.calendar.availability import LANE_MAX, SLOT_MAX_MIN, SLOT_MIN_MIN
from clinic.domain.calendar.closings import (
    BLOCK_MAX_DAYS,
    CLOSING_NAME_MAX_CHARS,
    CLOSURE_MAX_DAYS,
    LEAVE_MAX_DAYS,
    OPEN_ON_MAX,
    ClosureKind,
)
from clinic.domain.clinic import FIRST_YEAR, LAST_YEAR

_REASON_LENGTH = f"char_length(reason) BETWEEN 1 AND {CLOSING_NAME_MAX_CHARS}"
_DAYS = f"first_day >= '{FIRST_YEAR}-01-01' AND last_day < '{LAST_YEAR + 1}-01-01'"
#: whole minutes of a day
_TIMES = (
    "extract(second FROM start_time) = 0 AND extract(second FROM end_time) = 0"
    " AND start_time < '24:00' AND end_time < '24:00'"
)
_TIMES_ORDER = (
    "first_day < last_day OR end_time IS NULL OR end_time > coalesce(start_time, '00:00')"
)
_INSTANTS = (
    f"starts_at >= '{FIRST_YEAR}-01-01 00:00+00' AND ends_at < '{LAST_YEAR + 1}-01-01 00:00+00'"
)
_DOCTOR = (["clinic_id", "doctor_id"], "doctors_profiles", ["clinic_id", "user_id"])

closures = Table(
    "closures",
    metadata,
    id_("clinic_id"),
    id_("id"),
    text_("name"),
    text_("kind"),
    Column("first_day", Date()),
    Column("last_day", Date()),
    Column("start_time", Time()),
    Column("end_time", Time()),
    text_("country", nullable=True),
    text_("subdivision", nullable=True),
    Column("open_on", ARRAY(Date()), nullable=False),
    created_at(),
    # The only one that it closes; NULL closes all.
    *at_location("closures_location_fkey"),
    key("closures_pkey", "clinic_id", "id"),
    references("closures_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    check("closures_name_length", f"char_length(name) BETWEEN 1 AND {CLOSING_NAME_MAX_CHARS}"),
    check("closures_kind_known", f"kind IN {one_of(ClosureKind)}"),
    check(
        "closures_days_or_country",
        "CASE WHEN kind = 'HOLIDAYS' THEN country IS NOT NULL AND first_day IS NULL AND last_day IS"
        " NULL AND start_time IS NULL AND end_time IS NULL ELSE country IS NULL AND subdivision IS"
        " NULL AND first_day IS NOT NULL AND last_day IS NOT NULL END",
    ),
    check(
        "closures_days_order",
        f"last_day >= first_day AND last_day < first_day + {CLOSURE_MAX_DAYS}",
    ),
    check("closures_days_accepted", _DAYS),
    check("closures_times_accepted", _TIMES),
    check("closures_times_order", _TIMES_ORDER),
    check(
        "closures_yearly_length",
        "kind <> 'YEARLY' OR last_day < first_day + interval '1 year'",
    ),
    check(
        "closures_open_on_days",
        f"array_position(open_on, NULL) IS NULL AND cardinality(open_on) <= {OPEN_ON_MAX}",
    ),
    check(
        "closures_country_code",
        "country ~ '^[A-Z]{2}$' AND (subdivision IS NULL OR subdivision ~ '^[A-Z0-9]{1,4}$')",
    ),
)

leaves = Table(
    "leaves",
    metadata,
    id_("clinic_id"),
    id_("id"),
    id_("doctor_id"),
    Column("first_day", Date(), nullable=False),
    Column("last_day", Date(), nullable=False),
    Column("start_time", Time()),
    Column("end_time", Time()),
    text_("reason", nullable=True),
    created_at(),
    key("leaves_pkey", "clinic_id", "id"),
    references("leaves_doctor_fkey", *_DOCTOR),
    check(
        "leaves_days_order",
        f"last_day >= first_day AND last_day < first_day + {LEAVE_MAX_DAYS}",
    ),
    check("leaves_days_accepted", _DAYS),
    check("leaves_times_accepted", _TIMES),
    check("leaves_times_order", _TIMES_ORDER),
    check("leaves_reason_length", _REASON_LENGTH),
    Index("leaves_doctor_idx", "clinic_id", "doctor_id", "id"),
)

blocks = Table(
    "blocks",
    metadata,
    id_("clinic_id"),
    id_("id"),
    id_("doctor_id"),
    instant("starts_at"),
    instant("ends_at"),
    # The lane that it blocks; NULL blocks all.
    Column("lane", SmallInteger()),
    text_("reason", nullable=True),
    created_at(),
    key("blocks_pkey", "clinic_id", "id"),
    references("blocks_doctor_fkey", *_DOCTOR),
    check(
        "blocks_times_order",
        f"ends_at > starts_at AND ends_at <= starts_at + interval '{BLOCK_MAX_DAYS} days'",
    ),
    check("blocks_times_accepted", _INSTANTS),
    check("blocks_lane_range", "lane >= 1"),
    check("blocks_reason_length", _REASON_LENGTH),
    Index("blocks_doctor_idx", "clinic_id", "doctor_id", "ends_at"),
)

# Slots beside the doctor's hours.
added_places = Table(
    "added_places",
    metadata,
    id_("clinic_id"),
    id_("id"),
    id_("doctor_id"),
    instant("starts_at"),
    instant("ends_at"),
    # 1 outside the doctor's hours, else one that hours never have.
    lane(),
    text_("reason", nullable=True),
    created_at(),
    *at_location("added_places_location_fkey"),
    key("added_places_pkey", "clinic_id", "id"),
    references("added_places_doctor_fkey", *_DOCTOR),
    check(
        "added_places_times_order",
        f"ends_at >= starts_at + interval '{SLOT_MIN_MIN} minutes'"
        f" AND ends_at <= starts_at + interval '{SLOT_MAX_MIN} minutes'",
    ),
    check("added_places_times_accepted", _INSTANTS),
    check(
        "added_places_whole_minutes",
        "extract(epoch FROM starts_at) % 60 = 0 AND extract(epoch FROM ends_at) % 60 = 0",
    ),
    check("added_places_lane_range", f"lane BETWEEN 1 AND {LANE_MAX}"),
    check("added_places_reason_length", _REASON_LENGTH),
    Index("added_places_doctor_idx", "clinic_id", "doctor_id", "ends_at"),
)

calendar_changes = Table(
    "calendar_changes",
    metadata,
    id_("clinic_id"),
    id_("id"),
    text_("action"),
    text_("entity"),
    id_("entity_id"),
    id_("requested_by"),
    instant("created_at"),
    Column("first_day", Date(), nullable=False),
    Column("last_day", Date(), nullable=False),
    int_("doctors"),
    int_("added", default=text("0")),
    int_("retired", default=text("0")),
    int_("blocked", default=text("0")),
    int_("unblocked", default=text("0")),
    int_("relocated", default=text("0")),
    key("calendar_changes_pkey", "clinic_id", "id"),
    references("calendar_changes_clinic_fkey", ["clinic_id"], "clinics", ["id"]),
    check("calendar_changes_days_order", "last_day >= first_day"),
)

# A row for each doctor whose slots are not aligned yet; removed when they are.
calendar_work = Table(
    "calendar_work",
    metadata,
    id_("clinic_id"),
    id_("change_id"),
    id_("doctor_id"),
    Column("next_day", Date(), nullable=False),
    Column("last_day", Date(), nullable=False),
    key("calendar_work_pkey", "clinic_id", "change_id", "doctor_id"),
    references(
        "calendar_work_change_fkey",
        ["clinic_id", "change_id"],
        "calendar_changes",
        ["clinic_id", "id"],
    ),
    references("calendar_work_doctor_fkey", *_DOCTOR),
    check("calendar_work_days_order", "last_day >= next_day"),
    Index("calendar_work_turn_idx", "next_day", "doctor_id"),
    Index("calendar_work_doctor_idx", "clinic_id", "doctor_id"),
)
