"""An attempt's directory as `prepare` lays it, and its script run by bash as a site would."""

import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

from backends.host.environment import environment_file
from backends.host.evidence import ExitFile, parse_exit
from backends.job_script import render_script
from backends.spec import JobRequest
from compute_backend_configs import parse_config_data

LIMIT = 30


def request(
    command: str = "true",
    environment: Mapping[str, object] | None = None,
    resources: Mapping[str, object] | None = None,
    project_path: str = ".",
) -> JobRequest:
    data = {"Local": {}, "Environment": dict(environment or {}), "Resources": dict(resources or {})}
    config = parse_config_data(data).config
    return JobRequest("run-1", "lineage-1", "a run", command, project_path, config, None, "0123abc")


class Attempt:
    """`<root>/run-1/1` with code, ticket and env."""

    def __init__(self, root: Path, wanted: JobRequest, secrets: Mapping[str, str] | None = None) -> None:
        self.run = root / "run-1"
        self.path = self.run / "1"
        for folder in (self.path, self.run / "code", self.run / "outputs", root / "bin"):
            folder.mkdir(parents=True, exist_ok=True)
        self.bin = root / "bin"
        (self.path / "job.sh").write_bytes(render_script(wanted))
        (self.path / "env").write_bytes(environment_file(secrets or {}))
        (self.path / "ticket").touch()

    def program(self, name: str, text: str) -> None:
        """A stand-in for a program of the site, first in the path."""
        path = self.bin / name
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)

    def begin(self, **variables: str) -> "subprocess.Popen[bytes]":
        log = os.open(self.path / "mantik.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        environment = {"PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": "/", "SLURM_JOB_ID": "7", **variables}
        try:
            return subprocess.Popen(
                ["bash", "job.sh"], cwd=self.path, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        finally:
            os.close(log)

    def to_end(self, **variables: str) -> int:
        process = self.begin(**variables)
        try:
            return process.wait(LIMIT)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    @property
    def log(self) -> str:
        return (self.path / "mantik.log").read_text()

    @property
    def exit(self) -> ExitFile | None:
        path = self.path / "exit"
        return parse_exit(path.read_text()) if path.exists() else None

    def output(self, name: str) -> str:
        return (self.run / "outputs" / name).read_bytes().decode()
