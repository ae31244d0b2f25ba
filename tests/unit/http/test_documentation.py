"""The documentation of the interface: OpenAPI, its page, and the list of problems."""

import json
import re
from dataclasses import fields
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from clinic.domain.clinic import Policy
from clinic.domain.errors import OperatorOnly, every_error
from clinic.entrypoints.http.api.examples import EXAMPLES
from clinic.entrypoints.http.api.people.clinic_schemas import PolicyIn, PolicyOut
from clinic.entrypoints.http.api.remedies import REMEDIES, errors_page
from clinic.entrypoints.http.app import ENDPOINTS
from clinic.entrypoints.http.kernel.endpoint import Condition, KeyPolicy
from clinic.entrypoints.http.kernel.problems import ABSTRACT, answered_errors

DOCS = Path(__file__).parents[3] / "docs"
REWRITE = "write it anew with: python -m clinic.entrypoints.http.write_docs docs"


@pytest.fixture
async def document(api):
    answer = await api.client.get("/schema/openapi.json")
    assert answer.status_code == 200
    return answer.json()


async def test_the_document_is_the_frozen_one(document):
    frozen = json.loads((DOCS / "openapi.json").read_text())

    assert document == frozen, REWRITE


async def test_the_document_is_openapi_3_1(document):
    """Structure only: every reference resolves, and every path parameter is declared."""
    assert document["openapi"] == "3.1.0"
    text = json.dumps(document)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', text)):
        there = document
        for step in reference.split("/"):
            assert step in there, reference
            there = there[step]
    ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            declared = {one["name"] for one in operation["parameters"] if one.get("in") == "path"}
            assert declared == set(re.findall(r"\{(\w+)\}", path))


#: answers with secrets are never stored (docs/decisions/025-no-keys-for-secrets.md)
WITHOUT_KEYS = ("Sessions", "Users", "GraphQL")


async def test_every_operation_declares_what_it_takes_and_answers(document):
    for one in ENDPOINTS:
        path = re.sub(r"\{(\w+)\}", lambda part: "{" + camel(part[1]) + "}", one.path)
        operation = document["paths"][path][one.method.lower()]
        references = [parameter.get("$ref", "") for parameter in operation["parameters"]]
        responses = operation["responses"]
        success = responses[str(one.says.status)]
        with_body = {one.says.status, *dict(one.says.also)} - {204}

        assert operation["summary"]
        assert operation["tags"]
        assert ("requestBody" in operation) == (one.body is not None)
        if one.body is not None:
            assert "example" in operation["requestBody"]["content"]["application/json"]
        if one.says.answers is not None:
            assert with_body
            for status in with_body:
                assert "example" in responses[str(status)]["content"]["application/json"]
        assert "content" not in responses.get("204", {})
        assert set(one.says.headers) <= set(success["headers"])
        previews = one.query is not None and "preview" in one.query.__struct_fields__
        key = "IdempotencyKeyUnlessPreview" if previews else "IdempotencyKey"
        required = f"#/components/parameters/{key}" in references
        creates = one.method == "POST" and one.says.tag not in WITHOUT_KEYS
        # Requests that are always refused need no key.
        creates = creates and OperatorOnly not in one.says.refuses
        assert required == (one.key is KeyPolicy.REQUIRED) == creates
        matched = "#/components/parameters/IfMatch" in references
        assert matched == (one.condition is Condition.IF_MATCH) == ("428" in responses)
        assert matched == ("412" in responses)
        if one.access.needs is not None:
            assert "401" in responses
        if one.access.needs is not None and one.body is not None:
            assert {"400", "413", "415"} <= set(responses)
        for status, response in responses.items():
            if int(status) >= 400 and "$ref" not in response:
                assert list(response["content"]) == ["application/problem+json"], (path, status)


async def test_successes_of_one_operation_are_told_apart(document):
    operations = [
        operation
        for methods in document["paths"].values()
        for method, operation in methods.items()
        if method != "parameters"
    ]

    said = [
        [answer["description"] for status, answer in each["responses"].items() if status < "300"]
        for each in operations
    ]

    assert max(map(len, said)) == 3
    assert [each for each in said if len({*each}) < len(each)] == []


async def test_every_shared_response_is_a_problem(document):
    for response in document["components"]["responses"].values():
        assert list(response["content"]) == ["application/problem+json"]


def camel(name):
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


@pytest.mark.parametrize("kind", EXAMPLES, ids=lambda kind: kind.__name__)
def test_every_example_is_what_it_stands_for(kind):
    value = msgspec.json.decode(msgspec.json.encode(EXAMPLES[kind]), type=kind)

    shown = json.loads(msgspec.json.encode(value))
    assert shown == {**shown, **EXAMPLES[kind]}


class Addresses(HTMLParser):
    """Collects what a page would load, and inline code."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.inline = []
        self._in_code = False

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href")]
        self.inline += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self._in_code = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._in_code = False

    def handle_data(self, data):
        if self._in_code and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("path", ["/schema", "/schema/swagger"])
async def test_the_page_loads_nothing_from_elsewhere(api, path):
    page = await api.client.get(path)
    addresses = Addresses()
    addresses.feed(page.text)

    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert len(addresses.found) == 4
    assert addresses.inline == []
    for address in addresses.found:
        assert address.startswith("/schema/static/")
        assert (await api.client.get(address)).status_code == 200
    policy = page.headers["content-security-policy"]
    assert "http" not in policy
    assert "default-src 'none'; script-src 'self';" in policy
    assert "connect-src 'self'" in policy


async def test_what_the_page_loads_asks_nobody_either(api):
    start = (await api.client.get("/schema/static/start.js")).text
    style = (await api.client.get("/schema/static/swagger-ui.css")).text

    assert "http" not in start.replace("/schema/openapi.json", "")
    assert "validatorUrl: null" in start
    assert re.findall(r"@import|url\((?!\"?data:)[^)]*", style) == []


async def test_a_static_file_is_kept_and_asked_for_by_its_tag(api):
    first = await api.client.get("/schema/static/swagger-ui.css")
    again = await api.client.get(
        "/schema/static/swagger-ui.css", headers={"if-none-match": first.headers["etag"]}
    )

    assert first.headers["cache-control"] == "public, max-age=86400"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("name", ["..%2Fapp.py", "../app.py", "%2e%2e", "LICENSE", "x"])
async def test_no_other_file_is_served(api, name):
    answer = await api.client.get(f"/schema/static/{name}")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_the_licence_is_beside_the_files():
    folder = Path(__file__).parents[3] / "src/clinic/entrypoints/http/static/swagger-ui"

    assert "Apache License" in (folder / "LICENSE").read_text()


def test_every_code_stands_in_the_list_and_no_other():
    codes = {error.code for error in every_error()} - ABSTRACT

    assert set(REMEDIES) == codes
    assert all(REMEDIES.values())
    assert (DOCS / "errors.md").read_text() == errors_page(), REWRITE


async def test_every_type_leads_to_a_page(api):
    for error in answered_errors():
        page = (await api.client.get(f"/problems/{error.code}")).json()

        assert page["code"] == error.code
        assert page["mend"] == REMEDIES[error.code]


def test_policy_goes_over_the_wire_as_it_is_in_the_domain() -> None:
    names = tuple(field.name for field in fields(Policy))

    assert PolicyIn.__struct_fields__ == names
    assert PolicyOut.__struct_fields__ == names
