"""`mantik runs describe`."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.asking import gateway
from gateway.cli.groups import Command
from gateway.cli.output import as_yaml, jsonable, output_option, say_data, say_result
from gateway.cli.runs.choice import run_argument
from gateway.cli.table import fields, table
from gateway.cli.text import duration, moment, plain, size, visible
from gateway.errors import NotFound

if TYPE_CHECKING:
    from gateway.schemas.runs import EventView, JobView, RunDetails


@click.command("describe", cls=Command)
@run_argument
@click.option("--events", "with_events", is_flag=True, help="Also what happened to it, oldest first.")
@click.option(
    "--script",
    "only_script",
    is_flag=True,
    help="Print the job script alone, byte for byte where the output is no terminal.",
)
@output_option
def command(run: str, project: str | None, with_events: bool, only_script: bool, output: str) -> None:
    """Show everything about a run: lifecycle, job, parameters, the config as YAML."""
    with gateway(project) as client:
        found = client.runs.get(run)
        events = list(client.runs.events(found.run_id)) if with_events else None
        tracking = client.tracking_uri
    if only_script:
        if found.script is None:
            raise NotFound(f"Run {found.name} has no job script.", next_step="It is made when the run is prepared.")
        click.echo(visible(found.script) if sys.stdout.isatty() else found.script.encode(), nl=False)
    elif output == "table":
        say_result(_page(found, events, tracking))
    else:
        data: dict[str, Any] = jsonable(found)
        if events is not None:
            data["events"] = [jsonable(e) for e in events]
        say_data(data, output)


def _page(run: "RunDetails", events: "Sequence[EventView] | None", tracking: str | None) -> str:
    parts = [
        fields(_facts(run)),
        _section("Lifecycle", _lifecycle(run)),
        _section("Conditions", "\n".join(f"{c.name} since {moment(c.since)}: {plain(c.text)}" for c in run.conditions)),
        _section("Parameters", fields([(plain(k), v) for k, v in run.mlflow_parameters.items()])),
        _section("Warnings", "\n".join(plain(w) for w in run.warnings)),
        _section("Config", _config(run)),
        _section("Metrics, models and files, with the mlflow program", _in_mlflow(run, tracking)),
    ]
    if events is not None:
        rows = [(moment(e.time), _event(e), e.actor.name if e.actor else "", e.text) for e in events]
        parts.append(_section("Events", table(("TIME", "EVENT", "BY", "WHAT"), rows)))
    return "\n\n".join(part for part in parts if part)


def _facts(run: "RunDetails") -> list[tuple[str, object]]:
    job = run.job
    account = run.compute_budget_account
    billed = job.account if job and job.account else ""
    return [
        ("Name", run.name),
        ("Id", run.run_id),
        ("State", f"{run.state} ({run.reason})" if run.reason else run.state),
        ("Message", run.message),
        ("Exit code", run.exit_code),
        ("Cancel asked", moment(run.cancel_requested_at)),
        ("Created by", run.user.name),
        ("Experiment", run.experiment_repository_id),
        ("Code", run.code_repository_id),
        ("Branch", run.branch),
        ("Commit", run.commit),
        ("MLproject", run.mlproject_path),
        ("Entry point", run.entry_point),
        ("Command", run.command),
        ("Site", run.site_name),
        ("Connection", run.connection_id),
        (
            "Account",
            f"{account}, billed to {billed}" if account and billed and account != billed else account or billed,
        ),
        ("Job", _job(job) if job else None),
        ("Waits for", job.pending_reason if job else None),
        ("Nodes", job.nodes if job else None),
        ("Restarts", job.restarts if job and job.restarts else None),
        *((f"Used {key}", value) for key, value in (job.usage.items() if job else ())),
        ("Directory", run.work_directory),
        ("Log", size(run.log_size) if run.log_size else None),
        ("MLflow run", run.mlflow_run_id),
        ("Continues", run.previous_run_id),
    ]


def _job(job: "JobView") -> str:
    state = f" ({job.site_state})" if job.site_state else ""
    return f"{job.site_job_id}{state}, attempt {job.attempt}"


def _in_mlflow(run: "RunDetails", tracking: str | None) -> str:
    """The gateway serves none of MLflow's pages; its client reads all of it."""
    if run.mlflow_run_id is None or tracking is None:
        return ""
    login = f"export MLFLOW_TRACKING_URI={tracking} MLFLOW_TRACKING_TOKEN=$(mantik tokens create mlflow)"
    return f"{login}\nmlflow runs describe --run-id {plain(run.mlflow_run_id)}"


def _lifecycle(run: "RunDetails") -> str:
    rows = [(p.state, moment(p.entered_at), duration(p.seconds) if p.seconds else "") for p in run.phases]
    return table(("STATE", "SINCE", "FOR"), rows) if rows else ""


def _config(run: "RunDetails") -> str:
    given = run.config if run.config is not None else run.backend_config
    return f"from {given} in the repository" if isinstance(given, str) else as_yaml(given).rstrip() if given else ""


def _event(event: "EventView") -> str:
    return f"{event.from_state or ''} -> {event.to_state}" if event.to_state else event.kind


def _section(title: str, text: str) -> str:
    return f"{title}:\n" + "\n".join(f"  {line}" for line in text.splitlines()) if text else ""
