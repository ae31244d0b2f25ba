"""Locations over GraphQL, as REST says and does it."""

from typing import Any

from .conftest import Gql, a_key

LOCATION = "id name address directions phone country subdivision active"
PAYLOAD = f"{{location{{{LOCATION}}} slotsOpened{{added}} note errors{{code pointer}} replayed}}"
ADD = (
    "mutation($title:String! $address:String $directions:String $phone:String $country:String"
    " $part:String $key:String!){addLocation(name:$title address:$address directions:$directions"
    f" phone:$phone country:$country subdivision:$part idempotencyKey:$key){PAYLOAD}}}"
)
CHANGE = (
    "mutation($id:ID! $title:String $country:String $active:Boolean $key:String)"
    "{changeLocation(id:$id name:$title country:$country active:$active idempotencyKey:$key)"
    f"{PAYLOAD}}}"
)
HARBOUR: dict[str, Any] = {
    "title": "Harbour branch",
    "address": "1 Quay Street",
    "directions": "Ring twice.",
    "phone": "+441174960000",
    "country": "DE",
    "part": "BE",
}


async def add(gql: Gql, who: str = "admin", **given: Any) -> Any:
    variables = {"key": a_key(), **given}
    return (await gql.data(ADD, who=who, **variables))["addLocation"]


async def test_location_is_added_changed_and_listed(gql: Gql) -> None:
    key = a_key()
    added = await add(gql, **HARBOUR, key=key)
    again = await add(gql, **HARBOUR, key=key)

    location = added["location"]
    shown = {name: HARBOUR[name] for name in ("address", "directions", "phone", "country")}
    expected = {"name": "Harbour branch", **shown, "subdivision": "BE", "active": True}
    assert location == {"id": location["id"], **expected}
    assert (added["errors"], added["replayed"], again["replayed"]) == ([], False, True)
    for who in ("admin", "patient"):
        found = await gql.data(f"{{locations{{{LOCATION}}}}}", who=who)
        assert found["locations"] == [location]

    named = {"id": location["id"], "title": "Quay"}
    changed = (await gql.data(CHANGE, who="admin", **named))["changeLocation"]
    same = (await gql.data(CHANGE, who="admin", **named))["changeLocation"]
    moved = (await gql.data(CHANGE, who="admin", id=location["id"], country=None))["changeLocation"]

    assert changed["location"] == {**location, "name": "Quay"}
    assert same["note"] == "The location is the same as before."
    assert (moved["location"]["country"], moved["location"]["subdivision"]) == (None, None)
    assert moved["slotsOpened"] == {"added": 0}


async def test_refusals_are_those_of_rest(gql: Gql) -> None:
    await add(gql, title="Quay")

    codes = [
        (await add(gql, title="QUAY"))["errors"][0]["code"],
        (await add(gql, title="Mill", country="XX"))["errors"][0],
        (await add(gql, title="Mill", who="doctor"))["errors"][0]["code"],
    ]

    unknown = {"code": "unknown_holiday_calendar", "pointer": "country"}
    assert codes == ["location_name_in_use", unknown, "permission_denied"]
