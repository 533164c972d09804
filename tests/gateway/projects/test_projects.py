"""Projects and members beyond the table of roles: visibility, owners, paging."""

import asyncio
from uuid import UUID

import httpx
import pytest
from sqlalchemy import func, select

from gateway.context import Context
from gateway.db.session import Database
from gateway.errors import Forbidden, NotFound
from gateway.projects import members
from gateway.projects.access import require, sees_details
from gateway.projects.rows import Member, Project
from gateway.repositories.rows import CodeRepository
from gateway.schemas.projects import SetMember
from tests.gateway.world import World


async def test_the_maker_is_the_owner(api: httpx.AsyncClient, world: World) -> None:
    alice = await world.person("alice")
    made = await api.post("/projects", json={"name": "p"}, headers=alice.headers)
    assert made.json()["role"] == "owner"
    members = (await api.get(f"/projects/{made.json()['projectId']}/members", headers=alice.headers)).json()
    assert [(m["user"]["name"], m["role"]) for m in members] == [("alice", "owner")]


async def test_a_public_project_is_read_by_all_and_changed_by_none(api: httpx.AsyncClient, world: World) -> None:
    place, stranger = await world.place(public=True), await world.person("stranger")
    path = f"/projects/{place.ids['projectId']}"
    shown = await api.get(path, headers=stranger.headers)
    assert (shown.status_code, shown.json()["role"]) == (200, None)
    assert (await api.get(f"{path}/experiments", headers=stranger.headers)).status_code == 200
    assert (await api.get(f"{path}/members", headers=stranger.headers)).status_code == 403
    assert (await api.post(f"{path}/experiments", json={"name": "x"}, headers=stranger.headers)).status_code == 403


@pytest.mark.parametrize(("public", "details", "sees"), [(True, False, False), (True, True, True)])
async def test_details_of_a_public_project_have_their_own_switch(
    world: World, context: Context, public: bool, details: bool, sees: bool
) -> None:
    place, stranger = await world.place(public=public), await world.person("stranger")
    async with context.db.transaction() as session:
        project = await require(session, stranger.caller, UUID(place.ids["projectId"]), "guest")
        project.public_details = details
        assert await sees_details(session, stranger.caller, project) is sees
        guest = (await world.person("guest")).caller
        assert await sees_details(session, guest, project) is True


@pytest.mark.parametrize("details", [False, True])
async def test_a_stranger_sees_neither_users_nor_where_the_code_lies(
    api: httpx.AsyncClient, world: World, context: Context, details: bool
) -> None:
    place, stranger = await world.run(await world.place(public=True)), await world.person("stranger")
    path = f"/projects/{place.ids['projectId']}"
    async with context.db.transaction() as session:
        (await session.get_one(Project, UUID(place.ids["projectId"]))).public_details = details
        code = await session.get_one(CodeRepository, UUID(place.ids["codeRepositoryId"]))
        code.connection_id = UUID(place.ids["connectionId"])
    texts = [
        (await api.get(f"{path}/{what}", headers=stranger.headers)).text
        for what in ("runs", f"runs/{place.ids['runId']}", "code", f"code/{place.ids['codeRepositoryId']}")
    ]
    owner = await world.person("owner")
    for text in texts[:2]:
        assert ('"owner"' in text, str(owner.id) in text) == (details, details)
    for text in texts[2:]:
        assert ("git.example.org" in text, place.ids["connectionId"] in text) == (details, details)
    filtered = await api.get(f"{path}/runs?createdBy={owner.id}", headers=stranger.headers)
    assert filtered.status_code == (200 if details else 403)


async def test_only_an_owner_makes_a_project_public(api: httpx.AsyncClient, world: World) -> None:
    place = await world.place()
    path, body = f"/projects/{place.ids['projectId']}", {"name": "now public", "public": True}
    for role, status in (("maintainer", 403), ("owner", 200)):
        answer = await api.put(path, json=body, headers=(await world.person(role)).headers)
        assert answer.status_code == status


