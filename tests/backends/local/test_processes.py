"""Jobs of this machine: limits, ends that nobody saw, and what a job must not see."""

import asyncio
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.contract.deeds import WaitsFor
from backends.reasons import Reason
from backends.spec import EvidenceSource, JobRef, JobSpec, Phase, Result
from tests.contract.test_local import LocalCase


@pytest.fixture
def case(tmp_path: Path) -> LocalCase:
    return LocalCase(tmp_path)


def spec_of(case: LocalCase, command: str, **resources: object) -> JobSpec:
    from backends.spec import JobRequest
    from compute_backend_configs import parse_config_data

    config = parse_config_data({"Local": {}, "Resources": resources}).config
    request = JobRequest(f"run-{time.monotonic_ns()}", "lineage", "n", command, ".", config, None, "0123")
    return JobSpec(request.run_id, 1, "n", "lineage", case.kind.render(request), case.bundle(), {})


async def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        await asyncio.sleep(0.05)


async def test_the_runtime_is_enforced_without_a_gateway(case: LocalCase) -> None:
    async with case.open() as backend:
        spec = spec_of(case, "sleep 300 & sleep 300", Runtime="1s")
        ref = await backend.start(await case.prepared(backend, spec))
    await until((Path(ref.handle.location) / "site_exit").exists)
    async with case.open() as backend:
        outcome = (await case.until(backend, ref, Phase.ENDED)).outcome
    assert outcome is not None
    assert (outcome.result, outcome.reason, outcome.signal) == (Result.FAILED, Reason.TIME_LIMIT, 15)


async def test_a_killed_script_leaves_the_code_with_its_supervisor(case: LocalCase) -> None:
    async with case.open() as backend:
        ref = await case.started(backend, WaitsFor("never"))
        await case.running(backend, ref)
        os.kill(int(ref.id.split(".")[1]), signal.SIGKILL)
        outcome = (await case.until(backend, ref, Phase.ENDED)).outcome
    assert outcome is not None
    assert (outcome.evidence, outcome.exit_code, outcome.signal) == (EvidenceSource.SITE_EXIT_CODE, 137, 9)


async def test_what_a_job_leaves_running_ends_with_it(case: LocalCase) -> None:
    async with case.open() as backend:
        spec = spec_of(case, 'sleep 300 & echo $! >"$MANTIK_OUTPUTS_DIR"/pid')
        ref = await backend.start(await case.prepared(backend, spec))
        await case.until(backend, ref, Phase.ENDED)
        pid = (await backend.read(ref.handle, "outputs/pid", 0, 20, area="run")).decode().strip()
    await until(lambda: not _alive(int(pid)))


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


async def test_a_cancelled_job_that_ignores_the_request_is_killed(case: LocalCase) -> None:
    async with case.open() as backend:
        command = "bash -c 'trap \"\" TERM; touch $MANTIK_OUTPUTS_DIR/up; for i in $(seq 600); do sleep 0.1; done'"
        ref = await backend.start(await case.prepared(backend, spec_of(case, command)))
        await until((Path(ref.handle.location).parent / "outputs" / "up").exists)
        await backend.cancel(ref)
        outcome = (await case.until(backend, ref, Phase.ENDED)).outcome
    assert outcome is not None
    assert outcome.signal in (9, 15)


async def test_the_gateways_secrets_are_not_seen(case: LocalCase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANTIK_SECRET_KEYS", "s3cret")
    monkeypatch.setenv("DATABASE_PASSWORD", "s3cret")
    async with case.open() as backend:
        spec = spec_of(case, "env; cat /proc/$PPID/environ | tr '\\0' '\\n'")
        ref = await backend.start(await case.prepared(backend, spec))
        status = await case.until(backend, ref, Phase.ENDED)
        log = await backend.read(ref.handle, "mantik.log", 0, 1 << 16)
    assert status.outcome is not None
    assert status.outcome.result is Result.FINISHED
    assert b"MANTIK_RUN_ID" in log
    assert b"s3cret" not in log


async def test_a_job_of_an_earlier_boot_went_down_with_the_machine(case: LocalCase) -> None:
    async with case.open() as backend:
        handle = await case.prepared(backend, case.spec())
        ref = JobRef("00000000-0000-4000-8000-000000000000.4711.99", handle)
        outcome = (await backend.poll([ref]))[ref].outcome
    assert outcome is not None
    assert (outcome.reason, outcome.evidence) == (Reason.NODE_FAILURE, EvidenceSource.FINAL_STATE)
