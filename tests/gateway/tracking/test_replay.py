"""What a job tracks beside itself stands in MLflow, once and exactly, whatever happens on the way."""

import asyncio
import json
import shutil
import sys
import time
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlalchemy import select, update

from backends.errors import SiteUnavailable
from gateway import clock
from gateway.connections.retirement import is_in_use
from gateway.db.lease import later
from gateway.engine.journal_copy import HELD_SECONDS
from gateway.runs.rows import Condition, Run
from gateway.tracking.alias import alias
from gateway.tracking.client import TrackingClient, TrackingUnavailable
from gateway.tracking.journal import lines, steps
from gateway.tracking.rows import TrackingJournal
from tests.gateway.tracking.beside import Bench, endpoint
from tests.gateway.tracking.conftest import House
from tests.gateway.tracking.house import run_program


@pytest.fixture
async def bench(house: House) -> Bench:
    return await Bench.of(house.db, house.client, house.a)


TRACKED = "0123456789abcdef" * 2
"""The id of the run that the program is told."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tracked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """What the program that tracks everything left beside itself, and saw."""
    folder = tmp_path_factory.mktemp("job") / "tracking"
    async with endpoint(folder, TRACKED, MANTIK_EXPERIMENT_NAME="main") as environment:
        return folder, await run_program("beside.py", **environment)


@pytest.fixture
def seen(tracked: tuple[Path, dict[str, Any]], bench: Bench, tmp_path: Path) -> dict[str, Any]:
    """The same as a job of the run at the bench would have left it, at `tmp_path / "tracking"` and on the site."""
    folder, seen = tracked
    shutil.copytree(folder, tmp_path / "tracking")
    journal = tmp_path / "tracking/journal"
    journal.write_text(journal.read_text().replace(TRACKED, alias(bench.run.id)))
    for path in (tmp_path / "tracking/files").iterdir():
        path.write_bytes(path.read_bytes().replace(TRACKED.encode(), alias(bench.run.id).encode()))
    bench.take(tmp_path / "tracking")
    return seen


async def in_mlflow(client: TrackingClient, run_id: str) -> dict[str, Any]:
    run: dict[str, Any] = (await client.call("GET", "runs/get", query=[("run_id", run_id)]))["run"]
    return run


def pairs(items: list[Mapping[str, str]]) -> dict[str, str]:
    return {item["key"]: item["value"] for item in items if not item["key"].startswith(("mantik.", "mlflow."))}


async def points(client: TrackingClient, run_id: str, key: str) -> list[tuple[int, Any]]:
    query = [("run_id", run_id), ("metric_key", key)]
    found = (await client.call("GET", "metrics/get-history", query=query))["metrics"]
    return [(int(point.get("step", 0)), point["value"]) for point in found]


async def all_runs(client: TrackingClient, experiment: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.call("POST", "runs/search", {"experiment_ids": [experiment]}))["runs"]
    return found


async def assert_all_there(house: House, bench: Bench, seen: dict[str, Any]) -> None:
    """All of what the program did, once."""
    client, experiment = house.client, house.a.experiment_id
    runs = await all_runs(client, experiment)
    (own,) = [r for r in runs if pairs_of(r).get("mlflow.parentRunId") is None]
    (child,) = [r for r in runs if r is not own]
    run_id = own["info"]["run_id"]
    own = await in_mlflow(client, run_id)
    assert pairs(own["data"]["params"]) == seen["params"]
    assert pairs(own["data"]["tags"]) == seen["tags"] == {"kept": "v2"}
    assert await points(client, run_id, "loss") == [(step, 1 / (step + 1)) for step in range(50)]
    metrics = {metric["key"]: metric["value"] for metric in own["data"]["metrics"]}
    # MLflow keeps the largest number in place of an infinite one.
    assert (metrics["a"], metrics["b"], metrics["of the model"]) == (1.0, sys.float_info.max, 7.0)
    assert str(metrics["odd"]).lower() == "nan"
    assert pairs_of(child)["mlflow.parentRunId"] == run_id
    assert (child["info"]["run_name"], child["info"]["status"]) == ("child", "FINISHED")
    assert await points(client, child["info"]["run_id"], "c") == [(0, 3.0)]
    root = own["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    text = await client.send("GET", f"api/2.0/mlflow-artifacts/artifacts/{root}/notes/a%20b%2525.txt")
    assert text.content == b"new"
    body = {"experiment_ids": [experiment]}
    (model,) = (await client.call("POST", "logged-models/search", body))["models"]
    assert model["info"]["status"] == "LOGGED_MODEL_READY"
    assert model["info"]["source_run_id"] == run_id
    place = model["info"]["artifact_uri"].removeprefix("mlflow-artifacts:/")
    recipe = (await client.send("GET", f"api/2.0/mlflow-artifacts/artifacts/{place}/MLmodel")).text
    assert model["info"]["model_id"] in recipe
    assert run_id in recipe
    assert seen["model"] not in recipe


def pairs_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


async def conditions(bench: Bench) -> dict[str, str]:
    async with bench.db.reading() as session:
        rows = await session.scalars(select(Condition).where(Condition.run_id == bench.run.id))
        return {row.name: row.text for row in rows}


async def test_what_a_job_tracks_stands_in_mlflow(house: House, bench: Bench, seen: dict[str, Any]) -> None:
    assert seen["params"] == {"lr": "0.1", "name": "Größe 'x' \"y\"\n$Z"}
    assert (seen["loss"], seen["text"], seen["doubled"]) == (50, "new", [4.0])
    assert seen["files"] == ["empty.txt", "notes"]
    assert seen["changed"] == "INVALID_PARAMETER_VALUE"
    await bench.ended()
    journal = await bench.look()
    assert (journal.ended, journal.refused, journal.missing, journal.due_at) == (True, 0, [], None)
    await assert_all_there(house, bench, seen)
    assert await conditions(bench) == {}


async def test_a_gateway_that_dies_at_any_answer_of_mlflow_copies_nothing_twice(
    house: House, bench: Bench, seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer to each call is lost once: MLflow did it, and it is done again."""
    await bench.ended()
    http = house.client._http
    lost: set[str] = set()
    send = http.send

    async def once_lost(request: httpx.Request, **options: Any) -> httpx.Response:
        answer = await send(request, **options)
        what = f"{request.method} {request.url.path} {hash(request.content) if 'json' in str(request.headers) else ''}"
        if request.method != "GET" and "search" not in what and what not in lost:
            lost.add(what)
            raise httpx.ReadError("the answer is lost")
        return answer

    monkeypatch.setattr(http, "send", once_lost)
    for _ in range(100):
        journal = await bench.look()
        if journal.due_at is None:
            break
    monkeypatch.undo()
    assert journal.due_at is None
    assert len(lost) > 8
    await assert_all_there(house, bench, seen)
    assert await conditions(bench) == {}


