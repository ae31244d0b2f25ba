"""GraphQL over HTTP: every line of the status table."""

from typing import Any
from urllib.parse import quote, urlencode

import pytest

from clinic.settings import Settings

from .conftest import GRAPHQL, Gql
from .test_schema import SEED_QUERY

MUTATION = 'mutation{updateStatus(id:"x",status:BOOKED){replayed}}'


def _body(query: Any, **more: Any) -> dict[str, Any]:
    return {"json": {"query": query, **more}}


JSON = {"content-type": "application/json"}
#: the request, its status and code
REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "no JSON": ({"content": b"{", "headers": JSON}, 400, "malformed_json"),
    "no UTF-8": ({"content": b'{"query":"\xff"}', "headers": JSON}, 400, "malformed_json"),
    "nothing": ({"content": b"", "headers": JSON}, 400, "malformed_json"),
    "no GraphQL": (_body("{"), 400, "syntax_error"),
    "empty document": (_body(""), 400, "syntax_error"),
    "no query": ({"json": {}}, 422, "malformed_request"),
    "misspelt": ({"json": {"qeury": "{me{id}}"}}, 422, "malformed_request"),
    "query a number": (_body(7), 422, "malformed_request"),
    "variables a list": (_body("{me{id}}", variables=[7]), 422, "malformed_request"),
    "extensions text": (_body("{me{id}}", extensions="x"), 422, "malformed_request"),
    "name a number": (_body("{me{id}}", operationName=7), 422, "malformed_request"),
    "text": ({"json": "x"}, 422, "malformed_request"),
    "batch": ({"json": [{"query": "{me{id}}"}]}, 422, "batch_refused"),
    "unknown field": (_body("{me{secret}}"), 422, "invalid_document"),
    "no such type of argument": (_body("{getAppointments(date:7){id}}"), 422, "invalid_document"),
    "no such operation": (_body("query a{me{id}}", operationName="b"), 422, "unknown_operation"),
    "which operation": (_body("query a{me{id}} query b{me{id}}"), 422, "unknown_operation"),
    "subscription": (_body("subscription{me{id}}"), 422, "invalid_document"),
    "wrong variable": (
        _body("query($d:String){getAppointments(date:$d){id}}", variables={"d": 7}),
        422,
        "invalid_variables",
    ),
    "missing variable": (
        _body("query($f:DateTime!){slots(from:$f){edges{cursor}}}"),
        422,
        "invalid_variables",
    ),
    "no instant": (_body('{slots(from:"soon"){edges{cursor}}}'), 422, "invalid_document"),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_refused_request_is_told_by_status_and_code(gql: Gql, name: str) -> None:
    sent, status, code = REFUSED[name]

    answer = await gql.send(**sent)

    assert (answer.status_code, answer.headers["content-type"]) == (status, GRAPHQL)
    assert {each["extensions"]["code"] for each in answer.json()["errors"]} == {code}
    assert "data" not in answer.json()


async def test_good_query_is_answered(gql: Gql) -> None:
    answer = await gql.send(json={"query": SEED_QUERY})

    assert (answer.status_code, answer.headers["content-type"]) == (200, GRAPHQL)
    assert answer.json() == {"data": {"getAppointments": []}}
    assert answer.headers["cache-control"] == "no-store"


async def test_unknown_properties_are_ignored(gql: Gql) -> None:
    body = {"query": "{__typename}", "extensions": {}, "id": 7, "documentId": "x"}

    answer = await gql.send(json=body)

    assert (answer.status_code, answer.json()) == (200, {"data": {"__typename": "Query"}})


async def test_operation_is_chosen_by_name(gql: Gql) -> None:
    answer = await gql.ask("query a{__typename} query b{b:__typename}", name="b")

    assert answer.json() == {"data": {"b": "Query"}}


async def test_error_beside_data_is_294(gql: Gql) -> None:
    answer = await gql.ask('{me{name} getAppointments(date:"2026-02-30"){id}}')

    assert answer.status_code == 294
    assert answer.json() == {
        "data": None,
        "errors": [
            {
                "message": "Write a date as YYYY-MM-DD.",
                "locations": [{"line": 1, "column": 11}],
                "path": ["getAppointments"],
                "extensions": {"code": "invalid_input", "pointer": "date"},
            }
        ],
    }


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (None, GRAPHQL),
        ("", GRAPHQL),
        ("*/*", GRAPHQL),
        ("application/*", GRAPHQL),
        (GRAPHQL, GRAPHQL),
        (f"{GRAPHQL}; charset=utf-8", GRAPHQL),
        ("application/json", "application/json"),
        (f"application/json, {GRAPHQL}", GRAPHQL),
        (f"{GRAPHQL};q=0.5, application/json", "application/json"),
        (f"{GRAPHQL};q=0, */*;q=0.1", "application/json"),
        ("text/html, */*;q=0.1", GRAPHQL),
    ],
)
async def test_accept_decides_the_media_type(gql: Gql, accept: str | None, media_type: str) -> None:
    headers = {} if accept is None else {"accept": accept}
    if accept is None:
        del gql.client.headers["accept"]

    answer = await gql.send(json={"query": "{__typename}"}, headers=headers)

    assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)


