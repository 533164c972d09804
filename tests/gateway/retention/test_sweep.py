"""What a pass removes, and what it leaves alone."""

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import select, update

from backends.errors import AuthenticationFailed, SiteUnavailable
from backends.reasons import Reason
from gateway import clock
from gateway.api.app import create_app
from gateway.audit.rows import AuditEntry
from gateway.connections.rows import Connection, CredentialVersion
from gateway.logs.blobs import DirectoryBlobs
from gateway.models.rows import TrainedModel
from gateway.projects.rows import Project
from gateway.retention import sweep
from gateway.runs.lease import claim_idle_run
from gateway.runs.moves import set_condition
from gateway.runs.states import ConditionName
from gateway.schedules.rows import Schedule
from gateway.tracking.rows import TrackingJournal
from tests.gateway.retention.archive import Archive

LOG = b"epoch 1\nepoch 2\n"


async def read_log(archive: Archive, run_id: uuid.UUID, *, query: str = "", stream: bool = False) -> httpx.Response:
    context = archive.yard.context
    token = context.access.issue(archive.yard.caller.user_id)[0]
    headers = {"Authorization": f"Bearer {token}"} | ({"Accept": "text/event-stream"} if stream else {})
    transport = httpx.ASGITransport(create_app(context))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway.test/api/v1") as client:
        path = f"/projects/{archive.project_id}/runs/{run_id}/logs{query}"
        return await client.get(path, headers=headers)


async def test_without_rules_nothing_goes(archive: Archive) -> None:
    run_id = await archive.run(36_000, log=LOG, directory=True)
    await archive.sweep()
    await archive.untouched(run_id)
    await archive.rules(run_days=30)
    await archive.rules()
    await archive.sweep()
    await archive.untouched(run_id)


async def test_a_log_goes_with_its_bytes_and_says_so_to_readers(archive: Archive) -> None:
    old, young = await archive.run(31, log=LOG, directory=True), await archive.run(29, log=LOG)
    assert (await read_log(archive, old)).text == "epoch 1\n"
    await archive.rules(log_days=30)
    await archive.sweep()
    assert (await archive.chunks(old), archive.blobs(old)) == (0, [])
    reason = "The log was removed by the project's retention rule: logs are kept for 30 days after their run's end."
    assert await archive.told(old) == [reason]
    removal = (await archive.removals(old))["log"]
    assert (removal.done_at is not None, removal.blob_keys) == (True, [])
    assert set(await archive.removals(old)) == {"log"}, "its directory has no rule"
    run = await archive.yard.run(old)
    assert (run.deleted_at, run.delete_requested_at, run.lease_owner) == (None, None, None)
    sentence = f"The log of this run was removed by the project's retention rule on {clock.now():%Y-%m-%d}."
    for query, stream in (("", False), ("?tail=5", False), ("?offset=3", False), ("", True)):
        answer = await read_log(archive, old, query=query, stream=stream)
        assert (answer.status_code, answer.json()["detail"]) == (404, sentence)
    await archive.untouched(young)
    await archive.sweep()
    assert await archive.told(old) == [reason]


async def test_a_directory_goes_from_the_site_and_the_run_shows_it(archive: Archive) -> None:
    run_id = await archive.true_run(31)
    yard = archive.yard
    assert str(run_id) in yard.site.runs
    await archive.rules(site_directory_days=30)
    await archive.sweep()
    assert (str(run_id) in yard.site.runs, yard.site.attempts) == (False, {})
    assert await archive.told(run_id) == ["The directory on the site was removed by the project's retention rule."]
    day = f"{clock.now():%Y-%m-%d}"
    assert await yard.conditions(run_id) == {"FILES_GONE": f"The project's retention rule removed it on {day}."}
    assert await yard.log(run_id) == b"hello\n", "its log has no rule"
    run = await yard.run(run_id)
    assert (run.lease_owner, run.due_at, run.delete_requested_at) == (None, None, None)
    calls = yard.faults.calls["remove"]
    await archive.an_hour_later()
    await archive.sweep()
    assert yard.faults.calls["remove"] == calls
    assert (await archive.preview()).items == []


