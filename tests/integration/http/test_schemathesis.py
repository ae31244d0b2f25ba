"""Whatever the interface's own document allows is sent, as each role: no server error, no answer
that the document does not know."""

from datetime import UTC, datetime

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import checks

from clinic.bootstrap import build
from clinic.domain.people import Role
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.tokens import issue_token
from clinic.settings import Settings

ROLES = ("patient", "doctor", "receptionist", "admin", None)
EXAMPLES = 6
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
