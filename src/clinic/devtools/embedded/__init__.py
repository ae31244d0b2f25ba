"""A real PostgreSQL and a real Valkey from wheels, for the demo, the benchmark and the tests."""

from clinic.devtools.embedded.errors import (
    AlreadyInUse,
    EmbeddedServiceError,
    NotInstalled,
    NotRunning,
    StartFailed,
)
from clinic.devtools.embedded.postgres import EmbeddedPostgres, Role
from clinic.devtools.embedded.services import (
    EmbeddedServices,
    default_data_dir,
    embedded_services,
)
from clinic.devtools.embedded.valkey import EmbeddedValkey

__all__ = [
    "AlreadyInUse",
    "EmbeddedPostgres",
    "EmbeddedServiceError",
    "EmbeddedServices",
    "EmbeddedValkey",
    "NotInstalled",
    "NotRunning",
    "Role",
    "StartFailed",
    "default_data_dir",
    "embedded_services",
]
