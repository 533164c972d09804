"""Requests of runs for a UNICORE site, from configs as a user writes them."""

from collections.abc import Mapping

from backends.spec import JobRequest
from compute_backend_configs import Resources, parse_config_data

URL = "https://unicore.centre.eu:8080/SITE/rest/core"


def request(
    resources: Mapping[str, object] | None = None,
    *,
    command: str = "echo hello",
    account: str | None = None,
    environment: Mapping[str, object] | None = None,
    name: str = "a run",
) -> JobRequest:
    data = {
        "UnicoreApiUrl": URL,
        "Resources": {"Queue": "batch", **(resources or {})},
        "Environment": dict(environment or {}),
    }
    return JobRequest(
        run_id="r1",
        lineage_id="r1",
        name=name,
        command=command,
        project_path=".",
        config=parse_config_data(data).config,
        account=account,
        git_ref="0123abc",
    )


def wanted(resources: Mapping[str, object]) -> Resources:
    return request(resources).config.resources
