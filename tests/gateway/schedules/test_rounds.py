"""What a schedule that is due does, on both databases."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event

from gateway.connections.rows import Connection, CredentialVersion
from gateway.errors import Conflict
from gateway.runs.rows import Run
from gateway.runs.states import State
from gateway.schedules import by_hand, rounds, saving
from gateway.schedules.case import Case, Decision
from gateway.schedules.rows import Firing, Schedule
from gateway.schedules.sweep import sweep
from gateway.schedules.words import Reason
from gateway.schemas.schedules import FireNow
from gateway.users.rows import User
from tests.gateway.schedules.office import COMMIT, NOON, Office


async def test_a_firing_is_one_run_with_the_commit_of_the_run_it_repeats(office: Office) -> None:
    made = await office.create("30 13 * * *", name="daily")
    assert await office.later(minutes=89) == 0
    assert await office.later(minutes=1) == 1
    (run,) = await office.runs()
    assert (run.name, run.requested_commit, run.branch) == ("daily 2026-03-02 13:30", COMMIT, "main")
    assert (run.compute_budget_account, run.parameters, run.run_as) == (
        "hpc-1",
        {"do": "hello"},
        office.yard.caller.user_id,
    )
    (firing,) = await office.firings(made.schedule_id)
    assert (firing.run_id, firing.nominal_at) == (run.id, NOON + timedelta(minutes=90))
    assert (await office.schedule(made.schedule_id)).next_at == NOON + timedelta(days=1, minutes=90)
    assert run.due_at is not None, "the engine takes it at once"


async def test_the_run_says_which_schedule_made_it(office: Office) -> None:
    made = await office.create()
    await office.later(hours=1)
    (run,) = await office.runs()
    (told,) = await office.yard.events(run.id)
    assert told.text == "Made by the schedule hourly."
    assert told.evidence["scheduleId"] == str(made.schedule_id)
    assert told.on_behalf_of == office.yard.caller.user_id


async def test_looking_again_makes_no_second_run(office: Office) -> None:
    await office.create()
    assert await office.later(hours=1) == 1
    assert await office.look() == 0


async def test_two_gateways_make_one_run_each(office: Office) -> None:
    """Many schedules, so that the rounds of both meet."""
    for n in range(30):
        await office.create(name=f"s{n}", overlap_policy="allow")
    await office.pass_time(hours=1)
    rounds_of_both = [asyncio.create_task(rounds.go(office.db, office.settings)) for _ in range(4)]
    done = await asyncio.gather(*rounds_of_both)
    made = sum(one.made for one in done) + await office.look()
    assert made == 30
    assert len(await office.runs()) == 30


async def test_a_gateway_that_dies_before_the_commit_leaves_nothing(office: Office) -> None:
    """The run and its firing are one transaction: what is cut off before its end never was."""
    made = await office.create()
    await office.pass_time(hours=1)

    def cut(_: object) -> None:
        raise RuntimeError("power failure")

    event.listen(office.db.engine.sync_engine, "commit", cut)
    with pytest.raises(RuntimeError, match="power failure"):
        await rounds._transaction(office.db, office.settings, made.schedule_id)
    event.remove(office.db.engine.sync_engine, "commit", cut)
    assert await office.runs() == []
    assert await office.look() == 1


async def test_a_clock_that_goes_back_hours_fires_nothing_twice(office: Office) -> None:
    made = await office.create(overlap_policy="allow")
    for _ in range(3):
        await office.later(hours=1)
    await office.later(hours=-3)
    for _ in range(4):
        await office.later(hours=1)
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 FIRED", "15:00 FIRED", "16:00 FIRED"]


async def test_an_edit_after_the_clock_went_back_fires_nothing_twice(office: Office) -> None:
    made = await office.create(overlap_policy="allow")
    await office.later(hours=2)
    await office.later(hours=-2)
    body = office.body("0 */1 * * *", overlap_policy="allow")
    await saving.change(office.db, office.settings, office.yard.caller, office.yard.project_id, made.schedule_id, body)
    for _ in range(3):
        await office.later(hours=1)
    times = [f.nominal_at for f in await office.firings(made.schedule_id) if f.run_id is not None]
    assert len(times) == len(set(times)) == len(await office.runs())


async def test_a_clock_that_jumps_forth_by_hours_makes_up_for_nothing_by_default(office: Office) -> None:
    made = await office.create("*/10 * * * *")
    assert await office.later(hours=5) == 1, "16:50 and 17:00 are within their grace time, and do not overlap"
    assert await office.history(made.schedule_id) == [
        "12:10 SKIPPED MISSED",
        "16:50 FIRED",
        "17:00 SKIPPED OVERLAP",
    ]
    (missed, *_) = await office.firings(made.schedule_id)
    assert missed.text == "28 times came more than 600 s late: from 2026-03-02 12:10 to 2026-03-02 16:40."


async def test_run_once_makes_one_run_of_all_that_was_missed(office: Office) -> None:
    made = await office.create(misfire_policy="run-once")
    assert await office.later(hours=5, minutes=30) == 1
    assert await office.history(made.schedule_id) == ["13:00 SKIPPED MISSED", "17:00 FIRED"]
    assert await office.later(minutes=30) == 0, "the run of 17:00 is live"


async def test_run_once_needs_no_late_run_where_a_newer_time_is_in_its_grace_time(office: Office) -> None:
    made = await office.create(misfire_policy="run-once", overlap_policy="allow")
    assert await office.later(hours=5, minutes=1) == 1
    assert await office.history(made.schedule_id) == ["13:00 SKIPPED MISSED", "17:00 FIRED"]


async def test_run_all_runs_the_newest_that_were_missed_and_no_more(office: Office) -> None:
    made = await office.create(misfire_policy="run-all", misfire_most=3, overlap_policy="allow")
    assert await office.later(hours=5, minutes=30) == 3
    assert await office.history(made.schedule_id) == [
        "13:00 SKIPPED MISSED",
        "15:00 FIRED",
        "16:00 FIRED",
        "17:00 FIRED",
    ]
    assert await office.later(days=2) == 3, "of another outage again the newest three"


async def test_overlap_skip(office: Office) -> None:
    made = await office.create()
    assert await office.later(hours=1) == 1
    assert await office.later(hours=1) == 0
    (run,) = await office.runs()
    await office.end(run.id)
    assert await office.later(hours=1) == 1
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 SKIPPED OVERLAP", "15:00 FIRED"]


async def test_overlap_queue_waits_for_the_end_however_long(office: Office) -> None:
    made = await office.create(overlap_policy="queue")
    await office.later(hours=1)
    assert await office.later(hours=1) == 0
    assert await office.later(minutes=50) == 0
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 WAITING OVERLAP"]
    (run,) = await office.runs()
    await office.end(run.id)
    assert await office.later(seconds=15) == 1
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 FIRED"]
    assert (await office.schedule(made.schedule_id)).next_at == NOON + timedelta(hours=3)


async def test_overlap_cancel_running_waits_for_evidence_of_the_end(office: Office) -> None:
    made = await office.create(overlap_policy="cancel-running")
    await office.later(hours=1)
    assert await office.later(hours=1) == 0
    (run,) = await office.runs()
    assert run.cancel_requested_at == office.now
    assert run.cancel_requested_by == office.yard.caller.user_id
    await office.later(minutes=1)
    cancels = [e for e in await office.yard.events(run.id, "intent") if e.text.startswith("Cancel requested")]
    assert len(cancels) == 1
    await office.end(run.id, State.CANCELLED)
    assert await office.later(seconds=15) == 1
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 FIRED"]


async def test_as_many_failures_in_a_row_as_allowed_pause_it(office: Office) -> None:
    made = await office.create(max_failures=2)
    for _ in range(2):
        await office.later(hours=1)
        await office.end((await office.runs())[-1].id, State.FAILED)
    assert await office.later(hours=1) == 0
    schedule = await office.schedule(made.schedule_id)
    assert (schedule.state, schedule.reason, schedule.due_at) == ("PAUSED", Reason.TOO_MANY_FAILURES, None)


async def test_a_run_that_finishes_ends_the_row_of_failures(office: Office) -> None:
    made = await office.create(max_failures=2)
    for state in (State.FAILED, State.FINISHED, State.FAILED, State.CANCELLED):
        assert await office.later(hours=1) == 1
        await office.end((await office.runs())[-1].id, state)
    assert await office.later(hours=1) == 1
    assert (await office.schedule(made.schedule_id)).failures == 1


async def test_the_end_date_is_inclusive_and_ends_it_when_it_has_passed(office: Office) -> None:
    made = await office.create("0 12 * * *", end_date="2026-03-03", time_zone="Europe/Berlin")
    assert made.next_at == datetime(2026, 3, 3, 11, tzinfo=UTC)
    assert await office.later(hours=23) == 1
    assert (await office.schedule(made.schedule_id)).state == "ACTIVE", "the date has not passed"
    await office.later(hours=12)
    schedule = await office.schedule(made.schedule_id)
    assert (schedule.state, schedule.reason, schedule.due_at) == ("ENDED", Reason.END_DATE, None)


async def test_an_end_that_is_an_instant_still_fires_at_it(office: Office) -> None:
    await office.create("0 * * * *", end_date="2026-03-02T13:00")
    assert await office.later(hours=1) == 1
    assert await office.later(hours=1) == 0


async def test_nothing_fires_before_the_start_date(office: Office) -> None:
    made = await office.create("0 0 * * *", start_date="2026-03-05", time_zone="Asia/Tokyo")
    assert made.next_at == datetime(2026, 3, 4, 15, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda o: o.set(Run, delete_requested_at=NOON), Reason.RUN_DELETED),
        (lambda o: o.set(Connection, retired_at=NOON), Reason.CONNECTION_DROPPED),
        (lambda o: o.member(None), Reason.NOT_A_MEMBER),
        (lambda o: o.member("reporter"), Reason.ROLE_TOO_LOW),
        (lambda o: o.set(User, disabled_at=NOON), Reason.USER_DISABLED),
        (lambda o: o.set(Connection, last_check={"accounts": [{"name": "other"}]}), Reason.ACCOUNT_REFUSED),
        (lambda o: o.set(Schedule, zone="Mars/Olympus"), Reason.TIME_UNKNOWN),
    ],
)
async def test_what_is_no_longer_allowed_pauses_it_with_the_reason(office: Office, change, reason) -> None:
    made = await office.create()
    await change(office)
    assert await office.later(hours=1) == 0
    schedule = await office.schedule(made.schedule_id)
    assert (schedule.state, schedule.reason) == ("PAUSED", reason)
    assert schedule.message
    assert await office.runs() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda o: o.set(Run, delete_requested_at=NOON), Reason.RUN_DELETED),
        (lambda o: o.set(Connection, retired_at=NOON), Reason.CONNECTION_DROPPED),
        (lambda o: o.member(None), Reason.NOT_A_MEMBER),
        (lambda o: o.set(User, disabled_at=NOON), Reason.USER_DISABLED),
    ],
)
async def test_what_is_gone_pauses_it_before_its_next_time(office: Office, change, reason) -> None:
    made = await office.create(overlap_policy="queue")
    await office.later(hours=1)
    await office.later(hours=1)
    assert await sweep(office.db, office.settings) == 0
    await change(office)
    assert await sweep(office.db, office.settings) == 1
    schedule = await office.schedule(made.schedule_id)
    assert (schedule.state, schedule.reason, schedule.due_at) == ("PAUSED", reason, None)
    assert await office.history(made.schedule_id) == ["13:00 FIRED", "14:00 SKIPPED PAUSED"]
    assert await sweep(office.db, office.settings) == 0


async def test_a_login_that_ended_is_waited_for_within_the_grace_time(office: Office) -> None:
    made = await office.create()
    await office.set(CredentialVersion, refused_at=NOON)
    assert await office.later(hours=1) == 0
    assert await office.history(made.schedule_id) == ["13:00 WAITING NEEDS_LOGIN"]
    await office.set(CredentialVersion, refused_at=None)
    assert await office.later(minutes=5) == 1
    assert await office.history(made.schedule_id) == ["13:00 FIRED"]


async def test_a_login_that_comes_after_the_grace_time_is_too_late(office: Office) -> None:
    made = await office.create()
    await office.set(CredentialVersion, valid_until=NOON)
    await office.later(hours=1)
    assert await office.later(minutes=11) == 0
    assert await office.history(made.schedule_id) == ["13:00 SKIPPED NEEDS_LOGIN"]
    assert (await office.schedule(made.schedule_id)).state == "ACTIVE"
    await office.set(CredentialVersion, valid_until=None)
    assert await office.later(minutes=49) == 1


async def test_too_many_live_runs_are_waited_for(office: Office) -> None:
    office.settings = office.settings.model_copy(update={"max_live_runs_per_user": 1})
    made = await office.create(overlap_policy="allow")
    await office.later(hours=1)
    assert await office.later(hours=1) == 0
    assert (await office.history(made.schedule_id))[-1] == "14:00 WAITING TOO_MANY_RUNS"
    await office.end((await office.runs())[0].id)
    assert await office.later(seconds=15) == 1


def breaking(schedule_ids: set[uuid.UUID]) -> Callable[[Case, set[datetime]], Decision]:
    """`decide`, with a fault for some schedules."""
    decide = rounds.decide

    def decides(case: Case, known: set[datetime]) -> Decision:
        if case.schedule.id in schedule_ids:
            raise ZeroDivisionError
        return decide(case, known)

    return decides


async def test_one_that_is_broken_does_not_hold_up_the_others(
    office: Office, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = await office.create(name="broken")
    await office.create(name="well")
    monkeypatch.setattr(rounds, "decide", breaking({broken.schedule_id}))
    assert await office.later(hours=1) == 1
    assert (await office.schedule(broken.schedule_id)).due_at == office.now + rounds.AGAIN
    assert "could not be looked at" in caplog.text


@pytest.mark.parametrize("broken", [None, 2])
async def test_more_than_one_transaction_holds_fire_once_each(
    office: Office, monkeypatch: pytest.MonkeyPatch, broken: int | None
) -> None:
    monkeypatch.setattr(rounds, "AT_ONCE", 2)
    made = [(await office.create(name=f"s{n}", overlap_policy="allow")).schedule_id for n in range(7)]
    fails = {made[broken]} if broken is not None else set()
    monkeypatch.setattr(rounds, "decide", breaking(fails))
    assert await office.later(hours=1) == 7 - len(fails)
    for schedule_id in set(made) - fails:
        assert await office.history(schedule_id) == ["13:00 FIRED"]


async def test_nothing_due_is_one_query_over_the_index(office: Office) -> None:
    await office.create()
    statements: list[str] = []
    event.listen(office.db.engine.sync_engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    await office.look()
    (query,) = [statement for statement in statements if statement.startswith("SELECT")]
    if office.db.is_sqlite:
        async with office.db.reading() as session:
            connection = await session.connection()
            plan = await connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", ("2026-01-01", 1, 0))
            assert "SEARCH schedules USING INDEX ix_schedules_due" in str(plan.all())


async def test_a_firing_by_hand_is_beside_those_of_the_expression(office: Office) -> None:
    made = await office.create(overlap_policy="allow")
    await office.later(hours=1)
    doors = (office.db, office.settings, office.yard.caller, office.yard.project_id, made.schedule_id)
    one = await by_hand.fire_now(*doors, FireNow(), key=None)
    other = await by_hand.fire_now(*doors, FireNow(), key=None)
    assert one.nominal_at == NOON + timedelta(hours=1), "the same instant as the one by the clock"
    assert other.nominal_at > one.nominal_at
    assert len(await office.runs()) == 3


async def test_a_firing_by_hand_that_is_sent_twice_is_one(office: Office) -> None:
    made = await office.create()
    doors = (office.db, office.settings, office.yard.caller, office.yard.project_id, made.schedule_id)
    one = await by_hand.fire_now(*doors, FireNow(), key="k")
    assert await by_hand.fire_now(*doors, FireNow(), key="k") == one
    assert len(await office.runs()) == 1


async def test_the_row_of_a_firing_is_unique_in_the_database(office: Office) -> None:
    made = await office.create()
    await office.later(hours=1)
    (firing,) = await office.firings(made.schedule_id)
    twin = {c.key: getattr(firing, c.key) for c in Firing.__table__.columns} | {"id": uuid.uuid4()}
    with pytest.raises(Exception, match=r"(?i)unique"):
        async with office.db.transaction() as session:
            session.add(Firing(**twin))


async def test_a_schedule_without_a_run_left_does_not_fire_by_hand(office: Office) -> None:
    made = await office.create()
    await office.set(Run, delete_requested_at=NOON)
    doors = (office.db, office.settings, office.yard.caller, office.yard.project_id, made.schedule_id)
    with pytest.raises(Conflict, match="was deleted"):
        await by_hand.fire_now(*doors, FireNow(), key=None)
