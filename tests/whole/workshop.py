"""What a user has set up in a gateway: a project, repositories, connections; and the runs they submit."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.site_fixtures import SlurmSite
from tests.whole.gateway_process import FINAL, GatewayProcess, wait_for

MLPROJECT = """\
name: probe
entry_points:
  main:
    parameters:
      word: {type: string, default: hello}
    command: "echo {word}"
  needs:
    parameters:
      rate: {type: float}
    command: "echo rate {rate}"
  fails:
    command: "echo to the log; exit 3"
  waits:
    command: "echo waiting; while [ ! -e $MANTIK_OUTPUTS_DIR/go ]; do sleep 0.2; done; echo went on"
  marks:
    parameters:
      marker: {type: path}
    command: "echo ran >>{marker}; sleep 3; echo done"
  big:
    command: "yes 0123456789012345678901234567890123456789012345678 | head -c 200000000; echo; echo the last line"
  binary:
    command: "printf 'a\\\\377\\\\000\\\\303\\\\050b'; head -c 100000 /dev/urandom; printf 'no newline at the end'"
"""


def git(repository: Path, *args: str) -> str:
    identity = ["-c", "user.name=tests", "-c", "user.email=tests@example.org"]
    command = ["git", "-C", str(repository), *identity, *args]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def make_repository(folder: Path, files: Mapping[str, str]) -> Path:
    """A git repository with one commit on `main`."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


class Workshop:
    """One project of one gateway."""

    def __init__(self, gateway: GatewayProcess, repository: Path) -> None:
        self.gateway = gateway
        self.user = gateway.call("GET", "/users/me")["userId"]
        unique = f"project-{repository.parent.name}-{repository.name}"
        self.project = gateway.call("POST", "/projects", {"name": unique})["projectId"]
        made = gateway.call("POST", self.path("experiments"), {"name": "experiment"})
        self.experiment = made["experimentRepositoryId"]
        body = {"codeRepositoryName": "code", "uri": str(repository)}
        self.code = gateway.call("POST", self.path("code"), body)["codeRepositoryId"]

    def path(self, *parts: str) -> str:
        return "/".join(["/projects", self.project, *parts])

    @property
    def connections(self) -> str:
        return f"/users/{self.user}/settings/connections"

    def local(self) -> str:
        """A connection to this machine; an embedded gateway has one by itself, another gets it here."""
        items = self.gateway.call("GET", self.connections)["items"]
        for connection in items:
            if connection["connectionProvider"] == "Local":
                return str(connection["connectionId"])
        site = self.gateway.call("POST", "/sites", {"name": "here", "kind": "local"})["siteId"]
        body = {"connectionName": "here", "connectionProvider": "Local", "authMethod": "None", "siteId": site}
        return str(self.gateway.call("POST", self.connections, body, check=False)["connectionId"])

    def add_site(self, name: str, there: SlurmSite, **changes: Any) -> str:
        body = {
            "name": name,
            "kind": "slurm",
            "host": there.ssh_host,
            "port": there.ssh_port,
            "hostKeys": there.host_keys,
            "workDirectory": "$SCRATCH/$USER/mantik",
            "pollSecondsMin": 0.3,
            "pollSecondsMax": 1.0,
        } | changes
        return str(self.gateway.call("POST", "/sites", body)["siteId"])

    def connect(self, name: str, site: str, key: str, *, check: bool = True) -> str:
        body = {
            "connectionName": name,
            "connectionProvider": "SSH",
            "authMethod": "SSH-Key",
            "siteId": site,
            "loginName": "alice",
            "privateKey": Path(key).read_text(),
        }
        made = self.gateway.call("POST", self.connections, body, check=check)
        return str(made["connectionId"])

    def request(self, **changes: Any) -> dict[str, Any]:
        return {
            "name": "a run",
            "experimentRepositoryId": self.experiment,
            "codeRepositoryId": self.code,
            "branch": "main",
            "backendConfig": {"Local": {}},
        } | changes

    def submit(self, **changes: Any) -> str:
        return str(self.gateway.call("POST", self.path("runs"), self.request(**changes))["runId"])

    def refusal(self, **changes: Any) -> str:
        return str(self.gateway.problem("POST", self.path("runs"), self.request(**changes))["detail"])

    def run(self, run_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.gateway.call("GET", self.path("runs", run_id))
        return found

    def until(self, run_id: str, *states: str, seconds: float = 120) -> dict[str, Any]:
        """The run, once it is in one of these states."""

        def there() -> dict[str, Any] | None:
            run = self.run(run_id)
            assert run["state"] in states or run["state"] not in FINAL, self.story(run_id)
            return run if run["state"] in states else None

        found: dict[str, Any] = wait_for(there, seconds, lambda: self.story(run_id))
        return found

    def ended(self, run_id: str, seconds: float = 120) -> dict[str, Any]:
        """The run, once it has ended and all of it is collected."""
        self.until(run_id, *FINAL, seconds=seconds)
        wait_for(lambda: "COLLECTING" not in self.conditions(run_id), 120, lambda: self.story(run_id))
        return self.run(run_id)

    def conditions(self, run_id: str) -> dict[str, str]:
        return {c["name"]: c["text"] for c in self.run(run_id)["conditions"]}

    def log(self, run_id: str) -> bytes:
        """All that is kept of the log."""
        data, generation, offset = bytearray(), 0, 0
        while True:
            query = {"generation": generation, "offset": offset}
            answer = self.gateway.http.get(self.path("runs", run_id, "logs"), params=query)
            assert answer.status_code == 200, answer.text
            if not answer.content:
                return bytes(data)
            data += answer.content
            generation, offset = int(answer.headers["X-Log-Generation"]), int(answer.headers["X-Log-Next"])

    def story(self, run_id: str) -> str:
        events = self.gateway.call("GET", self.path("runs", run_id, "events"))["items"]
        lines = [f"{e['time'][11:23]} {e['kind']} {e['toState'] or ''} {e['text']} {e['evidence']}" for e in events]
        return "\n".join([str(self.run(run_id)["conditions"]), *lines])
