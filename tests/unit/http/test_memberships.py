"""Memberships of clinics: offered, accepted, withdrawn, ended; and their effects."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest

from clinic.bootstrap import Services
from clinic.domain.people.people import Role
from clinic.domain.people.sessions import hash_of
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.settings import Settings
from clinic.testing import World, a_user, seed_world
from clinic.testing.builders import a_session


@pytest.fixture
def settings() -> Settings:
    return Settings(log_level="error", fast_passwords=True)


STAFF = ("doctor", "receptionist", "admin")


class Elsewhere:
    """A second clinic, with an administrator and a receptionist who sign in there."""

    def __init__(self, services: Services, world: World) -> None:
        self.services = services
        self.world = world
        self.admin = a_user(Role.ADMIN, name="Nora North")
        self.robin = a_user(Role.RECEPTIONIST, name="Robin Ray")

    async def settle(self) -> "Elsewhere":
        async with self.services.store.begin() as unit:
            for user in (self.admin, self.robin):
                await unit.people.add_user(user)
                await unit.accounts.add_staff(self.world.clinic.id, user.id)
                await unit.sessions.add(a_session(self.world.clinic, user.id, user.role))
            await unit.commit()
        return self

    def bearer(self, user, world=None, session_id=None):
        token = issue_token(
            self.services.settings,
            user_id=user.id,
            role=user.role,
            clinic_id=(world or self.world).clinic.id,
            now=self.services.clock.now(),
            lifetime_s=3600,
            session_id=session_id or user.id,
        )
        return {"authorization": f"Bearer {token}"}


async def exported(api, headers):
    answer = await api.client.get("/users/me/export", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.fixture
async def elsewhere(api):
    return await Elsewhere(api.services, await seed_world(api.services.store)).settle()


async def offer(api, email, role="RECEPTIONIST", who="admin", **more):
    body = {"email": email, "role": role, **more}
    return await api.send("POST", "/membership-offers", body, who=who)


async def accept(api, elsewhere, token, user=None):
    headers = elsewhere.bearer(user or elsewhere.robin)
    return await api.send("POST", "/memberships", {"offer": token}, who=None, headers=headers)


async def joined(api, elsewhere, user=None, **more):
    user = user or elsewhere.robin
    offered = await offer(api, user.email, user.role.value, **more)
    answer = await accept(api, elsewhere, offered.json()["offer"], user)
    assert answer.status_code == 201, answer.text


async def session_here(api, user):
    """Return the header of a session of this user at the clinic of `api`."""
    session_id = uuid4()
    made = a_session(api.world.clinic, user.id, user.role)
    async with api.services.store.begin() as unit:
        await unit.sessions.add(
            type(made)(
                **{
                    **{name: getattr(made, name) for name in made.__slots__},
                    "id": session_id,
                    "token_hash": hash_of(str(session_id)),
                }
            )
        )
        await unit.commit()
    return {"authorization": f"Bearer {api.token(user.id, user.role, session_id=session_id)}"}


async def clinics_of(api, user):
    return (await api.services.store.accounts.account(user.id)).clinics


async def actions(api):
    events = (await api.send("GET", "/audit?limit=200", who="admin")).json()["items"]
    return {event["action"]: event for event in events}


# --- exporting


async def test_memberships_are_exported_with_the_consent_to_each_and_when_they_ended(
    api, elsewhere
):
    robin, here, there = elsewhere.robin, api.world.clinic.id, elsewhere.world.clinic.id
    await joined(api, elsewhere)
    agreed = api.clock.now()
    api.clock.advance(timedelta(minutes=5))
    await api.send("DELETE", f"/users/{robin.id}/membership", who="admin")

    export = await exported(api, elsewhere.bearer(robin))

    (at_home,) = [each for each in export["memberships"] if each["clinicId"] == str(there)]
    (left,) = [each for each in export["memberships"] if each["clinicId"] == str(here)]
    assert len(export["memberships"]) == 2
    assert (at_home["endedAt"], at_home["consentedAt"]) == (None, [])
    assert datetime.fromisoformat(left["endedAt"]) == api.clock.now()
    assert [datetime.fromisoformat(each) for each in left["consentedAt"]] == [agreed]


# --- joining


async def test_nobody_joins_before_they_accept(api, elsewhere):
    robin, here = elsewhere.robin, api.world.clinic.id
    offered = await offer(api, robin.email.upper())
    before = await clinics_of(api, robin)

    accepted = await accept(api, elsewhere, offered.json()["offer"])

    assert offered.status_code == 201
    assert here not in before
    assert accepted.status_code == 201
    assert accepted.json() == {"clinicId": str(here), "role": "RECEPTIONIST"}
    assert here in await clinics_of(api, robin)
    event = (await actions(api))["accept_membership"]
    assert (event["actorId"], event["entityId"]) == (str(robin.id), str(robin.id))
    assert event["detail"]["offeredBy"] == str(api.admin.id)


async def test_an_offer_says_nothing_of_who_is_known(api, elsewhere):
    known = await offer(api, elsewhere.robin.email, reason="busy")
    unknown = await offer(api, "nobody.at.all@example.org", reason="busy")

    trail = (await api.send("GET", "/audit?limit=200", who="admin")).json()["items"]

    assert known.json().keys() == unknown.json().keys()
    assert len(known.content) == len(unknown.content)
    of_offers = [event for event in trail if event["action"] == "offer_membership"]
    assert len(of_offers) == 2
    varies = {"id", "entityId", "requestId", "at"}
    first, second = ({k: v for k, v in e.items() if k not in varies} for e in of_offers)
    assert first == second
    messages = await api.send("GET", "/notifications", who="admin")
    assert messages.json()["items"] == []


async def verify(api, user):
    async with api.services.store.begin() as unit:
        await unit.accounts.set_email_verified_at(user.id, api.clock.now())
        await unit.commit()


async def offers_to(api, headers):
    answer = await api.client.get("/users/me/membership-offers", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["items"]


async def test_one_lists_the_offers_to_oneself_and_accepts_one(api, elsewhere):
    robin, headers = elsewhere.robin, elsewhere.bearer(elsewhere.robin)
    await verify(api, robin)
    offered = (await offer(api, robin.email.upper())).json()
    await offer(api, "somebody.else@example.org")

    (listed,) = await offers_to(api, headers)
    accepted = await accept(api, elsewhere, listed["offer"])

    assert listed == {
        "id": offered["id"],
        "clinicId": str(api.world.clinic.id),
        "clinicName": api.world.clinic.name,
        "role": "RECEPTIONIST",
        "specialty": None,
        "offer": offered["offer"],
        "expiresAt": offered["expiresAt"],
    }
    assert accepted.status_code == 201
    assert await offers_to(api, headers) == []
    assert await offers_to(api, api.bearer("admin")) == []


async def test_an_address_that_is_only_claimed_shows_no_offers(api, elsewhere):
    robin = elsewhere.robin
    await offer(api, robin.email)
    claimed = await offers_to(api, elsewhere.bearer(robin))
    await verify(api, robin)
    proven = await offers_to(api, elsewhere.bearer(robin))

    await api.client.patch(
        "/users/me", json={"email": "robin.ray@example.org"}, headers=elsewhere.bearer(robin)
    )
    await offer(api, "robin.ray@example.org")

    assert (claimed, len(proven)) == ([], 1)
    assert await offers_to(api, elsewhere.bearer(robin)) == []


async def test_only_offers_that_can_be_accepted_are_listed(api, elsewhere):
    robin, headers = elsewhere.robin, elsewhere.bearer(elsewhere.robin)
    await verify(api, robin)
    await offer(api, robin.email, role="ADMIN")
    withdrawn = (await offer(api, robin.email)).json()
    first = (await offer(api, robin.email)).json()
    await api.send("DELETE", f"/membership-offers/{withdrawn['id']}", who="admin")
    open_ones = await offers_to(api, headers)
    second = (await offer(api, robin.email)).json()
    await accept(api, elsewhere, first["offer"])
    as_member = await offers_to(api, headers)
    api.clock.advance(timedelta(minutes=1))
    await api.send("DELETE", f"/users/{robin.id}/membership", who="admin")
    after_the_end = await offers_to(api, headers)
    api.clock.advance(timedelta(minutes=1))
    third = (await offer(api, robin.email)).json()
    anew = await offers_to(api, headers)

    assert [each["id"] for each in open_ones] == [first["id"]]
    assert (as_member, after_the_end) == ([], [])
    assert [each["id"] for each in anew] == [third["id"]]
    late = await accept(api, elsewhere, second["offer"])
    assert (late.status_code, late.json()["code"]) == (409, "offer_invalid")


async def test_an_offer_works_once(api, elsewhere):
    token = (await offer(api, elsewhere.robin.email)).json()["offer"]
    await accept(api, elsewhere, token)

    again = await accept(api, elsewhere, token)

    assert (again.status_code, again.json()["code"]) == (409, "offer_invalid")


async def test_an_offer_expires(api, elsewhere):
    token = (await offer(api, elsewhere.robin.email)).json()["offer"]
    api.clock.advance(timedelta(days=7))

    late = await accept(api, elsewhere, token)

    assert (late.status_code, late.json()["code"]) == (409, "offer_invalid")
    assert api.world.clinic.id not in await clinics_of(api, elsewhere.robin)


async def test_an_offer_that_was_withdrawn_falls(api, elsewhere):
    offered = (await offer(api, elsewhere.robin.email)).json()
    withdrawn = await api.send("DELETE", f"/membership-offers/{offered['id']}", who="admin")
    twice = await api.send("DELETE", f"/membership-offers/{offered['id']}", who="admin")

    late = await accept(api, elsewhere, offered["offer"])

    assert (withdrawn.status_code, twice.status_code) == (204, 404)
    assert (late.status_code, late.json()["code"]) == (409, "offer_invalid")
    assert "withdraw_offer" in await actions(api)


@pytest.mark.parametrize("how", ["membership", "disabled"])
async def test_offers_fall_with_the_administrator_who_made_them(api, elsewhere, how):
    ally = a_user(Role.ADMIN, name="Ally Adams")
    async with api.services.store.begin() as unit:
        await unit.people.add_user(ally)
        await unit.accounts.add_staff(api.world.clinic.id, ally.id)
        await unit.commit()
    bearer = await session_here(api, ally)
    body = {"email": elsewhere.robin.email, "role": "RECEPTIONIST"}
    made = await api.send("POST", "/membership-offers", body, who=None, headers=bearer)
    if how == "membership":
        await api.send("DELETE", f"/users/{ally.id}/membership", who="admin")
    else:
        await api.send("PATCH", f"/users/{ally.id}", {"disabled": True}, who="admin")

    late = await accept(api, elsewhere, made.json()["offer"])

    assert (late.status_code, late.json()["code"]) == (409, "offer_invalid")


async def test_an_offer_is_for_one_address_and_one_role(api, elsewhere):
    token = (await offer(api, elsewhere.robin.email)).json()["offer"]
    as_admin = (await offer(api, elsewhere.robin.email, "ADMIN")).json()["offer"]

    somebody_else = await accept(api, elsewhere, token, elsewhere.admin)
    other_role = await accept(api, elsewhere, as_admin)
    made_up = await accept(api, elsewhere, "A" * 43 + "." + "B" * 43)
    tampered = await accept(api, elsewhere, ("B" if token[0] == "A" else "A") + token[1:])

    codes = [a.json()["code"] for a in (somebody_else, other_role, made_up, tampered)]
    assert codes == ["offer_invalid"] * 4
    assert (await accept(api, elsewhere, token)).status_code == 201


async def test_members_cannot_join_again(api):
    token = (await offer(api, api.receptionist.email)).json()["offer"]

    answer = await api.send("POST", "/memberships", {"offer": token}, who="receptionist")

    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")


async def test_a_doctor_joins_with_a_specialty(api, elsewhere):
    doctor = await api.services.store.people.user(elsewhere.world.doctor.id)
    async with api.services.store.begin() as unit:
        await unit.sessions.add(a_session(elsewhere.world.clinic, doctor.id, doctor.role))
        await unit.commit()
    without = await offer(api, doctor.email, "DOCTOR")

    await joined(api, elsewhere, doctor, specialty="Surgery")

    assert (without.status_code, without.json()["code"]) == (400, "invalid_input")
    listed = (await api.send("GET", "/doctors?specialty=surgery")).json()["items"]
    assert [one["id"] for one in listed] == [str(doctor.id)]


async def test_the_route_that_asked_nobody_is_refused(api, elsewhere):
    answer = await api.send("PUT", f"/users/{elsewhere.robin.id}/membership", {}, who="admin")

    assert (answer.status_code, answer.json()["code"]) == (409, "consent_needed")


async def test_administrators_create_no_clinics(api):
    body = {"name": "Mine", "timeZone": "UTC"}
    before = await api.services.store.people.clinics()

    answer = await api.send("POST", "/clinics", body, who="admin")

    assert (answer.status_code, answer.json()["code"]) == (403, "operator_only")
    assert await api.services.store.people.clinics() == before


# --- ending


async def test_ending_a_membership_ends_its_sessions_and_leaves_those_elsewhere(api, elsewhere):
    robin = elsewhere.robin
    await joined(api, elsewhere)
    here = await session_here(api, robin)
    doctor = api.world.doctor.id
    paths = ("/users/me", "/appointments", f"/slots?doctor={doctor}", "/slots")
    before = [(await api.client.get(path, headers=here)).status_code for path in paths]

    ended = await api.send("DELETE", f"/users/{robin.id}/membership", who="admin")

    after = [(await api.client.get(path, headers=here)).status_code for path in paths]
    there = await api.client.get("/users/me", headers=elsewhere.bearer(robin))
    assert ended.status_code == 204
    assert (before, after, there.status_code) == ([200] * 4, [401] * 4, 200)
    assert await clinics_of(api, robin) == (elsewhere.world.clinic.id,)
    gone = await api.send("GET", f"/users/{robin.id}", who="admin")
    assert gone.status_code == 404
    event = (await actions(api))["end_membership"]
    assert (event["entityId"], event["detail"]) == (str(robin.id), {"sessions": 1})


async def test_an_administrator_of_two_clinics_is_removable_at_each(api, elsewhere):
    await joined(api, elsewhere, elsewhere.admin)
    here = await session_here(api, elsewhere.admin)
    user = f"/users/{elsewhere.admin.id}"

    disabled = await api.send("PATCH", user, {"disabled": True}, who="admin")
    sessions = await api.send("DELETE", f"{user}/sessions", who="admin")
    ended = await api.send("DELETE", f"{user}/membership", who="admin")

    assert (disabled.status_code, disabled.json()["code"]) == (409, "user_shared")
    assert (sessions.status_code, ended.status_code) == (204, 204)
    assert (await api.client.get("/users/me", headers=here)).status_code == 401
    there = await api.client.get("/users/me", headers=elsewhere.bearer(elsewhere.admin))
    assert there.status_code == 200


async def test_sessions_are_ended_at_the_clinic_alone(api, elsewhere):
    await joined(api, elsewhere)
    here = await session_here(api, elsewhere.robin)

    ended = await api.send("DELETE", f"/users/{elsewhere.robin.id}/sessions", who="admin")

    assert ended.status_code == 204
    assert (await api.client.get("/users/me", headers=here)).status_code == 401
    there = await api.client.get("/users/me", headers=elsewhere.bearer(elsewhere.robin))
    assert there.status_code == 200


async def test_nobody_ends_their_own_membership(api):
    answer = await api.send("DELETE", f"/users/{api.admin.id}/membership", who="admin")

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_input")
    assert (await api.send("GET", "/users/me", who="admin")).status_code == 200


@pytest.mark.parametrize("who", ["doctor", "patient", "receptionist"])
async def test_every_kind_of_member_can_be_ended_and_offered_again(api, who):
    person = {
        "doctor": api.world.doctor.id,
        "patient": api.world.patients[0].id,
        "receptionist": api.receptionist.id,
    }[who]
    user = await api.services.store.people.user(person)
    early = (await offer(api, user.email, user.role.value, **_specialty(user))).json()["offer"]
    api.clock.advance(timedelta(minutes=1))
    ended = await api.send("DELETE", f"/users/{user.id}/membership", who="admin")
    refused = await api.send("GET", "/users/me", who=who)
    elsewhere = await seed_world(api.services.store)
    async with api.services.store.begin() as unit:
        await unit.memberships.join(elsewhere.clinic.id, user, "General")
        await unit.sessions.add(a_session(elsewhere.clinic, user.id, user.role))
        await unit.commit()
    there = Elsewhere(api.services, elsewhere)

    stale = await accept(api, there, early, user)
    api.clock.advance(timedelta(minutes=1))
    await joined(api, there, user, **_specialty(user))

    assert (ended.status_code, refused.status_code) == (204, 401)
    assert (stale.status_code, stale.json()["code"]) == (409, "offer_invalid")
    assert api.world.clinic.id in await clinics_of(api, user)


def _specialty(user):
    return {"specialty": "General"} if user.role is Role.DOCTOR else {}


async def test_a_patient_who_left_can_still_be_erased(api):
    patient = api.world.patients[0]
    await api.send("DELETE", f"/users/{patient.id}/membership", who="admin")

    erased = await api.send("POST", f"/users/{patient.id}/erasure", {}, who="admin")

    assert erased.status_code == 200
    assert (await api.services.store.people.user(patient.id)).name == "Erased patient"


# --- who may be booked for


@pytest.mark.parametrize("how", ["disabled", "erased", "left"])
async def test_nobody_books_for_a_patient_whose_account_is_closed(api, how):
    patient = api.world.patients[0]
    user = f"/users/{patient.id}"
    if how == "disabled":
        await api.send("PATCH", user, {"disabled": True}, who="admin")
    elif how == "erased":
        await api.send("POST", f"{user}/erasure", {}, who="admin")
    else:
        await api.send("DELETE", f"{user}/membership", who="admin")
    body = {"slotId": str(api.world.slots[0].id), "patientId": str(patient.id)}

    refused = [await api.send("POST", "/appointments", body, who=who) for who in STAFF]

    assert {answer.status_code for answer in refused} == {409}
    assert {answer.json()["code"] for answer in refused} == {"patient_disabled"}
    assert (await api.send("GET", "/appointments", who="admin")).json()["items"] == []
    assert (await api.send("GET", f"/slots/{api.world.slots[0].id}")).status_code in (200, 401)


async def test_who_is_enabled_again_is_booked_for_again(api):
    patient = api.world.patients[0]
    for disabled in (True, False):
        await api.send("PATCH", f"/users/{patient.id}", {"disabled": disabled}, who="admin")
    body = {"slotId": str(api.world.slots[0].id), "patientId": str(patient.id)}

    booked = await api.send("POST", "/appointments", body, who="receptionist")

    assert booked.status_code == 201


async def test_an_appointment_of_a_disabled_patient_is_moved_and_cancelled(api):
    booked = await api.book()
    patient = api.world.patients[0]
    await api.send("PATCH", f"/users/{patient.id}", {"disabled": True}, who="admin")
    path = f"/appointments/{booked['id']}"
    body = {"slotId": str(api.world.slots[1].id)}

    moved = await api.send("PATCH", path, body, who="receptionist", headers={"if-match": "*"})
    cancelled = await api.send(
        "PATCH", path, {"status": "CANCELLED"}, who="receptionist", headers={"if-match": "*"}
    )

    assert (moved.status_code, cancelled.status_code) == (200, 200)
