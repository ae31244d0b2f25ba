"""The schema as SQLAlchemy Core tables, by topic; migrations make it, and a test compares the two.

Every key includes the clinic's id, so that no row can refer to another clinic's rows and the schema
can be distributed by clinic. Constraint names have at most 50 characters; engine/errors.py
recognizes conflicts by them.
"""

# This is the order of `metadata`: a table comes after those that it refers to.
# isort: off
from clinic.adapters.postgres.schema import people as people
from clinic.adapters.postgres.schema import locations as locations
from clinic.adapters.postgres.schema import calendar as calendar
from clinic.adapters.postgres.schema import closings as closings
from clinic.adapters.postgres.schema import appointment_types as appointment_types
from clinic.adapters.postgres.schema import appointments as appointments
from clinic.adapters.postgres.schema import resources as resources
from clinic.adapters.postgres.schema import audit as audit
from clinic.adapters.postgres.schema import maintenance as maintenance
from clinic.adapters.postgres.schema import messaging as messaging
from clinic.adapters.postgres.schema import idempotency as idempotency
from clinic.adapters.postgres.schema import payments as payments
from clinic.adapters.postgres.schema.base import metadata as metadata
