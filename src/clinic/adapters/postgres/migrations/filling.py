"""Lists open and free slots in a table, while the service goes on."""

from alembic import op
from sqlalchemy import TextClause, text

#: rows whose slots are locked together, so that a booking waits for milliseconds
BATCH = 2_000
_NIL = "00000000-0000-0000-0000-000000000000"


def filling(table: str) -> TextClause:
    """Return what lists one batch beyond a slot, and gives the last one's clinic and id.

    The lock waits for whoever is changing a slot, and reads what they made of it.
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
    """List every open and free slot that is not in `table` yet; triggers keep the others true."""
    one_batch = filling(table)
    place = {"clinic_id": _NIL, "id": _NIL}
    while found := op.get_bind().execute(one_batch, place | {"batch": BATCH}).first():
        place = {"clinic_id": found.clinic_id, "id": found.id}
