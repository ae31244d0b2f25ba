"""The limits on one document."""

import pytest
from graphql import OperationDefinitionNode, build_schema, parse

from clinic.entrypoints.http.graphql.documents import CACHED_MAX, Documents, Refusal
from clinic.entrypoints.http.graphql.limits import DEPTH_MAX, LimitExceeded, check_limits

from .conftest import Gql
from .test_schema import SEED_QUERY

FIELDS = "id patientName doctorName date time duration type status"
RECORD = "edges{cursor node{id state startsAt doctor{id name}}}"


def _aliases(number: int) -> str:
    return "{" + " ".join(f"a{n}:__typename" for n in range(number)) + "}"


def _tokens(number: int) -> str:
    """Return a valid query of so many tokens; the document's end counts as one."""
    return "{appointments(status:[" + "BOOKED " * (number - 15) + "]){edges{cursor}}}"


def _nested(depth: int) -> str:
    return "{" + "a{" * depth + "a" + "}" * depth + "}"


REFUSED = {
    "aliases": (_aliases(11), "too_many_aliases"),
    "aliases in fragments": (
        "{...f}fragment f on Query{" + " ".join(f"a{n}:__typename" for n in range(11)) + "}",
        "too_many_aliases",
    ),
    "tokens": (_tokens(1001), "too_many_tokens"),
    "a page beyond the cost": (
        "query($n:Int){"
        + " ".join(f"a{n}:appointments(first:$n){{{RECORD}}}" for n in range(10))
        + "}",
        "too_costly",
    ),
    "three schedules": (
        "{" + " ".join(f"a{n}:getAppointments{{{FIELDS}}}" for n in range(3)) + "}",
        "too_costly",
    ),
    "cost in fragments": (
        "{a:getAppointments{...f}b:getAppointments{...f}c:getAppointments{...f}}"
        f"fragment f on Appointment{{{FIELDS}}}",
        "too_costly",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_document_beyond_a_limit_is_422(gql: Gql, name: str) -> None:
    query, code = REFUSED[name]

    answer = await gql.ask(query)

    assert answer.status_code == 422, answer.text
    assert [each["extensions"]["code"] for each in answer.json()["errors"]] == [code]


@pytest.mark.parametrize(
    "query",
    [
        SEED_QUERY,
        _aliases(10),
        _tokens(1000),
        f"{{a:getAppointments{{{FIELDS}}}b:getAppointments{{{FIELDS}}}}}",
        f"{{appointments(first:100){{{RECORD} pageInfo{{hasNextPage endCursor}}}}}}",
        f"query($n:Int){{appointments(first:$n){{{RECORD}}}}}",
        "{appointments{edges{node{doctor{name}}}}}",
    ],
)
async def test_document_within_the_limits_is_answered(gql: Gql, query: str) -> None:
    assert (await gql.ask(query)).status_code == 200


@pytest.mark.parametrize(
    "query",
    [
        "{a{a{a{a{a{a{__typename}}}}}}}",
        "{a{...f}}fragment f on Query{a{a{a{a{a{__typename}}}}}}",
        "{a{...on Query{a{a{a{a{a{__typename}}}}}}}}",
        "{a{...{a{a{a{a{a{__typename}}}}}}}}",
    ],
)
def test_depth_is_bounded(query: str) -> None:
    # Our schema does not nest that deep yet; a later one would be limited.
    schema, document = build_schema("type Query { a: Query }"), parse(query)
    operation = document.definitions[0]
    assert isinstance(operation, OperationDefinitionNode)

    with pytest.raises(LimitExceeded) as told:
        check_limits(schema, document, operation, introspection=False)

    assert (told.value.code, told.value.message) == (
        "too_deep",
        f"Fields may nest {DEPTH_MAX} deep, not {DEPTH_MAX + 1}.",
    )


@pytest.mark.parametrize("depth", [50, 180, 300])
async def test_document_that_nests_without_end_is_told(gql: Gql, depth: int) -> None:
    answer = await gql.ask(_nested(depth))

    assert answer.status_code in (400, 422)
    assert answer.json()["errors"][0]["extensions"]["code"] in (
        "invalid_document",
        "too_deep",
        "too_many_tokens",
        "syntax_error",
    )


async def test_fragments_that_double_are_measured_once_each(gql: Gql) -> None:
    doubling = "".join(f"fragment f{n} on Query{{...f{n + 1} ...f{n + 1}}}" for n in range(40))

    answer = await gql.ask("{...f0}" + doubling + "fragment f40 on Query{__typename}")

    assert answer.status_code == 422
    assert "1,099,511,627,776" in answer.json()["errors"][0]["message"]


PAGES = [f"a{n}:appointments(first:100){{{RECORD}}}" for n in range(10)]
ALL = " ".join(PAGES)
SKIPPED = "slots(first:-1)@skip(if:true){edges{node{id doctor{id name}}}}"
COSTLY = {
    "pages": f"{{{ALL}}}",
    "skip": "{" + " ".join(page.replace("){", ")@skip(if:true){", 1) for page in PAGES) + "}",
    "include": "{"
    + " ".join(page.replace("){", ")@include(if:false){", 1) for page in PAGES)
    + "}",
    "a variable": f"query($no:Boolean=false){{...@include(if:$no){{{ALL}}} me{{id}}}}",
    "a fragment": f"query($yes:Boolean!){{...f @skip(if:$yes)}} fragment f on Query{{{ALL}}}",
    "one fragment often": "{...f ...f ...f ...f} fragment f on Query{" + " ".join(PAGES[:3]) + "}",
    "a default": f"query($n:Int=1){{{ALL.replace('100', '$n')}}}",
}


@pytest.mark.parametrize("name", COSTLY)
async def test_cost_is_what_the_document_could_ask_for(gql: Gql, name: str) -> None:
    answer = await gql.ask(COSTLY[name], yes=True)

    assert answer.status_code == 422, answer.text
    assert [each["extensions"]["code"] for each in answer.json()["errors"]] == ["too_costly"]


async def test_nothing_costs_less_than_nothing(gql: Gql) -> None:
    answer = await gql.ask(f"{{{ALL} {SKIPPED}}}")

    assert answer.status_code == 422, answer.text
    assert answer.json()["errors"][0]["extensions"]["code"] == "invalid_document"


async def test_wrong_documents_are_not_kept(gql: Gql) -> None:
    documents = Documents(introspection=False)
    for number in range(CACHED_MAX + 10):
        documents.prepare(f"{{a{number}:__typename}}", None)
        with pytest.raises(Refusal):
            documents.prepare(f"{{a{number}}}", None)

    assert documents.prepare.cache_info().currsize == CACHED_MAX
