"""Limits on requests, and the audit trail of refusals and reads."""

import re
from dataclasses import replace

import msgspec
import pytest

from clinic.domain.errors import TemporaryFailure
from clinic.domain.paging import PageRequest
from clinic.entrypoints.http.kernel.cookies import NAME
from clinic.ports.audit import EventQuery
from clinic.settings import Settings
from clinic.testing.builders import an_event
from clinic.usecases.audit.audit_buffer import REFUSE_AFTER_S
from clinic.usecases.people.sign_in import NOBODY_ID

PASSWORD = "seven quiet otters"
WRONG = {"email": "nobody@example.org", "password": "wrong password"}


@pytest.fixture
def settings() -> Settings:
    return Settings(
        log_level="error",
        fast_passwords=True,
        sign_in_limit="5/60",
        account_limit="3/60",
        register_limit="4/60",
        read_limit="6/60",
        write_limit="3/60",
        anonymous_limit="8/60",
    )


class DeadCounter:
    async def hit(self, limit, key, times=1):
        raise TemporaryFailure

    async def close(self):
        """Do nothing."""


def put(services, **changed):
    """Replace parts of the services."""
    for name, value in changed.items():
        object.__setattr__(services, name, value)


async def events(api, **filters):
    await api.services.audit.flush()
    query = replace(EventQuery(api.world.clinic.id), **filters)
    return list(await api.services.store.audit_log.events(query, PageRequest(200)))


# --- limits


async def test_reads_tell_what_is_left_and_the_one_beyond_is_refused(api):
    answers = [await api.send("GET", "/users/me") for _ in range(7)]

    assert [answer.status_code for answer in answers] == [200] * 6 + [429]
    assert answers[0].headers["ratelimit-policy"] == '"read";q=6;w=60'
    assert answers[0].headers["ratelimit"].startswith('"read";r=5;t=')
    refused = answers[-1]
    problem = refused.json()
    assert refused.headers["content-type"] == "application/problem+json"
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["violated-policies"] == ["read"]
    assert problem["code"] == "quota_exceeded"
    wait_s = int(refused.headers["retry-after"])
    assert 0 < wait_s <= 60
    assert refused.headers["ratelimit"] == f'"read";r=0;t={wait_s}'


async def test_one_users_requests_are_counted_apart_from_anothers_and_reads_from_writes(api):
    for _ in range(7):
        await api.send("GET", "/users/me")

    assert (await api.send("GET", "/users/me")).status_code == 429
    assert (await api.send("GET", "/users/me", who="doctor")).status_code == 200
    assert (await api.send("PATCH", "/users/me", {"name": "New"})).status_code == 200


async def test_writes_are_limited_and_change_nothing_beyond(api):
    names = ["One", "Two", "Three", "Four"]
    answers = [await api.send("PATCH", "/users/me", {"name": name}) for name in names]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert (await api.send("GET", "/users/me")).json()["name"] == "Three"


async def test_sign_ins_are_limited_by_address(api):
    codes = [
        (
            await api.client.post("/sessions", json={**WRONG, "email": f"n{number}@example.org"})
        ).status_code
        for number in range(7)
    ]

    assert codes == [401] * 5 + [429] * 2


async def test_sign_ins_to_one_account_are_limited_wherever_they_come_from(api):
    emails = [
        "nobody@example.org",
        "Nobody@Example.org",
        " nobody@example.org",
        "nobodY@example.org",
    ]
    answers = [
        await api.client.post("/sessions", json={**WRONG, "email": email}) for email in emails
    ]

    assert [answer.status_code for answer in answers] == [401, 401, 401, 429]
    assert answers[-1].json()["violated-policies"] == ["account"]


