"""Jobs that lost replies leave on the real servers are found by their tag and removed; the one that counts runs."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from backends.backend import Backend
from backends.contract import Prints
from backends.errors import JobNotFound
from backends.spec import Handle, Phase, Result, Revoked
from backends.unicore.backend import UnicoreBackend
from backends.unicore.description import attempt_tag
from tests.backends.unicore.proxy import Proxy, proxied
from tests.contract.test_unicore import UnicoreCase
from tests.site_fixtures import UnicoreSite


@pytest.fixture
async def proxy(unicore_site: UnicoreSite) -> AsyncIterator[Proxy]:
    async with proxied(unicore_site) as between:
        yield between


async def locations(backend: Backend) -> set[str]:
    """Of the jobs that earlier tests left on this server."""
    assert isinstance(backend, UnicoreBackend)
    return {f"{backend._channel.base}/jobs/{job}" for job in await backend._jobs.listed("mantik")}


@pytest.mark.unicore
async def test_a_creation_that_was_not_answered_twice_leaves_one_job_that_runs(case: UnicoreCase, proxy: Proxy) -> None:
    """Twice the job is not in the list yet when it is looked for, as the server does for a moment."""
    spec = case.spec(Prints("once\n"))

    async with case.open() as backend:
        others = await locations(backend)

        async def unstarted() -> list[Handle]:
            found = await backend.unstarted(others)  # type: ignore[attr-defined]
            return [handle for handle in found if handle.tag == spec.tag]

        proxy.fault("POST", "/jobs", lose_reply=True, times=2)
        proxy.fault("GET", "/jobs", status=200, body=b'{"jobs": []}', times=2)
        handle = await case.prepared(backend, spec)
        assert proxy.count("POST", "/jobs") == 2
        async with asyncio.timeout(case.patience):
            while True:
                if len(there := await unstarted()) == 2:
                    break
                await asyncio.sleep(0.1)
        assert handle in there
        ref = await backend.start(handle)
        (orphan,) = await unstarted()
        assert orphan != handle
        assert isinstance(await backend.revoke(orphan), Revoked)
        await backend.remove(orphan, "attempt")
        assert await unstarted() == []
        with pytest.raises(JobNotFound):
            await backend.list(orphan)
        status = await case.until(backend, ref, Phase.ENDED)
        assert status.outcome is not None
        assert status.outcome.result is Result.FINISHED
        assert await case.starts(backend, handle) == 1


@pytest.mark.unicore
async def test_what_has_started_or_is_known_is_not_asked_for_again(case: UnicoreCase, proxy: Proxy) -> None:
    async with case.open() as backend:
        others = await locations(backend)
        ended = (await case.ended(backend)).ref
        waiting = await case.prepared(backend, case.spec())
        assert waiting in await backend.unstarted(others)  # type: ignore[attr-defined]
        before = len(proxy.seen)
        found = await backend.unstarted(others | {waiting.location})  # type: ignore[attr-defined]
        asked = [request.path for request in proxy.seen[before:]]
        assert waiting not in found
        assert not any(ended.id in path or waiting.location.rpartition("/")[2] in path for path in asked)
        await backend.remove(waiting, "attempt")


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        (("mantik", "mantik-4f-12", "mantik-4f-12-3"), "mantik-4f-12-3"),
        (("mantik-4f-12-3", "mantik-4f-12", "mantik"), "mantik-4f-12-3"),
        (("mantik", "mantik-4f-12"), None),
        (("mantik", "mantik-7"), None),
        (("mantik", "mantik-check", "mantik-check-4f"), None),
        (("mantik-4f-12", "mantik-4f-12-3-before"), None),
        ((), None),
    ],
)
def test_the_tag_of_an_attempt_goes_with_that_of_its_run(tags: tuple[str, ...], expected: str | None) -> None:
    assert attempt_tag(tags) == expected
