"""Schedules by the client, against the gateway's own application."""

from uuid import UUID

import pytest

from gateway.errors import Conflict, InvalidInput, NotFound
from gateway.schemas.schedules import CreateSchedule, FireNow
from gateway.settings import Settings
from tests.gateway.client.test_real_gateway import Open, bearer, open_client
from tests.gateway.world import World

__all__ = ["open_client"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"local_open": True})


async def test_a_schedule(open_client: Open, world: World) -> None:
    place = await world.run(await world.place(), state="FINISHED")
    owner = await world.person("owner")
    client = open_client(token=bearer(owner.headers), project=place.ids["projectId"])
    run_id = UUID(place.ids["runId"])
    body = CreateSchedule(name="nightly", run_id=run_id, cron_expression="30 2 * * 1-5", time_zone="Asia/Tokyo")
    with pytest.raises(InvalidInput, match="runId: the run has no commit yet"):
        await client.schedules.create(body)
    await world.commit(run_id, "c0ffee")
    made = await client.schedules.create(body)
    assert (made.in_words, made.time_zone) == ("At 02:30, Monday through Friday", "Asia/Tokyo")
    with pytest.raises(Conflict, match="has a schedule 'nightly' already"):
        await client.schedules.create(body)
    assert [s.name async for s in client.schedules.list()] == ["nightly"]
    shown = await client.schedules.preview("nightly", 3)
    assert shown.firings[0].at == made.next_at
    assert (await client.schedules.preview_of("@daily", "UTC", count=2)).in_words == "At 00:00"
    assert (await client.schedules.pause("nightly")).state == "PAUSED"
    fired = await client.schedules.fire("nightly", FireNow())
    assert (fired.kind, fired.state, fired.run_state) == ("manual", "FIRED", "CREATED")
    assert [f.run_id async for f in client.schedules.history("nightly")] == [fired.run_id]
    assert (await client.schedules.resume("nightly")).next_at == made.next_at
    changed = await client.schedules.replace("nightly", body.model_copy(update={"time_zone": "UTC"}))
    assert changed.time_zone == "UTC"
    await client.schedules.delete("nightly")
    with pytest.raises(NotFound):
        await client.schedules.get(made.schedule_id)