class TestBehindAProxy:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, trusted_proxies="127.0.0.1")

    async def codes(self, api, method, path, addresses, **more):
        """Return the codes of responses to requests from these addresses."""
        return [
            (
                await api.client.request(method, path, headers={"x-forwarded-for": one}, **more)
            ).status_code
            for one in addresses
        ]

    @pytest.mark.parametrize(
        "spelled",
        [
            [f"2001:db8:1:2:{n:x}::{n:x}" for n in range(1, 8)],
            [
                *("2001:DB8:1:2::a", "[2001:db8:1:2::a]", "[2001:db8:1:2::b]:99"),
                *("2001:db8:1:2::%eth0", "2001:0db8:0001:0002:0000:0000:0000:000a"),
                *("2001:db8:1:2:0:0:0:a", '"[2001:db8:1:2::a]"'),
            ],
            [
                *("1.2.3.4", "1.2.3.4:1", "::ffff:1.2.3.4", "::FFFF:102:304", " 1.2.3.4 "),
                *("[::ffff:1.2.3.4]:80", "0:0:0:0:0:ffff:1.2.3.4"),
            ],
        ],
        ids=["one network", "one IPv6 address", "one IPv4 address"],
    )
    async def test_sign_ins_from_one_network_are_counted_together(self, api, spelled):
        emails = iter(range(99))
        codes = []
        for address in spelled:
            body = {**WRONG, "email": f"n{next(emails)}@example.org"}
            codes += await self.codes(api, "POST", "/sessions", [address], json=body)

        assert codes == [401] * 5 + [429] * 2

    async def test_neighbouring_networks_are_counted_apart(self, api):
        addresses = [f"2001:db8:1:{n:x}::1" for n in range(1, 10)]

        assert await self.codes(api, "GET", "/nowhere", addresses) == [404] * 9

    async def test_registrations_mail_guesses_and_strays_are_counted_by_network(self, api):
        addresses = [f"2001:db8:9::{n:x}" for n in range(1, 13)]
        mail = {"email": "a@example.org"}

        registered = [
            (
                await api.client.post(
                    "/users",
                    json={"name": "A", "password": PASSWORD, "email": f"a{number}@x.org"},
                    headers={"x-forwarded-for": one, "idempotency-key": "k" * 20 + str(number)},
                )
            ).status_code
            for number, one in enumerate(addresses[:5])
        ]
        strays = await self.codes(api, "GET", "/nowhere", addresses[:9])
        reset = await self.codes(api, "POST", "/password-resets", addresses[:1], json=mail)

        assert registered == [201] * 4 + [429]
        assert strays == [404] * 8 + [429]
        assert reset == [202]

    async def test_the_trail_keeps_the_whole_address(self, api):
        headers = {"authorization": "Bearer x", "x-forwarded-for": "[2001:DB8::0:7]:1"}
        await api.client.get("/users/me", headers=headers)

        [denial] = await events(api, clinic_id=NOBODY_ID)

        assert denial.ip == "2001:db8::7"


async def test_registering_is_limited_by_address(api):
    body = {"name": "A", "password": PASSWORD}
    codes = [
        (
            await api.send("POST", "/users", {**body, "email": f"a{number}@x.org"}, who=None)
        ).status_code
        for number in range(5)
    ]

    assert codes == [201] * 4 + [429]


async def test_guesses_at_tokens_are_limited_by_address(api):
    headers = {"authorization": "Bearer x.y.z"}
    codes = [(await api.client.get("/users/me", headers=headers)).status_code for _ in range(10)]

    assert codes == [401] * 8 + [429] * 2
    assert (await api.send("GET", "/users/me")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nowhere/at/all", 404),
        ("GET", "/appointments/1/2/3/4", 404),
        ("PUT", "/appointments", 405),
        ("PUT", "/appointments/0199f0a0-0000-7000-8000-00000000000a", 405),
        ("OPTIONS", "/appointments", 204),
    ],
)
async def test_what_no_endpoint_takes_is_limited_by_address(api, method, path, status):
    answers = [await api.client.request(method, path) for _ in range(10)]

    assert [answer.status_code for answer in answers] == [status] * 8 + [429] * 2
    assert answers[0].headers["ratelimit"].startswith('"anonymous";r=7;t=')
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["code"] == "quota_exceeded"
    assert int(refused.headers["retry-after"]) > 0
    assert (await api.send("GET", "/users/me")).status_code == 200


async def test_what_no_endpoint_takes_is_answered_without_the_counter(api):
    put(api.services, limiter=DeadCounter())

    assert (await api.client.get("/nowhere")).status_code == 404
    assert (await api.client.put("/appointments")).status_code == 405


async def test_health_is_not_limited(api):
    codes = {(await api.client.get("/health/live")).status_code for _ in range(50)}

    assert codes == {200}


async def test_without_the_counter_reads_and_bookings_go_on_and_sign_ins_do_not(api):
    put(api.services, limiter=DeadCounter())

    assert (await api.send("GET", "/users/me")).status_code == 200
    await api.book()
    shut = [
        await api.client.post("/sessions", json=WRONG),
        await api.send(
            "POST", "/users", {"name": "A", "email": "a@x.org", "password": PASSWORD}, who=None
        ),
    ]
    for answer in shut:
        assert (answer.status_code, answer.json()["code"]) == (503, "temporary_failure")
        assert answer.headers["retry-after"]


# --- audit


