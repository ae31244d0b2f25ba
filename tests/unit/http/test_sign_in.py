"""Signing in and out: credentials, failures that look alike, cookies, revocation."""

from datetime import timedelta

import pytest

from clinic.entrypoints.http.kernel.cookies import NAME
from clinic.settings import Settings
from clinic.testing import a_clinic

PASSWORD = "seven quiet otters"
NEW_PASSWORD = "eight loud badgers"


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="error", fast_passwords=True)


@pytest.fixture
async def ada(api):
    """A patient who registered herself."""
    answer = await api.send("POST", "/users", ada_in(), who=None)
    assert answer.status_code == 201, answer.text
    return answer.json()["user"]


def ada_in(**changed):
    return {
        "name": "Ada Lovett",
        "email": "Ada@example.org",
        "phone": "020 7946 0018 x".removesuffix(" x").replace("020", "+44 20"),
        "password": PASSWORD,
        **changed,
    }


async def sign_in(api, email="ada@example.org", password=PASSWORD, **more):
    return await api.client.post("/sessions", json={"email": email, "password": password, **more})


def bearer(signed_in):
    return {"authorization": f"Bearer {signed_in.json()['token']}"}


async def browser(api):
    """Sign a browser in; return its headers for reads, and for changes."""
    answer = await sign_in(api, cookie=True)
    api.client.cookies.clear()
    cookie = answer.headers["set-cookie"].split(";")[0]
    return {"cookie": cookie}, {"cookie": cookie, "x-csrf-token": answer.json()["csrfToken"]}


async def me(api, headers):
    return await api.client.get("/users/me", headers=headers)


# --- registering and signing in


async def test_a_patient_registers_signs_in_and_books(api, ada):
    signed_in = await sign_in(api)

    assert signed_in.status_code == 201
    assert signed_in.json()["csrfToken"] is None
    assert signed_in.json()["user"]["phone"] == "+442079460018"
    headers = {**bearer(signed_in), "idempotency-key": "k" * 20}
    body = {"slotId": str(api.world.slots[0].id)}
    booked = await api.client.post("/appointments", json=body, headers=headers)
    assert booked.status_code == 201, booked.text
    assert booked.json()["patientId"] == ada["id"]


@pytest.mark.parametrize(
    ("changed", "status", "code"),
    [
        ({"password": "short"}, 400, "password_refused"),
        ({"password": "p" * 129}, 400, "password_refused"),
        ({"password": "Password123!"}, 400, "password_refused"),
        ({"password": "ada@example.org"}, 400, "password_refused"),
        ({"password": None}, 400, "invalid_input"),
        ({"phone": "+44 20 1"}, 400, "phone_number_refused"),
        ({"email": "ada"}, 400, "invalid_input"),
        ({"role": "ADMIN"}, 403, "permission_denied"),
        ({"role": "DOCTOR", "specialty": "General"}, 403, "permission_denied"),
        ({"patientId": "x"}, 400, "invalid_input"),
    ],
    ids=str,
)
async def test_a_bad_registration_is_refused(api, changed, status, code):
    answer = await api.send("POST", "/users", ada_in(**changed), who=None)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await api.services.store.accounts.by_email("ada@example.org") is None


async def test_an_email_is_registered_once_without_case(api, ada):
    answer = await api.send("POST", "/users", ada_in(email="ADA@EXAMPLE.ORG"), who=None)

    assert (answer.status_code, answer.json()["code"]) == (409, "email_in_use")


async def test_every_failure_to_sign_in_looks_the_same(api, ada):
    await api.send("PATCH", f"/users/{ada['id']}", {"disabled": True}, who="admin")
    invited = api.world.doctor

    answers = [
        await sign_in(api, "nobody@example.org"),
        await sign_in(api, password="wrong password"),
        await sign_in(api),  # the correct password of a disabled user
        await sign_in(api, password="p" * 500),
        await sign_in(api, (await api.services.store.people.user(invited.id)).email),
        await sign_in(api, "not an address"),
    ]

    told = {(each.status_code, each.text.replace(each.json()["requestId"], "")) for each in answers}
    assert len(told) == 1
    assert answers[0].status_code == 401
    assert answers[0].json()["code"] == "sign_in_failed"


