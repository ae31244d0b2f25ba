"""Email addresses at every entry point: refusals, and two spellings of one account."""

import unicodedata
from uuid import UUID

import pytest

TYPED, PUNYCODE = "ada@münchen.example", "ada@xn--mnchen-3ya.example"
PASSWORD = "seven quiet otters"
BAD = [
    "ada..b@example.org",
    ".ada@example.org",
    "ada@example..org",
    "ada:x@example.org",
    "ada\x01@example.org",
    "ädä@example.org",
]


async def registered(api, email):
    body = {"name": "Ada Lovett", "email": email, "password": PASSWORD}
    return await api.send("POST", "/users", body, who=None)


async def invited(api, email):
    body = {"name": "Ada Lovett", "email": email, "role": "RECEPTIONIST"}
    return await api.send("POST", "/users", body, who="admin")


async def added_as_patient(api, email):
    body = {"name": "Ada Lovett", "email": email}
    return await api.send("POST", "/patients", body, who="receptionist")


async def added_as_doctor(api, email):
    body = {"name": "Ada Lovett", "email": email, "specialty": "Cardiology"}
    return await api.send("POST", "/doctors", body, who="admin")


async def changed(api, email):
    return await api.send("PATCH", "/users/me", {"email": email})


async def offered(api, email):
    body = {"email": email, "role": "RECEPTIONIST"}
    return await api.send("POST", "/membership-offers", body, who="admin")


DOORS = [registered, invited, added_as_patient, added_as_doctor, changed, offered]


async def everybody(api):
    return (await api.send("GET", "/users?limit=200", who="admin")).json()


@pytest.mark.parametrize("email", BAD)
@pytest.mark.parametrize("door", DOORS)
async def test_address_that_mail_cannot_be_sent_to_is_refused(api, door, email):
    before = await everybody(api)

    answer = await door(api, email)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "invalid_input")
    assert [each["pointer"] for each in problem["errors"]] == ["/email"]
    assert await everybody(api) == before


@pytest.mark.parametrize("door", [registered, invited, added_as_patient])
@pytest.mark.parametrize("form", ["NFC", "NFD"])
async def test_domain_in_any_script_is_shown_as_typed(api, door, form):
    answer = await door(api, unicodedata.normalize(form, TYPED))

    assert answer.status_code == 201
    made = answer.json().get("user", answer.json())
    assert made["email"] == TYPED
    listed = await everybody(api)
    assert [each["email"] for each in listed["items"] if each["id"] == made["id"]] == [TYPED]
    assert (await api.services.store.people.user(_id(made))).email == PUNYCODE


def _id(made):
    return UUID(made["id"])


@pytest.mark.parametrize(("first", "second"), [(TYPED, PUNYCODE), (PUNYCODE, TYPED.upper())])
async def test_one_domain_in_two_spellings_is_one_account(api, first, second):
    await registered(api, first)

    again = await registered(api, second)
    desk = await added_as_patient(api, second)

    assert (again.status_code, again.json()["code"]) == (409, "email_in_use")
    assert (desk.status_code, desk.json()["code"]) == (409, "email_in_use")
    for spelling in (first, second):
        body = {"email": spelling, "password": PASSWORD}
        assert (await api.send("POST", "/sessions", body, who=None)).status_code == 201


async def test_guesses_in_two_spellings_are_counted_together(api):
    await registered(api, TYPED)
    limit = int(api.services.settings.account_limit.partition("/")[0])

    answers = [
        await api.send(
            "POST", "/sessions", {"email": (TYPED, PUNYCODE)[n % 2], "password": "no"}, who=None
        )
        for n in range(limit + 1)
    ]

    assert [answer.status_code for answer in answers] == [401] * limit + [429]


async def test_own_address_in_another_spelling_is_no_other_address(api):
    made = (await registered(api, TYPED)).json()["user"]
    token = (
        await api.send("POST", "/sessions", {"email": TYPED, "password": PASSWORD}, who=None)
    ).json()["token"]
    before = await api.services.store.accounts.account(_id(made))

    answer = await api.send(
        "PATCH",
        "/users/me",
        {"email": PUNYCODE.upper()},
        who=None,
        headers={"authorization": f"Bearer {token}"},
    )

    after = await api.services.store.accounts.account(_id(made))
    assert (answer.status_code, answer.json()["email"]) == (200, PUNYCODE.upper())
    assert after.link_version == before.link_version
