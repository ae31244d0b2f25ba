"""Checks that the role the service connects as does not have the owner's rights."""

from clinic.adapters.postgres.checks.check_failure import CheckFailure
from clinic.adapters.postgres.engine.connections import connect_blocking
from clinic.adapters.postgres.engine.errors import translated

REMEDY = (
    "make a role of its own for the service (CREATE ROLE clinic_app LOGIN PASSWORD …), put it into"
    " CLINIC_DATABASE_URL and the owner into CLINIC_OWNER_URL, and run clinic migrate"
)


def check_app_role(url: str) -> list[CheckFailure]:
    """Return what is wrong with the role that the service connects as.

    Raises TemporaryFailure.
    """
    query = """
        SELECT current_user, rolsuper, EXISTS (
            SELECT FROM pg_class
            WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')
              AND pg_has_role(current_user, relowner, 'USAGE')
        )
        FROM pg_roles WHERE rolname = current_user
    """
    with translated(), connect_blocking(url) as connection:
        user, is_superuser, is_owner = connection.execute(query).fetchall()[0]
    if is_superuser:
        return [CheckFailure(f"the service signs in as {user}, a superuser", REMEDY)]
    if is_owner:
        return [CheckFailure(f"the service signs in as {user}, who owns the tables", REMEDY)]
    return []