async def test_a_hash_of_another_cost_is_made_anew(api, ada):
    from argon2 import PasswordHasher

    old = PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD)
    user = await api.services.store.accounts.by_email("ada@example.org")
    async with api.services.store.begin() as unit:
        await unit.accounts.set_password_hash(user.user.id, old)
        await unit.commit()

    assert (await sign_in(api)).status_code == 201

    after = await api.services.store.accounts.by_email("ada@example.org")
    assert after.password_hash != old
    assert "m=8,t=1" in after.password_hash
    assert (await sign_in(api)).status_code == 201


async def test_where_there_are_several_clinics_registering_names_one(api):
    second = a_clinic()
    async with api.services.store.begin() as unit:
        await unit.people.add_clinic(second)
        await unit.accounts.add_staff(second.id, api.admin.id)
        await unit.commit()

    unnamed = await api.send("POST", "/users", ada_in(), who=None)
    named = await api.send("POST", f"/users?clinic={second.id}", ada_in(), who=None)

    assert (unnamed.status_code, unnamed.json()["code"]) == (400, "clinic_not_named")
    assert named.status_code == 201
    assert (await sign_in(api)).json()["user"]["clinicId"] == str(second.id)


async def test_staff_of_several_clinics_name_one_and_see_only_that(api):
    second = a_clinic()
    async with api.services.store.begin() as unit:
        await unit.people.add_clinic(second)
        await unit.accounts.add_staff(second.id, api.admin.id)
        await unit.commit()
    email = (await api.services.store.people.user(api.admin.id)).email
    token = (await api.send("POST", f"/users/{api.admin.id}/invitations", {}, who="admin")).json()
    await api.client.post(
        "/invitations/accepted", json={"token": token["invitation"], "password": PASSWORD}
    )

    unnamed = await sign_in(api, email)
    there = await sign_in(api, email, clinic=str(second.id))
    elsewhere = await sign_in(api, email, clinic=str(api.world.doctor.id))

    assert (unnamed.status_code, unnamed.json()["code"]) == (400, "clinic_not_named")
    assert set(unnamed.json()["clinics"]) == {str(api.world.clinic.id), str(second.id)}
    assert (elsewhere.status_code, elsewhere.json()["code"]) == (401, "sign_in_failed")
    patients = await api.client.get("/patients", headers=bearer(there))
    assert patients.json()["items"] == []


# --- cookies and forgery