async def test_it_is_copied_while_the_job_runs(
    house: House, bench: Bench, seen: dict[str, Any], tmp_path: Path
) -> None:
    """Half a line at the end waits for its other half."""
    whole = (tmp_path / "tracking/journal").stat().st_size
    for size in range(0, whole, whole // 7):
        bench.take(tmp_path / "tracking", size)
        assert (await bench.look()).position <= size
    runs = await all_runs(house.client, house.a.experiment_id)
    assert len(runs) == 2
    bench.take(tmp_path / "tracking")
    assert (await bench.look()).due_at is not None
    await bench.ended()
    assert (await bench.look()).due_at is None
    await assert_all_there(house, bench, seen)


async def test_an_outage_is_shown_and_made_up_for(
    house: House, bench: Bench, seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.ended()
    with monkeypatch.context() as away:

        async def no(*arguments: object, **named: object) -> None:
            raise TrackingUnavailable("The tracking server failed (HTTP 503).")

        away.setattr(house.client, "send", no)
        assert (await bench.look()).failures == 1
        shown = await conditions(bench)
        assert shown == {"TRACKING_NOT_COPIED": "It is tried again: The tracking server failed (HTTP 503)."}
    with monkeypatch.context() as away:

        async def gone(*arguments: object, **named: object) -> None:
            raise SiteUnavailable("The site does not answer.")

        away.setattr("backends.fake.backend.FakeBackend.read", gone)
        assert (await bench.look()).failures == 2
        assert await conditions(bench) == {"TRACKING_NOT_COPIED": "It is tried again: The site does not answer."}
    assert (await bench.look()).due_at is None
    await assert_all_there(house, bench, seen)
    assert await conditions(bench) == {}


async def test_a_site_that_never_comes_back_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*arguments: object, **named: object) -> None:
        raise SiteUnavailable("The site does not answer.")

    monkeypatch.setattr("backends.fake.backend.FakeBackend.read", gone)
    await bench.ended()
    assert (await bench.look()).due_at is not None
    async with bench.db.transaction() as session:
        await session.execute(update(Run).values(ended_at=clock.now() - timedelta(days=15)))
    assert (await bench.look()).due_at is None
    assert await conditions(bench) == {"TRACKING_INCOMPLETE": "It was given up: The site does not answer."}


def entry(route: str, body: Mapping[str, object], **more: object) -> bytes:
    return json.dumps({"op": "call", "method": "POST", "route": route, "body": body, **more}).encode() + b"\n"


def file(of: str, path: str) -> bytes:
    return json.dumps({"op": "file", "of": of, "path": path, "file": "nowhere", "size": 3}).encode() + b"\n"


async def test_what_mlflow_refuses_is_told_and_stops_nothing_else(house: House, bench: Bench) -> None:
    own, foreign = alias(bench.run.id), "f" * 32
    data = b"".join(
        [
            entry("runs/log-metric", {"run_id": own, "key": "good", "value": 1, "timestamp": 1}),
            entry("runs/log-metric", {"run_id": own, "key": "bad\u0000key" * 60, "value": 1, "timestamp": 1}),
            entry("runs/set-tag", {"run_id": own, "key": "mantik.jobId", "value": "mine"}),
            entry("runs/log-metric", {"run_id": foreign, "key": "x", "value": 1, "timestamp": 1}),
            b"no line of ours\n",
            b'{"op":"dropped","lines":3}\n',
            json.dumps({"op": "file", "of": own, "path": "lost.txt", "file": "nowhere", "size": 3}).encode() + b"\n",
            json.dumps({"op": "file", "of": own, "path": "mantik/job.sh", "file": "nowhere", "size": 3}).encode()
            + b"\n",
            entry("runs/log-metric", {"run_id": own, "key": "late", "value": 2, "timestamp": 2}),
            b'{"op":"end"}\n',
        ]
    )
    bench.site.runs[str(bench.run.id)].write("1/tracking/journal", data)
    await bench.ended()
    journal = await bench.look()
    assert (journal.position, journal.due_at, journal.refused) == (len(data), None, 8)
    (run,) = await all_runs(house.client, house.a.experiment_id)
    assert {m["key"] for m in run["data"]["metrics"]} == {"good", "late"}
    shown = (await conditions(bench))["TRACKING_INCOMPLETE"]
    assert shown.startswith("8 entries were refused, the first: runs/log-metric: ")
    assert shown.endswith("; 1 files were gone: lost.txt")


async def test_a_journal_cannot_make_texts_grow(house: House, bench: Bench) -> None:
    made = b"".join(
        entry("runs/create", {"experiment_id": "0", "start_time": 1}, id=digit) for digit in "0123456789abcdef"
    )
    told = entry("runs/log-metric", {"run_id": alias(bench.run.id), "key": "k", "value": 1, "timestamp": 1})
    bench.site.runs[str(bench.run.id)].write("1/tracking/journal", made + entry("runs/create", {}, id="") + told)
    journal = await bench.look()
    assert (journal.refused, journal.ids) == (17, {})
    (run,) = await all_runs(house.client, house.a.experiment_id)
    assert [m["key"] for m in run["data"]["metrics"]] == ["k"]


async def test_a_long_step_keeps_its_claim(house: House, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One refused line makes a batch go in halves; meanwhile nobody else takes the journal."""
    own = alias(bench.run.id)
    lines = [entry("runs/log-metric", {"run_id": own, "key": f"k{n}", "value": n, "timestamp": 1}) for n in range(60)]
    lines[30] = entry("runs/log-metric", {"run_id": own, "key": "acc@1", "value": 1, "timestamp": 1})
    bench.site.runs[str(bench.run.id)].write("1/tracking/journal", b"".join(lines))
    clock = SimpleNamespace(passed=time.monotonic())
    began = clock.passed
    monkeypatch.setattr("gateway.engine.journal_copy.time", SimpleNamespace(monotonic=lambda: clock.passed))
    taken: list[Any] = []
    claim = Bench(house.db, house.client, bench.run).replay.claim
    send = house.client.send

    async def slowly(*arguments: Any, **named: Any) -> Any:
        clock.passed += HELD_SECONDS / 6
        async with house.db.transaction() as session:
            row = await session.get_one(TrackingJournal, bench.run.id)
            assert row.due_at is not None
            row.due_at -= timedelta(seconds=HELD_SECONDS / 6)
        taken.extend(await claim(5))
        return await send(*arguments, **named)

    monkeypatch.setattr(house.client, "send", slowly)
    (first,) = await bench.replay.claim(1)
    await bench.replay.one(*first)
    assert clock.passed - began > 2 * HELD_SECONDS
    assert taken == []
    assert (await bench.look()).refused == 1
    (run,) = await all_runs(house.client, house.a.experiment_id)
    assert len(run["data"]["metrics"]) == 59


async def test_something_between_us_and_mlflow_refuses_nothing_for_good(
    house: House, bench: Bench, seen: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.ended()
    with monkeypatch.context() as ingress:

        async def backend(request: httpx.Request, **options: Any) -> httpx.Response:
            return httpx.Response(404, text="default backend - 404", request=request)

        ingress.setattr(house.client._http, "send", backend)
        journal = await bench.look()
        assert (journal.refused, journal.failures, journal.due_at is None) == (0, 1, False)
    assert (await bench.look()).due_at is None
    await assert_all_there(house, bench, seen)


async def test_what_never_works_is_left_out_after_some_tries(house: House, bench: Bench) -> None:
    own = alias(bench.run.id)
    short = {"op": "file", "of": own, "path": "short.txt", "file": "short", "size": 30}
    metrics = [entry("runs/log-metric", {"run_id": own, "key": f"k{n}", "value": n, "timestamp": 1}) for n in range(3)]
    odd = [
        entry("runs/log-model", {"run_id": own, "model_json": "[]"}),
        entry("runs/log-inputs", {"run_id": own, "models": ["abc"]}),
        b'{"op":"dropped","lines":"x"}\n',
        b'{"op":"file","of":[],"path":3,"size":"x"}\n',
        b'{"op":"call","method":"POST","route":"runs/log-batch","body":{"run_id":"'
        + own.encode()
        + b'","metrics":[3]}}\n',
        b"[" * 100_000 + b"\n",
    ]
    data = metrics[0] + json.dumps(short).encode() + b"\n" + metrics[1] + b"".join(odd) + metrics[2] + b'{"op":"end"}\n'
    files = bench.site.runs[str(bench.run.id)]
    files.write("1/tracking/files/short", b"too few")
    files.write("1/tracking/journal", data)
    await bench.ended()
    for _ in range(40):
        if (journal := await bench.look()).due_at is None:
            break
    assert (journal.due_at, journal.position) == (None, len(data))
    (run,) = await all_runs(house.client, house.a.experiment_id)
    assert {m["key"] for m in run["data"]["metrics"]} == {"k0", "k1", "k2"}
    assert "given up after 8 tries: tracking/files/short" in (await conditions(bench))["TRACKING_INCOMPLETE"]


async def test_a_journal_that_is_no_journal_is_given_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.engine.journal_copy.PART", 1000)
    monkeypatch.setattr("gateway.engine.journal_copy.LONGEST_LINE", 4000)
    bench.site.runs[str(bench.run.id)].write("1/tracking/journal", b"\0" * 10_000)
    assert (await bench.look()).due_at is None
    told = await conditions(bench)
    assert told == {"TRACKING_INCOMPLETE": "It was given up: its journal holds a line of over 32 MB"}


async def test_one_user_leaves_places_for_the_others(house: House, bench: Bench) -> None:
    others = [await Bench.of(house.db, house.client, house.a) for _ in range(5)]
    last = await Bench.of(house.db, house.client, house.b)
    for _ in range(6):
        await bench.replay.claim(1)
    claimed = set(bench.replay._busy)
    assert last.run.id in claimed
    assert len(claimed & {one.run.id for one in [bench, *others]}) == 4


async def test_a_connection_with_a_journal_to_copy_is_in_use(bench: Bench) -> None:
    await bench.ended()
    assert bench.run.connection_id is not None
    async with bench.db.reading() as session:
        assert await is_in_use(session, bench.run.connection_id)
    async with bench.db.transaction() as session:
        await session.execute(update(TrackingJournal).values(due_at=None))
        assert not await is_in_use(session, bench.run.connection_id)


async def test_a_job_that_was_killed_is_waited_for_a_while(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    line = entry("runs/log-metric", {"run_id": alias(bench.run.id), "key": "good", "value": 1, "timestamp": 1})
    bench.site.runs[str(bench.run.id)].write("1/tracking/journal", line)
    await bench.ended("FAILED")
    assert (await bench.look()).due_at is not None
    monkeypatch.setattr("gateway.engine.replay.END_SECONDS", -1.0)
    journal = await bench.look()
    assert (journal.due_at, journal.position) == (None, len(line))
    assert "killed before it wrote its last line" in (await conditions(bench))["TRACKING_INCOMPLETE"]


async def test_a_job_without_a_journal_is_done_after_its_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its script found no python3, and tracking went over HTTP."""
    bench.site.runs[str(bench.run.id)].write("1/mantik.log", b"")
    assert (await bench.look()).due_at is not None
    await bench.ended()
    assert (await bench.look()).due_at is not None  # a network file system shows it late
    monkeypatch.setattr("gateway.engine.replay.NEVER_SECONDS", -1.0)
    assert (await bench.look()).due_at is None
    assert await conditions(bench) == {}


async def test_of_two_gateways_one_goes_on(house: House, bench: Bench, seen: dict[str, Any], tmp_path: Path) -> None:
    await bench.ended()
    other = Bench(house.db, house.client, bench.run)
    other.take(tmp_path / "tracking")
    (late,) = await bench.replay.claim(1)
    async with house.db.transaction() as session:
        await session.execute(update(TrackingJournal).values(due_at=later(session, -1)))
    (next_one,) = await other.replay.claim(1)
    await asyncio.gather(other.replay.one(*next_one), bench.replay.one(*late))
    assert (await bench.look()).due_at is None
    await assert_all_there(house, bench, seen)


def test_points_of_a_run_go_together_and_in_order() -> None:
    def metric(run: str, step: int) -> bytes:
        return entry("runs/log-metric", {"run_id": run, "key": "loss", "value": 1, "timestamp": 1, "step": step})

    data = b"".join(metric("a" if step % 3 else "b", step) for step in range(1500))
    data += entry("runs/delete-tag", {"run_id": "a", "key": "t"}) + metric("a", 1500) + b'{"half'
    found = list(steps(lines(data, 100)))
    assert [len(step.batches) for step in found] == [2, 0, 1]
    assert [len(batch) for batch in found[0].batches.values()] == [500, 1000]
    assert found[-1].end == 100 + len(data) - len(b'{"half')
    many = b"".join(metric("a", step) for step in range(2500))
    assert [[len(b) for b in step.batches.values()] for step in steps(lines(many, 0))] == [[1000], [1000], [500]]
