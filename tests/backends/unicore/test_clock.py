"""A gateway whose clock is a day off, before a UNICORE server whose clock is right."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from backends.contract import Prints
from backends.spec import EvidenceSource, Phase
from backends.unicore import session, watch
from tests.backends.unicore.proxy import Proxy, proxied
from tests.contract.test_unicore import UnicoreCase
from tests.site_fixtures import UnicoreSite

pytestmark = pytest.mark.unicore
MOMENT = timedelta(minutes=5)


@pytest.fixture
async def proxy(unicore_site: UnicoreSite) -> AsyncIterator[Proxy]:
    async with proxied(unicore_site) as between:
        yield between


@pytest.mark.parametrize("days", [-1, 1], ids=["late", "early"])
async def test_a_clock_that_is_a_day_off_changes_nothing(
    case: UnicoreCase, proxy: Proxy, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    """Commands on the login node are not taken for killed, the job is kept for as long, and times are the site's."""

    class Turned(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
            return datetime.now(UTC) + timedelta(days=days)

    monkeypatch.setattr(session, "datetime", Turned)
    monkeypatch.setattr(watch, "KEEP_AFTER", timedelta())
    before = datetime.now(UTC) - MOMENT
    async with case.open() as backend:
        spec = case.spec(Prints("done\n"), environment={"PreRunCommandOnLoginNode": ["sleep 1; echo ready"]})
        ref = await backend.start(await case.prepared(backend, spec))
        status = await case.until(backend, ref, Phase.ENDED)
        await backend.finish(ref.handle)
        assert await backend.read(ref.handle, "before.log", 0, 100) == b"ready\n"
    assert status.outcome is not None
    assert (status.outcome.exit_code, status.outcome.evidence) == (0, EvidenceSource.EXIT_FILE)
    for at in (status.submitted_at, status.ended_at):
        assert at is not None
        assert before < at < datetime.now(UTC) + MOMENT
    asked = [json.loads(r.body) for r in proxy.seen if r.method == "PUT" and r.path.endswith(f"/jobs/{ref.id}")]
    assert asked
    for kept in asked:
        until = datetime.strptime(kept["terminationTime"], "%Y-%m-%dT%H:%M:%S%z")
        assert abs(until - datetime.now(UTC) - timedelta(days=30)) < MOMENT