async def test_the_cookie_is_for_this_host_alone_and_not_for_scripts(api, ada):
    answer = await sign_in(api, cookie=True)

    session, device = answer.headers.get_list("set-cookie")
    assert device.startswith("__Host-clinic-device=")
    assert device.endswith("; Max-Age=31536000; Path=/; Secure; HttpOnly; SameSite=Lax")
    name, *attributes = session.split("; ")
    assert name.startswith(f"{NAME}=")
    assert len(name.partition(".")[2]) >= 43
    assert set(attributes[1:]) == {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"}
    assert attributes[0] == "Max-Age=43200"
    assert answer.json()["token"] is None


async def test_a_browser_reads_with_its_cookie_and_changes_with_its_token(api, ada):
    reading, changing = await browser(api)

    assert (await me(api, reading)).json()["id"] == ada["id"]
    changed = await api.client.patch("/users/me", json={"name": "Ada L"}, headers=changing)
    assert (changed.status_code, changed.json()["name"]) == (200, "Ada L")


@pytest.mark.parametrize(
    "headers",
    [
        {"x-csrf-token": ""},
        {"x-csrf-token": "another"},
        {"x-csrf-token": "é"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://clinic.test.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
    ids=str,
)
async def test_a_forged_change_is_refused(api, ada, headers):
    _, changing = await browser(api)
    sent = [(k.encode(), v.encode("latin-1")) for k, v in {**changing, **headers}.items()]

    answer = await api.client.patch("/users/me", json={"name": "Eve"}, headers=sent)

    assert (answer.status_code, answer.json()["code"]) == (403, "forged_request")
    assert (await me(api, changing)).json()["name"] == "Ada Lovett"


async def test_the_csrf_token_of_another_session_is_refused(api, ada):
    first, _ = await browser(api)
    _, second = await browser(api)

    answer = await api.client.patch(
        "/users/me",
        json={"name": "Eve"},
        headers={**first, "x-csrf-token": second["x-csrf-token"]},
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "forged_request")


async def test_same_origin_headers_pass(api, ada):
    _, changing = await browser(api)
    headers = {**changing, "origin": "http://clinic.test", "sec-fetch-site": "same-origin"}

    answer = await api.client.patch("/users/me", json={"name": "Ada L"}, headers=headers)

    assert answer.status_code == 200


async def test_another_site_cannot_sign_a_browser_in(api, ada):
    body = {"email": "ada@example.org", "password": PASSWORD, "cookie": True}

    answer = await api.client.post("/sessions", json=body, headers={"sec-fetch-site": "cross-site"})

    assert (answer.status_code, answer.json()["code"]) == (403, "forged_request")
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("cookie", ["", "x", f"{NAME}=", f"{NAME}=x.y", f"{NAME}={'0' * 32}.y"])
async def test_a_cookie_that_is_not_ours_lets_nobody_in(api, cookie):
    assert (await me(api, {"cookie": cookie})).status_code == 401


def the_session(reading):
    return reading["cookie"].encode().partition(b"=")[2]


@pytest.mark.parametrize(
    "around",
    [
        b"foo=x, %s=%s",
        b"foo=x,%s=%s",
        b"foo=x;%s=%s",
        b"foo=x;  %s=%s",
        b"foo=x;\t%s=%s",
        b"foo=x; \xa0%s=%s",
        b"foo=x; \x85%s=%s",
        b'foo="x; %s=%s"',
        b'foo=x; %s="%s"',
        b"foo=x; %s =%s",
        b"foo=x; %s= %s",
        b"foo=x; %s==%s",
        b"foo=%s=%s",
        b"$Version=1; $%s=%s",
        b"x%s=%s",
    ],
    ids=repr,
)
async def test_what_only_looks_like_the_session_cookie_is_none(api, ada, around):
    reading, _ = await browser(api)
    cookie = around % (NAME.encode(), the_session(reading))

    answer = await me(api, [(b"cookie", cookie)])

    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")


@pytest.mark.parametrize("spelled", [str.lower, str.upper, str.title], ids=str)
async def test_the_cookies_name_has_one_spelling(api, ada, spelled):
    reading, _ = await browser(api)
    cookie = spelled(NAME).encode() + b"=" + the_session(reading)

    assert (await me(api, [(b"cookie", cookie)])).status_code == 401


@pytest.mark.parametrize(
    "cookies",
    [
        [b"foo=x; %s"],
        [b"%s; foo=x"],
        [b'a="x; %s; b=y"'],
        [b"a=1; b; =c; %s; d="],
        [b"foo=x", b"%s", b"bar=y"],
        [b"foo=a, b", b"%s"],
    ],
    ids=repr,
)
async def test_the_session_cookie_stands_among_others(api, ada, cookies):
    reading, _ = await browser(api)
    pairs = [(b"cookie", one.replace(b"%s", reading["cookie"].encode())) for one in cookies]

    assert (await me(api, pairs)).status_code == 200


@pytest.mark.parametrize("apart", [True, False], ids=["two headers", "one header"])
@pytest.mark.parametrize("second", [b"", b"the same", b"another"], ids=repr)
async def test_two_session_cookies_are_none(api, ada, apart, second):
    reading, _ = await browser(api)
    other, _ = await browser(api)
    mine = reading["cookie"].encode()
    values = {b"": NAME.encode() + b"=", b"the same": mine, b"another": other["cookie"].encode()}
    both = [mine, values[second]]
    pairs = [(b"cookie", one) for one in both] if apart else [(b"cookie", b"; ".join(both))]

    assert (await me(api, pairs)).status_code == 401
    assert (await me(api, pairs[::-1])).status_code == 401


async def test_an_old_or_a_foreign_cookie_does_not_keep_anybody_from_registering(api, ada):
    reading, changing = await browser(api)
    await api.client.delete("/sessions", headers=changing)
    cookies = [reading["cookie"], "theme=dark", f"{NAME}=x"]

    answers = [
        await api.client.post(
            "/users", json=ada_in(email=f"ada{number}@x.org"), headers={"cookie": cookie}
        )
        for number, cookie in enumerate(cookies)
    ]
    bearer_ = {"authorization": "Bearer x"}
    proven = await api.client.post("/users", json=ada_in(email="a@x.org"), headers=bearer_)

    assert [answer.status_code for answer in answers] == [201, 201, 201]
    assert proven.status_code == 401


async def test_a_bearer_session_is_not_opened_by_a_cookie(api, ada):
    made = (await sign_in(api)).json()
    cookie = f"{NAME}={api.world.clinic.id.hex}.{made['id']}"

    assert (await me(api, {"cookie": cookie})).status_code == 401


async def test_a_cookie_session_ends_when_it_is_idle_and_lasts_while_it_is_used(api, ada):
    reading, _ = await browser(api)
    for _ in range(3):
        api.clock.advance(timedelta(minutes=110))
        assert (await me(api, reading)).status_code == 200

    api.clock.advance(timedelta(hours=2))

    assert (await me(api, reading)).status_code == 401


async def test_a_session_ends_after_twelve_hours_however_busy(api, ada):
    reading, _ = await browser(api)
    headers = bearer(await sign_in(api))
    for _ in range(12):
        api.clock.advance(timedelta(minutes=59))
        assert (await me(api, reading)).status_code == 200
        assert (await me(api, headers)).status_code == 200

    api.clock.advance(timedelta(minutes=13))

    assert (await me(api, reading)).status_code == 401
    assert (await me(api, headers)).status_code == 401


# --- signing out


async def test_signing_out_ends_this_session_alone(api, ada):
    one, two = bearer(await sign_in(api)), bearer(await sign_in(api))

    answer = await api.client.delete("/sessions/current", headers=one)

    assert answer.status_code == 204
    assert (await me(api, one)).status_code == 401
    assert (await me(api, two)).status_code == 200


async def test_signing_out_takes_the_cookie_away(api, ada):
    reading, changing = await browser(api)

    answer = await api.client.delete("/sessions/current", headers=changing)

    assert answer.headers["set-cookie"].startswith(f"{NAME}=; Max-Age=0;")
    assert (await me(api, reading)).status_code == 401


async def test_signing_out_everywhere_ends_all_of_ones_own(api, ada):
    one, two = bearer(await sign_in(api)), bearer(await sign_in(api))

    await api.client.delete("/sessions", headers=one)

    assert (await me(api, one)).status_code == 401
    assert (await me(api, two)).status_code == 401
    assert (await api.send("GET", "/users/me", who="patient")).status_code == 200


async def test_one_sees_and_ends_ones_own_sessions_only(api, ada):
    one, two = await sign_in(api), await sign_in(api)

    listed = (await api.client.get("/sessions", headers=bearer(one))).json()["items"]
    ended = await api.client.delete(f"/sessions/{two.json()['id']}", headers=bearer(one))
    foreign = await api.send("DELETE", f"/sessions/{one.json()['id']}", who="patient")

    assert {each["id"] for each in listed} == {one.json()["id"], two.json()["id"]}
    assert [each["id"] for each in listed if each["current"]] == [one.json()["id"]]
    assert ended.status_code == 204
    assert (await me(api, bearer(two))).status_code == 401
    assert (foreign.status_code, foreign.json()["code"]) == (404, "session_not_found")
    assert (await me(api, bearer(one))).status_code == 200


async def test_an_ended_session_books_nothing_and_is_told_no_answer_from_the_cache(api, ada):
    headers = {**bearer(await sign_in(api)), "idempotency-key": "k" * 20}
    body = {"slotId": str(api.world.slots[0].id)}
    booked = await api.client.post("/appointments", json=body, headers=headers)
    other = {"slotId": str(api.world.slots[1].id)}
    await api.send("DELETE", f"/users/{ada['id']}/sessions", who="admin")

    again = await api.client.post("/appointments", json=body, headers=headers)
    new = await api.client.post(
        "/appointments", json=other, headers={**headers, "idempotency-key": "n" * 20}
    )
    wrong = await api.client.post("/appointments", json={"slotId": 1}, headers=headers)

    assert booked.status_code == 201
    assert (again.status_code, again.json()["code"]) == (401, "not_signed_in")
    assert (new.status_code, new.json()["code"]) == (401, "not_signed_in")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "not_signed_in")


async def test_a_changed_password_ends_every_other_session(api, ada):
    mine, other = bearer(await sign_in(api)), bearer(await sign_in(api))
    body = {"current": PASSWORD, "password": NEW_PASSWORD}

    answer = await api.client.put("/users/me/password", json=body, headers=mine)

    assert answer.status_code == 204
    assert (await me(api, mine)).status_code == 200
    assert (await me(api, other)).status_code == 401
    assert (await sign_in(api)).status_code == 401
    assert (await sign_in(api, password=NEW_PASSWORD)).status_code == 201


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"current": "wrong", "password": NEW_PASSWORD}, 403),
        ({"current": PASSWORD, "password": PASSWORD}, 400),
        ({"current": PASSWORD, "password": "12345678"}, 400),
        ({"current": PASSWORD, "password": "Ada Lovett"}, 400),
    ],
    ids=str,
)
async def test_a_bad_change_of_password_changes_nothing(api, ada, body, status):
    headers = bearer(await sign_in(api))

    answer = await api.client.put("/users/me/password", json=body, headers=headers)

    assert answer.status_code == status
    assert (await sign_in(api)).status_code == 201


