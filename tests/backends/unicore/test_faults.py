"""What goes wrong between the gateway and a UNICORE server: replies, uploads, logins, certificates."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backends.contract import Links, Prints, WaitsFor
from backends.errors import AuthenticationFailed, InvalidJob, JobNotFound, SiteUnavailable, SubmitUncertain
from backends.reasons import Reason
from backends.spec import Credential, Handle, JobRef, JobSpec, Phase, Result
from backends.unicore import watch
from tests.backends.slurm.ssh.credentials import Credentials
from tests.backends.unicore.proxy import Proxy, proxied
from tests.contract.test_unicore import UnicoreCase
from tests.site_fixtures import UnicoreSite

pytestmark = pytest.mark.unicore
LEEWAY = 60
"""Seconds for which the server takes a token that has ended."""


@pytest.fixture
async def proxy(unicore_site: UnicoreSite) -> AsyncIterator[Proxy]:
    async with proxied(unicore_site) as between:
        yield between


def with_login(case: UnicoreCase, credential: Credential) -> Credentials:
    source = Credentials(credential)
    case.credentials = lambda: source  # type: ignore[method-assign]
    return source


def asking(case: UnicoreCase, resources: dict[str, object], account: str = "proj1") -> JobSpec:
    case.account = account
    whole = {**case.config({}), "Resources": {"Queue": "batch", **resources}}
    case.config = lambda environment: whole  # type: ignore[method-assign]
    return case.spec()


# ---------------------------------------------------------------- replies and uploads


@pytest.mark.parametrize("untried", [False, True])
async def test_a_job_whose_creation_was_not_answered_is_found_and_used(
    case: UnicoreCase, proxy: Proxy, untried: bool
) -> None:
    proxy.fault("POST", "/jobs", lose_reply=True)
    spec = replace(case.spec(), untried=untried)
    async with case.open() as backend:
        ref = await backend.start(await case.prepared(backend, spec))
        await case.until(backend, ref, Phase.ENDED)
        assert [job.id for job in (await backend.find(spec.tag)).refs] == [ref.id]
        assert await case.starts(backend, ref.handle) == 1
    assert proxy.count("POST", "/jobs") == 1


@pytest.mark.parametrize("untried", [False, True])
async def test_nothing_is_looked_for_of_an_attempt_that_nobody_tried(
    case: UnicoreCase, proxy: Proxy, untried: bool
) -> None:
    async with case.open() as backend:
        await case.prepared(backend, replace(case.spec(), untried=untried))
    assert proxy.count("GET", "/jobs") == (0 if untried else 1)


async def test_a_start_that_was_not_answered_is_one_start(case: UnicoreCase, proxy: Proxy) -> None:
    async with case.open() as backend:
        handle = await case.prepared(backend, case.spec())
        proxy.fault("POST", "/actions/start", lose_reply=True)
        # Still READY for us, a moment after: then nobody knows, and a repeated start harms nothing.
        with suppress(SubmitUncertain):
            await backend.start(handle)
        ref = await backend.start(handle)
        await case.until(backend, ref, Phase.ENDED)
        assert await case.starts(backend, handle) == 1


@pytest.mark.parametrize("name", ["job.sh", "env", ".tar.gz"])
async def test_an_upload_that_arrived_cut_is_sent_again(case: UnicoreCase, proxy: Proxy, name: str) -> None:
    proxy.fault("PUT", name, cut_body=True)
    async with case.open() as backend:
        status = await case.ended(backend, Prints("whole"))
        assert status.outcome is not None
        assert status.outcome.result is Result.FINISHED
    assert proxy.count("PUT", name) == (3 if name == "env" else 2) + (name == "env")


async def test_an_upload_whose_connection_broke_is_brought_by_the_next_prepare(case: UnicoreCase, proxy: Proxy) -> None:
    proxy.fault("PUT", ".tar.gz", cut_body=True, lose_reply=True)
    spec = case.spec()
    async with case.open() as backend:
        with pytest.raises(SiteUnavailable):
            await case.prepared(backend, spec)
        ref = await backend.start(await backend.prepare(spec))
        status = await case.until(backend, ref, Phase.ENDED)
        assert status.outcome is not None
        assert status.outcome.result is Result.FINISHED
    assert proxy.count("POST", "/jobs") == 1


async def test_a_session_that_ended_is_one_login_more_and_uploads_stay_whole(case: UnicoreCase, proxy: Proxy) -> None:
    async with case.open() as backend:
        await backend.check()
        logins = proxy.count("GET", "/rest/core")
        for ending in ("job.sh", "env", ".tar.gz"):
            proxy.fault("PUT", ending, status=432)
        status = await case.ended(backend, Prints("whole"))
        assert status.outcome is not None
        assert status.outcome.exit_code == 0
        assert proxy.count("GET", "/rest/core") - logins == 1


# ---------------------------------------------------------------- logins


async def test_a_wrong_password_is_one_failed_login_however_many_ask(case: UnicoreCase, proxy: Proxy) -> None:
    source = with_login(case, Credential(1, "password", "alice", "wrong"))
    async with case.open() as backend:
        asked = (backend.find(f"mantik-r-{n}") for n in range(12))
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(answer) for answer in answers} == {AuthenticationFailed}
    assert source.refusals == [1]
    assert proxy.count() == 1
    assert not any("wrong" in str(answer) for answer in answers)


async def test_a_password_that_changed_while_the_session_ended_is_one_failed_login(
    case: UnicoreCase, proxy: Proxy
) -> None:
    source = with_login(case, Credential(1, "password", "alice", "alice-password"))
    async with case.open() as backend:
        await backend.find("mantik-r-1")
        source.current = Credential(1, "password", "alice", "changed")
        proxy.fault("GET", "/jobs", status=432, times=100)
        before = proxy.count("GET", "/rest/core")
        asked = (backend.find(f"mantik-r-{n}") for n in range(12))
        answers = await asyncio.gather(*asked, return_exceptions=True)
    assert {type(answer) for answer in answers} == {AuthenticationFailed}
    assert source.refusals == [1]
    assert proxy.count("GET", "/rest/core") - before == 1


async def test_a_user_without_an_account_there_is_refused(case: UnicoreCase, proxy: Proxy) -> None:
    source = with_login(case, Credential(7, "password", proxy.site.user_without_account, "carol-password"))
    async with case.open() as backend:
        with pytest.raises(AuthenticationFailed) as refused:
            await backend.check()
    assert "anonymous" in refused.value.text
    assert source.refusals == [7]


async def test_a_token_of_the_server_is_a_login(case: UnicoreCase, unicore_site: UnicoreSite) -> None:
    import ssl

    import httpx

    verify = ssl.create_default_context(cafile=unicore_site.ca)
    async with httpx.AsyncClient(verify=verify, auth=("alice", "alice-password")) as client:
        token = (await client.get(f"{unicore_site.url}/token", headers={"Accept": "text/plain"})).text
    with_login(case, Credential(1, "token", None, token))
    async with case.open() as backend:
        assert (await backend.check()).user
    with_login(case, Credential(1, "token", None, token[:-8] + "AAAAAAAA"))
    async with case.open() as backend:
        with pytest.raises(AuthenticationFailed):
            await backend.check()


async def test_a_job_of_somebody_else_is_none_of_ours(tmp_path: Path, unicore_11: UnicoreSite) -> None:
    case = UnicoreCase(tmp_path, unicore_11)
    async with case.open() as alice:
        ref = await case.started(alice, WaitsFor("go"))
        source = with_login(case, Credential(1, "password", unicore_11.other_user, unicore_11.other_password))
        async with case.open() as bob:
            assert (await bob.poll([ref]))[ref].phase is Phase.MISSING
            assert (await bob.find(ref.handle.tag)).refs == ()
            with pytest.raises(JobNotFound):
                await bob.start(ref.handle)
            await bob.cancel(ref)
        assert source.refusals == []
        await case.release(ref.handle, "go")
        assert (await case.until(alice, ref, Phase.ENDED)).outcome is not None


async def test_a_directory_that_belongs_to_another_user_proves_nothing(case: UnicoreCase, proxy: Proxy) -> None:
    """The server may not enter it, and says so in many ways. No copy counts as kept from running by that."""
    spec = case.spec()
    async with case.open() as backend:
        handle = await case.prepared(backend, spec)
        directory = case.directory(handle)
        mode = directory.stat().st_mode
        directory.chmod(0)
        try:
            for asked in (backend.prepare(spec), backend.list(handle), backend.revoke(handle)):
                with pytest.raises(SiteUnavailable):
                    await asked
            for path in ("job.sh", "mantik.log"):
                with pytest.raises(JobNotFound):
                    await backend.read(handle, path, 0, 10)
        finally:
            directory.chmod(mode)
        assert {"ticket", "job.sh", "env"} <= {file.name for file in directory.iterdir()}
        ref = await backend.start(handle)
        status = await case.until(backend, ref, Phase.ENDED)
        assert status.outcome is not None
        assert status.outcome.result is Result.FINISHED
        assert await case.starts(backend, handle) == 1
    assert proxy.count("POST", "/actions/start") == 1


async def test_a_token_that_ends_while_the_job_runs_loses_nothing(case: UnicoreCase, proxy: Proxy) -> None:
    """The session that stands for it ends, too: one failed login, and nothing is known until a new token is given."""
    token = await _token(proxy, seconds=10 - LEEWAY)
    source = with_login(case, Credential(1, "token", None, token))
    async with case.open() as backend:
        ref = await case.started(backend, WaitsFor("go"))
        await case.running(backend, ref)
        await _until_refused(proxy, token)
        proxy.fault("GET", f"/jobs/{ref.id}", status=432)
        proxy.fault("GET", f"/storages/{ref.id}-uspace/files/", status=432)
        refused = 0
        for _ in range(4):
            try:
                await backend.poll([ref])
            except AuthenticationFailed:
                refused += 1
        assert refused
        assert source.refusals == [1]
    with_login(case, Credential(2, "token", None, await _token(proxy, seconds=600)))
    async with case.open() as backend:
        await case.until(backend, ref, Phase.RUNNING)
        await case.release(ref.handle, "go")
        status = await case.until(backend, ref, Phase.ENDED)
        assert status.outcome is not None
        assert status.outcome.result is Result.FINISHED
        assert await case.starts(backend, ref.handle) == 1


async def _until_refused(proxy: Proxy, token: str) -> None:
    async with asyncio.timeout(60):
        while True:
            answer = await proxy.upstream.get("/rest/core", headers={"Authorization": f"Bearer {token}"})
            if answer.status_code == 403:
                return
            await asyncio.sleep(0.2)


async def _token(proxy: Proxy, *, seconds: int) -> str:
    answer = await proxy.upstream.get(
        f"/rest/core/token?lifetime={seconds}",
        headers={"Accept": "text/plain"},
        auth=("alice", "alice-password"),
    )
    return answer.raise_for_status().text


# ---------------------------------------------------------------- certificates


async def test_a_certificate_of_an_unknown_authority_is_refused_before_the_password_leaves(
    case: UnicoreCase, proxy: Proxy
) -> None:
    case.site = replace(case.site, options={})
    async with case.open() as backend:
        with pytest.raises(SiteUnavailable, match="tlsCa"):
            await backend.check()
    assert proxy.seen == []


async def test_verification_is_off_only_in_so_many_words_and_then_told(case: UnicoreCase) -> None:
    case.site = replace(case.site, options={"verifyTls": False})
    async with case.open() as backend:
        assert any("not checked" in note for note in (await backend.check()).notes)
    case.site = replace(case.site, options={"verifyTls": "false"})
    with pytest.raises(InvalidJob, match="true or false"):
        async with case.open():
            pass


async def test_plain_http_is_refused(case: UnicoreCase) -> None:
    case.site = replace(case.site, url="http://localhost:1/rest/core")
    with pytest.raises(InvalidJob, match="https"):
        async with case.open():
            pass


# ---------------------------------------------------------------- what is asked for


@pytest.mark.parametrize("tag", ["%", "mantik-%-1", "mantik_r_1", "mantik-r-1,x", ""])
async def test_a_tag_that_the_server_would_read_as_a_pattern_finds_nothing(case: UnicoreCase, tag: str) -> None:
    async with case.open() as backend:
        ref = await case.started(backend)
        found = await backend.find(tag)
        assert (found.refs, found.conclusive) == ((), False)
        await case.until(backend, ref, Phase.ENDED)


async def test_more_than_the_queue_takes_never_leaves(case: UnicoreCase, proxy: Proxy) -> None:
    async with case.open() as backend:
        with pytest.raises(InvalidJob, match=r"Nodes.*1 to 16") as refused:
            await case.prepared(backend, asking(case, {"Nodes": 99}))
    assert refused.value.reason is Reason.INVALID_CONFIG
    assert proxy.count("POST") == 0


async def test_an_account_that_is_not_ours_never_leaves(case: UnicoreCase, proxy: Proxy) -> None:
    async with case.open() as backend:
        with pytest.raises(InvalidJob, match="proj1, proj2") as refused:
            await case.prepared(backend, asking(case, {}, account="nope"))
    assert refused.value.reason is Reason.BUDGET_REFUSED
    assert proxy.count("POST") == 0


async def test_secrets_are_for_the_owner_alone_and_in_no_description(case: UnicoreCase, proxy: Proxy) -> None:
    async with case.open() as backend:
        status = await case.ended(backend, secrets={"TOKEN": "s3cret-s3cret"})
        directory = case.directory(status.ref.handle)
        assert directory.stat().st_mode & 0o777 == 0o700
    private = [json.loads(r.body) for r in proxy.seen if r.path.endswith("/env") and r.body.startswith(b"{")]
    assert private == [{"permissions": "rw-------"}]
    holding = {r.path.rpartition("/")[2] for r in proxy.seen if b"s3cret-s3cret" in r.body}
    assert holding == {"env"}


async def test_a_sweep_is_one_small_question_for_each_job_that_is_due_when_nothing_changes(
    case: UnicoreCase, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    for begun in watch.PACES:
        monkeypatch.setitem(watch.PACES, begun, (0.0, timedelta()))
    async with case.open() as backend:
        refs = await asyncio.gather(*(case.started(backend, WaitsFor("go")) for _ in range(5)))
        for ref in refs:
            await case.running(backend, ref)
            await case.until(backend, ref, Phase.RUNNING)
        # The directory may have told of the start before the server's status does.
        while any(status.site_state != "RUNNING" for status in (await backend.poll(refs)).values()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await backend.poll(refs)
        await backend.poll(refs)
        before = len(proxy.seen)
        for _ in range(6):
            statuses = await backend.poll(refs)
            assert {status.phase for status in statuses.values()} == {Phase.RUNNING}
        assert len(proxy.seen) - before == 6 * len(refs)
        for ref in refs:
            await case.release(ref.handle, "go")
            assert (await case.until(backend, ref, Phase.ENDED)).outcome is not None


async def test_a_job_that_was_deleted_behind_our_back_is_missing(case: UnicoreCase) -> None:
    async with case.open() as backend:
        ref = await case.started(backend, WaitsFor("go"))
        await case.running(backend, ref)
        await case.until(backend, ref, Phase.RUNNING)
        await case.release(ref.handle, "go")
        async with case.open() as other:
            await other.remove(ref.handle)
        status = await case.until(backend, ref, Phase.MISSING)
        assert status.outcome is None
        unknown = JobRef("x", Handle(ref.handle.tag, ""))
        assert (await backend.poll([unknown]))[unknown].phase is Phase.MISSING


async def test_job_and_directory_are_kept_for_as_long_as_somebody_looks(
    case: UnicoreCase, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked_to_keep() -> list[dict[str, str]]:
        return [json.loads(r.body) for r in proxy.seen if r.method == "PUT" and r.path.endswith(f"/jobs/{ref.id}")]

    async with case.open() as backend:
        monkeypatch.setattr(watch, "KEEP_AFTER", timedelta(hours=1))
        ref = await case.started(backend, WaitsFor("go"))
        await backend.poll([ref])
        await backend.poll([ref])
        assert not asked_to_keep(), "not at first, which may be one of many submissions"
        monkeypatch.setattr(watch, "KEEP_AFTER", timedelta())
        async with asyncio.timeout(60):
            while not asked_to_keep():
                await backend.poll([ref])
                await asyncio.sleep(0.1)
        for _ in range(5):
            await backend.poll([ref])
        asked = asked_to_keep()
        assert len(asked) == 1
        ends = datetime.strptime(asked[0]["terminationTime"], "%Y-%m-%dT%H:%M:%S%z")
        assert ends > datetime.now(UTC) + timedelta(days=29)
        await case.release(ref.handle, "go")
        assert (await case.until(backend, ref, Phase.ENDED)).outcome is not None


async def test_a_link_that_leads_out_is_neither_read_nor_listed_and_one_inside_is(case: UnicoreCase) -> None:
    deeds = (Prints("kept"), Links("inside", "../mantik.log"), Links("outside", "/etc"))
    async with case.open() as backend:
        handle = (await case.ended(backend, *deeds)).ref.handle
        assert await backend.read(handle, "outputs/inside", 0, 100, area="run") == b"kept"
        for asked in (
            backend.read(handle, "outputs/outside/passwd", 0, 10, area="run"),
            backend.list(handle, "outputs/outside", area="run"),
            backend.stat(handle, "outputs/outside/passwd", area="run"),
        ):
            with pytest.raises(JobNotFound):
                await asked