@pytest.mark.parametrize(("rules", "directory_stays"), [({}, True), ({"site_directory_days": 400}, False)])
async def test_a_run_goes_as_if_a_user_deleted_it(
    archive: Archive, rules: dict[str, int], directory_stays: bool
) -> None:
    """A directory rule makes it take its directory along, which nothing would remove later."""
    run_id, yard = await archive.true_run(31), archive.yard
    await archive.rules(run_days=30, **rules)
    await archive.sweep()
    asked = await yard.run(run_id)
    assert len(yard.mlflow.of(run_id)) == 1
    assert (asked.delete_requested_at is not None, asked.delete_requested_by) == (True, None)
    await yard.engine()
    await yard.until_deleted(run_id)
    assert (str(run_id) in yard.site.runs) is directory_stays
    assert (await archive.chunks(run_id), archive.blobs(run_id)) == (0, [])
    assert yard.mlflow.of(run_id) == []
    told = "Delete requested by the project's retention rule: runs are kept for 30 days after their run's end."
    assert await archive.told(run_id) == [told]
    async with archive.db.reading() as session:
        entry = (await session.scalars(select(AuditEntry).where(AuditEntry.action == "run.delete"))).one()
    assert (entry.actor_id, entry.object_id, entry.details["retention_days"]) == (None, str(run_id), 30)


async def test_live_runs_young_runs_and_other_projects_stay(archive: Archive) -> None:
    async with archive.db.transaction() as session:
        other = Project(name="other", created_by=archive.yard.caller.user_id)
        session.add(other)
    stay = [
        await archive.run(400, log=LOG, directory=True, state="RUNNING", ended_at=None),
        await archive.run(400, log=LOG, directory=True, state="CREATED", ended_at=None),
        await archive.run(400, log=LOG, directory=True, project_id=other.id),
        await archive.run(0.9, log=LOG, directory=True),
    ]
    await archive.rules(log_days=1, site_directory_days=1, run_days=1)
    await archive.sweep()
    for run_id in stay:
        await archive.untouched(run_id)
    assert (await archive.preview()).items == []


async def hold(archive: Archive, run_id: uuid.UUID, what: str) -> None:
    """Let something need the run."""
    yard = archive.yard
    if what == "LOST":
        soon = clock.now() + timedelta(minutes=10)
        await archive.change(run_id, state="FAILED", reason=Reason.LOST, due_at=soon)
    elif what == "chain":
        await archive.run(0, lineage_id=run_id, state="QUEUED", ended_at=None)
    elif what == "journal":
        async with archive.db.transaction() as session:
            session.add(TrackingJournal(run_id=run_id, due_at=clock.now()))
    else:
        async with archive.db.transaction() as session:
            same = {"project_id": yard.project_id, "created_by": yard.caller.user_id, "changed_at": clock.now()}
            if what == "model":
                session.add(TrainedModel(name="net", run_id=run_id, status="REGISTERED", **same))
            elif what == "schedule":
                same |= {"run_as": yard.caller.user_id, "connection_id": yard.connection_id}
                policy = {"overlap": "skip", "misfire": "skip", "misfire_most": 1, "grace_seconds": 60}
                more = {"expression": "@daily", "zone": "UTC", "max_failures": 3, "state": "PAUSED", **policy}
                session.add(Schedule(name="nightly", run_id=run_id, **same, **more))
            else:
                await set_condition(session, run_id, ConditionName(what), "It takes time.")


HOLDS = {
    "model": "The model net comes from it.",
    "schedule": "The schedule nightly repeats it.",
    "COLLECTING": "Its log and files are still being collected.",
    "TRACKING_BEHIND": "MLflow was not told all of it yet.",
    "TRACKING_NOT_COPIED": "MLflow was not told all of it yet.",
    "LOST": "It is LOST, and still looked for on its site.",
    "chain": "A live run goes on from its checkpoint.",
    "journal": "MLflow was not told all of it yet.",
}


@pytest.mark.parametrize("what", HOLDS)
@pytest.mark.parametrize("rules", [{"run_days": 30}, {"log_days": 30, "site_directory_days": 30}])
async def test_a_run_that_is_needed_stays_and_the_preview_says_why(
    archive: Archive, what: str, rules: dict[str, int]
) -> None:
    run_id = await archive.run(31, log=LOG, directory=True)
    await hold(archive, run_id, what)
    await archive.rules(**rules)
    await archive.sweep()
    await archive.untouched(run_id)
    shown = await archive.preview()
    (item,) = shown.items
    assert (item.run_id, item.stays, item.log_bytes) == (run_id, HOLDS[what], None)
    assert (item.run, item.log, item.site_directory) == (False, False, False)
    totals = shown.totals
    assert (totals.runs, totals.logs, totals.site_directories, totals.log_bytes, totals.stay) == (0, 0, 0, 0, 1)


async def test_a_deleted_schedule_needs_nothing(archive: Archive) -> None:
    run_id = await archive.run(31, log=LOG)
    await hold(archive, run_id, "schedule")
    async with archive.db.transaction() as session:
        await session.execute(update(Schedule).values(deleted_at=clock.now()))
    await archive.rules(log_days=30)
    await archive.sweep()
    assert await archive.chunks(run_id) == 0


