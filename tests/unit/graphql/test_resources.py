"""Rooms and equipment over GraphQL, as REST says them."""

from clinic.testing.builders import a_resource, a_type, seed_resource, seed_type

from .conftest import Gql, a_key

FIELDS = "id kind name capacity locationId active"
BOOK = (
    "mutation($s:ID! $key:String!){bookAppointment(slotId:$s idempotencyKey:$key)"
    "{appointment{resources{id name kind}} errors{code}}}"
)


async def test_resources_and_who_has_them_are_those_of_rest(gql: Gql) -> None:
    rooms = [a_resource(gql.world.clinic), a_resource(gql.world.clinic, "chair", "Chair 1")]
    await seed_resource(gql.services.store, *rooms)
    kind = a_type(gql.world.clinic, needs=("room",), is_default=True)
    await seed_type(gql.services.store, kind)

    entered = (await gql.rest("/resources", who="doctor"))["items"]
    assert (await gql.data(f"{{resources{{{FIELDS}}}}}", who="doctor"))["resources"] == entered
    of_kind = await gql.data(f'{{resources(kind:"Room"){{{FIELDS}}}}}', who="receptionist")
    assert of_kind["resources"] == entered[:1]
    booked = await gql.data(BOOK, who="patient", s=str(gql.world.slots[0].id), key=a_key())

    want = [{"id": str(rooms[0].id), "name": "Room 1", "kind": "room"}]
    assert booked["bookAppointment"] == {"appointment": {"resources": want}, "errors": []}
    [read] = (await gql.rest("/appointments"))["items"]
    assert read["resources"] == want


async def test_patients_see_no_list_of_rooms(gql: Gql) -> None:
    errors = await gql.errors(f"{{resources{{{FIELDS}}}}}", who="patient")

    assert errors == [("permission_denied", ["resources"])]
