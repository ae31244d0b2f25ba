"""Repeated headers: joined if they are lists, refused if only one is allowed."""

import pytest

from clinic.settings import Settings

ONCE = {
    "Authorization": b"Bearer x",
    "Content-Length": b"2",
    "Content-Type": b"application/json",
    "Host": b"clinic.test",
    "Origin": b"http://clinic.test",
    "Sec-Fetch-Site": b"same-origin",
    "X-Csrf-Token": b"x",
}


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="error", trusted_proxies="127.0.0.1", anonymous_limit="8/60")


def pairs(api, *more, who="patient"):
    """Return the headers of `who`, followed by more."""
    return [*((k.encode(), v.encode()) for k, v in api.bearer(who).items()), *more]


@pytest.mark.parametrize("is_same", [True, False])
@pytest.mark.parametrize("name", ONCE)
async def test_a_header_that_may_stand_once_is_refused_twice_and_changes_nothing(
    api, name, is_same
):
    value = ONCE[name]
    twice = [(name.lower().encode(), each) for each in (value, value if is_same else value + b"1")]
    bearer = [] if name == "Authorization" else pairs(api)
    body = b'{"name": "Eve"}'

    answer = await api.client.patch("/users/me", content=body, headers=[*bearer, *twice])

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "bad_request")
    assert problem["errors"] == [{"parameter": name, "detail": f"Send {name} once."}]
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == problem["requestId"]
    assert (await api.send("GET", "/users/me")).json()["name"] != "Eve"


async def test_requests_with_repeated_headers_are_counted_by_their_network(api):
    sent = [(b"host", b"a"), (b"host", b"b"), (b"x-forwarded-for", b"203.0.113.9")]

    codes = [(await api.client.get("/users/me", headers=sent)).status_code for _ in range(9)]
    other = await api.client.get("/users/me", headers=sent[:2])

    assert codes == [400] * 8 + [429]
    assert other.status_code == 400


async def test_a_key_is_sent_once(api):
    body = {"slotId": str(api.world.slots[0].id)}
    keys = [(b"idempotency-key", b"k" * 20), (b"idempotency-key", b"k" * 20)]

    answer = await api.client.post("/appointments", json=body, headers=pairs(api, *keys))

    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_malformed")


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ([b'"7"', b'"1"'], 200),
        ([b'"7"', b'"8"'], 412),
        ([b"*", b'"1"'], 400),
        ([b"*", b"*"], 400),
    ],
)
async def test_conditions_are_one_list(api, tags, status):
    booked = await api.book()
    conditions = [(b"if-match", tag) for tag in tags]
    body = {"status": "CANCELLED", "reason": "Well again"}

    answer = await api.client.patch(
        f"/appointments/{booked['id']}", json=body, headers=pairs(api, *conditions)
    )

    assert answer.status_code == status


async def test_forwarded_addresses_are_one_list(api):
    booked = await api.book()
    hops = [(b"x-forwarded-for", hop) for hop in (b"1.2.3.4", b"203.0.113.9, 127.0.0.1")]
    await api.client.get(f"/appointments/{booked['id']}", headers=pairs(api, *hops))
    await api.services.audit.flush()

    [event, *_] = (await api.send("GET", "/audit?action=read", who="admin")).json()["items"]

    assert event["ip"] == "203.0.113.9"


async def test_kept_ids_are_sent_once(api):
    ids = [(b"x-request-id", b"one"), (b"x-request-id", b"two")]

    answer = await api.client.get("/users/me", headers=pairs(api, *ids))

    assert answer.status_code == 200
    assert "," not in answer.headers["x-request-id"]