async def test_only_an_owner_gives_and_takes_high_roles(api: httpx.AsyncClient, world: World) -> None:
    place = await world.place()
    path = f"/projects/{place.ids['projectId']}/members"
    maintainer, guest = await world.person("maintainer"), await world.person("guest")
    for role, status in (("owner", 403), ("maintainer", 403), ("researcher", 200)):
        answer = await api.put(f"{path}/{guest.id}", json={"role": role}, headers=maintainer.headers)
        assert answer.status_code == status, role
    owner = await world.person("owner")
    assert (await api.delete(f"{path}/{owner.id}", headers=maintainer.headers)).status_code == 403
    assert (await api.put(f"{path}/{guest.id}", json={"role": "owner"}, headers=owner.headers)).status_code == 200


async def test_a_project_keeps_an_owner(api: httpx.AsyncClient, world: World) -> None:
    place, owner = await world.place(), await world.person("owner")
    path = f"/projects/{place.ids['projectId']}/members/{owner.id}"
    assert (await api.delete(path, headers=owner.headers)).status_code == 409
    assert (await api.put(path, json={"role": "guest"}, headers=owner.headers)).status_code == 409
    assert (await api.put(path, json={"role": "owner"}, headers=owner.headers)).status_code == 200


async def test_everybody_may_leave(api: httpx.AsyncClient, world: World) -> None:
    place, guest = await world.place(), await world.person("guest")
    path = f"/projects/{place.ids['projectId']}"
    assert (await api.delete(f"{path}/members/{guest.id}", headers=guest.headers)).status_code == 204
    assert (await api.get(path, headers=guest.headers)).status_code == 404


async def test_a_project_with_runs_stays(api: httpx.AsyncClient, world: World) -> None:
    place, owner = await world.run(await world.place()), await world.person("owner")
    answer = await api.delete(f"/projects/{place.ids['projectId']}", headers=owner.headers)
    assert (answer.status_code, "what they cost is kept" in answer.json()["detail"]) == (409, True)


async def test_a_taken_name_is_a_conflict(api: httpx.AsyncClient, world: World) -> None:
    alice = await world.person("alice")
    await api.post("/projects", json={"name": "p"}, headers=alice.headers)
    answer = await api.post("/projects", json={"name": "p"}, headers=alice.headers)
    assert (answer.status_code, answer.json()["detail"].startswith("name: ")) == (409, True)


async def test_pages_show_every_project_once_newest_first(api: httpx.AsyncClient, world: World) -> None:
    alice = await world.person("alice")
    names = [f"p{n}" for n in range(7)]
    for name in names:
        await api.post("/projects", json={"name": name}, headers=alice.headers)
    seen: list[str] = []
    cursor = ""
    while cursor is not None:
        query = f"?limit=3&cursor={cursor}" if cursor else "?limit=3"
        page = (await api.get(f"/projects{query}", headers=alice.headers)).json()
        seen += [p["name"] for p in page["items"]]
        cursor = page["nextCursor"]
    assert seen == names[::-1]


@pytest.mark.parametrize("cursor", ["x", "AAAA", "MjAyNi0wMS0wMSAwMA"])
async def test_a_false_cursor_is_told(api: httpx.AsyncClient, world: World, cursor: str) -> None:
    answer = await api.get(f"/projects?cursor={cursor}", headers=(await world.person("alice")).headers)
    assert (answer.status_code, answer.json()["detail"].startswith("cursor: ")) == (422, True)


async def test_two_owners_who_remove_each_other_at_once_leave_one(
    context: Context, database_url: str, world: World
) -> None:
    other = Database(database_url)
    for _ in range(5):
        place = await world.place()
        project_id = UUID(place.ids["projectId"])
        one, two = await world.person("owner"), await world.person("maintainer")
        await members.put(context.db, one.caller, project_id, two.id, SetMember(role="owner"))
        done = await asyncio.gather(
            members.remove(context.db, one.caller, project_id, two.id),
            members.remove(other, two.caller, project_id, one.id),
            return_exceptions=True,
        )
        (refused,) = [error for error in done if error is not None]
        assert isinstance(refused, NotFound | Forbidden), refused
        async with context.db.reading() as session:
            owners = select(func.count()).where(Member.project_id == project_id, Member.role == "owner")
            assert await session.scalar(owners) == 1
    await other.close()