async def test_what_comes_to_need_a_run_after_it_was_found_saves_it(archive: Archive) -> None:
    """Each step looks anew under the lock: here a model is registered between the look and the step."""
    run_id = await archive.run(31, log=LOG, directory=True)
    await archive.rules(log_days=30)
    doors = (archive.db, archive.project_id)
    found = await sweep.files_due(*doors, 10, besides=set(), away=set())
    assert [one for one, _ in found] == [run_id]
    await hold(archive, run_id, "model")
    async with archive.db.transaction() as session:
        begun = await sweep.begin(session, archive.project_id, run_id, site=True)
    assert begun == sweep.Begun()
    await archive.rules(run_days=30)
    async with archive.db.transaction() as session:
        assert await sweep._delete(session, archive.project_id, [run_id]) == 0
    await archive.untouched(run_id)


@pytest.mark.parametrize("error", [SiteUnavailable("The site is down."), AuthenticationFailed("The site refused it.")])
async def test_a_site_that_is_away_is_asked_once_in_a_pass_and_tried_again_later(
    archive: Archive, error: Exception
) -> None:
    yard = archive.yard
    first, second = await archive.true_run(32), await archive.true_run(31)
    log_only = await archive.run(33, log=LOG)
    await archive.rules(site_directory_days=30, log_days=30)
    yard.faults.always("remove", error)
    calls = yard.faults.calls["remove"]
    await archive.sweep()
    assert yard.faults.calls["remove"] == calls + 1
    assert [await archive.chunks(run_id) for run_id in (first, second, log_only)] == [0, 0, 0], "logs do not wait"
    assert [item.problem for item in (await archive.preview()).items] == [None, str(error)]
    assert set(yard.site.runs) == {str(first), str(second)}
    await archive.sweep()
    assert yard.faults.calls["remove"] == calls + 2, "the other run's turn; the first waits an hour"
    await archive.sweep()
    assert yard.faults.calls["remove"] == calls + 2
    yard.faults.always("remove", None)
    await archive.an_hour_later()
    await archive.sweep()
    assert yard.site.runs == {}
    assert (await archive.preview()).items == []
    assert (await archive.removals(first))["directory"].problem is None


async def test_another_connection_does_not_wait_for_one_that_is_away(archive: Archive) -> None:
    """The site of one is paused and its connection is dropped; more runs wait for it than a batch has."""
    async with archive.db.transaction() as session:
        mine = await session.get_one(Connection, archive.yard.connection_id)
        gone = Connection(owner_id=mine.owner_id, name="no site", provider="Local", auth_method="None", site_id=None)
        session.add(gone)
        await session.flush()
        session.add(CredentialVersion(connection_id=gone.id, version=1, created_at=clock.now()))
    waiting = [await archive.run(100 + n, directory=True, connection_id=gone.id) for n in range(25)]
    run_id = await archive.true_run(31)
    await archive.rules(site_directory_days=30)
    await archive.sweep()
    assert archive.yard.site.runs == {}
    tried = [one for one in waiting if await archive.removals(one)]
    assert tried == [waiting[-1]]
    assert (await archive.removals(tried[0]))["directory"].problem == "The connection of this run is gone."
    assert (await archive.removals(run_id))["directory"].done_at is not None


async def test_a_rule_that_is_taken_back_saves_what_waits_for_its_site(archive: Archive) -> None:
    run_id, yard = await archive.true_run(31), archive.yard
    await archive.rules(site_directory_days=30)
    yard.faults.always("remove", SiteUnavailable("The site is down."))
    await archive.sweep()
    await archive.rules(site_directory_days=60)
    yard.faults.always("remove", None)
    await archive.an_hour_later()
    await archive.sweep()
    assert str(run_id) in yard.site.runs
    assert (await yard.conditions(run_id), await archive.told(run_id)) == ({}, [])


class StuckBlobs(DirectoryBlobs):
    """A disk on which nothing can be removed."""

    async def delete(self, key: str) -> None:
        raise OSError("Read-only file system")


async def test_bytes_that_a_crash_left_behind_go_later_and_nobody_reads_them(archive: Archive) -> None:
    run_id, yard = await archive.run(31, log=LOG), archive.yard
    await archive.rules(log_days=30)
    whole = yard.context
    yard.context = replace(whole, blobs=StuckBlobs(whole.settings.data_dir / "blobs"))
    await (await yard.engine(start=False)).retention.round()
    yard.context = whole
    assert (await archive.chunks(run_id), len(archive.blobs(run_id))) == (0, 2)
    assert (await archive.removals(run_id))["log"].done_at is None
    assert (await read_log(archive, run_id)).status_code == 404
    await archive.rules()
    await archive.sweep()
    assert archive.blobs(run_id) == []
    assert (await archive.removals(run_id))["log"].done_at is not None
    assert len(await archive.told(run_id)) == 1