@pytest.mark.parametrize("accept", ["text/html", f"{GRAPHQL};q=0", "*/*;q=0", "application/xml"])
async def test_accept_of_nothing_we_have_is_406(gql: Gql, accept: str) -> None:
    answer = await gql.send(json={"query": "{__typename}"}, headers={"accept": accept})

    assert answer.status_code == 406
    assert answer.json()["code"] == "not_acceptable"


async def test_plain_json_client_is_told_200_with_errors_and_4xx_without_data(gql: Gql) -> None:
    accept = {"accept": "application/json"}

    partial = await gql.send(json={"query": '{getAppointments(date:""){id}}'}, headers=accept)
    refused = await gql.send(json={"query": "{"}, headers=accept)

    assert (partial.status_code, partial.headers["content-type"]) == (200, "application/json")
    assert partial.json()["data"] is None
    assert (refused.status_code, refused.headers["content-type"]) == (400, GRAPHQL)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/graphql", "application/json; charset=latin-1", ""]
)
async def test_other_bodies_are_415(gql: Gql, content_type: str) -> None:
    headers = {"content-type": content_type} if content_type else {}

    answer = await gql.send(content=b'{"query":"{__typename}"}', headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


async def test_oversize_body_is_413(gql: Gql) -> None:
    answer = await gql.send(json={"query": "{__typename}", "pad": "x" * 70_000})

    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


async def test_query_by_get_is_answered(gql: Gql) -> None:
    sent = {
        "query": "query a($d:String){getAppointments(date:$d){id}}",
        "variables": '{"d":"2026-11-24"}',
        "operationName": "a",
        "extensions": "{}",
        "unknown": "1",
    }

    answer = await gql.send("GET", path=f"/graphql?{urlencode(sent)}")

    assert (answer.status_code, answer.json()) == (200, {"data": {"getAppointments": []}})


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("", 422, "malformed_request"),
        ("query=%7B", 400, "syntax_error"),
        ("query=%7Bme%7Bid%7D%7D&variables=%7B", 400, "malformed_json"),
        ("query=%7Bme%7Bid%7D%7D&variables=7", 422, "malformed_request"),
        ("query=%FF", 400, "malformed_request"),
    ],
)
async def test_bad_query_by_get_is_told(gql: Gql, query: str, status: int, code: str) -> None:
    answer = await gql.send("GET", path=f"/graphql?{query}")

    assert (answer.status_code, answer.headers["content-type"]) == (status, GRAPHQL)
    assert answer.json()["errors"][0]["extensions"]["code"] == code


async def test_mutation_by_get_is_405(gql: Gql) -> None:
    answer = await gql.send("GET", path=f"/graphql?{urlencode({'query': MUTATION})}")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert answer.json()["code"] == "method_not_allowed"


async def test_other_methods_are_405(gql: Gql) -> None:
    answer = await gql.send("PUT", json={"query": "{__typename}"})

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS, POST")


