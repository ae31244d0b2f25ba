"""Who is let in: valid tokens, and the address that a request comes from."""

from dataclasses import replace
from datetime import timedelta
from typing import cast
from uuid import uuid4

import jwt
import pytest

from clinic.domain.errors import NotSignedIn
from clinic.domain.people.people import Role
from clinic.entrypoints.http.kernel.authenticator import trusted_networks
from clinic.entrypoints.http.kernel.tokens import CACHED_MAX, Tokens, issue_token, token_of
from clinic.settings import Settings, SettingsError
from clinic.testing import FixedClock, a_clinic, a_user, seed_world
from clinic.testing.builders import NOW, a_session
from clinic.usecases.people.sign_in import NewSession

SETTINGS = Settings(secret="s" * 64)


def claims(**changed):
    whole = {
        "iss": "clinic",
        "aud": "clinic",
        "sub": str(uuid4()),
        "role": "PATIENT",
        "cid": str(uuid4()),
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 60,
        "sid": str(uuid4()),
        **changed,
    }
    return {name: value for name, value in whole.items() if value is not None}


def signed(payload, *, secret=None, algorithm="HS256", typ="at+jwt"):
    key = (secret or SETTINGS.secret) if algorithm != "none" else None
    return jwt.encode(payload, cast("str", key), algorithm, headers={"typ": typ})


BAD_CLAIMS = [
    {"iss": "other"},
    {"aud": "other"},
    {"iss": None},
    {"aud": None},
    {"sub": None},
    {"exp": None},
    {"role": None},
    {"cid": None},
    {"iat": None},
    {"sub": "x"},
    {"sub": 7},
    {"cid": "x"},
    {"cid": 5},
    {"role": "SYSTEM"},
    {"role": "KING"},
    {"role": ["ADMIN"]},
    {"exp": "soon"},
    {"exp": 1e999},
    {"exp": int(NOW.timestamp())},
    {"sid": None},
    {"sid": "x"},
    {"sid": 5},
]


#: the ways to sign in or register; each is counted by address
PUBLIC = {("post", "/sessions"), ("post", "/users"), ("post", "/invitations/accepted")}


@pytest.fixture
def settings() -> Settings:
    return Settings(secret=SETTINGS.secret, log_level="error")


def read(token):
    return Tokens(SETTINGS, FixedClock(NOW).now).read(token.encode("latin-1"))


def test_a_token_with_the_right_claims_is_read():
    payload = claims()

    assert str(read(signed(payload)).user_id) == payload["sub"]


@pytest.mark.parametrize("changed", BAD_CLAIMS, ids=str)
def test_a_token_with_a_wrong_claim_proves_nothing(changed):
    with pytest.raises(NotSignedIn):
        read(signed(claims(**changed)))


@pytest.mark.parametrize(
    "token",
    [
        signed(claims(), secret="t" * 64),
        signed(claims(), algorithm="none"),
        signed(claims(), algorithm="HS512"),
        signed(claims(), typ="JWT"),
        signed(claims())[:-2],
        "",
        "x",
        "é",
        "a.b.c",
        "x" * 5000,
        "[" * 3000 + "." + "[" * 500 + ".x",
    ],
    ids=["secret", "none", "algorithm", "type", "cut", "empty", "x", "é", "dots", "long", "deep"],
)
async def test_a_token_that_we_did_not_sign_lets_nobody_in(api, token):
    header = b"Bearer " + token.encode("latin-1")

    answer = await api.client.get("/users/me", headers=[(b"authorization", header)])

    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    assert answer.headers["www-authenticate"] == 'Bearer realm="clinic"'
    with pytest.raises(NotSignedIn):
        read(token)


@pytest.mark.parametrize("scheme", ["Basic", "bearer", "BEARER", "Bearer  "])
async def test_the_scheme_is_bearer_in_any_case(api, scheme):
    token = api.bearer("doctor")["authorization"].removeprefix("Bearer ")

    answer = await api.client.get("/users/me", headers={"authorization": f"{scheme} {token}"})

    assert answer.status_code == (401 if scheme == "Basic" else 200)


