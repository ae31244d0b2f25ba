"""REST and GraphQL share each user's limits on reads and changes."""

import pytest

from clinic.settings import Settings

from .conftest import Gql, a_key

QUERY = "{me{id}}"
CANCEL = 'updateStatus(id:"%s" status:CANCELLED reason:"x"){errors{code} appointment{id}}'


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="error", read_limit="8/60", write_limit="6/60")


def cancels(*ids: str) -> str:
    return "mutation{" + " ".join(f"a{n}:{CANCEL % id}" for n, id in enumerate(ids)) + "}"


async def rest_change(gql: Gql, who: str = "patient") -> int:
    return (
        await gql.send("PATCH", who=who, path="/users/me", json={"name": "Somebody"})
    ).status_code


async def test_reads_are_counted_together(gql: Gql) -> None:
    codes = []
    for _ in range(4):
        codes.append((await gql.ask(QUERY, who="patient")).status_code)
        codes.append((await gql.send("GET", who="patient", path="/users/me")).status_code)
    query = await gql.ask(QUERY, who="patient")
    rest = await gql.send("GET", who="patient", path="/users/me")

    assert codes == [200] * 8
    assert (query.status_code, rest.status_code) == (429, 429)
    assert query.json()["code"] == "quota_exceeded"
    assert query.json()["violated-policies"] == ["read"]
    assert query.headers["ratelimit"].startswith('"read";r=0;')


async def test_changes_are_counted_together_each_mutation_once(gql: Gql) -> None:
    ids = [(await gql.book(slot))["id"] for slot in range(3)]

    answer = await gql.ask(cancels(*ids[:2]), who="patient")

    # Three bookings over REST, two mutations of one document.
    assert answer.status_code == 200
    assert answer.headers["ratelimit-policy"] == '"write";q=6;w=60'
    assert answer.headers["ratelimit"].startswith('"write";r=1;t=')
    assert await rest_change(gql) == 200
    assert await rest_change(gql) == 429
    assert (await gql.ask(cancels(ids[2]), who="patient")).status_code == 429


async def test_a_document_with_more_mutations_than_are_left_is_refused_whole(gql: Gql) -> None:
    ids = [(await gql.book(slot))["id"] for slot in range(4)]

    refused = await gql.ask(cancels(*ids[:3]), who="patient")
    listed = await gql.rest("/appointments?status=BOOKED", who="patient")
    allowed = await gql.ask(cancels(*ids[:2]), who="patient")

    assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    assert refused.json()["violated-policies"] == ["write"]
    assert refused.headers["ratelimit"].startswith('"write";r=2;t=')
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert {each["id"] for each in listed["items"]} == set(ids)
    assert allowed.status_code == 200
    assert allowed.headers["ratelimit"].startswith('"write";r=0;')


@pytest.mark.parametrize(
    ("query", "changes"),
    [
        ("mutation{%s}", 1),
        ("mutation{a:%s b:%s c:%s}", 3),
        ("mutation{...f b:%s}fragment f on Mutation{a:%s}", 2),
        ("mutation{...on Mutation{a:%s ...{b:%s}}}", 2),
        ("mutation{a:%s@skip(if:true) b:%s@include(if:true)}", 2),
        ("mutation($no:Boolean=false){...f@include(if:$no)}fragment f on Mutation{a:%s b:%s}", 2),
        # The same field under one name runs once.
        ("mutation{%s %s}", 1),
        ("mutation{...f ...f}fragment f on Mutation{a:%s}", 1),
        ("mutation{__typename a:%s}", 1),
        ("mutation{__typename}", 0),
    ],
)
async def test_mutations_are_counted_as_they_might_run(gql: Gql, query: str, changes: int) -> None:
    field = 'updateStatus(id:"0199f0a0-0000-7000-8000-00000000000a" status:CONFIRMED)'
    text = query.replace("%s@", f"{field}@").replace("%s", field)
    for at in ("@skip(if:true)", "@include(if:true)"):
        text = text.replace(f"{field}{at}", f"{field} {at}")
    parts = text.split(field)
    directives = [part.split(")")[0] + ")" if part.startswith(" @") else "" for part in parts[1:]]
    text = parts[0]
    for part, directive in zip(parts[1:], directives, strict=True):
        text += field + directive + "{errors{code}}" + part.removeprefix(directive)

    answer = await gql.ask(text, who="patient")

    assert answer.status_code == 200, answer.text
    assert answer.headers["ratelimit"].startswith(f'"write";r={6 - changes};')


async def test_whose_budget_is_used_up_is_somebody_elses_matter(gql: Gql) -> None:
    for _ in range(7):
        await rest_change(gql)

    assert await rest_change(gql) == 429
    assert await rest_change(gql, who="other") == 200
    booked = await gql.send(
        who="other",
        path="/appointments",
        headers={"idempotency-key": a_key()},
        json={"slotId": str(gql.world.slots[0].id)},
    )
    assert booked.status_code == 201
