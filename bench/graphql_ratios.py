"""The published GraphQL query against REST's list and against Strawberry's stock execution.

One process, a PostgreSQL of its own, no network: `python bench/graphql_ratios.py` needs the extras
`embedded` and `testing`. Rounds are interleaved; the CPU of this process is steadier than the clock
where other things run too. 1,000 rows are five pages of REST.
"""

import asyncio
import gc
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import strawberry

from clinic.adapters.postgres.migrations import migrate
from clinic.bootstrap import Services, build
from clinic.devtools.embedded import EmbeddedPostgres
from clinic.domain.people.people import Actor, Patient, Role
from clinic.entrypoints.http.app import create_app
from clinic.entrypoints.http.graphql import handler, queries
from clinic.entrypoints.http.graphql.context import QueryContext
from clinic.entrypoints.http.graphql.documents import Documents
from clinic.entrypoints.http.graphql.mutations import Mutation
from clinic.entrypoints.http.graphql.queries import Query
from clinic.entrypoints.http.graphql.requests import GraphqlRequest
from clinic.entrypoints.http.graphql.types import SCALARS, schedule_rows
from clinic.entrypoints.http.kernel.tokens import issue_token
from clinic.settings import Settings
from clinic.testing import FixedClock, a_user, seed_world
from clinic.testing.builders import MORNING, NOW, a_session, a_slot, seed_booking
from clinic.usecases.appointments.read_schedule import Schedule, read_schedule

SEED = (
    "query {\n  getAppointments {\n    id\n    patientName\n    doctorName\n    date\n    time\n"
    "    duration\n    type\n    status\n  }\n}"
)
#: parses and validates each time, as it comes out of the box
STOCK = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    config=strawberry.schema.config.StrawberryConfig(scalar_map=SCALARS),
)
ROUNDS = 7
PAGE = 200
Ask = Callable[[], Awaitable[Any]]


async def main(url: str) -> None:
    limit = "1000000/60"
    settings = Settings(
        database_url=url,
        secret=token_urlsafe(48),
        log_level="error",
        read_limit=limit,
        write_limit=limit,
    )
    services = replace(build(settings), clock=FixedClock(NOW))
    app = create_app(services)
    # As `clinic serve` does.
    gc.freeze()
    gc.set_threshold(20_000)
    async with app.lifespan():
        for rows in (30, 1000):
            await measure(app, services, rows)


async def measure(app: Any, services: Services, rows: int) -> None:
    actor, token = await settle(services, rows)

    async def send(method: str, path: str, query: bytes = b"", body: bytes = b"") -> bytes:
        waiting, sent = [{"type": "http.request", "body": body, "more_body": False}], []

        async def receive() -> Any:
            return waiting.pop(0)

        async def keep(message: Any) -> None:
            sent.append(message)

        headers = [(b"authorization", token), (b"content-type", b"application/json")]
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "scheme": "http",
            "headers": [(b"host", b"bench"), *headers],
            "client": ("127.0.0.1", 1),
            "server": ("bench", 80),
            "state": {},
        }
        await app(scope, receive, keep)
        assert sent[0]["status"] == 200, sent
        return sent[1]["body"]  # type: ignore[no-any-return]

    body = json.dumps({"query": SEED}).encode()

    async def graphql() -> Any:
        return await send("POST", "/graphql", body=body)

    async def rest() -> None:
        seen, cursor = 0, b""
        while seen < rows:
            page = await send("GET", "/appointments", b"limit=%d%s" % (min(rows, PAGE), cursor))
            seen += min(rows, PAGE)
            if seen < rows:
                # The cursor is cut out, so that reading the page is not part of what is measured.
                cursor = b"&cursor=" + page[page.rindex(b'"next":"') + 8 : -2]

    async def stock() -> None:
        execute, handler.execute = handler.execute, execute_stock
        try:
            await graphql()
        finally:
            handler.execute = execute

    assert len(json.loads(await graphql())["data"]["getAppointments"]) == rows
    report(
        f"{rows} rows, whole requests", await timed(rows, graphql=graphql, rest=rest, stock=stock)
    )
    await measure_engines(services, actor, rows)


