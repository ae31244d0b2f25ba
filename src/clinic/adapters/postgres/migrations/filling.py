"""Lists open and free slots in a table while the service keeps running."""

from sqlalchemy import TextClause, text

from clinic.adapters.postgres.migrations.online import fill_in

#: slots that are locked together, few enough for a booking to wait only milliseconds
BATCH = 2_000


def filling(table: str) -> TextClause:
    """Return the statement that lists the batch after a slot, and selects its last clinic and id.

    The lock waits for transactions that are changing a slot, and reads what they wrote.
    """
    return text(
        f"""
    WITH batch AS (
        SELECT clinic_id, id, doctor_id, specialty, starts_at, ends_at FROM slots
        WHERE state = 'OPEN' AND NOT taken
          AND (clinic_id, id) > (CAST(:clinic_id AS uuid), CAST(:id AS uuid))
        ORDER BY clinic_id, id LIMIT :batch FOR SHARE
    ),
    filled AS (
        INSERT INTO {table} (clinic_id, id, doctor_id, specialty, starts_at, ends_at)
        SELECT * FROM batch ON CONFLICT DO NOTHING
    )
    SELECT clinic_id, id FROM batch ORDER BY clinic_id DESC, id DESC LIMIT 1
    """
    )


def fill(table: str) -> None:
    """List every open and free slot not yet in `table`; triggers keep listed ones up to date."""
    fill_in(filling(table), BATCH)
