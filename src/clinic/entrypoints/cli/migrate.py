"""`clinic migrate`: bring the database's schema up to date."""

from clinic import bootstrap
from clinic.settings import settings_from_environment


def migrate() -> None:
    """Bring the database's schema up to date, as its owner (CLINIC_OWNER_URL).

    Safe to run several at once: one migrates, the others wait.
    """
    bootstrap.migrate(settings_from_environment())
    print("The schema is up to date.")
