"""UNICORE's REST API without our backend: what a test compares our words with."""

import ssl
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from tests.site_fixtures import UnicoreSite

PATIENCE = 60.0


class BareClient:
    """One user of one server. Waits end with an assertion."""

    def __init__(self, site: UnicoreSite, user: str) -> None:
        self.site = site
        self._client = httpx.Client(
            auth=(user, f"{user}-password"),
            verify=ssl.create_default_context(cafile=site.ca),
            headers={"Accept": "application/json"},
        )

    def __enter__(self) -> "BareClient":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str = "") -> Any:
        return self._client.get(f"{self.site.url}{path}").raise_for_status().json()

    def post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        return self._client.post(f"{self.site.url}{path}", json=body)

    def submit(self, description: Mapping[str, Any], files: Mapping[str, bytes]) -> str:
        """The id of a job whose files were there before it started."""
        answer = self.post("/jobs", description).raise_for_status()
        job = answer.headers["Location"].rpartition("/")[2]
        self.until(job, lambda seen: any(line.endswith("Status set to READY.") for line in seen["log"]))
        for name, data in files.items():
            url = f"{self.site.url}/storages/{job}-uspace/files/{name}"
            self._client.put(url, content=data, headers={"Content-Type": "application/octet-stream"}).raise_for_status()
        self.post(f"/jobs/{job}/actions/start", {}).raise_for_status()
        return job

    def ended(self, job: str) -> Any:
        return self.until(job, lambda seen: seen["status"] in ("SUCCESSFUL", "FAILED"))

    def directory(self, job: str) -> Path:
        return Path(self.site.jobs) / job

    def until(self, job: str, happened: Any) -> Any:
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._client.get(f"{self.site.url}/jobs/{job}")
            # A server that was killed may be unable to show a job whose directory is there.
            seen = answer.json() if answer.is_success else {"status": f"HTTP {answer.status_code}"}
            if happened(seen):
                return seen
            assert time.monotonic() < end, seen
            time.sleep(0.05)
