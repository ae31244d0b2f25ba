"""Clinics as rows, and rows as clinics."""

from dataclasses import fields, replace
from functools import lru_cache
from typing import Any
from uuid import UUID

from clinic.adapters.postgres.engine.mapping import AnyRow, Columns, Layout, Values, of_table
from clinic.domain.clinic import Clinic, Policy
from clinic.domain.contact import Contact

_POLICY = tuple(field.name for field in fields(Policy))

#: columns of clinics `c` for clinic_of. Each field of Policy is a column with its name.
CLINIC = of_table("c", "name", "time_zone", *_POLICY)

#: rises with each change of the clinic's types; 0 as long as it has had none
TYPES_VERSION = Columns(types_version="c.types_version")

#: further columns, which only messages, pages and settings need
CONTACT = of_table("c", *(field.name for field in fields(Contact)))

WHOLE_CLINIC = Layout(CLINIC, CONTACT)

#: the position of a list, which cannot be part of the key of the cache of clinics
_LEADS = CLINIC.names.index("reminder_leads_min")


def clinic_of(clinic_id: UUID, part: AnyRow) -> Clinic:
    """Return the clinic from the columns of CLINIC."""
    return _clinic(clinic_id, (*part[:_LEADS], tuple(part[_LEADS]), *part[_LEADS + 1 :]))


def whole_clinic_of(clinic_id: UUID, clinic: AnyRow, contact: AnyRow) -> Clinic:
    """Return the clinic from the columns of CLINIC and of CONTACT."""
    return replace(clinic_of(clinic_id, clinic), contact=Contact(**CONTACT.named(contact)))


# Nearly every request needs one, and there are few of them.
@lru_cache(maxsize=256)
def _clinic(clinic_id: UUID, values: tuple[Any, ...]) -> Clinic:
    named = CLINIC.named(values)
    policy = Policy(**{name: named[name] for name in _POLICY})
    return Clinic(clinic_id, named["name"], named["time_zone"], policy)


def clinic_values(clinic: Clinic) -> Values:
    """Return the clinic's row."""
    values: Values = {"id": clinic.id, "name": clinic.name, "time_zone": clinic.time_zone}
    values |= {name: getattr(clinic.policy, name) for name in _POLICY}
    values["reminder_leads_min"] = list(clinic.policy.reminder_leads_min)
    return values | {name: getattr(clinic.contact, name) for name in CONTACT.names}
