"""Random documents over the clinic's own schema: compiled and stock results are the same."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import graphql as g
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from clinic.domain.appointments.types import BookableBy, Offer
from clinic.domain.calendar.changes import CalendarChange
from clinic.domain.people.people import Actor, Role, system_actor
from clinic.entrypoints.http.graphql.compiled import NotPlain
from clinic.entrypoints.http.graphql.context import QueryContext
from clinic.entrypoints.http.graphql.documents import Documents, Prepared, Refusal
from clinic.entrypoints.http.graphql.handler import execute, execute_stock, told
from clinic.entrypoints.http.graphql.requests import GraphqlRequest
from clinic.entrypoints.http.graphql.schema import CORE
from clinic.entrypoints.http.kernel.request_context import RequestContext
from clinic.testing.builders import (
    MORNING,
    NOW,
    a_block,
    a_closure,
    a_leave,
    a_location,
    a_place,
    a_type,
)
from clinic.usecases.appointments.types import add_type
from clinic.usecases.calendar.added_places import add_place
from clinic.usecases.calendar.blocks import add_block
from clinic.usecases.calendar.closures import add_closure
from clinic.usecases.calendar.leaves import add_leave
from clinic.usecases.calendar.locations import add_location

from .conftest import Gql, canonical, selections

DAY = MORNING.date()
HEAD = "query($d:String $n:Int $a:String $i:ID $s:SlotFilter $x:[AppointmentStatus!])"
CHANGE = UUID("01a20000-0000-7000-8000-000000000001")
ARGUMENTS = {
    "getAppointments": [
        "",
        "(doctor:$d)",
        '(date:"2026-11-24")',
        '(date:$d doctor:"Dr Noor Khan")',
    ],
    "doctors": ["", "(first:1)", "(first:$n after:$a)", '(specialty:"general")', "(specialty:$d)"],
    "slots": [
        "",
        "(first:3)",
        "(status:$s first:2)",
        "(doctorId:$i)",
        '(from:"2026-11-24T10:00Z")',
    ],
    "leaves": ["", "(doctorId:$i)"],
    "addedPlaces": ["", "(doctorId:$i)"],
    "blocks": ["", "(doctorId:$i)", '(from:"2026-11-24T10:00Z")'],
    "calendarChange": [f'(id:"{CHANGE}")', '(id:"01a20000-0000-7000-8000-000000000000")'],
    "appointments": ["", "(first:$n)", "(status:[BOOKED])", "(status:$x after:$a)", "(date:$d)"],
}
VARIABLES = st.fixed_dictionaries(
    {},
    optional={
        "d": st.sampled_from([None, "dr grace hill", "nobody", "2026-11-24", "General"]),
        "n": st.sampled_from([None, 0, 1, 2, 100]),
        "a": st.sampled_from([None, "x"]),
        "i": st.sampled_from([None, "x", "7"]),
        "s": st.sampled_from([None, "OPEN", "ALL", "BLOCKED"]),
        "x": st.sampled_from([None, [], ["CANCELLED"], ["BOOKED", "CONFIRMED"]]),
    },
)
assert CORE.query_type is not None
_NAMES = {id(field): name for name, field in CORE.query_type.fields.items()}
DOCUMENTS = selections(
    CORE.query_type, 4, lambda field: ARGUMENTS.get(_NAMES.get(id(field), ""), [""])
).map(lambda text: f"{HEAD}{{{text}}}")
RULES = [rule for rule in g.specified_rules if rule is not g.NoUnusedVariablesRule]


def _prepared(text: str) -> Prepared:
    """Return the document; unused variables are allowed here."""
    used = {name for name in "dnaisx" if f":${name}" in text}
    declared = [part for part in HEAD[len("query(") : -1].split() if part[1] in used]
    head = f"query({' '.join(declared)})" if declared else "query"
    try:
        return Documents(introspection=True).prepare(head + text.removeprefix(HEAD), None)
    except Refusal:
        assume(False)
        raise


async def _world(gql: Gql) -> None:
    if (await gql.data("{getAppointments{id}}"))["getAppointments"]:
        return
    for slot in range(3):
        await gql.book(slot, who=("patient", "other")[slot % 2])
    clinic, doctor = gql.world.clinic, gql.world.doctor
    change = CalendarChange(
        CHANGE, clinic.id, "add_closure", "closure", CHANGE, CHANGE, NOW, DAY, DAY, doctors=0
    )
    context = gql.services.context(system_actor(clinic.id))
    offers = Offer(doctor.id, 20), Offer(gql.world.colleague.id)
    await add_type(context, a_type(clinic, offered_by=offers))
    await add_type(context, a_type(clinic, "X-ray", bookable_by=BookableBy.STAFF))
    branch = a_location(clinic, country="DE")
    await add_location(context, branch, contacts=gql.services.contacts)
    await add_leave(context, a_leave(doctor, DAY))
    await add_block(context, a_block(gql.world.colleague, reason="Call"))
    evening = MORNING + timedelta(hours=9)
    await add_place(context, a_place(gql.world.colleague, evening, reason="Dressing"))
    await add_closure(context, a_closure(clinic, DAY + timedelta(days=7)))
    async with gql.services.store.begin() as unit:
        await unit.calendar_changes.add(change, [])
        await unit.commit()


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    text=DOCUMENTS, variables=VARIABLES, who=st.sampled_from(["receptionist", "patient", "doctor"])
)
async def test_any_document_gets_the_answer_of_the_stock_execution(
    gql: Gql, text: str, variables: dict[str, Any], who: str
) -> None:
    await _world(gql)
    prepared = _prepared(text)
    assert prepared.document.loc is not None
    asked = GraphqlRequest(prepared.document.loc.source.body, variables)

    def context() -> QueryContext:
        return QueryContext(_call(gql), gql.services, _actor(gql, who), prepared.document)

    try:
        data, errors = await execute(prepared, asked, context())
    except Refusal:
        return
    stock_data, stock_errors = await execute_stock(asked, context())

    ours = {"data": data, "errors": [told(error, _call(gql)) for error in errors]}
    stock = {"data": stock_data, "errors": [told(error, _call(gql)) for error in stock_errors]}
    assert canonical(ours) == canonical(stock)
    assert prepared.plan is not None
    if not stock_errors:
        await _answers_itself(prepared, asked, context())


async def _answers_itself(prepared: Prepared, asked: GraphqlRequest, context: QueryContext) -> None:
    """Assert that the plan alone produces a result without errors."""
    from graphql.execution.values import get_variable_values

    definitions = prepared.operation.variable_definitions or ()
    variables = get_variable_values(CORE, definitions, asked.variables or {})
    assert not isinstance(variables, list)
    assert prepared.plan is not None
    try:
        await prepared.plan.execute(variables, context)
    except NotPlain as error:
        raise AssertionError("a plain answer was left to Strawberry") from error


def _actor(gql: Gql, who: str) -> Actor:
    ids = {
        "receptionist": (gql.world.patients[2].id, Role.RECEPTIONIST),
        "patient": (gql.world.patients[0].id, Role.PATIENT),
        "doctor": (gql.world.doctor.id, Role.DOCTOR),
    }
    user_id, role = ids[who]
    return Actor(user_id, role, gql.world.clinic.id)


class _Guard:
    """Records nothing."""

    def note_refusal(self, *_: object) -> None: ...


def _call(gql: Gql) -> RequestContext:
    nothing: Any = None
    guard: Any = _Guard()
    return RequestContext(
        "POST", "/graphql", {}, nothing, gql.services, nothing, guard, "request-1", {}
    )
