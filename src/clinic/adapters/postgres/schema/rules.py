"""What no column or constraint says of a table: partitions, trails that only grow, triggers."""

#: tables divided by month, and the column that divides them
PARTITIONED = {"audit_appointment": "at", "audit_event": "at", "notification": "scheduled_for"}

#: tables whose rows are never changed
APPEND_ONLY = ("audit_appointment", "audit_event", "audit_seals", "notification")

#: of those, the text that an erasure may erase
ERASABLE = {"audit_appointment": "reason", "audit_event": "reason", "notification": "error"}

#: what no constraint can say, by table
TRIGGERS = {
    "slots": ("slots_keep_free", "slots_add_free", "slots_empty_free"),
    "doctors_profiles": ("doctors_profiles_name",),
    "patients_profiles": ("patients_profiles_disabled",),
    "users": ("users_rename_doctor", "users_disable_patient"),
    **{
        table: (
            f"{table}_no_change",
            f"{table}_no_truncate",
            *([f"{table}_salt"] if table in ERASABLE else []),
        )
        for table in APPEND_ONLY
    },
}
