"""`mantik models describe`."""

from typing import TYPE_CHECKING

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command
from gateway.cli.models.choice import model_argument
from gateway.cli.output import output_option, show
from gateway.cli.table import fields
from gateway.cli.text import duration, moment

if TYPE_CHECKING:
    from gateway.schemas.models import CostView, ModelOrigin, ModelView

UNKNOWN = "unknown"


@click.command("describe", cls=Command)
@model_argument
@output_option
def command(model: str, project: str | None, output: str) -> None:
    """Show everything about a model, and where it comes from: run, commit, job, site, account and cost."""
    with gateway(project) as client:
        found = client.models.get(model)
    parts = [fields(_facts(found))]
    if found.origin is not None:
        parts += ["Comes from:\n" + _indented(_origin(found.origin)), "Cost:\n" + _indented(_cost(found.origin.cost))]
    if found.mlflow_parameters:
        parts.append("Parameters:\n" + _indented(list(found.mlflow_parameters.items())))
    show(found, output, lambda: "\n\n".join(parts))


def _facts(found: "ModelView") -> list[tuple[str, object]]:
    return [
        ("Name", found.name),
        ("Id", found.model_id),
        ("Status", found.status),
        ("Message", found.message),
        ("URI", found.uri),
        ("Location", found.location),
        ("Artifact path", found.artifact_path),
        ("Logged model", found.logged_model_id),
        ("Registered by", found.user.name),
        ("Registered", moment(found.created_at)),
        ("Changed", moment(found.changed_at)),
    ]


def _origin(origin: "ModelOrigin") -> list[tuple[str, object]]:
    deleted = ", deleted" if origin.run_deleted else ""
    return [
        ("Run", f"{origin.run_name} ({origin.run_id}{deleted})"),
        ("Commit", origin.commit or UNKNOWN),
        ("Branch", origin.branch),
        ("Code", origin.code_repository_id),
        ("Entry point", origin.entry_point),
        ("Experiment", origin.experiment_repository_id),
        ("MLflow run", origin.mlflow_run_id),
        ("Site", origin.site_name or UNKNOWN),
        ("Job", origin.job_id or UNKNOWN),
        ("Account", origin.compute_budget_account or UNKNOWN),
    ]


def _cost(cost: "CostView") -> list[tuple[str, object]]:
    return [
        ("Elapsed", duration(cost.elapsed_seconds) or UNKNOWN),
        ("Nodes", UNKNOWN if cost.nodes is None else cost.nodes),
        ("Node hours", _hours(cost.node_hours)),
        ("CPU hours", _hours(cost.cpu_hours)),
        ("GPU hours", _hours(cost.gpu_hours)),
        ("Billing", None if cost.billing is None else f"{cost.billing:g} (the site's own measure)"),
    ]


def _hours(hours: float | None) -> str:
    return UNKNOWN if hours is None else f"{hours:.3g}"


def _indented(pairs: list[tuple[str, object]]) -> str:
    return "\n".join(f"  {line}" for line in fields(pairs).splitlines())
