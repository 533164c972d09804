"""Whose connection opens the code of a run."""

from uuid import UUID

import pytest
from sqlalchemy import delete

from gateway import clock
from gateway.context import Context
from gateway.projects.rows import Member
from gateway.repositories.rows import CodeRepository
from gateway.runs.plan import PlanRefused
from gateway.users.rows import User
from tests.gateway.world import World


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("gone", ["disabled", "removed"])
async def test_a_git_connection_ends_with_its_owners_membership(world: World, context: Context, gone: str) -> None:
    place, owner = await world.place(), await world.person("owner")
    async with context.db.transaction() as session:
        code = await session.get_one(CodeRepository, UUID(place.ids["codeRepositoryId"]))
        code.connection_id = UUID(place.ids["connectionId"])
        if gone == "disabled":
            (await session.get_one(User, owner.id)).disabled_at = clock.now()
        else:
            await session.execute(delete(Member).where(Member.user_id == owner.id))
    with pytest.raises(PlanRefused) as refused:
        await context.planner._source(code)
    assert "somebody who is no longer in the project" in refused.value.message
