"""`start` and `find`: one job for one handle, whoever calls and however often."""

import asyncio

from backends.contract.case import BackendCase
from backends.contract.deeds import WaitsFor
from backends.spec import Phase


async def test_six_starts_at_once_give_one_job(backend_case: BackendCase) -> None:
    spec = backend_case.spec()
    async with backend_case.open() as one, backend_case.open() as two:
        handle = await backend_case.prepared(one, spec)
        refs = await asyncio.gather(*(backend.start(handle) for backend in (one, two) * 3))
        assert len(set(refs)) == 1
        await backend_case.until(one, refs[0], Phase.ENDED)
        assert await backend_case.starts(one, handle) == 1


async def test_a_start_after_the_end_returns_the_same_job(backend_case: BackendCase) -> None:
    async with backend_case.open() as one, backend_case.open() as two:
        status = await backend_case.ended(one)
        assert await two.start(status.ref.handle) == status.ref
        assert (await two.poll([status.ref]))[status.ref].phase is Phase.ENDED
        assert await backend_case.starts(two, status.ref.handle) == 1


async def test_a_running_job_is_found_by_its_tag(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, WaitsFor("go"))
        other = await backend_case.started(backend, WaitsFor("go"))
        found = await backend.find(ref.handle.tag)
        assert [job.id for job in found.refs] == [ref.id]
        assert found.refs[0].handle.tag == ref.handle.tag
        for job in (ref, other):
            await backend_case.release(job.handle, "go")
            await backend_case.until(backend, job, Phase.ENDED)


async def test_no_job_is_found_for_an_attempt_that_was_not_started(backend_case: BackendCase) -> None:
    spec = backend_case.spec()
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, spec)
        assert (await backend.find(handle.tag)).refs == ()


async def test_jobs_outlive_the_connection_that_started_them(backend_case: BackendCase) -> None:
    async with backend_case.open() as first:
        ref = await backend_case.started(first, WaitsFor("go"))
        await backend_case.running(first, ref)
    async with backend_case.open() as second:
        assert (await second.poll([ref]))[ref].phase is Phase.RUNNING
        await backend_case.release(ref.handle, "go")
        assert (await backend_case.until(second, ref, Phase.ENDED)).ref == ref
