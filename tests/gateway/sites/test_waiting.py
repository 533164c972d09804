"""What an operator changes at a site wakes what waits for it, and nothing else."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from gateway.connections.rows import Connection
from gateway.context import Context
from gateway.db.lease import Lease, is_due, later
from gateway.runs.lease import claim_runs
from gateway.runs.rows import Run
from gateway.sites.rows import Site
from tests.gateway.connections.making import KEY
from tests.gateway.world import Person, Place, World

SITE: dict[str, Any] = {"name": "cluster", "kind": "slurm", "host": "login.example.org", "hostKeys": []}
LATER = 300.0


async def _waiting(world: World, *, state: str = "QUEUED") -> Place:
    """A run on a cluster of its own, in the longest back-off, as is the poll of its connection."""
    place = await world.run(await world.place(), state=state)
    async with world.context.db.transaction() as session:
        run = await session.get_one(Run, UUID(place.ids["runId"]))
        run.due_at = later(session, LATER)  # type: ignore[assignment]  # the database's clock
        session.add(Lease(name=f"poll:{run.connection_id}", epoch=0, due_at=later(session, LATER)))
    return place


async def _due(context: Context, place: Place) -> tuple[bool, bool]:
    """Whether the run is due now, and the poll of its connection."""
    async with context.db.reading() as session:
        now = later(session, 0)
        lease = select(Lease.name).where(
            Lease.name == f"poll:{UUID(place.ids['connectionId'])}", is_due(Lease.due_at, Lease.owner, Lease.until, now)
        )
        run = select(Run.id).where(Run.id == UUID(place.ids["runId"]), Run.due_at <= now)
        return await session.scalar(run) is not None, await session.scalar(lease) is not None


async def _put(api: httpx.AsyncClient, admin: Person, place: Place, **change: Any) -> None:
    body = {**SITE, "name": f"cluster {place.ids['siteId']}", **change}
    answer = await api.put(f"/sites/{place.ids['siteId']}", json=body, headers=admin.headers)
    assert answer.status_code == 200, answer.text
    assert answer.json()["paused"] == change.get("paused", False)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({}, {"hostKeys": [KEY]}),
        ({}, {"host": "other.example.org"}),
        ({}, {"port": 2222}),
        ({}, {"jump": "jump.example.org"}),
        ({}, {"options": {"connectTimeLimit": 5}}),
        ({"paused": True}, {}),
    ],
)
async def test_a_changed_way_to_a_site_wakes_its_runs_at_once(
    api: httpx.AsyncClient, world: World, context: Context, before: dict[str, Any], after: dict[str, Any]
) -> None:
    admin = await world.person("admin", admin=True)
    place, elsewhere = await _waiting(world), await _waiting(world)
    await _put(api, admin, place, **before)
    async with context.db.transaction() as session:
        for row in (await session.get_one(Run, UUID(place.ids["runId"])), *await session.scalars(select(Lease))):
            row.due_at = later(session, LATER)  # type: ignore[assignment]
    assert await _due(context, place) == (False, False)
    await _put(api, admin, place, **after)
    assert await _due(context, place) == (True, True)
    assert await _due(context, elsewhere) == (False, False)
    async with context.db.transaction() as session:
        claimed = await claim_runs(session, "engine", 60, 10)
    assert [str(run.id) for run, _ in claimed] == [place.ids["runId"]]


async def test_what_changes_nothing_on_the_way_wakes_nobody(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    admin, place = await world.person("admin", admin=True), await _waiting(world)
    await _put(api, admin, place)
    async with context.db.transaction() as session:
        for row in (await session.get_one(Run, UUID(place.ids["runId"])), *await session.scalars(select(Lease))):
            row.due_at = later(session, LATER)  # type: ignore[assignment]
    await _put(api, admin, place, pollSecondsMax=120, paused=True)
    await _put(api, admin, place, pollSecondsMax=60, paused=True)
    assert await _due(context, place) == (False, False)


async def test_an_ended_run_with_nothing_left_to_do_stays_at_rest(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    admin, place = await world.person("admin", admin=True), await world.run(await world.place(), state="FINISHED")
    await _put(api, admin, place, hostKeys=[KEY])
    async with context.db.reading() as session:
        run = await session.get_one(Run, UUID(place.ids["runId"]))
        leases = list(await session.scalars(select(Lease.name)))
    assert (run.due_at, leases) == (None, [])


async def test_a_new_credential_wakes_the_runs_of_its_connection(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    owner, place = await world.person("owner"), await _waiting(world)
    async with context.db.transaction() as session:
        connection = await session.get_one(Connection, UUID(place.ids["connectionId"]))
        connection.auth_method, connection.login_name = "Username-Password", "alice"
    path = f"/users/{owner.id}/settings/connections/{place.ids['connectionId']}/credential?check=false"
    answer = await api.put(path, json={"password": "new"}, headers=owner.headers)
    assert answer.status_code == 200, answer.text
    assert await _due(context, place) == (True, True)


async def test_the_time_of_a_pause_is_kept_while_it_lasts(
    api: httpx.AsyncClient, world: World, context: Context
) -> None:
    admin, place = await world.person("admin", admin=True), await world.place()

    async def paused_at() -> object:
        async with context.db.reading() as session:
            return (await session.get_one(Site, UUID(place.ids["siteId"]))).paused_at

    await _put(api, admin, place, paused=True)
    since = await paused_at()
    await _put(api, admin, place, paused=True, port=2222)
    assert since is not None
    assert await paused_at() == since
    await _put(api, admin, place)
    assert await paused_at() is None
    assert [e.details["paused"] for e in await world.audit() if e.action == "site.change"] == [True, True, False]