async def test_a_token_is_good_until_it_expires_also_when_it_is_remembered(api):
    headers = api.bearer("doctor")
    good = await api.client.get("/users/me", headers=headers)

    api.clock.advance(timedelta(seconds=3599))
    still = await api.client.get("/users/me", headers=headers)
    api.clock.advance(timedelta(seconds=1))
    expired = await api.client.get("/users/me", headers=headers)

    assert (good.status_code, still.status_code, expired.status_code) == (200, 200, 401)
    assert "expired" in expired.json()["detail"]


async def test_whatever_is_not_documented_as_public_wants_a_token(api):
    document = (await api.client.get("/schema/openapi.json")).json()

    public = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            filled = path.replace("{", "").replace("}", "")
            answer = await api.client.request(method.upper(), filled)

            wants_token = answer.status_code == 401
            ways = operation["security"]
            assert wants_token == (bool(ways) and {} not in ways), (method, path)
            if not wants_token:
                public.add(path)

    core = "/appointments /swaps /slots /availabilities /availability-exceptions /doctors /patients"
    assert not any(path.startswith((*core.split(), "/clinics", "/users/me")) for path in public)


def test_a_token_tells_all_that_it_was_issued_for():
    user_id, clinic_id, session_id = uuid4(), uuid4(), uuid4()
    token = issue_token(
        SETTINGS,
        user_id=user_id,
        role=Role.RECEPTIONIST,
        clinic_id=clinic_id,
        now=NOW,
        lifetime_s=60,
        session_id=session_id,
    )

    read = Tokens(SETTINGS, FixedClock(NOW).now).read(token.encode())

    assert (read.user_id, read.role, read.clinic_id) == (user_id, Role.RECEPTIONIST, clinic_id)
    assert (read.session_id, read.expires_at) == (session_id, NOW + timedelta(seconds=60))


def test_few_tokens_are_remembered():
    tokens = Tokens(SETTINGS, FixedClock(NOW).now)
    for _ in range(CACHED_MAX + 10):
        tokens.read(signed(claims()).encode())

    assert len(tokens._verified) == CACHED_MAX


def test_a_remembered_token_is_not_verified_again(monkeypatch):
    tokens = Tokens(SETTINGS, FixedClock(NOW).now)
    token = signed(claims()).encode()
    verified = tokens.read(token)

    monkeypatch.setattr(jwt, "decode_complete", lambda *_, **__: pytest.fail("verified again"))

    assert tokens.read(token) == verified


def test_a_proxy_that_is_no_address_is_told():
    with pytest.raises(SettingsError, match="CLINIC_TRUSTED_PROXIES"):
        trusted_networks("10.0.0.0/8, nonsense")


def test_a_proxy_may_be_named_by_ipv4_inside_ipv6():
    inside = trusted_networks("::ffff:10.1.0.0/112, ::ffff:192.0.2.1")

    assert inside == trusted_networks("10.1.0.0/16, 192.0.2.1")


async def trail_ip(api, forwarded):
    booked = await api.book(headers={"x-forwarded-for": forwarded})
    trail = await api.send("GET", f"/appointments/{booked['id']}/audit", who="receptionist")
    return trail.json()["items"][0]["ip"]


async def test_nobody_is_believed_about_addresses_by_default(api):
    assert await trail_ip(api, "203.0.113.9") == "127.0.0.1"


