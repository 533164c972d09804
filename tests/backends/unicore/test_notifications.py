"""What the real servers post when a job changes, and what of it is taken for theirs."""

import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from backends.contract import WaitsFor
from backends.spec import JobRef, Phase
from backends.unicore import session
from tests.backends.unicore.listener import Listener, listener
from tests.backends.unicore.proxy import Proxy, Request, proxied
from tests.contract.test_unicore import UnicoreCase
from tests.site_fixtures import UnicoreSite

pytestmark = pytest.mark.unicore


@pytest.fixture
async def proxy(unicore_site: UnicoreSite) -> AsyncIterator[Proxy]:
    async with proxied(unicore_site) as between:
        yield between


@pytest.fixture
async def told() -> AsyncIterator[Listener]:
    async with listener() as there:
        yield there


def words(request: Request) -> tuple[str, bytes]:
    return request.headers["authorization"], request.body


async def test_the_server_tells_of_the_start_and_of_the_end(case: UnicoreCase, proxy: Proxy, told: Listener) -> None:
    """Each message makes the next sweep ask for the status, and an end is there with all its evidence."""
    async with case.open() as backend:
        spec = replace(case.spec(WaitsFor("go")), notify=told.url)
        ref = await backend.start(await case.prepared(backend, spec))
        began = (await told.until(1))[0]
        assert json.loads(began.body)["status"] == "RUNNING"
        assert await backend.told(ref, *words(began))  # type: ignore[attr-defined]
        assert (await backend.poll([ref]))[ref].phase is Phase.RUNNING
        await case.release(ref.handle, "go")
        ended = (await told.until(2))[1]
        assert await backend.told(ref, *words(ended))  # type: ignore[attr-defined]
        status = (await backend.poll([ref]))[ref]
        assert status.phase is Phase.ENDED
        assert status.outcome is not None
        assert status.outcome.exit_code == 0
    assert proxy.count("GET", "/certificate") == 1


async def test_only_the_server_s_own_word_about_this_job_and_user_counts(
    case: UnicoreCase, proxy: Proxy, told: Listener
) -> None:
    async with case.open() as backend:
        ref = await backend.start(await case.prepared(backend, replace(case.spec(), notify=told.url)))
        authorization, body = words((await told.until(1))[0])
        assert await backend.told(ref, authorization, body)  # type: ignore[attr-defined]
        head, claims, signature = authorization.split(".")
        other = JobRef("x", replace(ref.handle, location=f"{ref.handle.location}x"))
        for asked, header, message in (
            (ref, "", body),
            (ref, "Bearer x", body),
            (ref, f"{head}.{claims}.{signature[::-1]}", body),
            (ref, authorization.replace("Bearer", "Basic"), body),
            (ref, f"{authorization}.x", body),
            (ref, authorization, b"{}"),
            (ref, authorization, b"[]"),
            (ref, authorization, b"\xff"),
            (other, authorization, body),
        ):
            assert not await backend.told(asked, header, message)  # type: ignore[attr-defined]
        # bob has a token of the same server, of which he is the subject.
        assert not await backend.told(ref, f"Bearer {await _token(case.server, 'bob')}", body)  # type: ignore[attr-defined]
        await case.until(backend, ref, Phase.ENDED)
    assert proxy.count("GET", "/certificate") == 1


async def test_a_message_is_fresh_by_the_site_s_clock(
    case: UnicoreCase, proxy: Proxy, told: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ours is a day late, then a day early: nothing changes."""
    async with case.open() as backend:
        ref = await backend.start(await case.prepared(backend, replace(case.spec(), notify=told.url)))
        message = words((await told.until(1))[0])
        await case.until(backend, ref, Phase.ENDED)
    for days in (-1, 1):
        _turn_clock(monkeypatch, timedelta(days=days))
        async with case.open() as backend:
            assert await backend.told(ref, *message)  # type: ignore[attr-defined]
    monkeypatch.undo()


async def test_a_server_without_a_certificate_to_show_is_not_asked_for_it_each_time(
    case: UnicoreCase, proxy: Proxy, told: Listener
) -> None:
    async with case.open() as backend:
        ref = await backend.start(await case.prepared(backend, replace(case.spec(), notify=told.url)))
        message = words((await told.until(1))[0])
        proxy.fault("GET", "/certificate", status=404)
        for _ in range(3):
            assert not await backend.told(ref, *message)  # type: ignore[attr-defined]
        await case.until(backend, ref, Phase.ENDED)
    assert proxy.count("GET", "/certificate") == 1


async def test_whom_nobody_listens_to_harms_no_job(case: UnicoreCase, proxy: Proxy) -> None:
    async with case.open() as backend:
        spec = replace(case.spec(), notify="http://127.0.0.1:9/nobody")
        ref = await backend.start(await case.prepared(backend, spec))
        status = await case.until(backend, ref, Phase.ENDED)
        assert status.outcome is not None
        assert status.outcome.exit_code == 0


def _turn_clock(monkeypatch: pytest.MonkeyPatch, by: timedelta) -> None:
    """Of the gateway."""

    class Turned(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + by

    monkeypatch.setattr(session, "datetime", Turned)


async def _token(site: UnicoreSite, user: str) -> str:
    verify = ssl.create_default_context(cafile=site.ca)
    async with httpx.AsyncClient(verify=verify, auth=(user, f"{user}-password")) as client:
        return (await client.get(f"{site.url}/token", headers={"Accept": "text/plain"})).raise_for_status().text