async def test_a_gateway_that_dies_while_the_site_works_is_followed_by_another(archive: Archive) -> None:
    run_id, yard = await archive.true_run(31), archive.yard
    await archive.rules(site_directory_days=30)
    events = yard.faults.hang("remove", "before")
    engine = await yard.engine()
    async with asyncio.timeout(30):
        await events[0].wait()
    assert (await yard.run(run_id)).lease_owner is not None
    await yard.kill(engine)
    assert str(run_id) in yard.site.runs
    await yard.age_leases()
    await archive.an_hour_later()
    await yard.engine()

    async def gone() -> bool:
        await archive.sweep()
        return (await archive.told(run_id)) != []

    await yard.until(gone, "removed by whoever took the run over")
    assert yard.site.runs == {}
    assert len(await archive.told(run_id)) == 1


async def test_a_late_answer_of_a_gateway_that_lost_its_lease_changes_nothing(archive: Archive) -> None:
    run_id, yard = await archive.true_run(31), archive.yard
    await archive.rules(site_directory_days=30)
    events = yard.faults.hang("remove", "after")
    engine = await yard.engine(start=False)
    late = asyncio.create_task(engine.retention.round())
    async with asyncio.timeout(30):
        await events[0].wait()
    await archive.change(run_id, lease_owner=None, lease_until=None)
    async with archive.db.transaction() as session:
        taken = await claim_idle_run(session, "another", run_id, 60)
    assert taken is not None
    events[1].set()
    await late
    assert (await archive.removals(run_id))["directory"].done_at is None
    assert (await archive.told(run_id), (await yard.run(run_id)).lease_owner) == ([], "another")


async def test_two_gateways_remove_everything_once(archive: Archive) -> None:
    logs = [await archive.run(31 + n, log=LOG) for n in range(6)]
    gone = [await archive.run(100 + n, log=LOG) for n in range(6)]
    kept = await archive.true_run(31)
    await archive.rules(log_days=30, site_directory_days=30, run_days=90)
    engines = [await archive.yard.engine(start=False) for _ in range(3)]
    calls = archive.yard.faults.calls["remove"]
    await asyncio.gather(*(engine.retention.round() for engine in engines))
    await archive.sweep()
    assert [(len(await archive.told(one)), await archive.chunks(one)) for one in logs] == [(1, 0)] * 6
    assert [len(await archive.told(one)) for one in gone] == [1] * 6
    assert [one for one in gone if (await archive.yard.run(one)).delete_requested_at is None] == []
    assert archive.yard.faults.calls["remove"] == calls + 1
    assert archive.yard.site.runs == {}
    assert len(await archive.told(kept)) == 2


async def test_a_pass_is_bounded_and_goes_on_while_there_is_more(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "AT_ONCE", 2)
    monkeypatch.setattr("gateway.engine.retention.BATCH", 2)
    logs = [await archive.run(31 + n, log=LOG) for n in range(3)]
    gone = [await archive.run(100 + n) for n in range(5)]
    await archive.rules(log_days=30, run_days=90)
    engine = await archive.yard.engine(start=False)

    async def asked() -> int:
        return len([one for one in gone if (await archive.yard.run(one)).delete_requested_at is not None])

    assert (await engine.retention.round(), await asked()) == (True, 2)
    assert [await archive.chunks(one) for one in logs] == [2, 0, 0], "the oldest first"
    assert (await engine.retention.round(), await asked()) == (False, 2), "two are under way"
    assert [await archive.chunks(one) for one in logs] == [0, 0, 0]
    for one in gone:
        await archive.change(one, deleted_at=clock.now() if (await archive.yard.run(one)).delete_requested_at else None)
    await engine.retention.round()
    assert await asked() == 4


async def test_the_engine_removes_by_itself(archive: Archive) -> None:
    run_id = await archive.run(31, log=LOG)
    await archive.rules(log_days=30)
    await archive.yard.engine()

    async def gone() -> bool:
        return await archive.chunks(run_id) == 0 and archive.blobs(run_id) == []

    await archive.yard.until(gone, "the log is gone")


async def test_a_run_on_which_the_engine_works_is_left_to_it(archive: Archive) -> None:
    run_id = await archive.run(31, log=LOG, directory=True)
    await archive.change(run_id, lease_owner="another", lease_until=clock.now() + timedelta(hours=1))
    await archive.rules(log_days=30, run_days=30)
    await archive.sweep()
    assert await archive.told(run_id) == []
    assert await archive.chunks(run_id) == 2
