"""A run is judged when it comes in, under a lock: caps hold whoever asks at the same time."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import event, text, update

from gateway import clock
from gateway.budgets.rows import Budget
from gateway.connections.rows import Connection
from gateway.db.session import Database
from gateway.errors import Conflict, InvalidInput
from gateway.projects.rows import Project
from gateway.runs import reports
from gateway.sites.rows import Site
from tests.gateway.budgets.till import NOON, Till


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Database]:
    """The pool of a second gateway process."""
    db = Database(database_url)
    yield db
    await db.close()


@pytest.fixture
def statements(till: Till) -> list[str]:
    said: list[str] = []
    note = lambda _c, _cursor, statement, *_: said.append(statement)  # noqa: E731
    event.listen(till.db.engine.sync_engine, "before_cursor_execute", note)
    return said


async def test_a_guard_that_is_off_asks_nothing_more_of_the_database(till: Till, statements: list[str]) -> None:
    await till.submit(1)
    plain = len(statements)
    await till.set("warn", run={"core_hours": 1})
    await till.set("off", run={"core_hours": 1})
    statements.clear()
    answer = await till.submit(1000)
    assert len(statements) == plain
    assert (answer.worst_case.core_hours if answer.worst_case else None, answer.warnings) == (1000.0, [])
    await till.set("warn", run={"core_hours": 1})
    statements.clear()
    await till.submit(1)
    assert len(statements) == plain + 2, "the guard, and the sums"


async def test_warn_accepts_and_says_the_numbers(till: Till) -> None:
    await till.set("warn", run={"core_hours": 10}, month={"core_hours": 100})
    assert (await till.submit(10)).warnings == []
    answer = await till.submit(11)
    sentence = "Budget guard of the project: it may cost 11 core-hours, and the cap for one run is 10."
    assert answer.warnings == [sentence]
    (warning,) = await till.yard.events(answer.run_id, "budget")
    assert warning.text == sentence


async def test_warn_tells_of_a_cost_that_nobody_knows(till: Till) -> None:
    await till.set("warn", month={"core_hours": 100})
    answer = await till.submit(None)
    assert answer.warnings == ["Budget guard of the project: it is not known how many core-hours the run may cost."]
    assert answer.worst_case is not None
    assert (answer.worst_case.core_hours, answer.worst_case.gpu_hours) == (None, 0.0)
    assert (await till.show()).unknown_runs == 1


async def test_refuse_names_the_cap_the_numbers_and_the_next_step(till: Till) -> None:
    await till.set(run={"core_hours": 10}, month={"core_hours": 25, "gpu_hours": 4})
    with pytest.raises(Conflict, match=r"may cost 11 core-hours, and the cap for one run is 10\. .*mantik budget set"):
        await till.submit(11)
    await till.submit(10)
    await till.submit(10)
    with pytest.raises(Conflict, match=r"of the 25 for \d{4}-\d\d 5 are left \(0 spent, 20 reserved by live runs\)"):
        await till.submit(6)
    with pytest.raises(Conflict, match="may cost 5 GPU-hours, and of the 4"):
        await till.submit(5, gpus=1)
    assert await till.count() == 2


async def test_refuse_names_the_field_of_a_cost_that_nobody_knows(till: Till) -> None:
    await till.set(month={"core_hours": 100})
    with pytest.raises(InvalidInput, match="it is not known how many core-hours") as caught:
        await till.submit(None)
    assert [problem.field for problem in caught.value.problems] == ["backendConfig.Resources.Runtime"]
    assert await till.count() == 0


async def test_a_site_that_charges_whole_nodes_counts_them(till: Till) -> None:
    await till.set(run={"core_hours": 100})
    async with till.db.transaction() as session:
        await session.execute(update(Site).values(whole_nodes_charged=True))
    with pytest.raises(InvalidInput, match="run `mantik connections check`"):
        await till.submit(1)
    async with till.db.transaction() as session:
        queues = {"site": {"queues": [{"name": "batch", "cpusPerNode": 96}]}}
        await session.execute(update(Connection).values(last_check=queues))
    answer = await till.submit(1)
    assert answer.worst_case is not None
    assert answer.worst_case.core_hours == 96.0


async def test_requests_at_once_do_not_pass_the_cap_together(till: Till, other: Database) -> None:
    await till.set(month={"core_hours": 50})
    await till.submit(1)  # every pool has met the tables
    calls = [till.submit(10, db=db) for db in [till.db, other] * 5]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sorted(type(answer).__name__ for answer in answers) == ["Conflict"] * 6 + ["SubmittedRun"] * 4
    assert (await till.show()).reserved.core_hours == 41.0


async def test_the_guard_of_one_project_is_no_others(till: Till) -> None:
    async with till.db.transaction() as session:
        other = Project(name="other", created_by=till.yard.caller.user_id)
        session.add(other)
        await session.flush()
        values = {"guard": "refuse", "zone": "UTC", "run_core_hours": 0.0, "changed_at": NOON}
        session.add(Budget(project_id=other.id, changed_by=till.yard.caller.user_id, **values))
    assert (await till.submit(2)).warnings == []


async def test_a_repeat_is_answered_as_before_although_the_month_is_full(till: Till) -> None:
    await till.set("warn", month={"core_hours": 5})
    first = await till.submit(6, key="k")
    assert first.warnings
    await till.set(month={"core_hours": 5})
    assert await till.submit(6, key="k") == first
    assert await till.count() == 1


# -- sums


async def test_a_run_is_reserved_until_its_end_and_then_spent_in_that_month(till: Till) -> None:
    await till.set(month={"core_hours": 30})
    told, untold, before = [(await till.submit(10)).run_id for _ in range(3)]
    clock.use(lambda: NOON)
    await till.end(told, NOON, core_hours=2.5, gpu_hours=0.0)
    await till.end(untold, NOON)
    await till.end(before, NOON.replace(month=10))
    live = await till.submit(17)
    shown = await till.show()
    assert (shown.month, shown.spent.core_hours, shown.reserved.core_hours) == ("2026-11", 12.5, 17.0)
    assert (shown.left.core_hours, shown.left.gpu_hours) == (0.5, None)
    assert (shown.estimated_runs, shown.unknown_runs, shown.as_of) == (1, 0, NOON)
    with pytest.raises(Conflict, match=r"0\.5 are left \(12\.5 spent, 17 reserved"):
        await till.submit(1)
    clock.use(lambda: NOON.replace(month=12))
    shown = await till.show()
    assert (shown.spent.core_hours, shown.reserved.core_hours) == (0.0, 17.0), "live runs count in every month"
    await till.end(live.run_id, NOON.replace(month=12), core_hours=1.0, gpu_hours=0.0)
    assert (await till.show()).spent.core_hours == 1.0


async def test_the_month_is_one_of_the_zone(till: Till) -> None:
    run_id = (await till.submit(10)).run_id
    await till.end(run_id, NOON.replace(day=30, hour=23, minute=30))
    clock.use(lambda: NOON.replace(month=12, day=1))
    await till.set(month={"core_hours": 30})
    assert (await till.show()).spent.core_hours == 0.0
    await till.set(month={"core_hours": 30}, zone="Europe/Berlin")
    assert (await till.show()).spent.core_hours == 10.0


async def test_what_was_executed_elsewhere_costs_nothing_here(till: Till) -> None:
    await reports.report(till.db, till.yard.caller, till.yard.project_id, till.body(10))
    shown = await till.show()
    assert (shown.reserved.core_hours, shown.unknown_runs) == (0.0, 0)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_sums_are_one_query_over_an_index(till: Till, statements: list[str]) -> None:
    await till.set(month={"core_hours": 30})
    statements.clear()
    await till.submit(1)
    (query,) = [one for one in statements if "sum(" in one]
    plan = f"EXPLAIN QUERY PLAN {query}"
    async with till.db.connection() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        cursor = await raw.driver_connection.execute(plan, ["x"] * query.count("?"))
        rows = [row[3] for row in await cursor.fetchall()]
    assert rows
    assert all("SCAN" not in row for row in rows), rows
    assert any("ix_runs_budget" in row for row in rows), rows


async def test_the_database_knows_the_index(till: Till) -> None:
    async with till.db.reading() as session:
        names = "SELECT name FROM sqlite_master" if till.db.is_sqlite else "SELECT indexname FROM pg_indexes"
        assert "ix_runs_budget" in set(await session.scalars(text(names)))
