"""Types of appointments over GraphQL, as REST says and does it."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from clinic.testing.builders import MORNING, a_slot, a_type, seed_slots, seed_type

from .conftest import Gql, a_key

TYPE = (
    "id name visibleMin beforeMin afterMin noticeMin horizonDays bookableBy"
    " offeredBy{doctorId visibleMin} instructions color needs default active"
)
PAYLOAD = f"{{appointmentType{{{TYPE}}} note errors{{code message pointer}} replayed}}"
DECLARED = (
    "$title:String $min:Int $before:Int $after:Int $notice:Int $horizon:Int $by:BookableBy"
    " $offers:[TypeOfferInput!] $instructions:String $color:String $needs:[String!]"
    " $default:Boolean $active:Boolean $reason:String"
)
GIVEN = (
    "beforeMin:$before afterMin:$after noticeMin:$notice horizonDays:$horizon bookableBy:$by"
    " offeredBy:$offers instructions:$instructions color:$color needs:$needs"
    " default:$default active:$active reason:$reason"
)
ADD = (
    f"mutation({DECLARED.replace('String', 'String!', 1).replace('Int', 'Int!', 1)} $key:String!)"
    f"{{addAppointmentType(name:$title visibleMin:$min idempotencyKey:$key {GIVEN}){PAYLOAD}}}"
)
CHANGE = (
    f"mutation($id:ID! {DECLARED} $key:String)"
    "{changeAppointmentType(id:$id name:$title visibleMin:$min idempotencyKey:$key"
    f" {GIVEN}){PAYLOAD}}}"
)
FULL: dict[str, Any] = {
    "title": "Check-up",
    "min": 40,
    "before": 5,
    "after": 10,
    "notice": 1440,
    "horizon": 30,
    "by": "KNOWN_PATIENTS",
    "instructions": "Bring your card.",
    "color": "#2f6fde",
    "default": True,
}


async def add(gql: Gql, who: str = "admin", **given: Any) -> Any:
    variables = {"title": "Check-up", "min": 30, "key": a_key(), **given}
    return (await gql.data(ADD, who=who, **variables))["addAppointmentType"]


async def change(gql: Gql, id: str, who: str = "admin", **given: Any) -> Any:
    return (await gql.data(CHANGE, who=who, id=id, **given))["changeAppointmentType"]


async def listed(gql: Gql, who: str = "admin") -> Any:
    return (await gql.data(f"{{appointmentTypes{{{TYPE}}}}}", who=who))["appointmentTypes"]


async def of_rest(gql: Gql, who: str = "admin") -> Any:
    items = (await gql.rest("/appointment-types", who=who))["items"]
    return [{**one, "bookableBy": one["bookableBy"].upper()} for one in items]


async def test_type_is_added_and_listed_as_rest_says(gql: Gql) -> None:
    offers = [{"doctorId": str(gql.world.doctor.id), "visibleMin": 20}]
    full = await add(gql, **FULL, offers=offers)
    bare = await add(gql, title="X-ray", by="STAFF", active=False)

    added = full["appointmentType"]
    assert (full["errors"], full["replayed"], full["note"]) == ([], False, None)
    assert added == {
        "id": added["id"],
        "name": "Check-up",
        "visibleMin": 40,
        "beforeMin": 5,
        "afterMin": 10,
        "noticeMin": 1440,
        "horizonDays": 30,
        "bookableBy": "KNOWN_PATIENTS",
        "offeredBy": offers,
        "instructions": "Bring your card.",
        "color": "#2f6fde",
        "needs": [],
        "default": True,
        "active": True,
    }
    assert await listed(gql) == await of_rest(gql) == [added, bare["appointmentType"]]
    assert await listed(gql, "patient") == await of_rest(gql, "patient") == [added]


async def test_offer_names_its_doctor(gql: Gql) -> None:
    await add(gql, offers=[{"doctorId": str(gql.world.colleague.id)}])

    data = await gql.data("{appointmentTypes{offeredBy{doctor{name}}}}", who="patient")

    assert data == {"appointmentTypes": [{"offeredBy": [{"doctor": {"name": "Dr Noor Khan"}}]}]}


async def test_key_repeated_adds_one_type(gql: Gql) -> None:
    key = a_key()

    first, again = [await add(gql, key=key) for _ in "12"]
    other = await add(gql, key=key, title="X-ray")

    assert again == {**first, "replayed": True}
    assert [one["code"] for one in other["errors"]] == ["idempotency_key_reused"]
    assert await listed(gql) == [first["appointmentType"]]


async def test_change_writes_the_given_arguments_and_null_clears(gql: Gql) -> None:
    added = (await add(gql, **FULL))["appointmentType"]
    offers = [{"doctorId": str(gql.world.doctor.id), "visibleMin": None}]

    for given, members in (
        ({"title": "X-ray", "min": 20}, {"name": "X-ray", "visibleMin": 20}),
        ({"offers": offers, "by": "STAFF"}, {"offeredBy": offers, "bookableBy": "STAFF"}),
        ({"offers": None, "notice": None}, {"offeredBy": None, "noticeMin": None}),
        ({"horizon": None, "color": None}, {"horizonDays": None, "color": None}),
        ({"instructions": None, "after": 0}, {"instructions": None, "afterMin": 0}),
        ({"default": False, "active": False}, {"default": False, "active": False}),
    ):
        changed = await change(gql, added["id"], **given)
        added = added | members
        assert (changed["appointmentType"], changed["errors"]) == (added, [])
    assert await listed(gql) == await of_rest(gql) == [added]


async def test_change_of_nothing_says_so(gql: Gql) -> None:
    added = (await add(gql))["appointmentType"]

    same = await change(gql, added["id"], title="Check-up")

    assert same == {
        "appointmentType": added,
        "note": "The type is the same as before.",
        "errors": [],
        "replayed": False,
    }


@pytest.mark.parametrize(
    "argument", ["title", "min", "before", "by", "default", "active", "reason"]
)
async def test_null_that_clears_nothing_is_refused(gql: Gql, argument: str) -> None:
    added = (await add(gql))["appointmentType"]

    null: dict[str, Any] = {argument: None}
    refused = await change(gql, added["id"], **null)

    names = {"title": "name", "min": "visibleMin", "before": "beforeMin", "by": "bookableBy"}
    assert [(one["code"], one["pointer"]) for one in refused["errors"]] == [
        ("invalid_input", names.get(argument, argument))
    ]
    assert await listed(gql) == [added]


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"title": "CHECK-UP"}, "type_name_in_use", None),
        ({"default": True}, "default_type_taken", None),
        ({"min": 151}, "type_too_long", "visibleMin"),
        ({"min": 4}, "invalid_input", "visibleMin"),
        ({"min": 480, "before": 240, "after": 1}, "invalid_input", "beforeMin"),
        ({"color": "blue"}, "invalid_input", "color"),
        ({"offers": [{"doctorId": str(UUID(int=7))}]}, "doctor_not_found", None),
        ({"offers": [{"doctorId": "x"}]}, "invalid_input", "offeredBy/0/doctorId"),
    ],
)
async def test_refusals_have_the_codes_of_rest(
    gql: Gql, given: dict[str, Any], code: str, pointer: str | None
) -> None:
    known = (await add(gql, default=True))["appointmentType"]
    other = (await add(gql, title="X-ray"))["appointmentType"]

    for payload in (
        await add(gql, **{"title": "CT", **given}),
        await change(gql, other["id"], **given),
    ):
        assert payload["appointmentType"] is None
        assert [(one["code"], one["pointer"]) for one in payload["errors"]] == [(code, pointer)]
    assert await listed(gql) == [known, other]


async def test_unknown_type_is_not_found(gql: Gql) -> None:
    for id_, code in ((str(UUID(int=7)), "appointment_type_not_found"), ("x", "invalid_input")):
        refused = await change(gql, id_, title="X-ray")
        assert [one["code"] for one in refused["errors"]] == [code]


@pytest.mark.parametrize("who", ["patient", "doctor", "receptionist"])
async def test_types_are_changed_by_admins_alone(gql: Gql, who: str) -> None:
    known = (await add(gql))["appointmentType"]

    for payload in (
        await add(gql, who, title="X-ray"),
        await change(gql, known["id"], who, title="X-ray"),
    ):
        assert [one["code"] for one in payload["errors"]] == ["permission_denied"]
    assert await listed(gql) == [known]


async def test_appointment_names_the_type_that_it_was_booked_as(gql: Gql) -> None:
    added = (await add(gql))["appointmentType"]
    answer = await gql.send(
        path="/appointments",
        who="patient",
        headers={"idempotency-key": a_key()},
        json={"slotId": str(gql.world.slots[0].id), "type": "check-UP"},
    )

    assert answer.status_code == 201, answer.text
    data = await gql.data("{appointments{edges{node{type typeId}}}}")
    (edge,) = data["appointments"]["edges"]
    assert edge["node"] == {"type": "Check-up", "typeId": added["id"]}


STARTS = (
    "query($d:ID $t:String $i:ID $n:Int $a:String){slots(doctorId:$d type:$t typeId:$i first:$n"
    " after:$a){edges{node{id}} pageInfo{hasNextPage endCursor}}}"
)
BOOK = (
    "mutation($s:ID! $k:String! $t:String $i:ID){bookAppointment(slotId:$s idempotencyKey:$k"
    " type:$t typeId:$i){appointment{type typeId duration} errors{code pointer types}}}"
)


async def test_pages_of_slots_of_a_type_lead_to_all(gql: Gql) -> None:
    """Given a type that fits in two places, between which a page looks at nothing that fits
    When the pages are read one after the other
    Then they lead to both, by the name of the type as by its id."""
    store, doctor = gql.services.store, gql.world.doctor
    # Each two hours apart, but for the last, to which one is added.
    later = [
        a_slot(doctor, MORNING + timedelta(days=1, hours=2 * number), minutes=20)
        for number in range(1_000)
    ]
    await seed_slots(store, *later, a_slot(doctor, later[-1].ends_at, minutes=20))
    kind = a_type(gql.world.clinic, "Long", 40, horizon_days=365)
    await seed_type(store, kind, a_type(gql.world.clinic, "Short", 20))

    found: dict[str, list[str]] = {}
    for variables in ({"t": "LONG"}, {"i": str(kind.id)}):
        ids, page, after = [], {"hasNextPage": True}, None
        while page["hasNextPage"]:
            asked = {"d": str(doctor.id), "n": 4, "a": after, **variables}
            data = (await gql.data(STARTS, who="patient", **asked))["slots"]
            page = data["pageInfo"]
            after = page["endCursor"]
            ids += [each["node"]["id"] for each in data["edges"]]
        found[str(variables)] = ids

    path = f"/slots?doctor={doctor.id}&type=Long&limit=4"
    rest = [each["id"] for each in (await gql.rest(path))["items"]]
    both = [str(slot.id) for slot in (*gql.world.slots[:4], later[-1])]
    assert rest == both[:4]
    assert [*found.values()] == [both, both]


async def test_type_is_booked_by_name_or_id(gql: Gql) -> None:
    kind = a_type(gql.world.clinic, "Long", 60)
    await seed_type(gql.services.store, kind)
    slots = [str(slot.id) for slot in gql.world.slots]

    async def book(slot: int, **variables: Any) -> Any:
        asked = {"s": slots[slot], "k": a_key(), **variables}
        return (await gql.data(BOOK, who="patient", **asked))["bookAppointment"]

    by_name, by_id = await book(0, t="long"), await book(2, i=str(kind.id))
    unknown = await book(4, t="Anything")
    both = await book(4, t="Long", i=str(kind.id))

    booked = {"type": "Long", "typeId": str(kind.id), "duration": 60}
    assert by_name == by_id == {"appointment": booked, "errors": []}
    assert unknown["errors"] == [{"code": "unknown_type", "pointer": "type", "types": ["Long"]}]
    assert both["errors"] == [{"code": "invalid_input", "pointer": "typeId", "types": None}]
