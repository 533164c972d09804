"""`poll`: every job has a status, an end has its evidence, and not knowing a job is no end."""

import asyncio

from backends.contract.case import BackendCase
from backends.contract.deeds import Exits, Kills, Prints, WaitsFor
from backends.reasons import Reason
from backends.spec import EvidenceSource, Handle, JobRef, Phase, Result


async def test_a_job_that_went_well(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        status = await backend_case.ended(backend, Prints("hello\n"))
        outcome = status.outcome
        assert outcome is not None
        assert (outcome.result, outcome.reason, outcome.exit_code) == (Result.FINISHED, None, 0)
        assert outcome.evidence is EvidenceSource.EXIT_FILE
        assert status.log_size == len("hello\n")
        assert status.fence == status.ref.id


async def test_an_exit_code(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        outcome = (await backend_case.ended(backend, Exits(3))).outcome
    assert outcome is not None
    assert (outcome.result, outcome.reason, outcome.exit_code) == (Result.FAILED, Reason.EXIT_CODE, 3)


async def test_a_signal(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        outcome = (await backend_case.ended(backend, Kills(9))).outcome
    assert outcome is not None
    assert outcome.result is Result.FAILED
    assert (outcome.exit_code, outcome.signal) == (137, 9)


async def test_a_live_job_has_no_outcome(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, Prints("begun\n"), WaitsFor("go"))
        await backend_case.running(backend, ref)
        status = await backend_case.until(backend, ref, Phase.RUNNING)
        assert status.outcome is None
        assert status.site_state
        await backend_case.release(ref.handle, "go")
        assert (await backend_case.until(backend, ref, Phase.ENDED)).outcome is not None


async def test_a_job_that_the_site_does_not_know_is_missing_beside_one_it_knows(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        known = (await backend_case.ended(backend)).ref
        location = known.handle.location.rpartition("/")[0] + "/999"
        unknown = JobRef(backend_case_unknown(known.id), Handle("mantik-nobody-999", location))
        statuses = await backend.poll([unknown, known])
        assert statuses[unknown].phase is Phase.MISSING
        assert statuses[unknown].outcome is None
        assert statuses[known].phase is Phase.ENDED
        assert (await backend.poll([unknown]))[unknown].phase is Phase.MISSING


async def test_many_jobs_in_one_question(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        refs = await asyncio.gather(*(backend_case.started(backend, Exits(code)) for code in range(4)))
        for ref in refs:
            await backend_case.until(backend, ref, Phase.ENDED)
        statuses = await backend.poll(refs)
        assert list(statuses) == list(refs)
        codes = [status.outcome.exit_code for status in statuses.values() if status.outcome]
        assert codes == [0, 1, 2, 3]


async def test_no_jobs_no_answer(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        assert dict(await backend.poll([])) == {}


def backend_case_unknown(known: str) -> str:
    """An id of the same form that no job has."""
    digits = len(known) - len(known.rstrip("0123456789"))
    return known[: len(known) - digits] + "9" * min(max(digits, 7), 9)
