"""The published schema, verbatim."""

import ast
from enum import Enum
from pathlib import Path

import pytest
from graphql import GraphQLObjectType, print_type

from clinic.domain.appointments.appointments import Status
from clinic.domain.appointments.types import BookableBy
from clinic.domain.calendar.slots import SlotState
from clinic.domain.people.people import Role
from clinic.entrypoints.http.graphql import appointment_types, compiled, types
from clinic.entrypoints.http.graphql.schema import CORE

APPOINTMENT = """\
type Appointment {
  id: ID!
  patientName: String!
  doctorName: String!
  date: String!
  time: String!
  duration: Int!
  type: String
  status: String!
}"""
GET_APPOINTMENTS = "  getAppointments(doctor: String, date: String): [Appointment]!"
SEED_QUERY = """\
query {
  getAppointments {
    id
    patientName
    doctorName
    date
    time
    duration
    type
    status
  }
}"""


def test_appointment_is_printed_as_published() -> None:
    assert print_type(CORE.type_map["Appointment"]) == APPOINTMENT


def test_get_appointments_is_printed_as_published() -> None:
    assert CORE.query_type is not None

    assert GET_APPOINTMENTS in print_type(CORE.query_type).splitlines()


def test_appointment_record_says_all_that_appointment_says() -> None:
    published, whole = CORE.type_map["Appointment"], CORE.type_map["AppointmentRecord"]
    assert isinstance(published, GraphQLObjectType)
    assert isinstance(whole, GraphQLObjectType)

    assert {name: str(field.type) for name, field in published.fields.items()}.items() <= {
        name: str(field.type) for name, field in whole.fields.items()
    }.items()


@pytest.mark.parametrize(
    ("ours", "domain"),
    [
        (types.AppointmentStatus, list(Status)),
        (types.SlotStatus, [SlotState.OPEN, SlotState.BLOCKED]),
        (appointment_types.BookableBy, list(BookableBy)),
        (types.UserRole, [role for role in Role if role is not Role.SYSTEM]),
    ],
)
def test_enums_are_the_domains(ours: type[Enum], domain: list[Enum]) -> None:
    assert [each.value for each in ours] == [each.value for each in domain]


def test_every_status_has_its_text() -> None:
    assert {status.value: text for status, text in types.STATUS_TEXTS.items()} == {
        "BOOKED": "Scheduled",
        "CONFIRMED": "Confirmed",
        "ARRIVED": "Arrived",
        "COMPLETED": "Completed",
        "CANCELLED": "Cancelled",
        "NO_SHOW": "No-show",
        "HELD": "Held",
        "EXPIRED": "Expired",
    }


def test_compiled_is_small_and_knows_graphql_core_alone() -> None:
    source = Path(compiled.__file__).read_text()
    imported = {
        (node.module or "") if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }

    assert len(source.splitlines()) < 150
    assert {name.partition(".")[0] for name in imported} == {
        "asyncio",
        "collections",
        "graphql",
        "inspect",
        "operator",
        "typing",
    }