async def test_disabling_ends_every_session_at_once_and_enabling_opens_again(api, ada):
    headers = bearer(await sign_in(api))

    await api.send("PATCH", f"/users/{ada['id']}", {"disabled": True}, who="admin")
    shut = await me(api, headers)
    await api.send("PATCH", f"/users/{ada['id']}", {"disabled": False}, who="admin")

    assert shut.status_code == 401
    assert (await me(api, headers)).status_code == 401
    assert (await sign_in(api)).status_code == 201


# --- invitations


async def invite(api, **changed):
    body = {"name": "Rae", "email": "rae@example.org", "role": "RECEPTIONIST", **changed}
    return await api.send("POST", "/users", body, who="admin")


async def accept(api, token, password=PASSWORD):
    return await api.client.post(
        "/invitations/accepted", json={"token": token, "password": password}
    )


@pytest.mark.parametrize(
    "changed", [{}, {"role": "ADMIN"}, {"role": "PATIENT"}, {"role": "DOCTOR", "specialty": "X"}]
)
async def test_an_invited_person_sets_a_password_once_and_works_in_the_role(api, changed):
    invited = (await invite(api, **changed)).json()

    first = await accept(api, invited["invitation"])
    second = await accept(api, invited["invitation"], NEW_PASSWORD)

    assert first.status_code == 204
    assert (second.status_code, second.json()["code"]) == (401, "invitation_invalid")
    signed_in = await sign_in(api, "rae@example.org")
    assert signed_in.json()["user"]["role"] == changed.get("role", "RECEPTIONIST")


