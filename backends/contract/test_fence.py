"""The fence: of all copies of an attempt at most one runs, and none after the gateway seized it."""

import asyncio
import time
from contextlib import suppress

from backends.backend import DUPLICATE_EXIT_CODE, REVOKED_EXIT_CODE
from backends.contract.case import BackendCase
from backends.contract.deeds import WaitsFor
from backends.errors import BackendError
from backends.spec import DirectoryGone, JobRef, Phase, Revoked


async def test_of_two_copies_at_once_one_runs(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, backend_case.spec())
        assert sorted(await backend_case.copies(handle, 2)) == [0, DUPLICATE_EXIT_CODE]
        assert await backend_case.starts(backend, handle) == 1


async def test_after_a_seizure_no_copy_runs(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, backend_case.spec())
        assert isinstance(await backend.revoke(handle), Revoked)
        assert list(await backend_case.copies(handle, 2)) == [REVOKED_EXIT_CODE] * 2
        assert await backend_case.starts(backend, handle) == 0


async def test_two_gateways_that_seize_at_once_both_hold_it(backend_case: BackendCase) -> None:
    async with backend_case.open() as one, backend_case.open() as two:
        handle = await backend_case.prepared(one, backend_case.spec())
        answers = await asyncio.gather(one.revoke(handle), two.revoke(handle), one.revoke(handle))
        assert {type(answer) for answer in answers} == {Revoked}


async def test_a_seizure_comes_too_late_for_a_job_that_runs(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, WaitsFor("go"))
        await backend_case.running(backend, ref)
        assert (await backend.poll([ref]))[ref].fence == ref.id
        for _ in range(2):
            assert await backend.revoke(ref.handle) == ref
        await backend_case.release(ref.handle, "go")
        status = await backend_case.until(backend, ref, Phase.ENDED)
        assert status.outcome is not None
        assert status.outcome.exit_code == 0


async def test_a_job_and_a_seizure_at_once_have_one_winner(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        for _ in range(4):
            handle = await backend_case.prepared(backend, backend_case.spec())
            codes, seized = await asyncio.gather(backend_case.copies(handle, 2), backend.revoke(handle))
            runs = await backend_case.starts(backend, handle)
            if isinstance(seized, Revoked):
                assert (list(codes), runs) == ([REVOKED_EXIT_CODE] * 2, 0)
            else:
                assert isinstance(seized, JobRef)
                assert (sorted(codes), runs) == ([0, DUPLICATE_EXIT_CODE], 1)


async def test_a_start_after_a_seizure_never_runs_the_code(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, backend_case.spec())
        await backend.revoke(handle)
        with suppress(BackendError):
            ref = await backend.start(handle)
            await backend_case.until(backend, ref, Phase.ENDED)
        assert await backend_case.starts(backend, handle) == 0
        assert isinstance(await backend.revoke(handle), Revoked)


async def test_a_revoked_attempt_leaves_room_for_the_next(backend_case: BackendCase) -> None:
    spec = backend_case.spec()
    async with backend_case.open() as backend:
        await backend.revoke(await backend_case.prepared(backend, spec))
        ref = await backend.start(await backend_case.prepared(backend, backend_case.next_attempt(spec)))
        await backend_case.until(backend, ref, Phase.ENDED)
        assert await backend_case.starts(backend, ref.handle) == 1


async def test_a_directory_that_is_gone_is_told(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, backend_case.spec())
        await backend.remove(handle)
        end = time.monotonic() + backend_case.patience
        while not isinstance(await backend.revoke(handle), DirectoryGone):  # a site may take its time over a directory
            assert time.monotonic() < end
            await asyncio.sleep(0.05)
