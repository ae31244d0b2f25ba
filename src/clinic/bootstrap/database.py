"""Connects to the database as its owner or as the sealer of its audit trail."""

from clinic.bootstrap.registry import check_postgres_url, scheme_of
from clinic.ports.audit import SealBook
from clinic.settings import Settings, SettingsError


def seal_book(settings: Settings) -> SealBook:
    """Return the seals over the database's audit trail, as its sealer.

    Raises SettingsError for a database that keeps none.
    """
    if scheme_of(settings.sealing_url) != "postgresql":
        raise SettingsError("CLINIC_DATABASE_URL: only postgresql:// has a trail to seal.")
    from clinic.adapters.postgres.audit.seal_book import PostgresSealBook

    return PostgresSealBook(settings.sealing_url)


def migrate(settings: Settings) -> None:
    """Bring the database's schema up to date, as its owner.

    Raises SettingsError for a database without a schema, TemporaryFailure when it cannot be
    reached.
    """
    if scheme_of(settings.migration_url) != "postgresql":
        raise SettingsError("CLINIC_DATABASE_URL: only postgresql:// has a schema to migrate.")
    from clinic.adapters.postgres.migrations import migrate as migrate_postgres

    variable = "CLINIC_OWNER_URL" if settings.owner_url else "CLINIC_DATABASE_URL"
    check_postgres_url(variable, settings.migration_url)
    migrate_postgres(settings.migration_url)
