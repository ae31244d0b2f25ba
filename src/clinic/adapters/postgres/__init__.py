"""PostgreSQL 15 and newer: where everything lives, and what decides every race.

Statements reach it through `engine`, its tables are in `schema`; each topic has a folder of its
own, and `store` and `unit_of_work` put them together.
"""

from clinic.adapters.postgres.store import PostgresStore

__all__ = ["PostgresStore"]
