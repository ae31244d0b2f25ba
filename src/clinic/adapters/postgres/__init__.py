"""The store in PostgreSQL 15 and newer, whose locks and constraints decide every race.

`engine` runs the statements and `schema` describes the tables; each topic has its own folder, and
`store` and `unit_of_work` put them together.
"""

from clinic.adapters.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
