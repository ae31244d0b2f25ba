"""An export that cannot be finished does not look like a whole one."""

import httpx
import pytest

from clinic.entrypoints.cli.demo.client import Request

pytestmark = pytest.mark.anyio


async def read_into(got: bytearray, client: httpx.AsyncClient, url: str, headers) -> None:
    async with client.stream("GET", url, headers=headers) as answer:
        async for piece in answer.aiter_bytes():
            got += piece


async def test_export_that_breaks_off_is_not_taken_for_a_whole_one(server, make_town, database):
    town = await make_town(slots=1, patients=1)
    (patient,) = town.patient_ids
    (booked,) = await server.send([town.booking(town.slots[0], patient, "key-of-this-test-0001")])
    assert booked.status == 201
    url = f"http://{server.settings.host}:{server.settings.port}/users/me/export"
    headers = {"authorization": f"Bearer {town.tokens[patient]}"}
    async with httpx.AsyncClient() as client:
        whole = await client.get(url, headers=headers)
        # What comes last cannot be read any more.
        database.execute("REVOKE SELECT ON audit_event FROM clinic_app")
        got = bytearray()
        with pytest.raises(httpx.RemoteProtocolError):
            await read_into(got, client, url, headers)

    assert (whole.status_code, whole.headers["transfer-encoding"]) == (200, "chunked")
    assert len(whole.json()["appointments"]) == 1
    assert got.startswith(b'{"user":')
    assert b'"events":[' in got
    assert not got.endswith(b"}")
    (next_one,) = await server.send([Request("GET", "/users/me", town.tokens[patient])])
    assert next_one.status == 200
    log = server.log.read_text()
    assert "InsufficientPrivilege" in log
    assert "permission denied" not in log