async def test_reads_of_patients_are_kept_by_id_and_nothing_else(api):
    booked = await api.book()
    patient_id = booked["patientId"]
    await api.send("GET", f"/patients/{patient_id}", who="doctor", headers={"x-request-id": "one"})
    await api.send("GET", f"/appointments/{booked['id']}", who="receptionist")
    await api.send("GET", "/patients", who="receptionist")
    await api.send("GET", "/doctors", who="receptionist")

    listed, appointment, patient = await events(api, action="read")

    assert (patient.actor_id, patient.actor_role) == (api.world.doctor.id, "DOCTOR")
    assert (patient.entity, str(patient.patient_id)) == ("patients", patient_id)
    assert patient.detail == {"route": "/patients/{patient_id}"}
    assert (patient.request_id, patient.outcome) == ("one", "done")
    assert patient.session_id == api.world.doctor.id
    assert (appointment.entity, str(appointment.entity_id)) == ("appointments", booked["id"])
    assert str(appointment.patient_id) == patient_id
    assert set(listed.detail["ids"]) == {str(each.id) for each in api.world.patients}
    assert "Patient A" not in repr([listed, appointment, patient])


async def test_denials_are_kept(api):
    other = api.world.patients[1]
    await api.send("GET", "/patients", who="patient")
    await api.send("GET", f"/patients/{other.id}", who="patient")
    await api.client.get("/users/me", headers={"authorization": "Bearer x"})

    found = [
        *await events(api, outcome="permission_denied"),
        *await events(api, outcome="patient_not_found"),
        *await events(api, clinic_id=NOBODY_ID),
    ]

    assert [event.action for event in found] == ["get", "get", "refused"]
    assert found[0].actor_id == api.world.patients[0].id
    assert found[1].entity_id == other.id
    assert found[2].outcome == "not_signed_in"


async def counted(api, **filters):
    """Return the events of all refusals so far, as if their minute were over."""
    audit = api.services.audit
    audit._waiting.extend(audit._refusals.take(everything=True))
    return await events(api, **filters)


def total(found):
    return sum(event.detail.get("count", 1) for event in found)


class TestMany:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return msgspec.structs.replace(settings, anonymous_limit="300/60")

    async def test_made_up_tokens_are_two_rows_of_nobodys_clinic(self, api):
        for number in range(200):
            headers = {"authorization": f"Bearer made.up.{number}"}
            assert (await api.client.get("/users/me", headers=headers)).status_code == 401

        found = await counted(api, clinic_id=NOBODY_ID)

        assert {(each.action, each.outcome) for each in found} == {("refused", "not_signed_in")}
        assert [each.detail.get("count") for each in found] == [199, None]
        assert found[0].detail["network"] == "127.0.0.1"
        own = await api.send("GET", "/audit?action=refused", who="admin")
        assert own.json()["items"] == []

    async def test_a_cookie_that_is_not_ours_is_no_guess(self, api):
        for cookie in ("theme=dark", "a=b; c=d"):
            await api.client.get("/users/me", headers={"cookie": cookie})
        await api.client.get("/users/me", headers={"cookie": f"{NAME}=x"})

        assert total(await counted(api, clinic_id=NOBODY_ID)) == 1

    async def test_forged_requests_are_found_by_the_clinic_they_were_against(self, api):
        body = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
        user_id = (await api.send("POST", "/users", body, who=None)).json()["user"]["id"]
        signing_in = {"email": body["email"], "password": PASSWORD, "cookie": True}
        made = await api.client.post("/sessions", json=signing_in)
        cookie = {"cookie": made.headers["set-cookie"].split(";")[0], "x-csrf-token": "guessed"}
        api.client.cookies.clear()
        for _ in range(30):
            answer = await api.client.patch("/users/me", json={"name": "Eve"}, headers=cookie)
            assert answer.json()["code"] == "forged_request"
        await counted(api)

        listed = await api.send("GET", "/audit?action=refused&outcome=forged_request", who="admin")
        denied = await api.send("GET", "/audit?action=refused", who="patient")

        items = listed.json()["items"]
        assert [item["detail"].get("count") for item in items] == [29, None]
        assert {item["actorId"] for item in items} == {user_id}
        assert denied.status_code == 403

    async def test_forged_requests_are_limited_by_network(self, api):
        body = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
        await api.send("POST", "/users", body, who=None)
        signing_in = {"email": body["email"], "password": PASSWORD, "cookie": True}
        made = await api.client.post("/sessions", json=signing_in)
        headers = {"cookie": made.headers["set-cookie"].split(";")[0]}
        api.client.cookies.clear()

        codes = [
            (await api.client.patch("/users/me", json={}, headers=headers)).status_code
            for _ in range(301)
        ]

        assert codes == [403] * 300 + [429]

    async def test_refused_quotas_are_found_by_user(self, api):
        for _ in range(36):
            await api.send("GET", "/users/me")
        await counted(api)

        listed = await api.send("GET", "/audit?action=refused", who="admin")

        items = listed.json()["items"]
        assert {item["outcome"] for item in items} == {"quota_exceeded"}
        assert {item["actorId"] for item in items} == {str(api.world.patients[0].id)}
        assert [item["detail"].get("count") for item in items] == [29, None]

    async def test_guesses_at_a_password_are_found_by_account(self, api):
        body = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
        user_id = (await api.send("POST", "/users", body, who=None)).json()["user"]["id"]
        for _ in range(3):
            wrong = {"email": body["email"], "password": "wrong one"}
            await api.client.post("/sessions", json=wrong)

        found = await counted(api, action="sign_in", outcome="denied")

        assert total(found) == 3
        assert [str(each.entity_id) for each in found] == [user_id] * 2

    async def test_a_users_denials_have_rows_until_there_are_many(self, api):
        settings = api.services.settings
        assert settings.read_limit == "6/60"
        other = api.world.patients[1]
        for _ in range(6):
            await api.send("GET", f"/patients/{other.id}")

        found = await counted(api, outcome="patient_not_found")

        assert [each.entity_id for each in found] == [other.id] * 6


