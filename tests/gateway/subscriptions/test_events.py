"""Each event is told once, after what it tells of really happened, and the message is signed and holds no secret."""

import asyncio
import uuid
from datetime import timedelta
from typing import cast

import pytest
from sqlalchemy import delete, event, update

from backends.errors import AuthenticationFailed
from gateway import clock
from gateway.connections.rows import Connection, CredentialVersion
from gateway.projects.rows import Member
from gateway.runs import reports
from gateway.runs.moves import no_contact, record
from gateway.runs.rows import Condition
from gateway.runs.states import ConditionName, State
from gateway.schedules import service as schedules
from gateway.schedules.sweep import sweep as sweep_schedules
from gateway.subscriptions import outbox
from gateway.subscriptions.words import EventName
from gateway.users.rows import User
from tests.gateway.engine.yard import Yard
from tests.gateway.schedules.office import Office
from tests.gateway.subscriptions.desk import Desk

HOUR = 3600.0


async def test_a_failed_run_is_told_once_and_signed(desk: Desk) -> None:
    made = await desk.subscribe()
    await desk.yard.engine()
    run_id = await desk.failed_run()
    (delivery,) = await desk.until(1)
    (request,) = desk.receiver.requests
    assert made.secret is not None
    request.verify(made.secret, clock.now())
    said = request.said
    assert (said["id"], said["event"], said["runId"]) == (str(delivery.id), "RUN_FAILED", str(run_id))
    assert said["reason"] == "EXIT_CODE"
    assert said["text"] == f"Run run of owner in project {said['project']} failed with the reason EXIT_CODE."
    assert said["projectId"] == desk.yard.place.ids["projectId"]
    assert (request.headers["content-type"], request.path) == ("application/json", "/hooks/mine")
    assert request.headers["webhook-id"] == said["id"]
    assert b"hunter2" not in request.body, "no word of the log"
    assert await desk.untold() == []


async def test_a_finished_run_is_not_told(desk: Desk) -> None:
    await desk.subscribe()
    await desk.yard.engine()
    await desk.yard.until_quiet(await desk.yard.submit())
    await desk.failed_run()
    await desk.until(1)
    assert desk.receiver.events == ["RUN_FAILED"]


async def test_a_lost_run_is_told_as_lost(desk: Desk) -> None:
    await desk.subscribe()
    yard = desk.yard
    run_id = await yard.submit(yard.waiting())
    await yard.engine()
    yard.site.lose(await yard.until_running(run_id))
    await yard.until_condition(run_id, "JOB_MISSING")
    await yard.age_conditions(HOUR)
    await yard.until_state(run_id, State.FAILED)
    await desk.until(1)
    (said,) = desk.receiver.said
    assert (said["event"], said["reason"], said["runId"]) == ("RUN_LOST", "LOST", str(run_id))
    assert said["text"].endswith("is lost.")


async def test_many_runs_that_wait_for_a_login_are_told_as_one(desk: Desk) -> None:
    made = await desk.subscribe()
    yard = desk.yard
    yard.faults.always("poll", AuthenticationFailed("Wrong password hunter2 for ada."))
    runs = [await yard.submit(yard.waiting()) for _ in range(3)]
    await yard.engine()
    for run_id in runs:
        await yard.until_condition(run_id, "NEEDS_LOGIN")
    await desk.until(1)
    (request,) = desk.receiver.requests
    assert made.secret is not None
    request.verify(made.secret, clock.now())
    said = request.said
    assert (said["event"], said["connectionId"]) == ("NEEDS_LOGIN", str(yard.connection_id))
    assert b"hunter2" not in request.body
    async with asyncio.timeout(30):
        while await desk.untold():  # noqa: ASYNC110  the engine tells nobody else
            await asyncio.sleep(0.05)
    assert len(desk.receiver.requests) == 1


async def test_a_login_that_is_not_needed_any_more_is_not_told(desk: Desk) -> None:
    """It may be that of another version of the credential, of which nothing was told."""
    await desk.subscribe()
    runs = [await desk.yard.submit() for _ in range(2)]
    for run_id in runs:
        async with desk.db.transaction() as session:
            await no_contact(session, run_id, ConditionName.NEEDS_LOGIN, "The site refused it.")
    async with desk.db.transaction() as session:
        await session.execute(delete(Condition).where(Condition.run_id == runs[0]))
    assert await desk.untold() == ["NEEDS_LOGIN"] * 2
    await outbox.empty(desk.db)
    assert [d.run_id for d in await desk.deliveries()] == [runs[1]]
    assert await desk.untold() == []


