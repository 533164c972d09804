"""`cancel`: a request that may come at any time, any number of times."""

from backends.contract.case import BackendCase
from backends.contract.deeds import WaitsFor
from backends.spec import Phase, Result


async def test_a_running_job_ends_and_is_not_taken_for_finished(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, WaitsFor("never"))
        await backend_case.running(backend, ref)
        await backend.cancel(ref)
        await backend.cancel(ref)
        outcome = (await backend_case.until(backend, ref, Phase.ENDED)).outcome
        assert outcome is not None
        assert outcome.result in (Result.CANCELLED, Result.FAILED)
        assert outcome.result is Result.CANCELLED or outcome.signal is not None


async def test_a_job_that_has_just_been_submitted(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        ref = await backend_case.started(backend, WaitsFor("never"))
        await backend.cancel(ref)
        outcome = (await backend_case.until(backend, ref, Phase.ENDED)).outcome
        assert outcome is not None
        assert outcome.result is not Result.FINISHED


async def test_a_job_that_has_ended_keeps_its_outcome(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        status = await backend_case.ended(backend)
        await backend.cancel(status.ref)
        again = (await backend.poll([status.ref]))[status.ref]
        assert again.outcome is not None
        assert again.outcome.result is Result.FINISHED