async def test_sign_ins_and_their_failures_are_kept_without_the_address(api):
    body = {"name": "Ada", "email": "ada@example.org", "password": PASSWORD}
    user_id = (await api.send("POST", "/users", body, who=None)).json()["user"]["id"]
    await api.client.post("/sessions", json={"email": body["email"], "password": "wrong one"})
    made = await api.client.post("/sessions", json={"email": body["email"], "password": PASSWORD})
    token = made.json()["token"]
    await api.client.delete("/sessions/current", headers={"authorization": f"Bearer {token}"})

    out, in_, failed, registered = await events(api, actor_id=None)

    assert [each.action for each in (out, in_, failed, registered)] == [
        "sign_out",
        "sign_in",
        "sign_in",
        "register",
    ]
    assert (failed.outcome, str(failed.entity_id)) == ("denied", user_id)
    assert str(in_.session_id) == made.json()["id"]
    assert "ada@" not in repr((out, in_, failed, registered))


async def test_reads_are_refused_while_nothing_can_be_kept_and_writes_are_not(api):
    booked = await api.book()
    clock = [0.0]
    audit = api.services.audit
    audit._now_s = lambda: clock[0]

    async def fail(events):
        raise TemporaryFailure

    audit._log = type("Dead", (), {"append": staticmethod(fail)})()
    shown = await api.send("GET", f"/appointments/{booked['id']}")
    with pytest.raises(TemporaryFailure):
        await audit.flush()
    clock[0] = REFUSE_AFTER_S + 1
    refused = await api.send("GET", f"/appointments/{booked['id']}")
    not_ready = await api.send("GET", "/health/ready", who=None)

    assert shown.status_code == 200
    assert (refused.status_code, refused.json()["code"]) == (503, "audit_unavailable")
    assert (not_ready.status_code, not_ready.json()["code"]) == (503, "audit_unavailable")
    assert "audit trail" in not_ready.json()["detail"]
    assert (await api.send("GET", "/doctors")).status_code == 200
    audit._log = api.services.store.audit_log
    await audit.flush()
    assert (await api.send("GET", f"/appointments/{booked['id']}")).status_code == 200
    assert len(await events(api, action="read")) == 2
    assert (await api.send("GET", "/health/ready", who=None)).json() == {"status": "ready"}


async def test_event_that_can_never_be_written_is_set_aside_and_told_by_readiness(api, caplog):
    booked = await api.book()
    bad = replace(an_event(api.world.clinic), reason="secret " * 100, ip="192.0.2.7")
    await api.send("GET", f"/appointments/{booked['id']}")
    api.services.audit.add(bad)
    await api.send("GET", f"/appointments/{booked['id']}")

    await api.services.audit.flush()

    assert len(await events(api, action="read")) == 2
    ready = await api.send("GET", "/health/ready", who=None)
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "auditEventsSetAside": 1})
    [told] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert str(bad.id) in told.getMessage()
    assert not re.search(r"secret|192\.0\.2", told.getMessage())


async def test_the_log_is_read_in_pages_by_the_office_alone(api, settings):
    for _ in range(3):
        await api.send("GET", "/patients", who="doctor")
    await api.services.audit.flush()

    first = await api.send("GET", "/audit?limit=2&action=read", who="receptionist")
    second = await api.send(
        "GET", f"/audit?limit=2&action=read&cursor={first.json()['next']}", who="receptionist"
    )

    assert [len(page.json()["items"]) for page in (first, second)] == [2, 1]
    event = first.json()["items"][0]
    assert (event["actorId"], event["action"]) == (str(api.world.doctor.id), "read")
    assert (await api.send("GET", "/audit", who="patient")).status_code == 403