async def test_an_invitation_expires_and_is_replaced_by_a_password(api):
    invited = (await invite(api)).json()
    path = f"/users/{invited['user']['id']}/invitations"
    newer = (await api.send("POST", path, {}, who="admin")).json()
    await accept(api, newer["invitation"])

    spent = await accept(api, invited["invitation"])
    again = (await api.send("POST", path, {}, who="admin")).json()
    api.clock.advance(timedelta(days=7))
    late = await accept(api, again["invitation"])

    assert spent.json()["code"] == "invitation_invalid"
    assert late.json()["code"] == "invitation_invalid"


@pytest.mark.parametrize("token", ["", "x", "x.y", "é.y", "A" * 32 + ".x", "." * 50])
async def test_a_made_up_invitation_is_refused(api, token):
    answer = await accept(api, token)

    assert (answer.status_code, answer.json()["code"]) == (401, "invitation_invalid")


async def test_a_tampered_invitation_is_refused(api):
    one, two = (await invite(api)).json(), (await invite(api, email="b@example.org")).json()
    head, _, mac = one["invitation"].partition(".")
    other_head = two["invitation"].partition(".")[0]

    assert (await accept(api, f"{other_head}.{mac}")).status_code == 401
    assert (await accept(api, f"{head}.{mac[:-1]}")).status_code == 401


@pytest.mark.parametrize("who", ["patient", "doctor", "receptionist"])
async def test_only_administrators_invite(api, who):
    body = {"name": "Rae", "email": "rae@example.org", "role": "ADMIN"}

    answer = await api.send("POST", "/users", body, who=who)

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