async def test_a_word_of_another_version_holds_up_nothing(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    await desk.subscribe()
    run_id = await desk.yard.submit()
    async with desk.db.transaction() as session:
        for word in ("RUN_DANCED", EventName.RUN_FAILED):
            record(session, run_id, "state", "It failed.", to=State.FAILED, untold=cast(EventName, word))
    await outbox.empty(desk.db)
    assert [d.event for d in await desk.deliveries()] == ["RUN_FAILED"]
    assert await desk.untold() == []
    assert "no gateway of this version knows 'RUN_DANCED'" in caplog.text


async def test_a_schedule_that_pauses_itself_is_told_with_its_reason(office: Office, desk: Desk) -> None:
    await desk.subscribe()
    made = await office.create("0 * * * *", max_failures=1)
    await office.later(hours=1)
    (run,) = await office.runs()
    await office.end(run.id, State.FAILED)
    await office.later(hours=1)
    assert (await office.schedule(made.schedule_id)).state == "PAUSED"
    await (await desk.postman()).go()
    (said,) = desk.receiver.said
    assert (said["event"], said["scheduleId"]) == ("SCHEDULE_PAUSED", str(made.schedule_id))
    assert said["reason"] == "TOO_MANY_FAILURES"
    assert said["text"].startswith("Schedule hourly paused itself: ")
    await office.later(hours=5)
    await (await desk.postman()).go()
    assert len(desk.receiver.requests) == 1


async def test_a_schedule_that_lost_what_it_rests_on_is_told(office: Office, desk: Desk) -> None:
    await desk.subscribe()
    await office.create()
    await office.set(Connection, retired_at=clock.now())
    assert await sweep_schedules(office.db, office.settings) == 1
    await (await desk.postman()).go()
    assert [said["reason"] for said in desk.receiver.said] == ["CONNECTION_DROPPED"]


async def test_a_schedule_that_somebody_paused_or_that_ended_is_not_told(office: Office, desk: Desk) -> None:
    await desk.subscribe()
    made = await office.create()
    await schedules.pause(office.db, office.yard.caller, office.yard.project_id, made.schedule_id)
    await office.create("0 * * * *", name="short", end_date="2026-03-02T13:30")
    await office.later(hours=3)
    assert await desk.deliveries() == []


async def test_a_firing_that_waits_for_a_login_is_told_once(office: Office, desk: Desk) -> None:
    await desk.subscribe()
    await office.create("0 * * * *", grace_seconds=3000)
    await office.create("0 * * * *", name="other")
    await office.set(CredentialVersion, refused_at=clock.now())
    await office.later(hours=1)
    await office.later(minutes=1)
    await (await desk.postman()).go()
    assert desk.receiver.events == ["NEEDS_LOGIN"]


async def test_a_credential_that_ends_within_a_day_is_told_once_for_each_end(desk: Desk) -> None:
    await desk.subscribe()
    ends = clock.now() + timedelta(days=3)
    postman = await desk.postman()

    async def until(end: object) -> list[str]:
        async with desk.db.transaction() as session:
            await session.execute(update(CredentialVersion).values(valid_until=end))
        await postman.postman.sweep()
        await postman.postman.sweep()
        await postman.go()
        return [said["text"] for said in desk.receiver.said]

    assert await until(ends) == []
    assert len(await until(ends - timedelta(days=2, hours=1))) == 1
    told = await until(ends - timedelta(days=2, hours=2))
    assert len(told) == 2
    assert f"ends on {ends - timedelta(days=2, hours=2):%Y-%m-%d at %H:%M} UTC." in told[1]
    assert len(await until(clock.now() - timedelta(hours=1))) == 2, "it has ended: nobody is warned any more"


async def test_an_engine_looks_for_credentials_that_end(desk: Desk) -> None:
    await desk.subscribe()
    async with desk.db.transaction() as session:
        await session.execute(update(CredentialVersion).values(valid_until=clock.now() + timedelta(hours=5)))
    await desk.yard.engine()
    await desk.until(1)
    assert desk.receiver.events == ["CREDENTIAL_ENDING"]


async def test_what_was_not_asked_for_is_not_told(desk: Desk) -> None:
    await desk.subscribe(events=["RUN_LOST"])
    await desk.subscribe("off", enabled=False)
    await desk.yard.engine()
    await desk.failed_run()
    await desk.yard.until(desk.is_told, "told")
    await desk.subscribe("late")
    await desk.failed_run()
    await desk.until(1)
    assert len(desk.receiver.requests) == 1


async def test_a_project_is_told_to_its_members_only(desk: Desk, office: Office) -> None:
    guest, _ = await office.colleague("guest")
    stranger, _ = await office.colleague("stranger")
    await desk.subscribe("project", caller=guest, project_id=desk.yard.project_id)
    await desk.subscribe("mine", caller=stranger)
    await office.create("0 * * * *", max_failures=1)
    await office.later(hours=1)
    await office.end((await office.runs())[0].id, State.FAILED)
    await office.later(hours=1)
    await (await desk.postman()).go()
    assert desk.receiver.events == ["SCHEDULE_PAUSED"]


async def test_who_left_the_project_is_told_nothing_more(desk: Desk, office: Office) -> None:
    guest, _ = await office.colleague("guest")
    await desk.subscribe("project", caller=guest, project_id=desk.yard.project_id)
    await desk.tell("before", project_id=desk.yard.project_id)
    async with desk.db.transaction() as session:
        await session.delete(await session.get_one(Member, (desk.yard.project_id, guest.user_id)))
    await desk.tell("after", project_id=desk.yard.project_id)
    await (await desk.postman()).go()
    assert desk.receiver.requests == []
    (left,) = await desk.deliveries()
    assert (left.key, left.state) == ("before", "DROPPED")
    assert left.problem == "You are no longer a member of the project."


async def test_a_disabled_user_is_told_nothing(desk: Desk, office: Office) -> None:
    await desk.subscribe()
    await desk.tell("before")
    await office.set(User, disabled_at=clock.now())
    await desk.tell("after")
    await (await desk.postman()).go()
    assert [(d.key, d.state) for d in await desk.deliveries()] == [("before", "DROPPED")]
    assert desk.receiver.requests == []


async def test_a_run_that_was_reported_as_failed_is_told(desk: Desk) -> None:
    run_id = await _reported(desk.yard)
    await desk.subscribe()
    await reports.tell_status(desk.db, desk.yard.caller, desk.yard.project_id, run_id, "FAILED")
    await (await desk.postman()).go()
    (said,) = desk.receiver.said
    assert (said["event"], said["runId"], said["reason"]) == ("RUN_FAILED", str(run_id), None)
    assert said["text"].endswith(" failed.")


async def _reported(yard: Yard) -> uuid.UUID:
    return (await reports.report(yard.db, yard.caller, yard.project_id, yard.body())).run_id


@pytest.mark.parametrize("database_url", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True)
async def test_an_event_that_is_committed_late_is_not_passed_over(desk: Desk) -> None:
    """Its number is lower than that of one which was told already. (SQLite has one writer: it cannot happen there.)"""
    await desk.subscribe()
    first, second = [await desk.yard.submit() for _ in range(2)]
    async with desk.db.transaction() as late:
        record(late, first, "state", "It failed.", to=State.FAILED, untold=EventName.RUN_FAILED)
        await late.flush()
        async with desk.db.transaction() as early:
            record(early, second, "state", "It failed.", to=State.FAILED, untold=EventName.RUN_FAILED)
        assert await outbox.empty(desk.db) is False
        assert [d.run_id for d in await desk.deliveries()] == [second]
    await outbox.empty(desk.db)
    assert {d.run_id for d in await desk.deliveries()} == {first, second}


async def test_moving_a_run_asks_nothing_more_of_the_database(desk: Desk) -> None:
    """Whether somebody subscribed or not: deliveries are made later."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    await desk.subscribe()
    run_id = await _reported(desk.yard)
    event.listen(desk.db.engine.sync_engine, "before_cursor_execute", note)
    await reports.tell_status(desk.db, desk.yard.caller, desk.yard.project_id, run_id, "FAILED")
    await desk.yard.submit()
    event.remove(desk.db.engine.sync_engine, "before_cursor_execute", note)
    assert seen
    assert not [statement for statement in seen if "subscriptions" in statement or "deliveries" in statement]
    assert len([s for s in seen if s.startswith("INSERT INTO events")]) == 2, "one event for each"
