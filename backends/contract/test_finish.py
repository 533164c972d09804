"""`finish` and `remove`: after the end, and again."""

from contextlib import suppress

import pytest

from backends.contract.case import BackendCase
from backends.contract.deeds import AppendsTo, Exits
from backends.errors import BackendError, InvalidJob, JobNotFound
from backends.spec import Handle, Phase


async def test_finish_removes_the_secrets(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        handle = (await backend_case.ended(backend, secrets={"TOKEN": "s3cret"})).ref.handle
        assert "env" in {info.path for info in await backend.list(handle)}
        for _ in range(2):
            await backend.finish(handle)
            assert "env" not in {info.path for info in await backend.list(handle)}


async def test_login_commands_after_the_end_run_once(backend_case: BackendCase) -> None:
    command = backend_case.command(AppendsTo("logouts"))
    spec = backend_case.spec(environment={"PostRunCommandOnLoginNode": [command]})
    async with backend_case.open() as one, backend_case.open() as two:
        ref = await one.start(await backend_case.prepared(one, spec))
        await backend_case.until(one, ref, Phase.ENDED)
        await one.finish(ref.handle)
        await two.finish(ref.handle)
        assert (await one.read(ref.handle, "outputs/logouts", 0, 100, area="run")).count(b"\n") == 1


async def test_a_login_command_that_fails_is_told_and_the_secrets_go(backend_case: BackendCase) -> None:
    spec = backend_case.spec(environment={"PostRunCommandOnLoginNode": [backend_case.command(Exits(4))]})
    async with backend_case.open() as backend:
        ref = await backend.start(await backend_case.prepared(backend, spec))
        await backend_case.until(backend, ref, Phase.ENDED)
        with pytest.raises(InvalidJob, match="4"):
            await backend.finish(ref.handle)
        assert "env" not in {info.path for info in await backend.list(ref.handle)}


async def test_removed_and_removed_again(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        handle = (await backend_case.ended(backend)).ref.handle
        for _ in range(2):
            await backend.remove(handle)
            with pytest.raises(JobNotFound):
                await backend.stat(handle, "job.sh")
        await backend.finish(handle)


async def test_what_a_prepare_left_is_removed_by_its_tag_alone(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, backend_case.spec(secrets={"TOKEN": "s3cret"}))
        for _ in range(2):
            await backend.remove(Handle(handle.tag, ""), "attempt")
            with pytest.raises(JobNotFound):
                await backend.stat(handle, "env")


async def test_no_copy_runs_after_its_attempt_was_removed(backend_case: BackendCase) -> None:
    spec = backend_case.spec()
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, spec)
        await backend.remove(handle, "attempt")
        with suppress(BackendError):
            ref = await backend.start(handle)
            await backend_case.until(backend, ref, Phase.ENDED)
        later = await backend_case.prepared(backend, backend_case.next_attempt(spec))
        assert await backend_case.starts(backend, later) == 0
