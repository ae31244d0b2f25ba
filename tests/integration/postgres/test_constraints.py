"""Each constraint refuses what it should, in raw SQL, without the code in front of it."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from clinic.adapters.postgres.schema import metadata
from clinic.domain.appointments.resources import occasion_of

Row = dict[str, Any]


def _id(number: int) -> UUID:
    return UUID(int=number)


ONE, TWO = _id(1), _id(2)
NINE = datetime(2026, 11, 24, 9, tzinfo=UTC)
HALF_HOUR = timedelta(minutes=30)
NOBODY = _id(999)

CLINIC: Row = {
    "id": ONE,
    "name": "Riverside",
    "time_zone": "Europe/London",
    "notice_min": 60,
    "horizon_days": 90,
    "cancel_notice_min": 120,
    "hold_min": 10,
    "reminder_leads_min": [1440, 120],
}
USER: Row = {"id": _id(10), "name": "Ada Adams", "email": "ada@example.org", "role": "PATIENT"}
DOCTOR: Row = {"clinic_id": ONE, "user_id": _id(11), "specialty": "General"}
SLOT: Row = {
    "clinic_id": ONE,
    "id": _id(20),
    "doctor_id": _id(11),
    "specialty": "General",
    "starts_at": NINE,
    "ends_at": NINE + HALF_HOUR,
    "state": "OPEN",
    "taken": True,
}
APPOINTMENT: Row = {
    "clinic_id": ONE,
    "id": _id(30),
    "slot_id": _id(20),
    "doctor_id": _id(11),
    "patient_id": _id(10),
    "starts_at": NINE,
    "ends_at": NINE + HALF_HOUR,
    "busy_from": NINE,
    "busy_until": NINE + HALF_HOUR,
    "type": "Consultation",
    "status": "BOOKED",
    "version": 1,
    "schedule_version": 0,
    "status_by": _id(10),
    "created_at": NINE,
    "updated_at": NINE,
}
LATER: Row = {"starts_at": NINE + HALF_HOUR, "ends_at": NINE + 2 * HALF_HOUR}

CALENDAR_CHANGE: Row = {
    "clinic_id": ONE,
    "id": _id(55),
    "action": "add_closure",
    "entity": "closure",
    "entity_id": _id(52),
    "requested_by": _id(11),
    "created_at": NINE,
    "first_day": date(2026, 12, 24),
    "last_day": date(2026, 12, 26),
    "doctors": 2,
}

LOCATION: Row = {
    "clinic_id": ONE,
    "id": _id(61),
    "name": "Harbour branch",
    "address": "1 Quay Street\nBristol",
    "directions": "Ring twice.",
    "phone": "+441174960000",
    "country": "GB",
    "subdivision": "ENG",
    "is_active": True,
}

RESOURCE: Row = {
    "clinic_id": ONE,
    "id": _id(90),
    "kind": "room",
    "name": "Room 1",
    "capacity": 2,
    "location_id": _id(61),
    "is_active": True,
}

TYPE: Row = {
    "clinic_id": ONE,
    "id": _id(58),
    "name": "Check-up",
    "visible_min": 40,
    "before_min": 5,
    "after_min": 10,
    "notice_min": 60,
    "horizon_days": 30,
    "bookable_by": "PATIENTS",
    "all_doctors": False,
    "instructions": "Bring your card.",
    "color": "#2f6fde",
    "is_default": True,
    "is_active": True,
}

#: a valid row of each table, in addition to those of the fixture `rows`
ROWS: dict[str, Row] = {
    "clinics": CLINIC | {"id": _id(3)},
    "users": USER | {"id": _id(13), "email": "new@example.org"},
    "doctors_profiles": DOCTOR | {"user_id": _id(10)},
    "patients_profiles": {"clinic_id": ONE, "user_id": _id(11)},
    "staff_profiles": {"clinic_id": ONE, "user_id": _id(11)},
    "membership_offers": {
        "clinic_id": ONE,
        "id": _id(41),
        "role": "ADMIN",
        "offered_by": _id(11),
        "created_at": NINE,
        "expires_at": NINE + HALF_HOUR,
    },
    "maintenance_runs": {
        "service": "sweeping",
        "token": _id(60),
        "lease_until": NINE,
        "duration_ms": 1,
        "row_count": 1,
        "failures": 0,
    },
    "change_feeds": {"consumer": "pages", "seen": "5:9:5,7", "system": "7"},
    "erasures": {"clinic_id": ONE, "user_id": _id(11), "erased_at": NINE, "copies": b"x" * 32},
    "sessions": {
        "clinic_id": ONE,
        "id": _id(40),
        "user_id": _id(10),
        "role": "PATIENT",
        "kind": "bearer",
        "token_hash": b"x" * 32,
        "created_at": NINE,
        "expires_at": NINE + HALF_HOUR,
        "last_seen_at": NINE,
    },
    "availabilities": {
        "clinic_id": ONE,
        "id": _id(50),
        "doctor_id": _id(11),
        "start_time": time(9),
        "end_time": time(11),
        "slot_min": 30,
        "weekdays": [1, 2],
        "on_date": None,
        "valid_from": date(2026, 1, 1),
        "valid_until": date(2026, 12, 31),
    },
    "availability_exceptions": {
        "clinic_id": ONE,
        "id": _id(51),
        "doctor_id": _id(11),
        "on_date": date(2026, 12, 24),
        "kind": "ADD",
        "start_time": time(9),
        "end_time": time(11),
        "slot_min": 30,
    },
    "closures": {
        "clinic_id": ONE,
        "id": _id(52),
        "name": "Christmas",
        "kind": "YEARLY",
        "first_day": date(2026, 12, 24),
        "last_day": date(2026, 12, 26),
        "country": None,
        "subdivision": None,
        "open_on": [],
    },
    "leaves": {
        "clinic_id": ONE,
        "id": _id(53),
        "doctor_id": _id(11),
        "first_day": date(2026, 12, 7),
        "last_day": date(2026, 12, 11),
        "reason": "Congress",
    },
    "blocks": {
        "clinic_id": ONE,
        "id": _id(54),
        "doctor_id": _id(11),
        "starts_at": NINE,
        "ends_at": NINE + HALF_HOUR,
        "lane": 1,
        "reason": "Fire drill",
    },
    "added_places": {
        "clinic_id": ONE,
        "id": _id(57),
        "doctor_id": _id(11),
        "starts_at": NINE,
        "ends_at": NINE + HALF_HOUR,
        "reason": "An urgent case",
    },
    "appointment_types": TYPE | {"id": _id(59), "name": "Vaccination", "is_default": False},
    "appointment_type_offers": {
        "clinic_id": ONE,
        "type_id": _id(58),
        "doctor_id": _id(11),
        "visible_min": 30,
    },
    "locations": LOCATION | {"id": _id(62), "name": "Station branch"},
    "resources": RESOURCE | {"id": _id(93)},
    "resource_closures": {
        "clinic_id": ONE,
        "id": _id(94),
        "resource_id": _id(90),
        "starts_at": NINE,
        "ends_at": NINE + HALF_HOUR,
        "reason": "Repair",
    },
    "appointment_type_needs": {"clinic_id": ONE, "type_id": _id(58), "kind": "room"},
    "appointment_resources": {
        "clinic_id": ONE,
        "appointment_id": _id(30),
        "resource_id": _id(90),
        "place": 1,
    },
    "calendar_changes": CALENDAR_CHANGE | {"id": _id(56)},
    "reminder_work": {"clinic_id": ONE, "changed_at": NINE},
    "calendar_work": {
        "clinic_id": ONE,
        "change_id": _id(55),
        "doctor_id": _id(11),
        "next_day": date(2026, 12, 24),
        "last_day": date(2026, 12, 26),
    },
    "slots": SLOT | LATER | {"id": _id(21), "taken": False},
    "free_slots": {
        name: (SLOT | LATER | {"id": _id(22)})[name]
        for name in ("clinic_id", "id", "doctor_id", "specialty", "starts_at", "ends_at")
    },
    # The patient's appointment was cancelled, so the slot and the time are free.
    "appointments": APPOINTMENT | {"id": _id(31), "status": "CANCELLED"},
    "audit_appointment": {
        "clinic_id": ONE,
        "id": _id(60),
        "appointment_id": _id(30),
        "at": NINE,
        "actor_id": _id(10),
        "actor_role": "PATIENT",
        "action": "CHANGE_STATUS",
        "from_status": "BOOKED",
        "to_status": "CONFIRMED",
        "to_slot_id": _id(20),
        "version": 2,
        "reason": "asked",
    },
    "audit_event": {
        "clinic_id": ONE,
        "id": _id(61),
        "at": NINE,
        "actor_id": _id(10),
        "actor_role": "PATIENT",
        "action": "read",
        "entity": "slot",
        "reason": "asked",
        "outcome": "done",
        "detail": "{}",
    },
    "audit_seals": {
        "seq": 1,
        "sealed_at": NINE,
        "xid_from": 1,
        "xid_to": 2,
        "row_count": 1,
        "root": b"r",
        "previous": b"p",
        "chain": b"c",
        "keys": b"k",
        "leaves": b"l",
    },
    "notification_outbox": {
        "clinic_id": ONE,
        "id": _id(70),
        "appointment_id": _id(30),
        "user_id": None,
        "kind": "confirmation",
        "channel": "email",
        "version": 0,
        "scheduled_for": NINE,
        "next_at": NINE,
        "expires_at": NINE + HALF_HOUR,
        "created_at": NINE,
    },
    "notification": {
        "clinic_id": ONE,
        "id": _id(71),
        "appointment_id": _id(30),
        "user_id": None,
        "kind": "confirmation",
        "channel": "email",
        "version": 0,
        "scheduled_for": NINE,
        "status": "SENT",
        "attempts": 1,
        "finished_at": NINE,
    },
    "notification_preferences": {
        "clinic_id": ONE,
        "user_id": _id(10),
        "language": "en",
        "channel": "email",
        "opted_out": [],
    },
    "idempotency_keys": {
        "clinic_id": ONE,
        "principal_id": _id(10),
        "key": "a key of twenty signs",
        "fingerprint": b"f" * 32,
        "status": 201,
        "body": b"{}",
        "created_at": NINE,
    },
    "payments": {
        "clinic_id": ONE,
        "id": _id(80),
        "appointment_id": _id(30),
        "provider": "stripe",
        "provider_ref": "pi_1",
        "amount_minor": 1000,
        "currency": "EUR",
        "status": "PENDING",
        "created_at": NINE,
        "updated_at": NINE,
    },
}

#: constraint → the change to the table's row that violates it
BREAKS: dict[str, tuple[str, Row]] = {
    "clinics_name_length": ("clinics", {"name": ""}),
    "clinics_time_zone_length": ("clinics", {"time_zone": ""}),
    "clinics_notice_range": ("clinics", {"notice_min": -1}),
    "clinics_horizon_range": ("clinics", {"horizon_days": 731}),
    "clinics_cancel_notice_range": ("clinics", {"cancel_notice_min": -1}),
    "clinics_hold_range": ("clinics", {"hold_min": 0}),
    "clinics_max_open_range": ("clinics", {"max_open_appointments": 0}),
    "clinics_squeeze_range": ("clinics", {"squeeze_max": 11}),
    "clinics_max_per_doctor_range": ("clinics", {"max_open_per_doctor": 0}),
    "clinics_max_per_day_range": ("clinics", {"max_bookings_per_day": 0}),
    "clinics_cancel_grace_range": ("clinics", {"cancel_grace_min": -1}),
    "reminder_work_clinic_fkey": ("reminder_work", {"clinic_id": NOBODY}),
    "reminder_work_place_whole": ("reminder_work", {"after_at": NINE}),
    "clinics_address_length": ("clinics", {"address": "x" * 301}),
    "clinics_reminder_leads_range": ("clinics", {"reminder_leads_min": [0]}),
    "users_name_length": ("users", {"name": "x" * 201}),
    "users_email_length": ("users", {"email": "x" * 255}),
    "users_email_typed_length": ("users", {"email_typed": "x" * 255}),
    "users_role_known": ("users", {"role": "OWNER"}),
    "users_email_key": ("users", {"email": "ADA@example.org"}),
    "doctors_profiles_clinic_fkey": ("doctors_profiles", {"clinic_id": NOBODY}),
    "doctors_profiles_user_fkey": ("doctors_profiles", {"user_id": NOBODY}),
    "doctors_profiles_specialty_length": ("doctors_profiles", {"specialty": ""}),
    "patients_profiles_clinic_fkey": ("patients_profiles", {"clinic_id": NOBODY}),
    "patients_profiles_user_fkey": ("patients_profiles", {"user_id": NOBODY}),
    "staff_profiles_clinic_fkey": ("staff_profiles", {"clinic_id": NOBODY}),
    "staff_profiles_user_fkey": ("staff_profiles", {"user_id": NOBODY}),
    "membership_offers_clinic_fkey": ("membership_offers", {"clinic_id": NOBODY}),
    "membership_offers_expiry_after_start": ("membership_offers", {"expires_at": NINE}),
    "sessions_clinic_fkey": ("sessions", {"clinic_id": NOBODY}),
    "sessions_user_fkey": ("sessions", {"user_id": NOBODY}),
    "sessions_role_known": ("sessions", {"role": "OWNER"}),
    "sessions_kind_known": ("sessions", {"kind": "ticket"}),
    "sessions_token_length": ("sessions", {"token_hash": b"short"}),
    "sessions_expiry_after_start": ("sessions", {"expires_at": NINE}),
    "availabilities_doctor_fkey": ("availabilities", {"doctor_id": NOBODY}),
    "availabilities_times_order": ("availabilities", {"end_time": time(9)}),
    "availabilities_slot_range": ("availabilities", {"slot_min": 4}),
    "availabilities_capacity_range": ("availabilities", {"capacity": 21}),
    "availabilities_weekdays_known": ("availabilities", {"weekdays": [0]}),
    "availabilities_weekly_or_dated": ("availabilities", {"weekdays": []}),
    "availabilities_validity_order": ("availabilities", {"valid_until": date(2025, 1, 1)}),
    "availability_exceptions_doctor_fkey": ("availability_exceptions", {"doctor_id": NOBODY}),
    "availability_exceptions_kind_known": (
        "availability_exceptions",
        {"kind": "MOVE", "slot_min": None},
    ),
    "availability_exceptions_times_order": ("availability_exceptions", {"overnight": True}),
    "availability_exceptions_slot_range": ("availability_exceptions", {"slot_min": 481}),
    "availability_exceptions_capacity_range": ("availability_exceptions", {"capacity": 0}),
    "availability_exceptions_slot_when_added": ("availability_exceptions", {"slot_min": None}),
    "closures_clinic_fkey": ("closures", {"clinic_id": NOBODY}),
    "closures_name_length": ("closures", {"name": ""}),
    "closures_kind_known": ("closures", {"kind": "DAILY"}),
    "closures_days_or_country": ("closures", {"country": "DE"}),
    "closures_days_order": ("closures", {"last_day": date(2026, 12, 23)}),
    "closures_days_accepted": (
        "closures",
        {"first_day": date(2200, 1, 1), "last_day": date(2200, 1, 2)},
    ),
    "closures_times_accepted": ("closures", {"start_time": time(9, 0, 1)}),
    "closures_times_order": (
        "closures",
        {"last_day": date(2026, 12, 24), "start_time": time(12), "end_time": time(12)},
    ),
    "closures_yearly_length": ("closures", {"kind": "YEARLY", "last_day": date(2027, 12, 24)}),
    "closures_open_on_days": ("closures", {"open_on": [None]}),
    "closures_country_code": (
        "closures",
        {"kind": "HOLIDAYS", "first_day": None, "last_day": None, "country": "de"},
    ),
    "leaves_doctor_fkey": ("leaves", {"doctor_id": NOBODY}),
    "leaves_days_order": ("leaves", {"last_day": date(2026, 12, 6)}),
    "leaves_days_accepted": (
        "leaves",
        {"first_day": date(1999, 12, 31), "last_day": date(2000, 1, 1)},
    ),
    "leaves_times_accepted": ("leaves", {"end_time": time(9, 0, 1)}),
    "leaves_times_order": ("leaves", {"last_day": date(2026, 12, 7), "end_time": time(0)}),
    "leaves_reason_length": ("leaves", {"reason": ""}),
    "blocks_doctor_fkey": ("blocks", {"doctor_id": NOBODY}),
    "blocks_times_order": ("blocks", {"ends_at": NINE}),
    "blocks_times_accepted": (
        "blocks",
        {
            "ends_at": datetime(2200, 1, 1, tzinfo=UTC),
            "starts_at": datetime(2199, 12, 31, tzinfo=UTC),
        },
    ),
    "blocks_lane_range": ("blocks", {"lane": 0}),
    "added_places_lane_range": ("added_places", {"lane": 65}),
    "blocks_reason_length": ("blocks", {"reason": "x" * 201}),
    "added_places_doctor_fkey": ("added_places", {"doctor_id": NOBODY}),
    "added_places_times_order": ("added_places", {"ends_at": NINE}),
    "added_places_times_accepted": (
        "added_places",
        {
            "starts_at": datetime(1999, 12, 31, 23, 55, tzinfo=UTC),
            "ends_at": datetime(2000, 1, 1, tzinfo=UTC),
        },
    ),
    "added_places_whole_minutes": (
        "added_places",
        {"ends_at": NINE + HALF_HOUR + timedelta(seconds=1)},
    ),
    "added_places_reason_length": ("added_places", {"reason": "x" * 201}),
    "appointment_types_clinic_fkey": ("appointment_types", {"clinic_id": NOBODY}),
    "appointment_types_name_length": ("appointment_types", {"name": "x" * 81}),
    "appointment_types_length_range": ("appointment_types", {"visible_min": 4}),
    "appointment_types_before_range": ("appointment_types", {"before_min": -1}),
    "appointment_types_after_range": ("appointment_types", {"after_min": 241}),
    "appointment_types_busy_range": (
        "appointment_types",
        {"visible_min": 480, "before_min": 120, "after_min": 121},
    ),
    "appointment_types_notice_range": ("appointment_types", {"notice_min": 366 * 24 * 60 + 1}),
    "appointment_types_horizon_range": ("appointment_types", {"horizon_days": 0}),
    "appointment_types_bookable_by_known": ("appointment_types", {"bookable_by": "NOBODY"}),
    "appointment_types_instructions_length": ("appointment_types", {"instructions": ""}),
    "appointment_types_color_code": ("appointment_types", {"color": "#2F6FDE"}),
    "appointment_types_name_key": ("appointment_types", {"name": "CHECK-UP"}),
    "appointment_types_default_key": ("appointment_types", {"is_default": True}),
    "appointment_type_offers_type_fkey": ("appointment_type_offers", {"type_id": NOBODY}),
    "appointment_type_offers_doctor_fkey": ("appointment_type_offers", {"doctor_id": _id(10)}),
    "appointment_type_offers_length_range": ("appointment_type_offers", {"visible_min": 481}),
    "availabilities_location_fkey": ("availabilities", {"location_id": NOBODY}),
    "availability_exceptions_location_fkey": (
        "availability_exceptions",
        {
            "kind": "ADD",
            "start_time": time(9),
            "end_time": time(10),
            "slot_min": 30,
            "location_id": NOBODY,
        },
    ),
    "availability_exceptions_location_when_added": (
        "availability_exceptions",
        {"kind": "REMOVE", "slot_min": None, "location_id": _id(61)},
    ),
    "added_places_location_fkey": ("added_places", {"location_id": NOBODY}),
    "closures_location_fkey": ("closures", {"location_id": NOBODY}),
    "clinics_travel_range": ("clinics", {"travel_min": 481}),
    "slots_location_fkey": ("slots", {"location_id": NOBODY}),
    "slots_location_excl": (
        "slots",
        {
            "doctor_id": _id(12),
            "lane": 3,
            "starts_at": NINE,
            "ends_at": NINE + HALF_HOUR,
            "location_id": _id(63),
        },
    ),
    "locations_clinic_fkey": ("locations", {"clinic_id": NOBODY}),
    "locations_name_length": ("locations", {"name": ""}),
    "locations_address_length": ("locations", {"address": "x" * 301}),
    "locations_directions_length": ("locations", {"directions": "x" * 1001}),
    "locations_country_code": ("locations", {"country": "gb"}),
    "locations_subdivision_of_country": ("locations", {"country": None}),
    "locations_name_key": ("locations", {"name": "HARBOUR branch"}),
    "resources_clinic_fkey": ("resources", {"clinic_id": NOBODY, "location_id": None}),
    "resources_location_fkey": ("resources", {"location_id": NOBODY}),
    "resources_kind_length": ("resources", {"kind": ""}),
    "resources_name_length": ("resources", {"name": "x" * 81}),
    "resources_capacity_range": ("resources", {"capacity": 0}),
    "resource_closures_resource_fkey": ("resource_closures", {"resource_id": NOBODY}),
    "resource_closures_end_after_start": ("resource_closures", {"ends_at": NINE}),
    "resource_closures_reason_length": ("resource_closures", {"reason": ""}),
    "appointment_type_needs_type_fkey": ("appointment_type_needs", {"type_id": NOBODY}),
    "appointment_type_needs_kind_length": ("appointment_type_needs", {"kind": "x" * 81}),
    "appointment_resources_appointment_fkey": (
        "appointment_resources",
        {"appointment_id": NOBODY},
    ),
    "appointment_resources_resource_fkey": ("appointment_resources", {"resource_id": NOBODY}),
    "appointment_resources_place_range": ("appointment_resources", {"place": 3}),
    # Another doctor's appointment has it at this time.
    "appointment_resources_excl": ("appointment_resources", {"resource_id": _id(91)}),
    # Another one of the same doctor, start and type has this place in it.
    "appointment_resources_place_key": ("appointment_resources", {"resource_id": _id(92)}),
    "calendar_changes_clinic_fkey": ("calendar_changes", {"clinic_id": NOBODY}),
    "calendar_changes_days_order": ("calendar_changes", {"last_day": date(2026, 12, 23)}),
    "calendar_work_change_fkey": ("calendar_work", {"change_id": NOBODY}),
    "calendar_work_doctor_fkey": ("calendar_work", {"doctor_id": NOBODY}),
    "calendar_work_days_order": ("calendar_work", {"last_day": date(2026, 12, 23)}),
    "slots_doctor_fkey": ("slots", {"specialty": "Dermatology"}),
    "slots_state_known": ("slots", {"state": "FREE"}),
    "slots_length_range": ("slots", {"ends_at": NINE + HALF_HOUR}),
    "slots_doctor_excl": ("slots", {"starts_at": NINE + timedelta(minutes=29)}),
    "slots_doctor_starts_key": ("slots", {"starts_at": NINE}),
    "slots_lane_range": ("slots", {"lane": 0}),
    "appointments_place_fkey": ("appointments", {"lane": 2}),
    "appointments_lane_range": ("appointments", {"lane": 0}),
    "appointments_busy_around": (
        "appointments",
        {"busy_from": NINE + timedelta(minutes=1), "busy_until": NINE + HALF_HOUR},
    ),
    # Another slot of the doctor, right after the one that is occupied.
    "appointments_busy_excl": (
        "appointments",
        LATER
        | {
            "slot_id": _id(29),
            "patient_id": _id(12),
            "status": "BOOKED",
            "busy_from": NINE + timedelta(minutes=29),
            "busy_until": NINE + 2 * HALF_HOUR,
        },
    ),
    "appointments_patient_fkey": ("appointments", {"patient_id": NOBODY}),
    "appointments_status_known": ("appointments", {"status": "LOST"}),
    "appointments_type_length": ("appointments", {"type": ""}),
    "appointments_version_range": ("appointments", {"version": 0}),
    "appointments_end_after_start": ("appointments", {"ends_at": NINE}),
    "appointments_occupied_slot_key": (
        "appointments",
        {"status": "HELD", "patient_id": _id(12)},
    ),
    "appointments_patient_excl": (
        "appointments",
        {"status": "BOOKED", "slot_id": _id(22), "doctor_id": _id(12)},
    ),
    "audit_appointment_role_known": ("audit_appointment", {"actor_role": "OWNER"}),
    "audit_appointment_action_known": ("audit_appointment", {"action": "ERASE"}),
    "audit_appointment_from_known": ("audit_appointment", {"from_status": "LOST"}),
    "audit_appointment_to_known": ("audit_appointment", {"to_status": "LOST"}),
    "audit_appointment_version_range": ("audit_appointment", {"version": 0}),
    "audit_appointment_reason_length": ("audit_appointment", {"reason": "x" * 501}),
    "audit_appointment_xid_range": ("audit_appointment", {"xid": 0}),
    "audit_event_xid_range": ("audit_event", {"xid": 0}),
    "notification_xid_range": ("notification", {"xid": -1}),
    "audit_event_role_known": ("audit_event", {"actor_role": "OWNER"}),
    "audit_event_reason_length": ("audit_event", {"reason": "x" * 501}),
    "maintenance_runs_service_length": ("maintenance_runs", {"service": ""}),
    "maintenance_runs_lease": ("maintenance_runs", {"lease_until": None}),
    "maintenance_runs_counts_range": ("maintenance_runs", {"failures": -1}),
    "change_feeds_consumer_length": ("change_feeds", {"consumer": "x" * 51}),
    "change_feeds_seen_form": ("change_feeds", {"seen": "5:9"}),
    "erasures_copies_length": ("erasures", {"copies": b"short"}),
    "audit_seals_range": ("audit_seals", {"row_count": 0}),
    "notification_outbox_appointment_fkey": ("notification_outbox", {"appointment_id": NOBODY}),
    "notification_outbox_user_fkey": (
        "notification_outbox",
        {"appointment_id": None, "user_id": NOBODY},
    ),
    "notification_outbox_one_subject": ("notification_outbox", {"appointment_id": None}),
    "notification_outbox_state_known": ("notification_outbox", {"state": "lost"}),
    "notification_outbox_channel_known": ("notification_outbox", {"channel": "pigeon"}),
    "notification_outbox_kind_length": ("notification_outbox", {"kind": ""}),
    "notification_outbox_counts_range": ("notification_outbox", {"version": -1}),
    "notification_outbox_to_email_length": (
        "notification_outbox",
        {"to_email": "x" * 255, "kind": "address_changed"},
    ),
    "notification_outbox_to_email_kind": (
        "notification_outbox",
        {"to_email": "old@example.org"},
    ),
    "notification_outbox_expiry_after_due": (
        "notification_outbox",
        {"expires_at": NINE - HALF_HOUR},
    ),
    "notification_one_subject": ("notification", {"appointment_id": None}),
    "notification_status_known": ("notification", {"status": "MAYBE"}),
    "notification_channel_known": ("notification", {"channel": "pigeon"}),
    "notification_kind_length": ("notification", {"kind": ""}),
    "notification_counts_range": ("notification", {"attempts": -1}),
    "notification_preferences_clinic_fkey": ("notification_preferences", {"clinic_id": NOBODY}),
    "notification_preferences_user_fkey": ("notification_preferences", {"user_id": NOBODY}),
    "notification_preferences_channel_known": ("notification_preferences", {"channel": "pigeon"}),
    "notification_preferences_language_length": ("notification_preferences", {"language": "e"}),
    "notification_preferences_opted_out_size": (
        "notification_preferences",
        {"opted_out": ["reminder"] * 21},
    ),
    "idempotency_keys_key_length": ("idempotency_keys", {"key": ""}),
    "idempotency_keys_fingerprint_length": ("idempotency_keys", {"fingerprint": b""}),
    "idempotency_keys_status_range": ("idempotency_keys", {"status": 99}),
    "idempotency_keys_point_known": (
        "idempotency_keys",
        {"recovery_point": "lost", "status": None, "body": None},
    ),
    "idempotency_keys_answer_when_finished": ("idempotency_keys", {"body": None}),
    "payments_appointment_fkey": ("payments", {"appointment_id": NOBODY}),
    "payments_amount_range": ("payments", {"amount_minor": -1}),
    "payments_currency_code": ("payments", {"currency": "euro"}),
    "payments_status_known": ("payments", {"status": "LOST"}),
}

#: constraint → how the second row differs from an existing first one
TWICE: dict[str, tuple[str, Row]] = {
    "sessions_token_key": ("sessions", {"id": _id(41)}),
    "audit_seals_from_key": ("audit_seals", {"seq": 2, "xid_to": 3}),
    "notification_outbox_once_key": ("notification_outbox", {"id": _id(72)}),
    "notification_outbox_sheet_key": ("notification_outbox", {"id": _id(72)}),
    "notification_once_key": ("notification", {"id": _id(72)}),
    "payments_reference_key": ("payments", {"id": _id(81)}),
}
FIRST: dict[str, Row] = {
    "notification_outbox_sheet_key": {
        "appointment_id": None,
        "user_id": _id(11),
        "kind": "day_sheet",
    },
}

#: implied by a key that they contain: they exist only as targets of foreign keys
TARGETS = {"doctors_profiles_specialty_key", "slots_lane_key"}


@pytest.fixture
def rows(owner: psycopg.Connection) -> psycopg.Connection:
    """A connection to a database with two clinics, two doctors, two patients and one booking."""
    for clinic_id in (ONE, TWO):
        _insert(owner, "clinics", CLINIC | {"id": clinic_id})
    for number, name in ((10, "ada"), (11, "hill"), (12, "mann")):
        _insert(owner, "users", USER | {"id": _id(number), "email": f"{name}@example.org"})
    for doctor in (11, 12):
        _insert(owner, "doctors_profiles", DOCTOR | {"user_id": _id(doctor)})
    for patient in (10, 12):
        _insert(owner, "patients_profiles", {"clinic_id": ONE, "user_id": _id(patient)})
    _insert(owner, "slots", SLOT)
    _insert(owner, "locations", LOCATION)
    _insert(owner, "locations", LOCATION | {"id": _id(63), "name": "Mill branch"})
    mill = {"id": _id(22), "doctor_id": _id(12), "taken": False, "location_id": _id(61)}
    _insert(owner, "slots", SLOT | mill)
    _insert(owner, "slots", SLOT | LATER | {"id": _id(29), "state": "RETIRED", "taken": False})
    _insert(owner, "appointments", APPOINTMENT)
    _insert(owner, "calendar_changes", CALENDAR_CHANGE)
    _insert(owner, "appointment_types", TYPE)
    _seed_resources(owner)
    return owner


def _seed_resources(owner: psycopg.Connection) -> None:
    """Add resources, and two appointments that hold one each at the time of the first one: of
    another doctor, and of the same doctor in another lane."""
    owner.execute("UPDATE appointments SET type_id = %s", [_id(58)])
    for number in (90, 91, 92):
        _insert(owner, "resources", RESOURCE | {"id": _id(number)})
    for patient, doctor, resource in ((14, 12, 91), (15, 11, 92)):
        _insert(owner, "users", USER | {"id": _id(patient), "email": f"{patient}@example.org"})
        _insert(owner, "patients_profiles", {"clinic_id": ONE, "user_id": _id(patient)})
        place = {"id": _id(patient), "doctor_id": _id(doctor), "lane": 2}
        _insert(owner, "slots", SLOT | place)
        appointment = (
            APPOINTMENT
            | place
            | {
                "slot_id": _id(patient),
                "patient_id": _id(patient),
                "type_id": _id(58),
            }
        )
        _insert(owner, "appointments", appointment)
        held = {"appointment_id": _id(patient), "resource_id": _id(resource)}
        _insert(owner, "appointment_resources", ROWS["appointment_resources"] | held)


@pytest.mark.parametrize("table", ROWS)
def test_row_that_keeps_every_constraint_is_taken(rows: psycopg.Connection, table: str) -> None:
    _insert(rows, table, ROWS[table])


@pytest.mark.parametrize("constraint", BREAKS)
def test_row_that_breaks(rows: psycopg.Connection, constraint: str) -> None:
    table, wrong = BREAKS[constraint]
    if constraint == "slots_doctor_starts_key":
        # The exclusion constraint refuses everything that this index does, and is checked first.
        rows.execute("ALTER TABLE slots DROP CONSTRAINT slots_doctor_excl")

    with pytest.raises(psycopg.IntegrityError) as refused:
        _insert(rows, table, ROWS[table] | wrong)

    assert refused.value.diag.constraint_name == constraint


@pytest.mark.parametrize("constraint", TWICE)
def test_second_row_that_breaks(rows: psycopg.Connection, constraint: str) -> None:
    table, other = TWICE[constraint]
    first = ROWS[table] | FIRST.get(constraint, {})
    _insert(rows, table, first)

    with pytest.raises(psycopg.errors.UniqueViolation) as refused:
        _insert(rows, table, first | other)

    assert _top_name(rows, refused.value) == constraint


@pytest.mark.parametrize("table", ROWS)
def test_second_row_with_the_same_primary_key(rows: psycopg.Connection, table: str) -> None:
    key = metadata.tables[table].primary_key
    other = {
        # Everything else differs, so that no other constraint is violated.
        "email": "other@example.org",
        "xid_from": 5,
        "xid_to": 6,
        "token_hash": b"y" * 32,
        "provider_ref": "pi_2",
        "kind": "bearer" if table == "sessions" else "cancellation",
    } | (LATER | {"starts_at": NINE + 2 * HALF_HOUR, "ends_at": NINE + 3 * HALF_HOUR})
    if table in ("availability_exceptions", "closures"):
        other["kind"] = ROWS[table]["kind"]
    _insert(rows, table, ROWS[table])

    again = {name: other[name] for name in ROWS[table] if name in other and name not in key.columns}
    with pytest.raises(psycopg.errors.UniqueViolation) as refused:
        _insert(rows, table, ROWS[table] | ({} if table == "appointments" else again))

    assert _top_name(rows, refused.value) == key.name


def test_every_constraint_has_been_broken() -> None:
    named: set[str] = set()
    for table in metadata.tables.values():
        keys = {table.primary_key}
        named |= {str(constraint.name) for constraint in table.constraints - keys}
        named |= {str(index.name) for index in table.indexes if index.unique}

    assert named - TARGETS == {*BREAKS, *TWICE}
    assert set(metadata.tables) == set(ROWS)


def test_constraint_names_fit_the_engines_that_lengthen_them() -> None:
    names = [str(one.name) for table in metadata.tables.values() for one in table.constraints]
    names += [str(one.name) for table in metadata.tables.values() for one in table.indexes]

    assert [name for name in names if name == "None" or len(name) > 50] == []


def test_retired_slot_makes_room_for_another(rows: psycopg.Connection) -> None:
    rows.execute("UPDATE slots SET state = 'RETIRED' WHERE id = %s", [_id(22)])

    _insert(rows, "slots", SLOT | {"id": _id(23), "doctor_id": _id(12)})


def test_slot_with_an_appointment_cannot_be_moved_in_time(rows: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation) as refused:
        rows.execute(
            "UPDATE slots SET starts_at = %(starts_at)s, ends_at = %(ends_at)s WHERE id = %(id)s",
            LATER | {"id": _id(20)},
        )

    assert refused.value.diag.constraint_name == "appointments_place_fkey"


def test_inactive_type_gives_up_its_name_and_its_place_as_default(
    rows: psycopg.Connection,
) -> None:
    rows.execute("UPDATE appointment_types SET is_active = false")

    _insert(rows, "appointment_types", TYPE | {"id": _id(59), "name": "CHECK-up"})
    _insert(rows, "appointment_types", TYPE | {"id": _id(60), "is_active": False})


def test_copies_of_an_appointments_time_follow_it(rows: psycopg.Connection) -> None:
    held = "SELECT busy_from, busy_until, occupying FROM appointment_resources"
    rows.execute("DELETE FROM appointment_resources")
    _insert(rows, "appointment_resources", ROWS["appointment_resources"])
    assert rows.execute(held).fetchall() == [(NINE, NINE + HALF_HOUR, True)]

    rows.execute(
        "UPDATE appointments SET busy_until = busy_until + interval '5 min' WHERE lane = 1"
    )
    assert rows.execute(held).fetchall() == [(NINE, NINE + timedelta(minutes=35), True)]
    rows.execute("UPDATE appointments SET status = 'CANCELLED' WHERE id = %s", [_id(30)])
    assert rows.execute(held).fetchall() == [(NINE, NINE + timedelta(minutes=35), False)]


def test_cancelled_appointment_cannot_come_back_without_its_room(rows: psycopg.Connection) -> None:
    _insert(rows, "appointment_resources", ROWS["appointment_resources"])
    rows.execute("UPDATE appointments SET status = 'CANCELLED' WHERE id = %s", [_id(30)])
    other = {"appointment_id": _id(14)}
    _insert(rows, "appointment_resources", ROWS["appointment_resources"] | other)

    with pytest.raises(psycopg.errors.ExclusionViolation) as refused:
        rows.execute("UPDATE appointments SET status = 'BOOKED' WHERE id = %s", [_id(30)])

    assert refused.value.diag.constraint_name == "appointment_resources_excl"


@pytest.mark.parametrize("how", ["closed", "inactive"])
def test_no_appointment_gets_a_resource_that_is(rows: psycopg.Connection, how: str) -> None:
    if how == "closed":
        _insert(rows, "resource_closures", ROWS["resource_closures"])
    else:
        rows.execute("UPDATE resources SET is_active = false WHERE id = %s", [_id(90)])

    _insert(rows, "appointment_resources", ROWS["appointment_resources"])

    held = rows.execute(
        "SELECT count(*) FROM appointment_resources WHERE resource_id = %s", [_id(90)]
    ).fetchone()
    assert held == (0,)


def test_without_the_exclusion_a_room_is_given_twice(rows: psycopg.Connection) -> None:
    """So nothing else in the database keeps two occasions out of one room."""
    rows.execute("ALTER TABLE appointment_resources DROP CONSTRAINT appointment_resources_excl")

    _insert(rows, "appointment_resources", ROWS["appointment_resources"] | {"resource_id": _id(91)})

    doubled = rows.execute(
        "SELECT count(*) FROM appointment_resources WHERE resource_id = %s AND occupying",
        [_id(91)],
    ).fetchone()
    assert doubled == (2,)


def test_occasion_is_what_the_domain_computes(rows: psycopg.Connection) -> None:
    for starts_at in (NINE, NINE + timedelta(microseconds=1), datetime(1969, 7, 20, tzinfo=UTC)):
        for type_id in (_id(58), None):
            found = rows.execute(
                "SELECT clinic_occasion(%s, %s, %s)", [_id(11), starts_at, type_id]
            ).fetchone()
            assert found == (occasion_of(_id(11), starts_at, type_id),)


def test_specialty_changed_changes_with_its_slots(rows: psycopg.Connection) -> None:
    rows.execute("UPDATE doctors_profiles SET specialty = 'Skin' WHERE user_id = %s", [_id(11)])

    copied = rows.execute("SELECT specialty FROM slots WHERE doctor_id = %s", [_id(11)]).fetchall()
    assert set(copied) == {("Skin",)}


def test_appointment_of_another_clinics_slot_is_refused(rows: psycopg.Connection) -> None:
    _insert(rows, "patients_profiles", {"clinic_id": TWO, "user_id": _id(10)})

    with pytest.raises(psycopg.errors.ForeignKeyViolation) as refused:
        _insert(rows, "appointments", ROWS["appointments"] | {"clinic_id": TWO})

    assert refused.value.diag.constraint_name == "appointments_place_fkey"


def _insert(connection: psycopg.Connection, table: str, row: Row) -> None:
    query = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, row)),
        sql.SQL(", ").join(map(sql.Placeholder, row)),
    )
    connection.execute(query, row)


def _top_name(connection: psycopg.Connection, error: psycopg.Error) -> str:
    """Return the constraint's name; for a partition's index, its parent's."""
    name = error.diag.constraint_name
    connection.rollback()
    found = connection.execute(
        """
        WITH RECURSIVE up (oid, height) AS (
            SELECT to_regclass(%s)::oid, 0
            UNION ALL
            SELECT inhparent, height + 1 FROM pg_inherits JOIN up ON inhrelid = up.oid
        )
        SELECT c.relname FROM up JOIN pg_class c USING (oid) ORDER BY height
        """,
        [name],
    ).fetchall()
    return str(found[-1][0])