async def execute_stock(_: Any, asked: GraphqlRequest, context: QueryContext) -> Any:
    result = await STOCK.execute(asked.query, context_value=context)
    assert not result.errors, result.errors
    return result.data, []


async def measure_engines(services: Services, actor: Actor, rows: int) -> None:
    """Measure both executions alone: what the resolver returns is there already."""
    schedule = await read_schedule(services.context(actor))
    made = schedule_rows(schedule)

    async def ready(**_: Any) -> Schedule:
        return schedule

    asked = GraphqlRequest(SEED)
    prepared = Documents(introspection=False).prepare(SEED, None)
    assert prepared.plan is not None
    call: Any = _Noted()

    def context() -> QueryContext:
        return QueryContext(call, services, actor, prepared.document)

    async def compiled() -> Any:
        return await handler.execute(prepared, asked, context())

    async def stock() -> Any:
        return await execute_stock(prepared, asked, context())

    read, make = queries.read_schedule, queries.schedule_rows
    queries.read_schedule, queries.schedule_rows = ready, lambda _: made
    try:
        assert await compiled() == await stock()
        times = await timed(rows, compiled=compiled, stock=stock)
    finally:
        queries.read_schedule, queries.schedule_rows = read, make
    report(f"{rows} rows, execution alone", times)


class _Noted:
    def __init__(self) -> None:
        self.read_ids: list[str] = []
        self.reads_patients = False


async def settle(services: Services, rows: int) -> tuple[Actor, bytes]:
    """Book `rows` appointments in a new clinic; return its receptionist and the token."""
    world = await seed_world(services.store, slots=0)
    user, people = a_user(Role.RECEPTIONIST), [a_user(name=f"Patient {n}") for n in range(rows)]
    session = a_session(world.clinic, user.id, Role.RECEPTIONIST)
    starts = [MORNING + timedelta(days=n // 30, minutes=15 * (n % 30)) for n in range(rows)]
    slots = [a_slot(world.doctor, start, minutes=15) for start in starts]
    async with services.store.begin() as unit:
        await unit.people.add_user(user)
        await unit.accounts.add_staff(world.clinic.id, user.id)
        await unit.sessions.add(session)
        for person in people:
            await unit.people.add_user(person)
            await unit.people.add_patient(world.clinic.id, person.id)
        await unit.calendars.add_slots(slots)
        await unit.commit()
    for slot, person in zip(slots, people, strict=True):
        patient = Patient(world.clinic.id, person.id, person.name, person.email)
        await seed_booking(services.store, world.clinic, slot, patient)
    token = issue_token(
        services.settings,
        user_id=user.id,
        role=Role.RECEPTIONIST,
        clinic_id=world.clinic.id,
        session_id=session.id,
        now=NOW,
        lifetime_s=3600,
    )
    actor = Actor(user.id, Role.RECEPTIONIST, world.clinic.id, session_id=session.id)
    return actor, f"Bearer {token}".encode()


Times = dict[str, tuple[float, float]]


async def timed(rows: int, **asks: Ask) -> Times:
    """Return the median CPU and wall time of each, in microseconds."""
    times = 150 if rows < 100 else 15
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in asks}
    for _ in range(ROUNDS):
        for name, ask in asks.items():
            number = max(times // 5, 3) if name == "stock" else times
            cpu, wall = time.process_time(), time.perf_counter()
            for _ in range(number):
                await ask()
            spent = time.process_time() - cpu, time.perf_counter() - wall
            found[name].append((spent[0] / number * 1e6, spent[1] / number * 1e6))
    return {
        name: (statistics.median(t[0] for t in each), statistics.median(t[1] for t in each))
        for name, each in found.items()
    }


def report(title: str, times: Times) -> None:
    print(title)
    first = next(iter(times.values()))
    for name, (cpu, wall) in times.items():
        print(
            f"  {name:9} {cpu:9,.0f} µs CPU ({cpu / first[0]:5.2f}x)"
            f" {wall:9,.0f} µs wall ({wall / first[1]:5.2f}x)"
        )


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres", {})
        server.start()
        try:
            server.create_database("bench")
            migrate(server.url("bench", "owner"))
            asyncio.run(main(server.url("bench", "app")))
        finally:
            server.stop()
