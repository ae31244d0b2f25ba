"""PostgreSQL 15 and newer: where everything lives, and what decides every race."""

from clinic.adapters.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
