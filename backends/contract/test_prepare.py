"""`check`, `stage` and `prepare`: repeatable, and nothing begins."""

import asyncio
from dataclasses import replace

import pytest

from backends.contract.case import BackendCase
from backends.contract.deeds import AppendsTo, Exits, Prints
from backends.errors import InvalidJob
from backends.reasons import Reason
from backends.spec import Revoked


async def test_check_says_who_we_are_there(backend_case: BackendCase) -> None:
    async with backend_case.open() as backend:
        info = await backend.check()
        assert info.user
        assert info.work_directory.startswith("/")
        assert "$" not in info.work_directory
        assert info.queues
        again = await backend.check()
        assert (again.user, again.work_directory) == (info.user, info.work_directory)


async def test_staging_twice_and_by_two_gateways_at_once(backend_case: BackendCase) -> None:
    bundle = backend_case.bundle({"big": bytes(range(256)) * 4096})
    async with backend_case.open() as one, backend_case.open() as two:
        await asyncio.gather(one.stage(bundle), two.stage(bundle), one.stage(bundle))
        await two.stage(bundle)


async def test_code_that_is_not_what_its_hash_says_is_refused(backend_case: BackendCase) -> None:
    bundle = replace(backend_case.bundle(), sha256="0" * 64)
    async with backend_case.open() as backend:
        with pytest.raises(InvalidJob) as refused:
            await backend.stage(bundle)
    assert refused.value.reason is Reason.STAGE_IN_FAILED


async def test_preparing_twice_and_at_once_gives_one_handle_and_starts_nothing(backend_case: BackendCase) -> None:
    spec = backend_case.spec()
    async with backend_case.open() as one, backend_case.open() as two:
        handle = await backend_case.prepared(one, spec)
        await two.stage(spec.code)
        handles = await asyncio.gather(one.prepare(spec), two.prepare(spec), two.prepare(spec))
        assert set(handles) == {handle}
        assert handle.tag == spec.tag
        assert await backend_case.starts(one, handle) == 0
        assert (await one.find(spec.tag)).refs == ()


async def test_an_untried_attempt_is_found_again_by_who_looks(backend_case: BackendCase) -> None:
    spec = backend_case.spec()
    async with backend_case.open() as one, backend_case.open() as two:
        handle = await backend_case.prepared(one, replace(spec, untried=True))
        assert await two.prepare(spec) == handle


async def test_the_code_lies_beside_the_attempt(backend_case: BackendCase) -> None:
    spec = backend_case.spec()
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, spec)
        assert spec.job.script == await backend.read(handle, "job.sh", 0, 1 << 20)
        again = await backend.prepare(backend_case.next_attempt(spec))
        assert again.location != handle.location


async def test_login_commands_run_once(backend_case: BackendCase) -> None:
    commands = [backend_case.command(AppendsTo("logins"), Prints("ready"))]
    spec = backend_case.spec(environment={"PreRunCommandOnLoginNode": commands})
    async with backend_case.open() as one, backend_case.open() as two:
        await asyncio.gather(one.stage(spec.code), two.stage(spec.code))
        handle, *_ = await asyncio.gather(one.prepare(spec), two.prepare(spec), one.prepare(spec))
        await two.prepare(spec)
        assert (await one.read(handle, "outputs/logins", 0, 100, area="run")).count(b"\n") == 1


async def test_a_login_command_that_fails_is_told_and_leaves_no_ticket(backend_case: BackendCase) -> None:
    command = backend_case.command(AppendsTo("logins"), Exits(3))
    spec = backend_case.spec(environment={"PreRunCommandOnLoginNode": [command]})
    async with backend_case.open() as backend:
        await backend.stage(spec.code)
        for _ in range(2):
            with pytest.raises(InvalidJob) as refused:
                await backend.prepare(spec)
            assert refused.value.reason is Reason.PREPARE_FAILED
            assert "3" in refused.value.message


async def test_a_repeated_prepare_lays_no_ticket_after_a_seizure(backend_case: BackendCase) -> None:
    spec = backend_case.spec()
    async with backend_case.open() as backend:
        handle = await backend_case.prepared(backend, spec)
        assert isinstance(await backend.revoke(handle), Revoked)
        assert await backend.prepare(spec) == handle
        await backend_case.copies(handle, 1)
        assert await backend_case.starts(backend, handle) == 0