class TestBehindProxies:
    @pytest.fixture
    def settings(self) -> Settings:
        return Settings(trusted_proxies="127.0.0.1, 10.0.0.0/8", log_level="error")

    @pytest.mark.parametrize(
        ("forwarded", "address"),
        [
            ("203.0.113.9", "203.0.113.9"),
            ("1.2.3.4, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
            ("10.9.9.9, 10.1.2.3", "10.9.9.9"),
            ("nonsense", "127.0.0.1"),
            ("203.0.113.9, nonsense", "127.0.0.1"),
            ("2001:db8::7", "2001:db8::7"),
            ("2001:DB8:0:0::0007", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("203.0.113.9, ::ffff:10.1.2.3", "203.0.113.9"),
            ("203.0.113.9, ", "127.0.0.1"),
            ("203.0.113.9, " + "1" * 5000, "127.0.0.1"),
            (", ".join(["10.0.0.1"] * 500), "10.0.0.1"),
        ],
    )
    async def test_the_last_address_that_is_no_trusted_proxy_is_the_clients(
        self, api, forwarded, address
    ):
        assert await trail_ip(api, forwarded) == address


ANYTHING = [
    ("GET", "/users/me", None),
    ("GET", "/users", None),
    ("GET", "/audit", None),
    ("GET", "/slots?doctor={doctor}", None),
    ("GET", "/slots", None),
    ("GET", "/doctors/{doctor}/slots", None),
    ("GET", "/appointments", None),
    ("GET", "/appointments?date=2026-11-24", None),
    ("POST", "/appointments", {"slotId": "{slot}", "patientId": "{patient}"}),
    ("POST", "/graphql", {"query": "{ me { id } }"}),
    ("DELETE", "/sessions/current", None),
    ("DELETE", "/sessions", None),
]


@pytest.mark.parametrize("claimed", ["role", "user", "both"])
@pytest.mark.parametrize(("method", "path", "body"), ANYTHING, ids=lambda each: str(each)[:40])
async def test_a_token_that_claims_more_than_its_session_lets_nobody_in(
    api, method, path, body, claimed
):
    victim, session = api.admin, api.receptionist.id
    token = api.token(
        api.receptionist.id if claimed == "role" else victim.id,
        Role.RECEPTIONIST if claimed == "user" else Role.ADMIN,
        session_id=session,
    )
    ids = {"doctor": api.world.doctor.id, "slot": api.world.slots[0].id}
    ids["patient"] = api.world.patients[0].id
    filled = body and {
        name: value if name == "query" else value.format(**ids) for name, value in body.items()
    }
    free = (
        await api.send("GET", path.format(**ids), who="receptionist") if method == "GET" else None
    )
    tag = free.headers.get("etag", '"none"') if free is not None else '"none"'

    answer = await api.send(
        method,
        path.format(**ids),
        filled,
        who=None,
        headers={"authorization": f"Bearer {token}", "if-none-match": tag},
    )

    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    assert (await api.send("GET", "/users/me", who="receptionist")).status_code == 200
    assert (await api.send("GET", "/users/me", who="admin")).status_code == 200
    assert (await api.send("GET", "/appointments", who="admin")).json()["items"] == []


async def test_a_token_for_another_clinic_than_its_sessions_lets_nobody_in(api):
    elsewhere = await seed_world(api.services.store)
    token = api.token(api.admin.id, Role.ADMIN, clinic_id=elsewhere.clinic.id)

    for path in ("/users/me", "/slots", f"/slots?doctor={elsewhere.doctor.id}", "/appointments"):
        answer = await api.client.get(path, headers={"authorization": f"Bearer {token}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in"), path


@pytest.mark.parametrize("lasts", [timedelta(hours=12), timedelta(seconds=90.75)])
@pytest.mark.parametrize("fraction_us", [0, 1, 500_000, 999_999])
def test_a_token_ends_with_its_session_or_within_the_second_before(lasts, fraction_us):
    session = replace(
        a_session(a_clinic(), uuid4(), Role.PATIENT),
        created_at=NOW + timedelta(microseconds=fraction_us),
        expires_at=NOW + timedelta(microseconds=fraction_us) + lasts,
    )

    token = token_of(NewSession(session, a_user(), ""), SETTINGS)

    ends = read(token).expires_at
    assert session.expires_at - timedelta(seconds=2) < ends <= session.expires_at


@pytest.mark.parametrize(("method", "path", "body"), ANYTHING, ids=lambda each: str(each)[:40])
async def test_a_token_lets_nobody_in_once_its_session_has_ended(api, method, path, body):
    user = api.receptionist
    ends = api.clock.now() + timedelta(minutes=30)
    session = replace(
        a_session(api.world.clinic, user.id, user.role),
        id=uuid4(),
        token_hash=b"another" * 4,
        created_at=api.clock.now(),
        expires_at=ends,
    )
    async with api.services.store.begin() as unit:
        await unit.sessions.add(session)
        await unit.commit()
    token = token_of(NewSession(session, user, ""), api.services.settings)
    ids = {"doctor": api.world.doctor.id, "slot": api.world.slots[0].id}
    ids["patient"] = api.world.patients[0].id
    filled = body and {
        name: value if name == "query" else value.format(**ids) for name, value in body.items()
    }
    headers = {"authorization": f"Bearer {token}", "if-none-match": "*"}
    in_time = await api.send("GET", "/users/me", who=None, headers=headers)

    api.clock.set(ends)
    answer = await api.send(method, path.format(**ids), filled, who=None, headers=headers)

    assert in_time.status_code == 200
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
