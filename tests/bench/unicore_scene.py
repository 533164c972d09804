"""A real UNICORE/X 11 that only the figures use, whose jobs wait while sleepers have its places; and what it is asked
raw, by a client that is set up as the gateway's own is."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx

from backends.unicore.description import ANY_TAG, from_words
from backends.unicore.jobs import FIELDS, MOST, NOT_STARTED
from backends.unicore.preparation import WAIT_FIRST, WAIT_MOST
from backends.unicore.session import SESSION
from backends.unicore.transport import CONNECTIONS, REPLY_SECONDS
from tests.bench.scene import Desk
from tests.site_fixtures import SITES, UnicoreSite, running
from tests.whole.workshop import Workshop

PLACES = 64
"""Jobs that the server of the tests runs at once; the others are QUEUED and take no CPU."""
SLEEP = {"Executable": "/bin/sleep", "Arguments": ["3600"]}
WAITING = NOT_STARTED | {"QUEUED"}
BYTES = {"Content-Type": "application/octet-stream"}


@contextmanager
def server(name: str) -> Iterator[UnicoreSite]:
    """Up as long as this lasts; then it forgets all its jobs."""
    with running("unicore", name) as settings:
        yield UnicoreSite(**json.loads(settings))
    subprocess.run([SITES / "unicore", "wipe", name], check=True)


class RawClient:
    """httpx and the REST API, by a security session, over as many connections as the gateway has there."""

    def __init__(self, there: UnicoreSite, http: httpx.AsyncClient) -> None:
        self.there = there
        self.http = http
        self._turns = asyncio.Semaphore(CONNECTIONS)

    async def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """In turn, for many that wait in the client's own pool make it slow."""
        async with self._turns:
            return (await self.http.request(method, path, **more)).raise_for_status()

    async def make(self, body: Mapping[str, Any]) -> str:
        """The new job's id."""
        answer = await self._ask("POST", "/jobs", json=dict(body))
        return answer.headers["Location"].rstrip("/").rpartition("/")[2]

    async def look(self, job: str, fields: str = FIELDS) -> Any:
        return (await self._ask("GET", f"/jobs/{job}", params={"fields": fields})).json()

    async def submit(self, body: Mapping[str, Any], files: Mapping[str, bytes], *, blindly: bool = False) -> str:
        """Create, wait until its directory is there, upload, start. Unless `blindly`, secrets are made private and the
        sizes of what arrived are looked at, as the gateway must."""
        job, wait = await self.make(body), WAIT_FIRST
        while not any(line.endswith("Status set to READY.") for line in (await self.look(job, f"{FIELDS},log"))["log"]):
            await asyncio.sleep(wait)
            wait = min(WAIT_MOST, wait * 1.5)
        await asyncio.gather(*(self._upload(job, name, data) for name, data in files.items()))
        if not blindly:
            storage = f"/storages/{job}-uspace/files"
            await self._ask("PUT", f"{storage}/env", json={"permissions": "rw-------"})
            there = (await self._ask("GET", f"{storage}/")).json()["content"]
            assert all(there[f"/{name}"]["size"] == len(data) for name, data in files.items())
        await self._upload(job, "ticket", b"ticket\n")
        await self._ask("POST", f"/jobs/{job}/actions/start", json={})
        return job

    async def _upload(self, job: str, name: str, data: bytes) -> None:
        url = f"/storages/{job}-uspace/files/{name}"
        await self._ask("PUT", url, content=data, headers=BYTES)

    async def fill_places(self, count: int) -> None:
        """So many jobs that sleep; whatever comes when all places are taken waits. A place is taken for as long as the
        server runs: to remove a job that runs does not end its process."""
        sleepers = await asyncio.gather(*(self.make(SLEEP) for _ in range(count)))
        async with asyncio.timeout(120):
            for job in sleepers:
                while (await self.look(job))["status"] != "RUNNING":  # noqa: ASYNC110  another process: no event
                    await asyncio.sleep(0.2)

    async def remove_waiting(self) -> None:
        """All our jobs that have not begun, and their directories."""
        while waiting := [job for job in await self._listed() if (await self.look(job))["status"] in WAITING]:
            await asyncio.gather(*(self._ask("DELETE", f"/jobs/{job}") for job in waiting))

    async def _listed(self) -> Sequence[str]:
        urls: list[str] = []
        while True:
            page = {"tags": ANY_TAG, "offset": str(len(urls)), "num": str(MOST)}
            some = (await self._ask("GET", "/jobs", params=page)).json().get("jobs") or []
            urls += some
            if len(some) < MOST:
                return [url.rpartition("/")[2] for url in urls]


@asynccontextmanager
async def raw_client(there: UnicoreSite) -> AsyncIterator[RawClient]:
    """Logged in."""
    async with httpx.AsyncClient(
        base_url=there.url,
        verify=there.trust(),
        headers={"Accept": "application/json"},
        limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        timeout=httpx.Timeout(REPLY_SECONDS, pool=600),
    ) as http:
        login = (await http.get("", auth=(there.user, there.password))).raise_for_status()
        http.headers[SESSION] = login.headers[SESSION]
        yield RawClient(there, http)


class UnicoreDesk(Desk):
    """A live gateway with one project and a connection to the server, and what a user sends it."""

    def __init__(self, workshop: Workshop, there: UnicoreSite) -> None:
        self.gateway, self.workshop = workshop.gateway, workshop
        self.connection = connect(workshop, there)
        self.body = workshop.request(
            connectionId=self.connection,
            computeBudgetAccount="proj1",
            mlflowParameters={"epochs": 20, "rate": 0.5},
            backendConfig=config(there),
        )

    def description(self) -> Mapping[str, Any]:
        """What the gateway posts for a run, but for the tags of the run."""
        return from_words(tuple(self.preview()["submitCommand"])) | {"Tags": ["mantik", "raw"], "Name": "raw"}


def config(there: UnicoreSite) -> Mapping[str, Any]:
    return {"UnicoreApiUrl": there.url, "Resources": {"Queue": "batch", "Runtime": "30m"}}


def connect(workshop: Workshop, there: UnicoreSite, **site: Any) -> str:
    """The id of a connection to a site on its defaults, but for what `site` says."""
    call, name = workshop.gateway.call, f"unicore-{there.name}"
    body = {"name": name, "kind": "unicore", "url": there.url, "tlsCa": Path(there.ca).read_text(), **site}
    login = {
        "connectionName": name,
        "connectionProvider": "UNICORE",
        "authMethod": "Username-Password",
        "siteId": call("POST", "/sites", body)["siteId"],
        "loginName": there.user,
        "password": there.password,
    }
    return str(call("POST", workshop.connections, login)["connectionId"])