@pytest.mark.parametrize("token", [None, "Bearer x", "Basic eDp5"])
async def test_nobody_is_401(gql: Gql, token: str | None) -> None:
    headers = {"authorization": token} if token else {}

    answer = await gql.send(who=None, json={"query": "{__typename}"}, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_fault_of_our_own_is_masked(gql: Gql, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("secret of the database")

    monkeypatch.setattr(gql.services.store.appointments, "schedule", fail)

    answer = await gql.ask("{getAppointments{id}}")

    assert answer.status_code == 294
    assert answer.json() == {
        "data": None,
        "errors": [
            {
                "message": "Something went wrong on our side.",
                "locations": [{"line": 1, "column": 2}],
                "path": ["getAppointments"],
                "extensions": {"code": "internal_error"},
            }
        ],
    }


async def test_suggestions_are_not_made(gql: Gql) -> None:
    answers = [
        await gql.ask("{getAppointment{id}}"),
        await gql.ask("query($s:SlotFilter){slots(status:$s){edges{cursor}}}", s="OPE"),
        await gql.ask("{slots(status:OPE){edges{cursor}}}"),
    ]

    assert [answer.status_code for answer in answers] == [422] * 3
    assert not any("Did you mean" in answer.text for answer in answers)


class TestProduction:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(
            log_level="error", environment="production", secret="a-secret-of-this-test-" * 2
        )

    @pytest.mark.parametrize(
        "query",
        [
            "{__schema{types{name}}}",
            '{a:__type(name:"Me"){name}}',
            "{...f} fragment f on Query{__schema{types{name}}}",
        ],
    )
    async def test_introspection_is_off(self, gql: Gql, query: str) -> None:
        answer = await gql.ask(query)

        assert answer.status_code == 422
        assert answer.json()["errors"][0]["extensions"]["code"] == "introspection_off"

    async def test_typename_is_answered(self, gql: Gql) -> None:
        assert await gql.data("{__typename}") == {"__typename": "Query"}


class TestIntrospectionSwitched:
    @pytest.fixture(params=["on", "off"])
    def settings(self, request: pytest.FixtureRequest) -> Settings:
        # Unlike the environment's default.
        return Settings(
            log_level="error",
            environment="production" if request.param == "on" else "development",
            secret="a-secret-of-this-test-" * 2,
            graphql_introspection=request.param,
        )

    async def test_introspection_is_as_the_setting_says(self, gql: Gql) -> None:
        answer = await gql.ask("{__schema{types{name}}}")

        is_on = gql.services.settings.graphql_introspection == "on"
        assert answer.status_code == (200 if is_on else 422)


async def test_introspection_is_on_in_development(gql: Gql) -> None:
    from graphql import build_client_schema, get_introspection_query, print_schema

    from clinic.entrypoints.http.graphql.schema import CORE

    data = await gql.data(get_introspection_query())

    assert print_schema(build_client_schema(data)) == print_schema(CORE)


@pytest.mark.parametrize(
    "body",
    [
        rb'{"query":"{me{id}}","query":"{me{name}}"}',
        rb'{"query":"{me{id}}","q\u0075ery":"{me{name}}"}',
        rb'{"query":"query($d:String){getAppointments(doctor:$d){id}}","variables":{"d":"a","d":"b"}}',
        rb'{"query":"query($d:String){getAppointments(doctor:$d){id}}",'
        rb'"variables":{"d":"a","\u0064" : "b"}}',
        rb'{"query":"{me{id}}","variables":{"x":[{"a":1,"a":2}]}}',
        rb'{"query":"{me{id}}","extensions":{"a":1,"a":2}}',
        rb'{"query":"{me{id}}","unknown":{"a":1,"a":2}}',
    ],
)
async def test_a_member_that_stands_twice_is_refused(gql, body):
    answer = await gql.send(content=body, headers={"content-type": "application/json"})

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (400, "malformed_json")
    assert "twice" in error["message"]


@pytest.mark.parametrize(
    "body",
    [
        rb'{"query":"{me{id}}"}',
        rb'{"query":"{me{id}}","operationName":null,"variables":null,"extensions":null}',
        rb'{"query" : "{me{id}}" , "other":{"a":[{"b":1},{"b":2}]},"variables":{"x":{"y":1}}}',
        rb'{"query":"{me{id} #\"a\":\n}","variables":{"a":"\":"}}',
    ],
)
async def test_members_that_stand_once_are_accepted(gql, body):
    answer = await gql.send(content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("query={me{id}}&query={me{name}}", "malformed_request"),
        ('query={me{id}}&variables={"a":1,"a":2}', "malformed_json"),
    ],
)
async def test_a_parameter_that_stands_twice_is_refused(gql, query, code):
    answer = await gql.send("GET", path=f"/graphql?{quote(query, safe='=&')}")

    (error,) = answer.json()["errors"]
    assert (answer.status_code, error["extensions"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("query", "variables", "near"),
    [
        ("{appointments(status:[BOKED]){edges{cursor}}}", {}, "BOOKED"),
        ('{appointments(status:["BOOKED"]){edges{cursor}}}', {}, None),
        (
            "query($s:[AppointmentStatus!]){appointments(status:$s){edges{cursor}}}",
            {"s": ["BOOKED", "no show"]},
            "NO_SHOW",
        ),
        (
            "query($s:[AppointmentStatus!]){appointments(status:$s){edges{cursor}}}",
            {"s": [3]},
            None,
        ),
    ],
)
async def test_a_word_that_an_enumeration_has_not_is_refused_with_those_it_has(
    gql, query, variables, near
):
    answer = await gql.ask(query, **variables)

    (error,) = answer.json()["errors"]
    assert answer.status_code == 422
    assert (
        "write one of: HELD, BOOKED, CONFIRMED, ARRIVED, COMPLETED, CANCELLED, NO_SHOW, EXPIRED"
        in error["message"]
    )
    assert error["message"].endswith(f"; did you mean {near}?" if near else "EXPIRED.")


async def test_a_specialty_is_found_however_it_was_typed(gql):
    for specialty in ("General ", " general", "General\u3000"):
        data = await gql.data(
            "query($s:String){doctors(specialty:$s){edges{node{name}}} slots(specialty:$s)"
            "{edges{cursor}}}",
            s=specialty,
        )
        assert data["doctors"]["edges"] != []
        assert data["slots"]["edges"] != []
