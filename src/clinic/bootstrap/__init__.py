"""The composition root: chooses the adapter of each port, and builds the services from them."""

from clinic.bootstrap.checks import (
    check_mail,
    database_faults,
    is_mail_password_in_clear,
    mail_fault,
    queue_faults,
    why_broker_unreachable,
    why_database_unreachable,
)
from clinic.bootstrap.database import migrate, seal_book
from clinic.bootstrap.registry import ENTRY_POINT_GROUP
from clinic.bootstrap.services import CannotStart, Services, build, in_memory
from clinic.bootstrap.system import shown_phone, system_clock, zone_data
from clinic.bootstrap.worker import WorkerServices, build_worker

__all__ = [
    "ENTRY_POINT_GROUP",
    "CannotStart",
    "Services",
    "WorkerServices",
    "build",
    "build_worker",
    "check_mail",
    "database_faults",
    "in_memory",
    "is_mail_password_in_clear",
    "mail_fault",
    "migrate",
    "queue_faults",
    "seal_book",
    "shown_phone",
    "system_clock",
    "why_broker_unreachable",
    "why_database_unreachable",
    "zone_data",
]
