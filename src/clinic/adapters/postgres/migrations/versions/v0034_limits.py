"""Limits on a patient's bookings, a grace for cancelling, undone changes in the trail, and clinics
whose reminders are to be planned again."""

from clinic.adapters.postgres.migrations.online import briefly, online

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

_ADD_COLUMNS = """
ALTER TABLE clinics
    ADD COLUMN IF NOT EXISTS max_open_per_doctor INTEGER,
    ADD COLUMN IF NOT EXISTS max_bookings_per_day INTEGER,
    ADD COLUMN IF NOT EXISTS cancel_grace_min INTEGER DEFAULT 0 NOT NULL
"""

_CHECKS = {
    "clinics_max_per_doctor_range": "max_open_per_doctor BETWEEN 1 AND 1000",
    "clinics_max_per_day_range": "max_bookings_per_day BETWEEN 1 AND 1000",
    "clinics_cancel_grace_range": "cancel_grace_min BETWEEN 0 AND 1440",
}

_ACTIONS = "action IN ('BOOK', 'CHANGE_STATUS', 'RESCHEDULE', 'SWAP', 'UNDO')"

_REMINDER_WORK = """
CREATE TABLE IF NOT EXISTS reminder_work (
    clinic_id UUID NOT NULL,
    changed_at TIMESTAMP WITH TIME ZONE NOT NULL,
    after_at TIMESTAMP WITH TIME ZONE,
    after_id UUID,
    CONSTRAINT reminder_work_pkey PRIMARY KEY (clinic_id),
    CONSTRAINT reminder_work_clinic_fkey FOREIGN KEY (clinic_id) REFERENCES clinics (id),
    CONSTRAINT reminder_work_place_whole CHECK ((after_at IS NULL) = (after_id IS NULL))
)
"""


def upgrade() -> None:
    """Add columns with their defaults, which the previous release ignores, and let the trail have
    one more action; nothing is rewritten."""
    with online():
        briefly(_ADD_COLUMNS)
        for name, condition in _CHECKS.items():
            _replace_check("clinics", name, condition)
        _replace_check("audit_appointment", "audit_appointment_action_known", _ACTIONS)
        briefly(_REMINDER_WORK)


def _replace_check(table: str, name: str, condition: str) -> None:
    # In one statement, so that no row gets past it; and validated by itself, since reading every
    # row takes long.
    briefly(
        f"ALTER TABLE {table} DROP CONSTRAINT IF EXISTS {name},"
        f" ADD CONSTRAINT {name} CHECK ({condition}) NOT VALID"
    )
    briefly(f"ALTER TABLE {table} VALIDATE CONSTRAINT {name}")
