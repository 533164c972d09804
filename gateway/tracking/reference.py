"""The reference page of the routes, made from the table: `python -m gateway.tracking.reference > PAGE`."""

import sys
from collections.abc import Iterable

from gateway.tracking.message import RESERVED_TAGS
from gateway.tracking.refused import REFUSALS
from gateway.tracking.routes import ROUTES, Route
from gateway.tracking.scopes import GATEWAY_SCOPES, Scope

HEAD = """\
# Routes of the tracking server

Generated from `gateway/tracking/routes.py`, `refused.py` and `scopes.py` by `python -m gateway.tracking.reference`.

An MLflow client reaches its server at `/tracking/` with `MLFLOW_TRACKING_URI=<gateway>/tracking/` and
`MLFLOW_TRACKING_TOKEN=<access token, API token or run token>`. What is not in the first table is denied. Beside the
rule of its line, every run, experiment and logged model that a request names anywhere must lie in a project where you
have the role; what you may not see is answered as if it did not exist. To a run token, the `MLFLOW_RUN_ID` of its job
means the MLflow run of that job, wherever the id of a run may stand.
"""


def page() -> str:
    """The whole page, in Markdown."""
    tags = ", ".join(f"`{tag}`" for tag in RESERVED_TAGS)
    return "\n".join(
        [
            HEAD,
            "## Allowed",
            "",
            *_table(("route", "below", "role", "mapped to projects by", "a run token reaches"), map(_allowed, ROUTES)),
            "",
            f"Tags that begin with {tags} cannot be written or deleted, nor artifacts below `mantik/` of a run.",
            "",
            "## Denied on purpose",
            "",
            *_table(("path", "because"), ((f"`{_cell(r.pattern)}`", r.because) for r in REFUSALS)),
            "",
            "## What else a run token may do",
            "",
            "On its own run, below `/api/v1/projects/{projectId}/runs/{runId}/`, where MLflow's id of the run means",
            "the same as its own:",
            "",
            *_table(("route", "to"), ((_endpoint(s), s.purpose) for s in GATEWAY_SCOPES)),
            "",
        ]
    )


def _allowed(route: Route) -> tuple[str, ...]:
    below = " ".join(f"`{prefix or '/'}`" for prefix in route.prefixes)
    return (f"{route.method} `{route.path}`", below, route.least, route.rule.value, route.run_token.value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [head, tuple("---" for _ in head), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _endpoint(scope: Scope) -> str:
    return f"{scope.method} `{scope.endpoint}`" if scope.endpoint else f"{scope.method} of the run"


if __name__ == "__main__":
    sys.stdout.write(page())
