"""Rules that no column or constraint expresses: partitions, append-only trails, triggers."""

#: tables partitioned by month, and the column that they are partitioned by
PARTITIONED = {"audit_appointment": "at", "audit_event": "at", "notification": "scheduled_for"}

#: tables whose rows are never changed, but for ERASABLE texts
APPEND_ONLY = ("audit_appointment", "audit_event", "audit_seals", "notification")

#: the text in each of them that an erasure may erase
ERASABLE = {"audit_appointment": "reason", "audit_event": "reason", "notification": "error"}

#: triggers by table, for what no constraint can express
TRIGGERS = {
    "slots": ("slots_keep_free", "slots_add_free", "slots_empty_free", "slots_calendar_lane"),
    "appointment_types": ("appointment_types_version",),
    "appointment_type_offers": ("appointment_type_offers_version",),
    "appointment_type_needs": ("appointment_type_needs_version",),
    "appointments": (
        "appointments_busy_added",
        "appointments_busy_moved",
        "appointments_keep_resources",
    ),
    "appointment_resources": ("appointment_resources_hold",),
    "doctors_profiles": ("doctors_profiles_name",),
    "patients_profiles": ("patients_profiles_disabled",),
    "users": ("users_rename_doctor", "users_disable_patient"),
    **{
        table: (
            f"{table}_no_change",
            f"{table}_no_truncate",
            *([f"{table}_salt"] if table in ERASABLE else []),
            *(["audit_event_blocks"] if table == "audit_event" else []),
        )
        for table in APPEND_ONLY
    },
}
