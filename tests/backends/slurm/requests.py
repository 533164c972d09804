"""Requests of runs, from configs as a user writes them."""

from collections.abc import Mapping

from backends.spec import JobRequest
from compute_backend_configs import parse_config_data

SITE = {"SSH": {"Hostname": "login.centre.eu"}}


def request(
    command: str = "python train.py",
    resources: Mapping[str, object] | None = None,
    environment: Mapping[str, object] | None = None,
    account: str | None = None,
    run_id: str = "r1",
) -> JobRequest:
    data = {**SITE, "Resources": {"Queue": "batch", **(resources or {})}, "Environment": dict(environment or {})}
    return JobRequest(
        run_id=run_id,
        lineage_id=run_id,
        name="a run",
        command=command,
        project_path=".",
        config=parse_config_data(data).config,
        account=account,
        git_ref="0123abc",
    )
