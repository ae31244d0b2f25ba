"""Runs of the maintenance services."""

from sqlalchemy import (
    Table,
    text,
)

from clinic.adapters.postgres.schema.base import check, id_, instant, int_, key, metadata, text_

# One row for each maintenance service, which covers all clinics.
maintenance_runs = Table(
    "maintenance_runs",
    metadata,
    text_("service"),
    id_("token", nullable=True),
    instant("started_at", nullable=True),
    instant("lease_until", nullable=True),
    instant("succeeded_at", nullable=True),
    int_("duration_ms", nullable=True),
    int_("row_count", nullable=True),
    int_("failures", default=text("0")),
    key("maintenance_runs_pkey", "service"),
    check("maintenance_runs_service_length", "char_length(service) BETWEEN 1 AND 50"),
    check("maintenance_runs_lease", "(token IS NULL) = (lease_until IS NULL)"),
    check("maintenance_runs_counts_range", "duration_ms >= 0 AND row_count >= 0 AND failures >= 0"),
)
