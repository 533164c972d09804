"""`/projects/{projectId}/budget` over HTTP and by the client."""

import httpx
import pytest

from gateway.errors import Forbidden, InvalidInput, NotFound
from gateway.schemas.budgets import Caps, SetBudget
from tests.gateway.client.test_real_gateway import Open, bearer, open_client
from tests.gateway.world import World

__all__ = ["open_client"]


async def test_a_project_without_a_guard_is_shown_as_off(api: httpx.AsyncClient, world: World) -> None:
    place, owner = await world.place(), await world.person("owner")
    shown = (await api.get(f"/projects/{place.ids['projectId']}/budget", headers=owner.headers)).json()
    assert (shown["budgetGuard"], shown["timeZone"], shown["changedBy"]) == ("off", "UTC", None)
    assert shown["perMonth"] == {"coreHours": None, "gpuHours": None}
    assert shown["spent"] == shown["reserved"] == {"coreHours": 0.0, "gpuHours": 0.0}


async def test_a_guard_is_set_whole_and_the_audit_knows(open_client: Open, world: World) -> None:
    place, owner = await world.place(), await world.person("owner")
    client = open_client(token=bearer(owner.headers), project=place.ids["projectId"])
    body = SetBudget(budget_guard="refuse", per_month=Caps(core_hours=1000, gpu_hours=8), time_zone="Europe/Berlin")
    made = await client.budget.set(body)
    assert (made.budget_guard, made.left.core_hours, made.left.gpu_hours) == ("refuse", 1000.0, 8.0)
    assert made.changed_by is not None
    assert made.changed_by.user_id == owner.id
    changed = await client.budget.set(SetBudget(budget_guard="warn", per_run=Caps(gpu_hours=0)))
    assert (changed.per_run.gpu_hours, changed.per_month.core_hours, changed.time_zone) == (0.0, None, "UTC")
    assert (await client.budget.get()).changed_at == changed.changed_at
    entries = [entry for entry in await world.audit() if entry.action == "budget.change"]
    assert [entry.details["guard"] for entry in entries] == ["refuse", "warn"]
    assert entries[0].details["month_core_hours"] == 1000


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"budgetGuard": "refuse"}, "perMonth: a guard that is on needs a cap"),
        ({"budgetGuard": "warn", "perRun": {"coreHours": 1}, "timeZone": "Mars/Olympus"}, "timeZone: 'Mars/Olympus'"),
        ({"budgetGuard": "warn", "perRun": {"coreHours": -1}}, "perRun.coreHours"),
        ({"budgetGuard": "perhaps"}, "budgetGuard"),
        ({"budgetGuard": "warn", "perDay": {"coreHours": 1}}, "perDay"),
    ],
)
async def test_what_is_no_guard_is_refused_by_its_field(
    body: dict[str, object], text: str, api: httpx.AsyncClient, world: World
) -> None:
    place, owner = await world.place(), await world.person("owner")
    answer = await api.put(f"/projects/{place.ids['projectId']}/budget", json=body, headers=owner.headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_INPUT")
    assert text in answer.json()["detail"]


async def test_strangers_of_a_public_project_see_no_budget(open_client: Open, world: World) -> None:
    place, stranger = await world.place(public=True), await world.person("stranger")
    client = open_client(token=bearer(stranger.headers), project=place.ids["projectId"])
    with pytest.raises(Forbidden, match="for its members"):
        await client.budget.get()


async def test_a_project_with_a_guard_can_be_deleted(open_client: Open, world: World) -> None:
    place, owner = await world.place(), await world.person("owner")
    client = open_client(token=bearer(owner.headers), project=place.ids["projectId"])
    await client.budget.set(SetBudget(budget_guard="warn", per_run=Caps(core_hours=1)))
    await client.projects.delete(place.ids["projectId"])
    with pytest.raises(NotFound):
        await client.budget.get()


async def test_a_guard_that_is_on_needs_a_cap(open_client: Open, world: World) -> None:
    place, owner = await world.place(), await world.person("owner")
    client = open_client(token=bearer(owner.headers), project=place.ids["projectId"])
    with pytest.raises(InvalidInput, match="needs a cap"):
        await client.budget.set(SetBudget(budget_guard="warn"))
    assert (await client.budget.get()).budget_guard == "off"
