"""The one function that moves a run: the whole table, reasons, events in the same transaction, conditions."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from backends.reasons import Reason
from gateway import clock
from gateway.context import Context
from gateway.runs.moves import (
    IllegalMove,
    Move,
    clear_conditions,
    move,
    no_contact,
    record,
    set_condition,
    shown_for,
)
from gateway.runs.rows import Condition, Event, Run
from gateway.runs.states import FINAL, ConditionName, State
from tests.gateway.world import World

# As the design draws it, written down once more: what the code has must be the same.
SUBMITTED = {
    "CREATED": "PREPARING FAILED CANCELLED",
    "PREPARING": "SUBMITTING FAILED CANCELLED",
    "SUBMITTING": "PREPARING QUEUED STARTING RUNNING FINISHED FAILED CANCELLED",
    "QUEUED": "STARTING RUNNING FINISHED FAILED CANCELLED",
    "STARTING": "QUEUED RUNNING FINISHED FAILED CANCELLED",
    "RUNNING": "QUEUED STARTING FINISHED FAILED CANCELLED",
    "FINISHED": "",
    "FAILED": "QUEUED STARTING RUNNING FINISHED CANCELLED",
    "CANCELLED": "",
}
REPORTED = {
    "CREATED": "RUNNING FINISHED FAILED CANCELLED",
    "RUNNING": "FINISHED FAILED CANCELLED",
    "FINISHED": "",
    "FAILED": "",
    "CANCELLED": "",
}
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def make(context: Context) -> uuid.UUID:
    world = World(context)
    return uuid.UUID((await world.run(await world.place(), state="CREATED")).ids["runId"])


async def put(context: Context, run_id: uuid.UUID, **values: object) -> Run:
    async with context.db.transaction() as session:
        await session.execute(update(Run).where(Run.id == run_id).values(**values))
        return await session.get_one(Run, run_id, populate_existing=True)


async def events(context: Context, run_id: uuid.UUID) -> list[Event]:
    async with context.db.reading() as session:
        return list(await session.scalars(select(Event).where(Event.run_id == run_id).order_by(Event.id)))


async def row(context: Context, run_id: uuid.UUID) -> Run:
    async with context.db.reading() as session:
        return await session.get_one(Run, run_id)


def going(to: State, *, reported: bool = False) -> Move:
    reason = Reason.EXIT_CODE if to in (State.FAILED, State.CANCELLED) and not reported else None
    return Move(to, f"to {to}", {"why": "test"}, reason)


@pytest.mark.parametrize(("origin", "table"), [("submitted", SUBMITTED), ("reported", REPORTED)])
async def test_every_pair_of_states_is_allowed_or_refused(context: Context, origin: str, table: dict[str, str]) -> None:
    run_id = await make(context)
    for source, allowed in table.items():
        for to in State:
            # FAILED is left only by a run that was LOST.
            reason = Reason.LOST if source == "FAILED" else None
            run = await put(context, run_id, state=source, origin=origin, reason=reason, ended_at=None)
            before = len(await events(context, run_id))
            if to in allowed.split():
                async with context.db.transaction() as session:
                    assert await move(session, run, going(to, reported=origin == "reported")), (source, to)
                assert (await row(context, run_id)).state == to
                assert run.state == source, "who goes on reads it anew"
                written = (await events(context, run_id))[before:]
                assert [(e.kind, e.from_state, e.to_state) for e in written] == [("state", source, to)]
            else:
                with pytest.raises(IllegalMove):
                    async with context.db.transaction() as session:
                        await move(session, run, going(to, reported=origin == "reported"))
                assert (await row(context, run_id)).state == source, (source, to)
                assert len(await events(context, run_id)) == before


@pytest.mark.parametrize("reason", [r for r in Reason if r is not Reason.LOST])
async def test_only_a_lost_run_is_opened_again(context: Context, reason: Reason) -> None:
    run = await put(context, await make(context), state="FAILED", reason=reason)
    with pytest.raises(IllegalMove):
        async with context.db.transaction() as session:
            await move(session, run, going(State.RUNNING))


async def test_a_lost_run_that_is_opened_again_has_no_end(context: Context) -> None:
    run_id = await make(context)
    run = await put(context, run_id, state="FAILED", reason=Reason.LOST, message="gone", exit_code=1, ended_at=NOW)
    async with context.db.transaction() as session:
        assert await move(session, run, going(State.RUNNING))
    again = await row(context, run_id)
    assert (again.reason, again.message, again.exit_code, again.ended_at) == (None, None, None, None)


@pytest.mark.parametrize(
    ("to", "reason"), [(State.FAILED, None), (State.CANCELLED, None), (State.FINISHED, Reason.EXIT_CODE)]
)
async def test_an_end_has_a_reason_unless_it_finished(context: Context, to: State, reason: Reason | None) -> None:
    run = await put(context, await make(context), state="RUNNING")
    with pytest.raises(IllegalMove, match="reason"):
        async with context.db.transaction() as session:
            await move(session, run, Move(to, "x", {}, reason))


async def test_a_move_keeps_time_reason_code_and_sentence(context: Context) -> None:
    run_id = await make(context)
    run = await put(context, run_id, state="RUNNING")
    to = Move(State.FAILED, "It failed.", {"site": "words"}, Reason.TIME_LIMIT, 7, NOW)
    async with context.db.transaction() as session:
        assert await move(session, run, to)
    ended = await row(context, run_id)
    assert (ended.reason, ended.message, ended.exit_code, ended.ended_at) == ("TIME_LIMIT", "It failed.", 7, NOW)
    last = (await events(context, run_id))[-1]
    assert (last.text, last.evidence, last.actor_id) == ("It failed.", {"site": "words"}, None)
    assert ended.tracking_due_at is not None, "MLflow has to hear of it"


@pytest.mark.parametrize(
    ("source", "to", "column"),
    [
        ("CREATED", State.PREPARING, "prepared_at"),
        ("PREPARING", State.SUBMITTING, "submitted_at"),
        ("SUBMITTING", State.QUEUED, "queued_at"),
        ("QUEUED", State.RUNNING, "started_at"),
    ],
)
async def test_a_state_has_the_time_it_was_entered(context: Context, source: str, to: State, column: str) -> None:
    run_id = await make(context)
    run = await put(context, run_id, state=source)
    clock.use(lambda: NOW)
    async with context.db.transaction() as session:
        assert await move(session, run, Move(to, "x", {}))
    assert getattr(await row(context, run_id), column) == NOW


async def test_a_run_that_moved_meanwhile_is_not_moved(context: Context) -> None:
    run_id = await make(context)
    stale = await put(context, run_id, state="QUEUED")
    await put(context, run_id, state="RUNNING")
    before = len(await events(context, run_id))
    async with context.db.transaction() as session:
        assert not await move(session, stale, going(State.FAILED))
    assert (await row(context, run_id)).state == "RUNNING"
    assert len(await events(context, run_id)) == before


async def test_event_and_move_stand_or_fall_together(context: Context) -> None:
    run_id = await make(context)
    run = await put(context, run_id, state="QUEUED")
    before = len(await events(context, run_id))

    async def broken_off() -> None:
        async with context.db.transaction() as session:
            assert await move(session, run, going(State.RUNNING))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await broken_off()
    assert (await row(context, run_id)).state == "QUEUED"
    assert len(await events(context, run_id)) == before


async def test_an_event_names_its_actor_and_stays_short(context: Context) -> None:
    run_id, person = await make(context), await World(context).person("somebody")
    async with context.db.transaction() as session:
        record(session, run_id, "intent", "x" * 9000, caller=person.caller)
    last = (await events(context, run_id))[-1]
    assert (last.actor_id, len(last.text)) == (person.id, 4000)


async def conditions(context: Context, run_id: uuid.UUID) -> dict[str, Condition]:
    async with context.db.reading() as session:
        return {c.name: c for c in await session.scalars(select(Condition).where(Condition.run_id == run_id))}


async def show(context: Context, run_id: uuid.UUID, name: ConditionName, text: str) -> None:
    async with context.db.transaction() as session:
        await set_condition(session, run_id, name, text)


async def test_a_condition_keeps_since_when_and_tells_its_newest_text(context: Context) -> None:
    run_id = await make(context)
    await show(context, run_id, ConditionName.LOST_CONTACT, "first")
    (first,) = (await conditions(context, run_id)).values()
    await show(context, run_id, ConditionName.LOST_CONTACT, "second")
    await show(context, run_id, ConditionName.LOST_CONTACT, "second")
    (shown,) = (await conditions(context, run_id)).values()
    assert (shown.since, shown.text) == (first.since, "second")
    assert [e.text for e in await events(context, run_id) if e.kind == "condition"] == ["LOST_CONTACT: first"]


async def test_what_is_due_and_how_long_it_was_shown_is_by_the_clock_of_the_database(context: Context) -> None:
    """A gateway whose clock is a day wrong gives up no run too early and tells MLflow in time."""
    run_id = await make(context)
    run = await put(context, run_id, state="QUEUED")
    clock.use(lambda: datetime.now(UTC) + timedelta(days=1))
    await show(context, run_id, ConditionName.JOB_MISSING, "gone")
    async with context.db.transaction() as session:
        await move(session, run, Move(State.RUNNING, "x", {}))
        assert await shown_for(session, [run_id], -5, ConditionName.JOB_MISSING) == {run_id}
        assert await shown_for(session, [run_id], 60, ConditionName.JOB_MISSING) == set()
    due = (await row(context, run_id)).tracking_due_at
    assert due is not None
    assert due < datetime.now(UTC) + timedelta(minutes=1)


async def test_no_contact_counts_from_its_first_kind(context: Context) -> None:
    run_id = await make(context)
    await show(context, run_id, ConditionName.LOST_CONTACT, "away")
    since = (await conditions(context, run_id))["LOST_CONTACT"].since
    async with context.db.transaction() as session:
        await no_contact(session, run_id, ConditionName.NEEDS_LOGIN, "refused")
    (shown,) = (await conditions(context, run_id)).values()
    assert (shown.name, shown.since, shown.text) == ("NEEDS_LOGIN", since, "refused")


async def test_a_condition_that_ends_says_so_once(context: Context) -> None:
    run_id = await make(context)
    await show(context, run_id, ConditionName.LOST_CONTACT, "away")
    await show(context, run_id, ConditionName.COLLECTING, "files")
    for _ in range(2):
        async with context.db.transaction() as session:
            await clear_conditions(session, run_id, ConditionName.LOST_CONTACT, ConditionName.NEEDS_LOGIN)
    assert set(await conditions(context, run_id)) == {"COLLECTING"}
    told = [e.text for e in await events(context, run_id) if e.kind == "condition"]
    assert told == ["LOST_CONTACT: away", "COLLECTING: files", "LOST_CONTACT ended"]


async def test_why_a_site_is_not_asked_is_one_thing_at_a_time(context: Context) -> None:
    run_id = await make(context)
    for name in (ConditionName.LOST_CONTACT, ConditionName.NEEDS_LOGIN, ConditionName.LOST_CONTACT):
        async with context.db.transaction() as session:
            await no_contact(session, run_id, name, "text")
        assert set(await conditions(context, run_id)) == {name}


async def test_a_condition_never_moves_a_run(context: Context) -> None:
    run_id = await make(context)
    for name in ConditionName:
        await show(context, run_id, name, "x")
    assert (await row(context, run_id)).state == State.CREATED
    assert State.CREATED not in FINAL
