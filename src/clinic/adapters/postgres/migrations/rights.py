"""The rights of the application's and the sealer's roles: what their statements need, no more."""

import logging
from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text

from clinic.adapters.postgres.migrations.schema import quoted_schema
from clinic.adapters.postgres.schema import metadata
from clinic.adapters.postgres.schema.rules import APPEND_ONLY, ERASABLE

logger = logging.getLogger(__name__)

APP_ROLE = "clinic_app"

#: locking rows needs UPDATE. Partitions get no rights: they are accessed through their table alone
RIGHTS = {
    "alembic_version": "SELECT",
    "clinics": "SELECT, INSERT, UPDATE",
    "users": "SELECT, INSERT, UPDATE",
    "doctors_profiles": "SELECT, INSERT, UPDATE",
    "patients_profiles": "SELECT, INSERT, UPDATE",
    "sessions": "SELECT, INSERT, UPDATE, DELETE",
    "availabilities": "SELECT, INSERT, UPDATE, DELETE",
    "availability_exceptions": "SELECT, INSERT, UPDATE, DELETE",
    "closures": "SELECT, INSERT, UPDATE, DELETE",
    "leaves": "SELECT, INSERT, UPDATE, DELETE",
    "blocks": "SELECT, INSERT, UPDATE, DELETE",
    "added_places": "SELECT, INSERT, UPDATE, DELETE",
    # Never deleted, since appointments have had them, without a foreign key.
    "appointment_types": "SELECT, INSERT, UPDATE",
    "appointment_type_offers": "SELECT, INSERT, UPDATE, DELETE",
    # Never deleted, since appointments have been there.
    "locations": "SELECT, INSERT, UPDATE",
    # Never deleted, since appointments have had them.
    "resources": "SELECT, INSERT, UPDATE",
    "resource_closures": "SELECT, INSERT, DELETE",
    "appointment_type_needs": "SELECT, INSERT, DELETE",
    # The rest are copies, which triggers write with the owner's rights.
    "appointment_resources": "SELECT, DELETE,"
    " INSERT (clinic_id, appointment_id, resource_id, place)",
    "calendar_changes": "SELECT, INSERT, UPDATE",
    "calendar_work": "SELECT, INSERT, UPDATE, DELETE",
    # Whose and when a slot is, is never changed: appointments have a copy of it.
    "slots": "SELECT, INSERT, UPDATE (state, taken, location_id)",
    # Written by triggers on slots, with the owner's rights.
    "free_slots": "SELECT",
    "appointments": "SELECT, INSERT, UPDATE",
    "staff_profiles": "SELECT, INSERT, UPDATE",
    "membership_offers": "SELECT, INSERT, DELETE",
    # All columns but the transaction that wrote the row, by which seals are cut, and the salt and
    # the digest of its text. A trigger lets only erasures update the text.
    "audit_appointment": "SELECT, INSERT ({columns}), UPDATE (reason, reason_salt)",
    "audit_event": "SELECT, INSERT ({columns}), UPDATE (reason, reason_salt)",
    "erasures": "SELECT, INSERT, UPDATE, DELETE",
    "notification_outbox": "SELECT, INSERT, UPDATE, DELETE",
    "notification": "SELECT, INSERT ({columns}), UPDATE (error, error_salt)",
    "reminder_work": "SELECT, INSERT, UPDATE, DELETE",
    "notification_preferences": "SELECT, INSERT, UPDATE, DELETE",
    "idempotency_keys": "SELECT, INSERT, UPDATE, DELETE",
    "payments": "SELECT, INSERT, UPDATE",
    "maintenance_runs": "SELECT, INSERT, UPDATE",
    "change_feeds": "SELECT, INSERT, UPDATE, DELETE",
}
#: functions that run with their owner's rights
FUNCTIONS = ("clinic_make_next_partition()", "clinic_index_closed_months()")

#: the role that seals the trails: it reads them and writes nothing but seals
SEALER_ROLE = "clinic_sealer"
SEALER_RIGHTS = {
    "audit_appointment": "SELECT",
    "audit_event": "SELECT",
    "notification": "SELECT",
    "audit_seals": "SELECT, INSERT",
    "alembic_version": "SELECT",
}

_MAKE_ROLE = """
DO $$ BEGIN
    CREATE ROLE {role} NOLOGIN;
EXCEPTION
    -- Roles belong to the whole server: another database's migration may have been first.
    WHEN duplicate_object OR unique_violation OR insufficient_privilege THEN NULL;
END $$
"""


def ensure_role(connection: Connection, role: str, without: str) -> bool:
    """Make the role, without LOGIN, when it is missing; return whether it exists now.

    `without` ends the warning: what follows if the role does not exist.
    """
    if not _exists(connection, role):
        connection.execute(text(_MAKE_ROLE.format(role=_quoted(connection, role))))
    if _exists(connection, role):
        return True
    logger.warning(
        "The role %s does not exist and this user may not make roles, so nothing was granted to"
        " it. Make it as a superuser (CREATE ROLE %s LOGIN) and migrate again; until then %s.",
        role,
        role,
        without,
    )
    return False


def grant_rights(
    connection: Connection,
    role: str,
    rights: Mapping[str, str] = RIGHTS,
    functions: Sequence[str] = (),
) -> None:
    """Grant the role `rights` on the tables, and no others, and let it call the functions."""
    name = _quoted(connection, role)
    own_tables = """
        SELECT quote_ident(relname) FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
    """
    for table in connection.scalars(text(own_tables)).all():
        granted = rights.get(table)
        # Default privileges may have given the role rights that it must not have on the trails.
        changes = f"REVOKE ALL ON {table} FROM {name}"
        if granted:
            granted = granted.format(columns=_columns_to_write(table))
            changes += f"; GRANT {granted} ON {table} TO {name}"
        # Together, so that a running service does not lose its rights in between.
        connection.exec_driver_sql(changes)
    for table in APPEND_ONLY:
        connection.execute(text(f"REVOKE UPDATE, DELETE, TRUNCATE ON {table} FROM PUBLIC"))
    for function in functions:
        connection.execute(text(f"GRANT EXECUTE ON FUNCTION {function} TO {name}"))
    schema = quoted_schema(connection)
    connection.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO {name}"))


def _columns_to_write(table: str) -> str:
    """Return the columns of a trail that its writers may set."""
    if table not in metadata.tables:
        return ""
    made = {"xid", *(f"{ERASABLE.get(table)}_{kind}" for kind in ("salt", "digest"))}
    return ", ".join(column.name for column in metadata.tables[table].c if column.name not in made)


def _exists(connection: Connection, role: str) -> bool:
    query = text("SELECT count(*) FROM pg_roles WHERE rolname = :role")
    return bool(connection.scalar(query, {"role": role}))


def _quoted(connection: Connection, name: str) -> str:
    quoted: str = connection.scalars(text("SELECT quote_ident(:name)"), {"name": name}).one()
    return quoted
